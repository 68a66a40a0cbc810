"""
The archiver: one node at a time brings what was confirmed from the archive's queue into SQL.

An entry leaves the queue only once it is committed. So a node that dies, or loses its lease, in between makes the next
one do the same again, which changes nothing (P6 of docs/protocol.md).
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

import pymysql
from twisted.logger import Logger

from chatsvc.archive.changes import write
from chatsvc.archive.entry import ArchiveEntry, Said
from chatsvc.archive.queue import ArchiveQueue, Done, Queued
from chatsvc.observability.metrics import Tally
from chatsvc.storage.database import Database
from chatsvc.storage.sql import SQL_ERRORS
from chatsvc.storage.url import StoreUnavailable
from chatsvc.waiters import Waiters

_REFUSED = (
    *(pymysql.DataError, pymysql.IntegrityError, sqlite3.DataError, sqlite3.IntegrityError),
    *(OverflowError, UnicodeError),
)
"""What is raised for a row that the database, or already its driver, does not take for what the row is."""

PAGE = 500
"""Entries that are written in one transaction."""

_SELDOM = 20
"""Of so many calls a node that has not got the lease asks for it once."""


class Archiver:
    """Takes from ``queue`` and writes to ``database``; counts what is ``archived``, and what is ``refused``."""

    _log = Logger()

    def __init__(
        self,
        queue: ArchiveQueue,
        database: Database,
        archived: Tally | None = None,
        refused: Tally | None = None,
    ) -> None:
        self._queue = queue
        self._database = database
        self._done: Done | None = None
        self._is_archiving = self._leaving = False
        self._turns = 0
        self._ended = Waiters[None]()
        self.is_here = False
        """Whether this node archived last."""
        self._archived = archived or Tally("archived", "")
        self._refused = refused or Tally("refused", "")

    async def archive(self) -> None:
        """
        Write all that waits, unless another node does.

        :raise StoreUnavailable: a store is away, or the database did not answer in time; then all that was not let go
            of is written again.
        """
        if not self.is_here and self._turns % _SELDOM:
            self._turns += 1
            return
        self._turns = 1
        self._is_archiving = True
        try:
            while not self._leaving and await self._archive_some():
                pass
        finally:
            self._is_archiving = False
            self._ended.fire(None)

    async def _archive_some(self) -> bool:
        """Write what comes next; False: nothing waits, or another node does it."""
        done, self._done = self._done, None
        page = await self._queue.take(done, PAGE)
        if page is not None and not self.is_here:
            self._log.info("This node archives now", event="archiving")
        self.is_here = page is not None
        if not page:
            return False
        refused = await self._write(page)
        self._archived.count += len(page) - len(refused)
        self._refused.count += len(refused)
        self._done = Done(page[-1], refused)
        return True

    async def leave(self) -> None:
        """
        Archive nothing more, let go of what was written, and of the lease.

        :raise StoreUnavailable: the store is away.
        """
        self._leaving = True
        if self._is_archiving:
            await self._ended.wait()  # or it would take the lease again
        if self._done is not None:
            done, self._done = self._done, None
            await self._queue.take(done, 1)
        await self._queue.leave()

    async def _write(self, page: Sequence[Queued]) -> list[str]:
        """Write a page; the ids of what the database does not take, for what it is."""
        unreadable = [one for one in page if one.entry is None]
        self._refuse(unreadable, "it cannot be read")
        refused = unreadable + await self._write_some(
            [one for one in page if one.entry is not None]
        )
        return [one.id for one in refused]

    async def _write_some(self, some: Sequence[Queued]) -> list[Queued]:
        entries = [one.entry for one in some if one.entry is not None]
        if not entries:
            return []
        try:
            clashing = await self._database.run(lambda t: write(t, entries))
        except StoreUnavailable:
            raise
        except _REFUSED as problem:
            if len(some) > 1:
                middle = len(some) // 2
                before = await self._write_some(some[:middle])
                return before + await self._write_some(some[middle:])
            self._refuse(some, f"the database refuses it: {_kind_of(problem)}")
            return list(some)
        except SQL_ERRORS as problem:
            # A table that is missing for a moment, say: it is no fault of the row's.
            raise StoreUnavailable(_kind_of(problem)) from problem
        refused = [one for one in some if _is_among(one.entry, clashing)]
        self._refuse(refused, "its serial is another message's")
        return refused

    def _refuse(self, some: Sequence[Queued], why: str) -> None:
        for one in some:
            self._log.error(
                "Not archived, but put aside in chat:archive:refused: the entry {id}: {why}",
                event="archive-refused",
                id=one.id,
                why=why,
            )


def _kind_of(problem: Exception) -> str:
    """Name an error's class and number; its text may quote a message."""
    number = problem.args[0] if problem.args and isinstance(problem.args[0], int) else ""
    return f"{type(problem).__name__} {number}".strip()


def _is_among(entry: ArchiveEntry | None, clashing: Sequence[Said]) -> bool:
    return any(entry is one for one in clashing)
