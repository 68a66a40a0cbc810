"""Inboxes in SQLite: the same rules as in Redis, for one server on one machine."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from sqlite3 import sqlite_version
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.logger import Logger

from chatsvc.inbox.claim import DeviceClaim, InboxClaim
from chatsvc.inbox.foreign_entries import ForeignEntries
from chatsvc.inbox.interface import Backlog, StoreWatcher
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Committed, Draft, Failed, Removal
from chatsvc.inbox.rollback import DataMark, log_data_loss
from chatsvc.inbox.sqlite import life
from chatsvc.inbox.sqlite.batch import SQLiteBatch
from chatsvc.inbox.sqlite.disk_space import DiskSpace, is_disk_full
from chatsvc.inbox.watermark import Watermark
from chatsvc.storage import schema
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Message

T = TypeVar("T")

_BACKLOGS = """
SELECT uid, last_id - acknowledged, last_id,
    (SELECT at FROM chat_inbox WHERE chat_inbox.uid = chat_reader.uid ORDER BY id LIMIT 1)
FROM chat_reader WHERE last_id > acknowledged AND uid = coalesce(?, uid) ORDER BY uid
"""

_LEAP = 3600.0
"""Seconds by which the clock may be set forward while the server runs, without making messages older."""


class SQLiteInbox:
    """
    All inboxes in one SQLite file; an :class:`~chatsvc.inbox.interface.Inbox`.

    ``now`` gives seconds since 1970, ``seconds`` is a clock that only goes forward. ``watermark`` keeps how far the
    file was; None: this process is no server, it only administers.
    """

    _log = Logger()

    def __init__(
        self,
        database: Database,
        limits: InboxLimits,
        now: Callable[[], float] = time.time,
        seconds: Callable[[], float] = time.monotonic,
        watermark: Watermark | None = None,
    ) -> None:
        self._database = database
        self._limits = limits
        self._now = now
        self._seconds = seconds
        self._began = now() - seconds()
        self._foreign = ForeignEntries()
        self._watermark = watermark
        self._mark: DataMark | None = None
        self._disk = DiskSpace(database.url.path)

    async def open(self, watcher: StoreWatcher) -> list[str]:
        """
        Bring the tables up to date, and find out whether an older file was put back.

        The watcher is never called: an open file does not go away and come back with something missing.
        """
        await schema.apply(self._database)
        if self._watermark is not None:
            await self._database.run(self._disk.keep, write=False)
        known = self._watermark.known if self._watermark is not None else None
        fresh = secrets.token_hex(8)
        epoch, batches = await self._database.run(lambda t: life.begin(t, known, fresh))
        if known is not None and known.epoch != epoch == fresh:
            log_data_loss(self._log, self._database.url)
        self._mark = DataMark(epoch, "", batches)
        if self._watermark is not None:
            self._watermark.follow(lambda: self._mark)
        return []

    def close(self) -> Deferred[None]:
        """Write the watermark and close the database."""
        if self._watermark is not None:
            self._watermark.close()
        self._database.close()
        return succeed(None)

    def _latest(self) -> int:
        """The time, in ms, by which messages have waited too long; a clock that leaps makes none of them old."""
        return int(min(self._now(), self._began + self._seconds() + _LEAP) * 1000)

    def _batch(self, transaction: Transaction, *keys: Any) -> SQLiteBatch:
        return SQLiteBatch(
            transaction, self._limits, int(self._now() * 1000), self._latest(), *keys
        )

    def commit(self, drafts: Sequence[Draft], removals: Sequence[Removal]) -> Deferred[Committed]:
        """Carry out a batch in one transaction; if the disk is full, its removals alone."""

        def interaction(transaction: Transaction) -> Committed:
            uids = {draft.to for draft in drafts} | {removal.uid for removal in removals}
            senders = {(draft.to, draft.sender) for draft in drafts}
            devices = {(draft.sender, draft.device) for draft in drafts if draft.sending}
            batch = self._batch(transaction, uids, senders, devices)
            refused = [removal for removal in removals if not batch.remove(removal)]
            outcomes = [batch.append(draft) for draft in drafts]
            batches = batch.finish()
            if batches and self._mark is not None:
                self._mark = DataMark(self._mark.epoch, "", batches)
            return Committed(outcomes, refused, expired=batch.expired)

        return Deferred.fromCoroutine(self._commit(interaction, len(drafts), removals))

    async def _commit(
        self,
        interaction: Callable[[Transaction], Committed],
        drafts: int,
        removals: Sequence[Removal],
    ) -> Committed:
        try:
            return await self._write(interaction)
        except StoreUnavailable as problem:
            # Removals go all the same: they free space.
            if not (drafts and removals and is_disk_full(problem)):
                raise
            alone = await self.commit([], removals)
            return replace(alone, outcomes=[Failed(str(problem))] * drafts)

    async def _write(self, interaction: Callable[[Transaction], T]) -> T:
        """Run an interaction; if the disk was full, free the reserve and run it once more."""
        try:
            return await self._database.run(interaction)
        except StoreUnavailable as problem:
            if not is_disk_full(problem):
                raise
        await self._database.run(self._disk.free_reserve, write=False)
        return await self._database.run(interaction)

    async def claim(
        self,
        uid: int,
        after: int | None,
        renewed: int | None = None,
        device: str = "",
        origin: str = "",
    ) -> InboxClaim:
        """Claim an inbox; ``renewed`` makes no difference, as a file has one server."""
        fresh = secrets.token_hex(8)

        def interaction(transaction: Transaction) -> InboxClaim:
            batch = self._batch(transaction, [uid])
            batch.expire(uid)
            inbox = batch.inbox(uid)
            inbox.generation = batch.take_generation(uid, device)
            batch.finish()
            if after is not None and after > inbox.last_id:
                transaction.execute("UPDATE chat_reader SET epoch = ? WHERE uid = ?", (fresh, uid))
            row = transaction.one(
                "SELECT (SELECT value FROM chat_setting WHERE name = 'epoch'), epoch"
                " FROM chat_reader WHERE uid = ?",
                (uid,),
            )
            assert row is not None
            return InboxClaim(
                *(inbox.generation, f"{row[0]}.{row[1]}", inbox.last_id, inbox.waiting),
                *(inbox.acknowledged, batch.expired),
            )

        return await self._write(interaction)

    async def claim_device(self, uid: int, device: str) -> DeviceClaim:
        """Claim a device, and leave the inbox alone."""

        def interaction(transaction: Transaction) -> DeviceClaim:
            batch = self._batch(transaction, [uid])
            return DeviceClaim(batch.take_generation(uid, device), batch.inbox(uid).waiting)

        return await self._write(interaction)

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        """Read a page of the table."""
        rows = await self._database.run(
            lambda t: t.all(
                "SELECT id, sender, name, at, text FROM chat_inbox WHERE uid = ? AND id > ?"
                " ORDER BY id LIMIT ?",
                (uid, after, limit),
            ),
            write=False,
        )
        return [self._foreign.message(uid, *row) for row in rows]

    async def examine(self) -> None:
        """Read; if the disk may be full, try to write, and raise if a message would not fit."""
        if not await self._database.run(self._disk.in_doubt, write=False):
            return
        suffices = await self._write(self._disk.suffices)
        await self._database.run(self._disk.grow, write=False)
        if not suffices:
            raise StoreUnavailable(f"{self._database.url}: database or disk is full")

    async def count(self, uid: int) -> int:
        """How many ids were given out and not acknowledged."""
        row = await self._database.run(
            lambda t: t.one("SELECT last_id - acknowledged FROM chat_reader WHERE uid = ?", (uid,)),
            write=False,
        )
        return int(row[0]) if row else 0

    async def elsewhere(self, uids: Sequence[int]) -> set[int]:
        """Nobody: a file has one server."""
        return set()

    async def nodes(self) -> dict[str, str]:
        """No node: a file has one server."""
        return {}

    async def total(self) -> int:
        """How many ids of all inboxes were given out and not acknowledged."""
        row = await self._database.run(
            lambda t: t.one("SELECT SUM(last_id - acknowledged) FROM chat_reader"), write=False
        )
        return int(row[0] or 0) if row else 0

    async def renew_epoch(self) -> None:
        """Begin a new epoch, common to all inboxes."""
        fresh = secrets.token_hex(8)
        await self._database.run(lambda t: life.begin_epoch(t, fresh))

    async def about(self) -> str:
        """The version of the SQLite library."""
        return f"SQLite {sqlite_version}"

    async def backlogs(self, uid: int | None) -> list[Backlog]:
        """Count what waits by one query."""
        rows = await self._database.run(lambda t: t.all(_BACKLOGS, (uid,)), write=False)
        return [Backlog(*row) for row in rows]

    async def purge(self, uid: int, up_to: int) -> int:
        """Remove by the same transaction as an acknowledgement."""

        def interaction(transaction: Transaction) -> int:
            batch = self._batch(transaction, [uid])
            inbox = batch.inbox(uid)
            before = inbox.waiting
            batch.purge(uid, up_to)
            if inbox.waiting < before:
                batch.finish()
            return before - inbox.waiting

        return await self._write(interaction)
