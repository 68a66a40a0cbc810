"""What could be said with every message or connection, and is said now and then."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic

from cachetools import TTLCache

from chatsvc.limits.token_bucket import Key, Now, Rate, TokenBuckets


class LogLimiter:
    """Lets one pass in so many ``seconds``, and counts the others; ``now`` gives monotonic seconds."""

    def __init__(self, now: Callable[[], float], seconds: float = 10.0) -> None:
        self._now = now
        self._seconds = seconds
        self._next = float("-inf")
        self._count = 0

    def hit(self, more: int = 1) -> int:
        """Count; how many there were since the last time that one passed, 0: this one does not pass."""
        self._count += more
        if self._now() < self._next:
            return 0
        self._next = self._now() + self._seconds
        passed, self._count = self._count, 0
        return passed


@dataclass(frozen=True, slots=True)
class Allowed:
    """
    What is to be said: ``count`` of this thing since it was said last, and how many ``others`` there were, of whatever
    kind, for which there was no line.
    """

    count: int
    others: int


class KeyedLogLimiter(Generic[Key]):
    """
    Lets things pass, each at the rate ``each`` by its key, and all together at the rate ``total`` (None: no limit).

    What is graver than all that has passed of its key in the last ``memory`` seconds passes although its key has just
    had a line. Of ``size`` keys the counts are kept; that of one longest unused becomes a count of others.
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
        self._gravest: TTLCache[Key, int] = TTLCache(size, memory, timer=now)
        self._unsaid: OrderedDict[Key, int] = OrderedDict()
        self._size = size
        self._others = 0

    def hit(self, key: Key, gravity: int = 0) -> Allowed | None:
        """Count one; None: it is not to be said now."""
        if self._each.wait(key) and gravity <= self._gravest.get(key, gravity):
            self._keep(key)
            return None
        if self._total is not None and self._total.wait(None):
            self._others += 1
            return None
        if self._total is not None:
            self._total.take(None)
        self._each.take(key)
        self._gravest[key] = max(gravity, self._gravest.get(key, gravity))
        passed = Allowed(self._unsaid.pop(key, 0) + 1, self._others)
        self._others = 0
        return passed

    def _keep(self, key: Key) -> None:
        self._unsaid[key] = self._unsaid.pop(key, 0) + 1
        if len(self._unsaid) > self._size:
            _, lost = self._unsaid.popitem(last=False)
            self._others += lost
