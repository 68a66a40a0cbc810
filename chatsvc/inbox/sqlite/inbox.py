"""Inboxes in SQLite: the same rules as in Redis, for one server on one machine."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from sqlite3 import sqlite_version
from typing import TypeVar

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatsvc.inbox.claim import DeviceClaim, InboxClaim, Registration
from chatsvc.inbox.foreign_entries import ForeignEntries
from chatsvc.inbox.interface import Backlog, NullWatcher, StoreWatcher
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.mark import parse_mark
from chatsvc.inbox.notice import Notice
from chatsvc.inbox.outcome import (
    Committed,
    Draft,
    Failed,
    Outcome,
    Removal,
    RoomAcknowledgement,
    RoomDraft,
)
from chatsvc.inbox.rollback import log_data_loss
from chatsvc.inbox.room_log import RoomLogLimits
from chatsvc.inbox.sqlite import life
from chatsvc.inbox.sqlite.disk_space import is_disk_full
from chatsvc.inbox.sqlite.forgotten_elsewhere import ForgottenElsewhere
from chatsvc.inbox.sqlite.room_logs import SQLiteRoomLogs
from chatsvc.inbox.sqlite.state import UNNAMED
from chatsvc.inbox.sqlite.transactions import Transactions
from chatsvc.inbox.watermark import Watermark
from chatsvc.storage import schema
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Device, Message

T = TypeVar("T")

_WAITING = "last_id - acknowledged - (copies - copies_acknowledged)"
"""How many messages, copies not counted, no device has acknowledged."""

_BACKLOGS = f"""
SELECT uid, {_WAITING}, last_id, coalesce(
    (SELECT at FROM chat_inbox
     WHERE chat_inbox.uid = chat_reader.uid AND id > acknowledged AND recipient = 0 AND mark NOT LIKE 'j%'
     ORDER BY id LIMIT 1), 0)
