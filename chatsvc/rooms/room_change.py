"""A change of one room within a transaction: the room locked, its tables changed, and events written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from chatsvc.accounts.shown_names import shown_names
from chatsvc.rooms import event as ev
from chatsvc.rooms.event import COLUMNS, RoomChange, from_row
from chatsvc.rooms.name import room_key
from chatsvc.rooms.room import Room
from chatsvc.rooms.standing import ROOM, Standing, room_of, standing
from chatsvc.storage.sql import Transaction
from chatsvc.wire.record import record

NOBODY = 0
"""The uid that stands for the admin, who works at the server's own shell; no account has it."""

_ADMIN = "chatsvc"
"""The name that is shown for the admin."""

MOST_UNFINISHED = 500
"""Events that are read at once, so that they can be put into the log."""


@record
class Pending:
    """
    A room as a transaction left it, and the ``changes``, ascending, that its log may lack.

    ``start``, if there is one, is the version and the members with which a log begins that has none. ``last`` is the
    highest id that an event got. ``again``: the changes were in the log once, and it may have lost them.
    ``is_member``: nobody was invited, because who was to be is a member.
    """

    room: Room
    changes: list[RoomChange]
    start: tuple[int, dict[int, str]] | None = None
    last: int = 0
    again: bool = False
    is_member: bool = False


class OpenChange:
    """
    A room that a transaction changes.

    ``room`` has what was changed so far; it is written by :meth:`done`, the tables of members by whoever changes them.
    """

    def __init__(self, transaction: Transaction, room: Room, now: int) -> None:
        self.sql = transaction
        self.room = room
        self.now = now
        self._as_read = room

    def role(self, uid: int) -> str | None:
        """Return a user's role."""
        row = self.sql.one(
            "SELECT role FROM chat_member WHERE room = ? AND uid = ?", (self.room.number, uid)
        )
        return None if row is None else str(row[0])

    def other_owners(self, uid: int) -> bool:
        """Return whether anybody but ``uid`` owns the room."""
        query = "SELECT 1 FROM chat_member WHERE room = ? AND uid <> ? AND role = 'owner' LIMIT 1"
        return self.sql.one(query, (self.room.number, uid)) is not None

    def delete(self, table: str, uid: int) -> bool:
        """Delete a user's row of one of the room's tables; return whether there was one."""
        where = "WHERE room = ? AND uid = ?"
        return self.sql.execute(f"DELETE FROM {table} {where}", (self.room.number, uid)) > 0  # noqa: S608

    def set(self, **fields: Any) -> None:
        """Change fields of the room."""
        self.room = replace(self.room, **fields)

    def append(
        self, event: str, by: int, user: int = NOBODY, details: Mapping[str, Any] | None = None
    ) -> None:
        """Write an event down, under the next version."""
        about = user or by
        name = shown_names(self.sql, [about]).get(about, f"UID{about}") if about else _ADMIN
        self.set(version=self.room.version + 1)
        insert_event(
            self.sql,
            self.room.number,
            RoomChange(self.room.version, self.now, event, by, user, name, details or {}),
        )

    def close(self, by: int) -> None:
        """Close the room: nobody is in it any more, and its name is free."""
        for table in ("chat_member", "chat_invitation", "chat_ban"):
            self.sql.execute(f"DELETE FROM {table} WHERE room = ?", (self.room.number,))  # noqa: S608
        self.set(members=0, closed=True)
        self.append(ev.CLOSED, by)

    def done(self) -> Pending:
        """Write the room; return it with all its events that are not finished."""
        if self.room != self._as_read:
            _write(self.sql, self.room)
        return Pending(self.room, unfinished(self.sql, self.room.number))


def locked(transaction: Transaction, number: int, now: int) -> OpenChange | None:
    """Lock a room until the transaction ends; None: there is no such room."""
    # The first statement that reads: the others then see what was committed before the lock was had.
    if transaction.backend == "mysql":
        transaction.one("SELECT 1 FROM chat_room WHERE room = ? FOR UPDATE", (number,))
    room = read(transaction, number)
    return None if room is None else OpenChange(transaction, room, now)


def locked_by(
    transaction: Transaction, uid: int, number: int, now: int
) -> tuple[OpenChange | None, Standing]:
    """Lock a room, and read how a user stands to it."""
    change = locked(transaction, number, now)
    return change, standing(transaction, uid, number, now)


def read(transaction: Transaction, number: int) -> Room | None:
    """Read a room."""
    row = transaction.one(f"SELECT {ROOM} FROM chat_room AS r WHERE r.room = ?", (number,))  # noqa: S608
    return None if row is None else room_of(row)


def members_of(transaction: Transaction, number: int) -> dict[int, str]:
    """Read the members of a room: role by uid."""
    return {
        int(uid): str(role)
        for uid, role in transaction.all(
            "SELECT uid, role FROM chat_member WHERE room = ?", (number,)
        )
    }


def unfinished(transaction: Transaction, number: int) -> list[RoomChange]:
    """Read the oldest events of a room that the log does not have yet, as far as is known."""
    query = (
        f"SELECT {COLUMNS} FROM chat_room_event WHERE serial IS NULL AND room = ?"  # noqa: S608
        " ORDER BY version LIMIT ?"
    )
    return [from_row(row) for row in transaction.all(query, (number, MOST_UNFINISHED))]


def insert_event(transaction: Transaction, number: int, change: RoomChange) -> None:
    """Write an event down."""
    transaction.execute(
        "INSERT INTO chat_room_event (room, version, at, event, actor, uid, name, details)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (
            *(number, change.version, change.at, change.event, change.by, change.user),
            *(change.name, ev.details_text(change.details)),
        ),
    )


def _write(transaction: Transaction, room: Room) -> None:
    transaction.execute(
        "UPDATE chat_room SET name = ?, folded = ?, topic = ?, kind = ?, history = ?, version = ?, members = ?,"
        " closed = ? WHERE room = ?",
        (
            *(room.name, None if room.closed else room_key(room.name), room.topic, room.kind),
            *(room.history, room.version, room.members, room.version if room.closed else None),
            room.number,
        ),
    )
