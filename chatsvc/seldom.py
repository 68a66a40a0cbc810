"""What could be said with every message or connection, and is said now and then."""

from __future__ import annotations

from collections.abc import Callable


class Seldom:
    """Lets one pass in so many ``seconds``, and counts the others; ``now`` gives monotonic seconds."""

    def __init__(self, now: Callable[[], float], seconds: float = 10.0) -> None:
        self._now = now
        self._seconds = seconds
        self._next = float("-inf")
        self._count = 0

    def count(self, more: int = 1) -> int:
        """Count; how many there were since the last time that one passed, 0: this one does not pass."""
        self._count += more
        if self._now() < self._next:
            return 0
        self._next = self._now() + self._seconds
        passed, self._count = self._count, 0
        return passed
