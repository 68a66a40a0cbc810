"""Limits of log lines that every message or connection could cause."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from cachetools import TTLCache

from chatsvc.limits.token_bucket import Key, Now, Rate, TokenBuckets


class LogLimiter:
    """Passes one hit in so many ``seconds`` and counts the others; ``now`` returns monotonic seconds."""

    def __init__(self, now: Callable[[], float], seconds: float = 10.0) -> None:
        self._now = now
        self._seconds = seconds
        self._next = float("-inf")
        self._count = 0

    def hit(self, more: int = 1) -> int:
        """Count ``more`` hits; return how many there were since one passed last, or 0 if this one does not pass."""
        self._count += more
        if self._now() < self._next:
            return 0
        self._next = self._now() + self._seconds
        passed, self._count = self._count, 0
        return passed


@dataclass(frozen=True, slots=True)
class Allowed:
    """
    A hit that passed.

    ``count`` is the hits of its key since one passed last, this one included; ``others`` is the hits of other keys that
    got no line and whose counts were given up.
    """

    count: int
    others: int


class KeyedLogLimiter(Generic[Key]):
    """
    Passes hits at the rate ``each`` for each key, and at the rate ``total`` for all together (None: no limit).

    A hit that is more severe than all that passed of its key in the last ``memory`` seconds is not bound by ``each``.
    Counts are kept for ``size`` keys; that of the least recently used one is added to the others.
    """

    def __init__(
        self,
        now: Now,
        each: Rate,
        total: Rate | None = None,
        size: int = 10_000,
        memory: float = 900.0,
    ) -> None:
        self._each: TokenBuckets[Key] = TokenBuckets(each, now, size)
        self._total: TokenBuckets[None] | None = (
            TokenBuckets(total, now, 1) if total is not None else None
        )
        self._highest: TTLCache[Key, int] = TTLCache(size, memory, timer=now)
        self._suppressed: OrderedDict[Key, int] = OrderedDict()
        self._size = size
        self._others = 0

    def hit(self, key: Key, severity: int = 0) -> Allowed | None:
        """Count one hit; return None if it does not pass."""
        if self._each.wait(key) and severity <= self._highest.get(key, severity):
            self._keep(key)
            return None
        if self._total is not None and self._total.wait(None):
            self._others += 1
            return None
        if self._total is not None:
            self._total.take(None)
        self._each.take(key)
        self._highest[key] = max(severity, self._highest.get(key, severity))
        passed = Allowed(self._suppressed.pop(key, 0) + 1, self._others)
        self._others = 0
        return passed

    def _keep(self, key: Key) -> None:
        self._suppressed[key] = self._suppressed.pop(key, 0) + 1
        if len(self._suppressed) > self._size:
            _, lost = self._suppressed.popitem(last=False)
            self._others += lost
