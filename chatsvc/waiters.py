"""Several that wait for the same thing to happen."""

from __future__ import annotations

from typing import Generic, TypeVar

from twisted.internet.defer import Deferred

T = TypeVar("T")


class Waiters(Generic[T]):
    """Everybody who waits for one thing to happen. Who is cancelled, by a timeout say, waits no more."""

    def __init__(self) -> None:
        # A dict, because those who are cancelled leave it one by one.
        self._waiting: dict[Deferred[T], None] = {}

    def wait(self) -> Deferred[T]:
        """Wait for the next :meth:`fire`, and get what it is given."""
        waiting = self._waiting
        one: Deferred[T] = Deferred(lambda cancelled: waiting.pop(cancelled, None))
        waiting[one] = None
        return one

    def fire(self, result: T) -> None:
        """
        Release all who wait now, in the order in which they came.

        Who begins to wait meanwhile waits for the next time.
        """
        waiting, self._waiting = self._waiting, {}
        while waiting:
            one = next(iter(waiting))
            del waiting[one]
            one.callback(result)
