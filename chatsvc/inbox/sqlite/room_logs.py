"""The logs of rooms in SQLite, in the same file as the inboxes."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence

from chatsvc.inbox.interface import StoreWatcher
from chatsvc.inbox.room_log import (
    Applied,
    LogEvent,
    Opened,
    RoomEnds,
    RoomPage,
    RoomStart,
)
from chatsvc.inbox.sqlite.batch import SQLiteBatch
from chatsvc.inbox.sqlite.room_batch import RoomBatch, invitation_of
from chatsvc.inbox.sqlite.room_entries import ENTRY, entry_of
from chatsvc.inbox.sqlite.transactions import Transactions
from chatsvc.storage.sql import Transaction

_OPEN = """
WITH said AS (
    SELECT wanted.key AS place, json_extract(value, '$[0]') AS room, json_extract(value, '$[3]') AS floor,
        coalesce(json_extract(value, '$[1]'), position.id) AS after,
        coalesce(json_extract(value, '$[2]'), position.serial) AS known
    FROM json_each(?1) AS wanted
    LEFT JOIN chat_room_position AS position ON position.uid = ?2 AND position.room = json_extract(value, '$[0]')
),
there AS (
    SELECT said.*, coalesce(version, 0) AS version, coalesce(front, 0) AS front, coalesce(last, 0) AS last,
        coalesce(serial, 0) AS serial, coalesce(
            (SELECT serial FROM chat_room_log AS log WHERE log.room = said.room ORDER BY id LIMIT 1), 0
        ) AS first_serial
    FROM said LEFT JOIN chat_room_log_state AS state ON state.room = said.room
),
begun AS (
    SELECT *, max(
        front,
        coalesce(CASE
            WHEN after IS NULL THEN NULL
            WHEN (SELECT serial FROM chat_room_log AS log WHERE log.room = there.room AND id = after) = known THEN after
            ELSE (
                SELECT id FROM chat_room_log AS log WHERE log.room = there.room AND log.serial <= known
                ORDER BY id DESC LIMIT 1
            )
        END, 0),
        coalesce(CASE
            WHEN floor <= max(first_serial, coalesce(known, 0)) THEN NULL
            ELSE (
                SELECT id FROM chat_room_log AS log WHERE log.room = there.room AND log.serial < floor
                ORDER BY id DESC LIMIT 1
            )
        END, 0)
    ) AS begin
    FROM there
)
SELECT room, version, front, last, serial, begin, max(
        coalesce(known, 0),
        coalesce((SELECT serial FROM chat_room_log AS log WHERE log.room = begun.room AND id = begin), 0)
    ), after, first_serial
FROM begun ORDER BY place
"""
"""
Where sessions begin. Only a session that knows nothing of what is kept has the log read, from its end backwards.
"""

_POSITIONS = "SELECT room FROM chat_room_position WHERE uid = ? ORDER BY room"

_PAGE = f"""
SELECT front, coalesce((SELECT serial FROM chat_room_log WHERE room = ?1 ORDER BY id LIMIT 1), 0), log.*
FROM chat_room_log_state AS state
LEFT JOIN (SELECT {ENTRY} FROM chat_room_log WHERE room = ?1 AND id > ?2 ORDER BY id LIMIT ?3) AS log
WHERE state.room = ?1 ORDER BY id
"""  # noqa: S608
"""One statement, so that the front is that of the entries."""

_WITH_OLD = """
SELECT value FROM json_each(?) AS wanted
WHERE (SELECT serial FROM chat_room_log WHERE room = value ORDER BY id LIMIT 1) < ? ORDER BY wanted.key
"""
"""Rooms whose first entries are too old."""


class SQLiteRoomLogs:
    """
    All rooms' logs in the file; a :class:`~chatsvc.inbox.room_log.RoomLogs`.

    ``watcher`` is told what is stored. ``forgotten`` hears of a device of a user that is not registered any more.
    """

    def __init__(
        self,
        transactions: Transactions,
        watcher: StoreWatcher,
        forgotten: Callable[[int, str], None],
    ) -> None:
        self._transactions = transactions
        self.watcher = watcher
        self._forgotten = forgotten

    async def apply(self, room: int, events: Sequence[LogEvent]) -> Applied:
        """Store events, their members and marks in one transaction; then tell who reads here."""
        joining = [event.user for event in events if event.joins]
        invitations = [draft for event in events if (draft := invitation_of(event)) is not None]
        uids = [*joining, *[draft.to for draft in invitations]]

        def interaction(transaction: Transaction) -> tuple[Applied, SQLiteBatch, RoomBatch]:
            inboxes = self._transactions.batch(transaction, uids, invitations)
            batch = self._transactions.room_batch(transaction, inboxes, [room])
            applied = batch.apply(room, events)
            self._finish(inboxes, batch)
            return applied, inboxes, batch

        applied, inboxes, batch = await self._transactions.write(interaction)
        if batch.entries:
            self.watcher.room_entries(batch.entries)
        if batch.messages:
            self.watcher.stored_elsewhere(batch.messages)
        for uid, device in inboxes.unregistered:
            self._forgotten(uid, device)
        return applied

    async def load(self, room: int, version: int, members: Mapping[int, str], last: int) -> None:
        """Put the members in the place of those that are there."""

        def interaction(transaction: Transaction) -> None:
            inboxes = self._transactions.batch(transaction)
            batch = self._transactions.room_batch(transaction, inboxes, [room])
            batch.load(room, version, members, last)
            self._finish(inboxes, batch)

        await self._transactions.write(interaction)

    async def open(self, uid: int, starts: Sequence[RoomStart]) -> Opened:
        """Find all beginnings by one query; nothing needs to be published."""
        wanted = json.dumps([_start(one) for one in starts])

        def interaction(transaction: Transaction) -> Opened:
            ends = transaction.all(_OPEN, (wanted, uid)) if starts else []
            positions = transaction.all(_POSITIONS, (uid,))
            named = {one.room for one in starts}
            others = [room for (room,) in positions if room not in named]
            return Opened([RoomEnds(*row) for row in ends], others)

        return await self._transactions.read(interaction)

    async def read(self, room: int, after: int, limit: int) -> RoomPage:
        """Read a page of the table."""
        rows = await self._transactions.read(lambda t: t.all(_PAGE, (room, after, limit)))
        if not rows:
            return RoomPage(0, 0, [])
        front, first_serial = rows[0][:2]
        return RoomPage(front, first_serial, [entry_of(*row[2:]) for row in rows if row[2]])

    async def expire(self, rooms: Sequence[int], before: int, limit: int) -> list[int]:
        """Find the rooms where something is too old; only if there are any, the file is written to."""
        wanted = json.dumps(list(rooms))
        found = await self._transactions.read(lambda t: t.all(_WITH_OLD, (wanted, before)))
        old = [room for (room,) in found]

        def interaction(transaction: Transaction) -> list[int]:
            inboxes = self._transactions.batch(transaction)
            batch = self._transactions.room_batch(transaction, inboxes, old)
            more = batch.expire(old, before, limit)
            self._finish(inboxes, batch)
            return more

        return await self._transactions.write(interaction) if old else []

    async def close_here(self, rooms: Sequence[int]) -> None:
        """Do nothing: a file has one server."""

    def _finish(self, inboxes: SQLiteBatch, batch: RoomBatch) -> None:
        batch.finish()
        inboxes.forget_unused()
        self._transactions.finish(inboxes)


def _start(start: RoomStart) -> tuple[int, int | None, int | None, int]:
    known = (start.after, start.serial)
    return start.room, *(known if None not in known else (None, None)), start.floor
