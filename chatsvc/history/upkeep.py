"""What goes on behind the history: archiving, indexing, and letting go of what is too old."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, TimeoutError
from twisted.internet.task import deferLater

from chatsvc.archive.retention import expire_some
from chatsvc.archive.word_index import index_some
from chatsvc.history.archiver import Archiver
from chatsvc.history.backlog import Backlog
from chatsvc.history.limits import HistoryLimits
from chatsvc.history.mentions import mark_mentions
from chatsvc.history.room_retention import RoomRetention
from chatsvc.inbox.room_log import RoomLogs
from chatsvc.observability.periodic import PeriodicTask
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable

T = TypeVar("T")

_ARCHIVED_EVERY = 0.05
"""Seconds between two looks at an empty queue."""

_INDEXED_EVERY = 0.2
"""Seconds between two looks for messages that are not indexed."""

_INDEXED_AT_ONCE = 100
"""Messages: a transaction of some ms."""

_LOOKED_EVERY = 1.0
"""Seconds between two looks at what waits to be archived."""

_BUSY = 0.3
"""The share of the time past which the reactor counts as busy: messages are on their way."""

_SHARE = 9
"""Times as long as such work has taken messages then have the processor to themselves."""

_LEFT_WITHIN = 2.0
"""Seconds for which a stop waits for a store that is away."""

_EXPIRED_EVERY = 60.0
_EXPIRED_AT_ONCE = 100

_DAY_MS = 86_400_000

_MINUTE_MS = 60_000

_AHEAD_MINUTES = 61
"""By how much rooms' logs let go earlier than the archive: they are gone through once an hour, or a minute later."""

_LEAP = 3600.0
"""Seconds by which the clock may be set forward while the server runs, without making messages older."""


class Upkeep:
    """
    The tasks behind the history of one node. ``database`` has the archive.

    ``archiver`` None: messages go into the archive where they are stored. Otherwise one node does all of it, the one
    that archives. ``rooms`` have the logs that let go of what is old, too. ``is_away``: whether the log has it already
    that a store is away. ``now`` gives seconds since 1970. ``backlog`` is looked at once a second.
    """

    def __init__(
        self,
        reactor: Any,
        database: Database,
        archiver: Archiver | None,
        rooms: RoomLogs,
        limits: HistoryLimits,
        is_away: Callable[[], bool],
        now: Callable[[], float],
        backlog: Backlog,
    ) -> None:
        self._reactor = reactor
        self._database = database
        self._archiver = archiver
        self._rooms = RoomRetention(database, rooms, reactor.seconds)
        self._limits = limits
        self._now = now
        self._began = now() - reactor.seconds()
        self._pauses: set[Deferred[None]] = set()
        self._stopped = False
        self._tasks = [
            (PeriodicTask(reactor, "indexing messages", self._index, is_away), _INDEXED_EVERY),
            (PeriodicTask(reactor, "ending old messages", self._expire, is_away), _EXPIRED_EVERY),
            (
                PeriodicTask(reactor, "ending old messages in rooms", self._expire_rooms, is_away),
                _EXPIRED_EVERY,
            ),
            (
                PeriodicTask(reactor, "looking how far the archive is", backlog.look, is_away),
                _LOOKED_EVERY,
            ),
        ]
        if archiver is not None:
            archiving = PeriodicTask(reactor, "archiving", archiver.archive, is_away)
            self._tasks.insert(0, (archiving, _ARCHIVED_EVERY))

    def start(self) -> None:
        """Begin with all of it."""
        for task, seconds in self._tasks:
            task.start(seconds)

    async def stop(self) -> None:
        """End all of it, and leave it to another node at once; while a store is away, the lease ends by itself."""
        self._stopped = True
        for task, _ in self._tasks:
            task.stop()
        for pause in list(self._pauses):
            pause.cancel()
        if self._archiver is not None:
            leaving = Deferred.fromCoroutine(self._archiver.leave())
            with suppress(StoreUnavailable, TimeoutError):
                await leaving.addTimeout(_LEFT_WITHIN, self._reactor)

    @property
    def _is_here(self) -> bool:
        return not self._stopped and (self._archiver is None or self._archiver.is_here)

    async def _index(self) -> None:
        while self._is_here and await self._step(_index, _INDEXED_AT_ONCE):
            pass

    async def _expire(self) -> None:
        before = await self._before()
        while self._is_here and await self._step(
            lambda transaction, limit: expire_some(transaction, before, limit), _EXPIRED_AT_ONCE
        ):
            pass

    async def _expire_rooms(self) -> None:
        """
        Have rooms' logs let go of what the archive will, so much earlier that none hands out what the archive has not.

        An edit goes with its message: it may be younger by ``edit_minutes``, which is not looked up.
        """
        if not self._rooms.is_due:
            return
        kept = self._limits.days * _DAY_MS
        ahead = min((self._limits.edit_minutes + _AHEAD_MINUTES) * _MINUTE_MS, kept // 2)
        before = await self._before() + ahead * 1000
        more = True
        while more and self._is_here:
            more = await self._paced(lambda: self._rooms.go_on(before))

    async def _before(self) -> int:
        """The serial below which messages are too old."""
        now = min(self._now(), self._began + self._reactor.seconds() + _LEAP)
        if self._is_here:
            now = min(now, await self._database.run(_clock, write=False) or now)
        return int(now * 1000 - self._limits.days * _DAY_MS) * 1000

    async def _step(self, work: Callable[[Transaction, int], int], limit: int) -> bool:
        """Do some of the work; False: there is no more."""
        done = await self._paced(
            lambda: self._database.run(lambda transaction: work(transaction, limit))
        )
        return done == limit

    async def _paced(self, work: Callable[[], Awaitable[T]]) -> T:
        """Do some work. Where the reactor is busy, messages then have much longer."""
        began, busy = self._reactor.seconds(), time.thread_time()
        done = await work()
        took, busy = self._reactor.seconds() - began, time.thread_time() - busy
        if busy > _BUSY * took and not self._stopped:
            pause: Deferred[None] = deferLater(self._reactor, _SHARE * took)
            self._pauses.add(pause)
            try:
                await pause
            finally:
                self._pauses.discard(pause)
        return done


def _index(transaction: Transaction, limit: int) -> int:
    return index_some(transaction, limit, mark_mentions)


def _clock(transaction: Transaction) -> float | None:
    """Read the database's clock, in seconds since 1970: a node whose own is ahead must not end everybody's history."""
    if transaction.backend == "sqlite":
        return None
    row = transaction.one("SELECT UNIX_TIMESTAMP()")
    return float(row[0]) if row else None
