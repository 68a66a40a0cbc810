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

_MOST_USERS = 100_000


class TakeOverBrake:
    """
    How long the next log-in of a user waits before it may end another one.

    Two programs that are both started anew whenever they end would otherwise take turns some times a second, for ever.
    ``now`` returns monotonic seconds.
    """

    def __init__(self, now: Callable[[], float]) -> None:
        self._rows: TTLCache[int, int] = TTLCache(_MOST_USERS, _WITHIN, timer=now)
        """How many take-overs there were in a row, by uid."""

    def happened(self, uid: int) -> None:
        """Take note that a log-in of this user has ended an older one."""
        self._rows[uid] = self._rows.get(uid, 0) + 1

    def wait(self, uid: int) -> float:
        """Return the seconds that the next one should wait; 0.0: none."""
        return _WAITS[min(self._rows.get(uid, 0), len(_WAITS) - 1)]
