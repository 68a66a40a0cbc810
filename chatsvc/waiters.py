"""Several that wait: for the same thing to happen, or for their turn."""

from __future__ import annotations

from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from twisted.internet.defer import Deferred, DeferredLock

T = TypeVar("T")
K = TypeVar("K", bound=Hashable)


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


class Turns(Generic[K]):
    """Lets those who do something with the same key do it one after another."""

    def __init__(self) -> None:
        self._locks: dict[K, DeferredLock] = {}

    @asynccontextmanager
    async def turn(self, key: K) -> AsyncIterator[None]:
        """Wait for the turn, and have it until the end; who is cancelled meanwhile waits no more."""
        lock = self._locks.setdefault(key, DeferredLock())
        await lock.acquire()
        try:
            yield
        finally:
            lock.release()
            # Whoever was next may have had the turn already, and somebody else may have begun anew.
            if not lock.locked and self._locks.get(key) is lock:
                del self._locks[key]
