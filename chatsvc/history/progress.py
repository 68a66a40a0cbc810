"""How far the archive is behind what was confirmed."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from chatsvc.archive.queue import ArchiveQueue, Ends
from chatsvc.storage.url import StoreUnavailable
from chatsvc.waiters import Waiters

PATIENCE = 2.0
"""Seconds for which a question waits for the archive."""

_POLLED_EVERY = 0.02
"""Seconds between two looks at the queue while somebody waits."""


class Progress(Protocol):
    """Knows whether the archive has what was confirmed."""

    async def reached(self) -> None:
        """
        Wait until the archive has all that was confirmed before this was asked.

        :raise StoreUnavailable: that takes too long.
        """


class AlwaysLevel:
    """The progress of an archive that is written in the transaction which stores a message."""

    async def reached(self) -> None:
        """Return at once."""


class QueueProgress:
    """The progress of an archive that is written from ``queue``; all who wait look at it together."""

    def __init__(self, queue: ArchiveQueue, clock: IReactorTime) -> None:
        self._queue = queue
        self._clock = clock
        self._looking: Waiters[Ends] | None = None

    async def reached(self) -> None:
        """Wait until the queue's front has passed what is its end now."""
        deadline = self._clock.seconds() + PATIENCE
        ends = await self._queue.ends()
        last = ends.last
        while not ends.has_passed(last):
            if self._clock.seconds() >= deadline:
                raise StoreUnavailable("the archive is behind")
            ends = await self._look_again()

    async def _look_again(self) -> Ends:
        """Look at the queue in a moment, once for all who wait."""
        if self._looking is None:
            self._looking = Waiters()
            # Apart from whoever asks first: that session may end meanwhile.
            Deferred.fromCoroutine(self._look()).addBoth(self._tell, self._looking)
        return await self._looking.wait()

    async def _look(self) -> Ends:
        await deferLater(self._clock, _POLLED_EVERY)
        return await self._queue.ends()

    def _tell(self, found: Ends | Failure, waiters: Waiters[Ends]) -> None:
        self._looking = None
        waiters.fire(found)  # type: ignore[arg-type]  # a failure is raised where it is waited for
