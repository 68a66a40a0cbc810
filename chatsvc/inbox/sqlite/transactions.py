"""Transactions on a file of inboxes: by its clock, within its limits, and also when the disk is full."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeVar

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import RoomDraft
from chatsvc.inbox.rollback import DataMark
from chatsvc.inbox.room_log import RoomLogLimits
from chatsvc.inbox.sqlite.batch import SQLiteBatch
from chatsvc.inbox.sqlite.disk_space import DiskSpace, is_disk_full
from chatsvc.inbox.sqlite.room_batch import RoomBatch
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable

T = TypeVar("T")

_LEAP = 3600.0
"""Seconds by which the clock may be set forward while the server runs, without making messages older."""


class Transactions:
    """
    What all that works on the file shares.

    ``now`` gives seconds since 1970, ``seconds`` is a clock that only goes forward. ``archives``: the file has the
    archive, too, and what is stored goes into it.
    """

    def __init__(
        self,
        database: Database,
        limits: InboxLimits,
        room_limits: RoomLogLimits,
        now: Callable[[], float],
        seconds: Callable[[], float],
        archives: bool = False,
    ) -> None:
        self.database = database
        self.disk = DiskSpace(database.url.path)
        self.mark: DataMark | None = None
        """How far the file is; None: it is not open yet."""
        self._limits = limits
        self._room_limits = room_limits
        self._archives = archives
        self._now = now
        self._seconds = seconds
        self._began = now() - seconds()

    def ms(self) -> int:
        """The time in ms since 1970."""
        return int(self._now() * 1000)

    def batch(self, transaction: Transaction, *what: Any) -> SQLiteBatch:
        """The work of one transaction; ``what`` are the arguments of :class:`SQLiteBatch` from ``uids`` on."""
        batch = SQLiteBatch(transaction, self._limits, self.ms(), self._latest(), *what)
        batch.archives = self._archives
        return batch

    def room_batch(
        self,
        transaction: Transaction,
        inboxes: SQLiteBatch,
        rooms: Iterable[int],
        drafts: Sequence[RoomDraft] = (),
    ) -> RoomBatch:
        """The part of that work that is about the logs of ``rooms``, and of those that ``drafts`` are for."""
        return RoomBatch(transaction, inboxes, self._room_limits, self.ms(), rooms, drafts)

    def finish(self, batch: SQLiteBatch) -> None:
        """Write what a batch has changed, and note how far the file is then."""
        batches = batch.finish()
        if batches and self.mark is not None:
            self.mark = DataMark(self.mark.epoch, "", batches, batch.serial)

    async def read(self, interaction: Callable[[Transaction], T]) -> T:
        """
        Run an interaction that only reads; each of its statements sees the file as it is at its own time.

        :raise StoreUnavailable: the file cannot be used, or not in time.
        """
        return await self.database.run(interaction, write=False)

    async def write(self, interaction: Callable[[Transaction], T]) -> T:
        """
        Run an interaction; if the disk was full, free the reserve and run it once more.

        :raise StoreUnavailable: the file cannot be used, or not in time.
        """
        try:
            return await self.database.run(interaction)
        except StoreUnavailable as problem:
            if not is_disk_full(problem):
                raise
        await self.database.run(self.disk.free_reserve, write=False)
        return await self.database.run(interaction)

    def _latest(self) -> int:
        """The time, in ms, by which messages have waited too long; a clock that leaps makes none of them old."""
        return int(min(self._now(), self._began + self._seconds() + _LEAP) * 1000)