FROM chat_reader WHERE {_WAITING} > 0 AND uid = coalesce(?, uid) ORDER BY uid
"""  # noqa: S608

_PAGE = """
SELECT id, serial, recipient, device, mark, sender, name, at, text
FROM chat_inbox WHERE uid = ? AND id > ? ORDER BY id LIMIT ?
"""

_DEVICES = """
SELECT device, client, first, used, online FROM chat_registered WHERE uid = ? ORDER BY first, since
"""


class SQLiteInbox:
    """
    All inboxes in one SQLite file; an :class:`~chatsvc.inbox.interface.Inbox`.

    ``now`` gives seconds since 1970, ``seconds`` is a clock that only goes forward. ``watermark`` keeps how far the
    file was; None: this process is no server, it only administers. By ``clock`` it is looked, while registered devices
    are logged in, whether another process has forgotten one; None: nobody looks. ``room_limits`` bound rooms' logs.
    ``archives``: the file has the archive, too, and each message goes into it in the transaction that stores it.
    """

    _log = Logger()

    def __init__(
        self,
        database: Database,
        limits: InboxLimits,
        now: Callable[[], float] = time.time,
        seconds: Callable[[], float] = time.monotonic,
        watermark: Watermark | None = None,
        clock: IReactorTime | None = None,
        room_limits: RoomLogLimits | None = None,
        archives: bool = False,
    ) -> None:
        self._database = database
        self.archive = None
        rooms = room_limits or RoomLogLimits()
        self._transactions = Transactions(database, limits, rooms, now, seconds, archives)
        self._foreign = ForeignEntries()
        self._watermark = watermark
        self._clock = clock
        self._watcher: StoreWatcher = NullWatcher()
        self._here = ForgottenElsewhere(database, self._watcher, None)
        self.rooms = SQLiteRoomLogs(self._transactions, self._watcher, self._forgotten)

    def go_on_above(self, serial: int) -> None:
        """Do nothing: the archive is in the same file, or there is none."""

    async def open(self, watcher: StoreWatcher) -> list[str]:
        """
        Bring the tables up to date, and find out whether an older file was put back.

        The watcher hears of devices that are forgotten and of changes of rooms, and of nothing else: an open file does
        not go away and come back with something missing.
        """
        await schema.apply(self._database)
        transactions = self._transactions
        if self._watermark is not None:
            await self._database.run(transactions.disk.keep, write=False)
        known = self._watermark.known if self._watermark is not None else None
        fresh, now = secrets.token_hex(8), transactions.ms()
        transactions.mark = mark = await self._database.run(
            lambda t: life.begin(t, known, fresh, now)
        )
        if known is not None and known.epoch != mark.epoch == fresh:
            log_data_loss(self._log, self._database.url)
        self._watcher = self.rooms.watcher = watcher
        self._here = ForgottenElsewhere(self._database, watcher, self._clock)
        if not isinstance(watcher, NullWatcher):
            self._log_upgrade(await self._database.run(lambda t: life.begin_serving(t, now)))
        if self._watermark is not None:
            self._watermark.follow(lambda: transactions.mark)
        return []

    def close(self) -> Deferred[None]:
        """Write the watermark and close the database."""
        self._here.close()
        if self._watermark is not None:
            self._watermark.close()
        self._database.close()
        return succeed(None)

    def _forgotten(self, uid: int, device: str) -> None:
        self._here.logged_out(uid, device)
        self._watcher.forgotten(uid, device)

    def _log_upgrade(self, upgraded: life.Upgraded | None) -> None:
        if upgraded is not None:
            text = (
                "{url}: upgraded for registered devices: {users} inboxes, {waiting} messages wait"
            )
            self._log.info(
                text,
                event="store-upgraded",
                url=str(self._database.url),
                users=upgraded.users,
                waiting=upgraded.waiting,
            )

    def commit(
        self,
        drafts: Sequence[Draft | RoomDraft],
        removals: Sequence[Removal],
        acknowledgements: Sequence[RoomAcknowledgement] = (),
    ) -> Deferred[Committed]:
        """Carry out a batch in one transaction; if the disk is full, what frees space alone."""
        plain = [draft for draft in drafts if isinstance(draft, Draft)]
        to_rooms = [draft for draft in drafts if isinstance(draft, RoomDraft)]

        def interaction(transaction: Transaction) -> Committed:
            batch = self._transactions.batch(transaction, (), plain, removals, to_rooms)
            for removal in removals:
                batch.remove(removal)
            outcomes: list[Outcome]
            if to_rooms or acknowledgements:
                rooms = self._transactions.room_batch(
                    *(transaction, batch, [one.room for one in acknowledgements], to_rooms)
                )
                rooms.acknowledge(acknowledgements)
                outcomes = [
                    batch.append(one) if isinstance(one, Draft) else rooms.append(one)
                    for one in drafts
                ]
                rooms.finish()
            else:
                outcomes = [batch.append(draft) for draft in plain]
            batch.forget_unused()
            self._transactions.finish(batch)
            gone = list(batch.unregistered)
            return Committed(outcomes, batch.refused, expired=batch.expired, forgotten=gone)

        return Deferred.fromCoroutine(
            self._commit(interaction, len(drafts), removals, acknowledgements)
        )

    async def _commit(
        self,
        interaction: Callable[[Transaction], Committed],
        drafts: int,
        removals: Sequence[Removal],
        acknowledgements: Sequence[RoomAcknowledgement],
    ) -> Committed:
        try:
            committed = await self._transactions.write(interaction)
        except StoreUnavailable as problem:
            # Removals go all the same: they free space.
            if not (drafts and (removals or acknowledgements) and is_disk_full(problem)):
                raise
            alone = await self.commit([], removals, acknowledgements)
            return replace(alone, outcomes=[Failed(str(problem))] * drafts)
        ended = [
            (one.uid, one.device)
            for one in removals
            if one.leaving and one.device and one not in committed.refused
        ]
        for uid, device in (*ended, *committed.forgotten):
            self._here.logged_out(uid, device)
        return committed

    async def claim(
        self,
        uid: int,
        after: int | None,
        renewed: int | None = None,
        device: str = "",
        origin: str = "",
        registration: Registration | None = None,
    ) -> InboxClaim:
        """Claim an inbox; with a registered device, ``renewed`` makes sure that it is still one."""
        fresh = secrets.token_hex(8)

        def interaction(transaction: Transaction) -> InboxClaim:
            batch = self._transactions.batch(transaction, [uid])
            batch.expire(uid)
            claim = batch.claim(uid, after, device, registration, renewed is not None)
            batch.finish()
            if registration is not None:
                return claim
            if after is not None and after > claim.last_id:
                transaction.execute("UPDATE chat_reader SET epoch = ? WHERE uid = ?", (fresh, uid))
            row = transaction.one(
                "SELECT (SELECT value FROM chat_setting WHERE name = 'epoch'), epoch"
                " FROM chat_reader WHERE uid = ?",
                (uid,),
            )
            assert row is not None
            return replace(claim, epoch=f"{row[0]}.{row[1]}")

        claim = await self._transactions.write(interaction)
        if registration is not None:
            self._here.logged_in(uid, device)
        elif device:
            self._here.logged_out(uid, device)
        return claim

    async def claim_device(self, uid: int, device: str) -> DeviceClaim:
        """Claim a device, and leave the inbox alone."""

        def interaction(transaction: Transaction) -> DeviceClaim:
            batch = self._transactions.batch(transaction, [uid])
            claim = DeviceClaim(batch.claim_device(uid, device), batch.inbox(uid).waiting)
            batch.finish()
            return claim

        return await self._transactions.write(interaction)

    async def devices(self, uid: int) -> list[Device]:
        """List the rows of chat_registered."""
        rows = await self._database.run(lambda t: t.all(_DEVICES, (uid,)), write=False)
        return [
            Device(device, client, first, used, bool(online))
            for device, client, first, used, online in rows
        ]

    async def forget(self, uid: int, device: str) -> bool:
        """Forget a device; what it alone held back is let go."""

        def interaction(transaction: Transaction) -> bool:
            batch = self._transactions.batch(transaction, [uid])
            was_there = device != UNNAMED and batch.forget(uid, device)
            batch.finish()
            return was_there

        was_there = await self._transactions.write(interaction)
        self._here.forgotten(uid, device)
        return was_there

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        """Read a page of the table."""
        rows = await self._database.run(lambda t: t.all(_PAGE, (uid, after, limit)), write=False)
        return [self._message(uid, *row) for row in rows]

    def _message(
        self,
        uid: int,
        id: int,
        serial: object,
        to: object,
        device: object,
        mark: object,
        *fields: object,
    ) -> Message:
        message = self._foreign.message(uid, id, *fields)
        if not (isinstance(serial, int) and isinstance(to, int) and isinstance(device, str)):
            return message  # another program put something else there
        sender, name, at, text = message.sender, message.name, message.at, message.text
        marked = parse_mark(mark) if mark and isinstance(mark, str) else None
        return Message(id, sender, name, at, text, serial, to, device, marked)

    async def examine(self) -> None:
        """Read; if the disk may be full, try to write, and raise if a message would not fit."""
        if not await self._database.run(self._transactions.disk.in_doubt, write=False):
            return
        suffices = await self._transactions.write(self._transactions.disk.suffices)
        await self._database.run(self._transactions.disk.grow, write=False)
        if not suffices:
            raise StoreUnavailable(f"{self._database.url}: database or disk is full")

    async def count(self, uid: int) -> int:
        """How many messages no device has acknowledged, copies not counted."""
        sql = f"SELECT {_WAITING} FROM chat_reader WHERE uid = ?"  # noqa: S608
        row = await self._database.run(lambda t: t.one(sql, (uid,)), write=False)
        return int(row[0]) if row else 0

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Tell the readers here: a file has one server."""
        self._watcher.noticed(notices)

    async def elsewhere(self, uids: Sequence[int]) -> set[int]:
        """Nobody: a file has one server."""
        return set()

    async def nodes(self) -> dict[str, str]:
        """No node: a file has one server."""
        return {}

    async def total(self) -> int:
        """How many messages of all inboxes no device has acknowledged."""
        sql = f"SELECT SUM({_WAITING}) FROM chat_reader"  # noqa: S608
        row = await self._database.run(lambda t: t.one(sql), write=False)
        return int(row[0] or 0) if row else 0

    async def renew_epoch(self) -> None:
        """Begin a new epoch, common to all inboxes."""
        fresh, now = secrets.token_hex(8), self._transactions.ms()
        await self._database.run(lambda t: life.begin_epoch(t, fresh, now))

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
            batch = self._transactions.batch(transaction, [uid])
            inbox = batch.inbox(uid)
            before = inbox.waiting
            batch.purge(uid, up_to)
            batch.finish()
            return before - inbox.waiting

        return await self._transactions.write(interaction)
