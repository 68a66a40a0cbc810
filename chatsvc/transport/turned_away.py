"""Connections that end before anybody serves them: without a word here nobody would know why they vanish."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from twisted.logger import Logger

from chatsvc.limits.network import network_of
from chatsvc.limits.token_bucket import Now, Rate
from chatsvc.observability.log_limiter import KeyedLogLimiter

_EACH = Rate(1 / 60, 1)
"""Lines for each reason and network: one a minute."""

_ALL = Rate(1 / 10, 10)
"""Lines for all together: scanners come from everywhere."""

_WHY = {
    "open-files": "the process may open no more files (LimitNOFILE, ulimit -n)",
    "system": "the system cannot accept them",
    "untrusted-proxy": "only those of --trusted-proxy may connect to a haproxy: port",
    "bad-header": "they bring no PROXY header that can be read",
}
"""What an admin is told, by the metric's label."""

OnTurnedAway = Callable[[str, str, str], None]
"""Takes note of a connection that was turned away: the reason, its address (empty: a local socket), details or none."""


class _Counter(Protocol):
    def inc(self) -> None: ...


def nobody_asks(reason: str, address: str, details: str) -> None:
    """Take note of nothing."""


class TurnedAway:
    """Counts connections that are turned away in ``counters``, by reason, and logs some of them."""

    _log = Logger()

    def __init__(self, now: Now, counters: Mapping[str, _Counter]) -> None:
        self._counters = counters
        self._lines: KeyedLogLimiter[tuple[str, str]] = KeyedLogLimiter(now, _EACH, _ALL)

    def __call__(self, reason: str, address: str, details: str) -> None:
        """Take note of one."""
        self._counters[reason].inc()
        passed = self._lines.hit((reason, network_of(address)))
        if passed is None:
            return
        self._log.warn(
            "Connections from {address} are turned away: {why}{details} ({count} since this was said last)",
            event="turned-away",
            reason=reason,
            why=_WHY[reason],
            details=f": {details}" if details else "",
            address=address or "a local socket",
            count=passed.count,
            others=passed.others,
        )
