"""Log-ins that end one another, again and again: each further one has to wait."""

from __future__ import annotations

from collections.abc import Callable

from cachetools import TTLCache

_WITHIN = 15.0
"""
Seconds after which a take-over is forgotten: somebody who goes from one machine to another waits for nothing.

Longer than the longest wait and the pause in which a supervisor starts a program anew (systemd units mostly say 5).
"""

_WAITS = (0.0, 1.0, 2.0, 4.0, 8.0)
"""Seconds that a log-in waits after so many take-overs in a row. Clients have more patience than that."""

_MOST_DEVICES = 100_000


class TakeOverBrake:
    """
    How long the next log-in on a user's device waits before it may end another one.

    Two programs that are both started anew whenever they end would otherwise take turns some times a second, for ever.
    ``now`` returns monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._rows: TTLCache[tuple[int, str], int] = TTLCache(_MOST_DEVICES, _WITHIN, timer=now)
        """How many take-overs there were in a row, by uid and device."""

    def happened(self, uid: int, device: str = "") -> None:
        """Take note that a log-in has ended an older one on a registered device, or, without one, on the unnamed."""
        self._rows[uid, device] = self._rows.get((uid, device), 0) + 1

    def wait(self, uid: int, device: str = "") -> float:
        """Return the seconds that the next one should wait; 0.0: none."""
        return _WAITS[min(self._rows.get((uid, device), 0), len(_WAITS) - 1)]
