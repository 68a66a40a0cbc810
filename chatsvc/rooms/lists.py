"""Lists of rooms and of members, a page at a time."""

from __future__ import annotations

from chatsvc.accounts.name_index import HIGHEST, LOWEST
from chatsvc.accounts.shown_names import shown_names
from chatsvc.rooms.name import room_key
from chatsvc.rooms.room import Room
from chatsvc.rooms.rules import Action
from chatsvc.rooms.standing import ROOM, room_of, standing
from chatsvc.storage.sql import Row, Transaction
from chatsvc.wire.events import ListedRoom

_LISTED = "r.room, r.name, r.topic, r.members"
_HAS_NAME = " AND INSTR(r.folded, ?) > 0"
_PAGE = " ORDER BY r.room LIMIT ?"

_OWN = (
    f"SELECT {_LISTED}, 1 FROM chat_member AS m JOIN chat_room AS r ON r.room = m.room"  # noqa: S608
    " WHERE m.uid = ? AND m.room > ? AND r.closed IS NULL"
)
_PUBLIC = (
    f"SELECT {_LISTED}, 0 FROM chat_room AS r WHERE r.kind = 'public' AND r.room > ? AND r.closed IS NULL"  # noqa: S608
    " AND NOT EXISTS (SELECT 1 FROM chat_member AS m WHERE m.room = r.room AND m.uid = ?)"
)


def listed_rooms(
    transaction: Transaction, uid: int, name: str, after: int, limit: int, mine: bool
) -> tuple[list[ListedRoom], bool]:
    """
    List public rooms and the user's own (``mine``: these alone) whose name contains ``name``.

    They are by number, above ``after``, ``limit`` at most; the second value is whether there are more.
    """
    part, after = room_key(name), min(max(after, 0), HIGHEST)
    if name.strip() and not part:
        return [], False
    has_name, parts = (_HAS_NAME, (part,)) if part else ("", ())
    rows = transaction.all(_OWN + has_name + _PAGE, (uid, after, *parts, limit + 1))
    if not mine:
        rows += transaction.all(_PUBLIC + has_name + _PAGE, (after, uid, *parts, limit + 1))
    found = [
        ListedRoom(number, name, topic, members, bool(joined))
        for number, name, topic, members, joined in sorted(rows)
    ]
    return found[:limit], len(found) > limit


def listed_members(
    transaction: Transaction, uid: int, room: int | str, after: int | None, limit: int, now: int
) -> tuple[Room, list[tuple[int, str, str]], bool]:
    """
    List the members of a room, uid, name and role of each, by uid, above ``after``; whether there are more.

    :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``.
    """
    own = standing(transaction, uid, room, now)
    found = own.visible()
    own.require(Action.SEE_MEMBERS)
    members, more = members_page(transaction, found.number, after, limit)
    return found, members, more


def members_page(
    transaction: Transaction, number: int, after: int | None, limit: int
) -> tuple[list[tuple[int, str, str]], bool]:
    """Read members of a room as :func:`listed_members` lists them, whoever asks."""
    rows = transaction.all(
        "SELECT uid, role FROM chat_member WHERE room = ? AND uid >= ? ORDER BY uid LIMIT ?",
        (number, *_from(after), limit + 1),
    )
    page = rows[:limit]
    names = shown_names(transaction, [uid for uid, _ in page])
    members = [(uid, names.get(uid, f"UID{uid}"), role) for uid, role in page]
    return members, len(rows) > limit


def all_rooms(transaction: Transaction, after: int, limit: int) -> list[Room]:
    """Read rooms with numbers above ``after`` that are not closed, public and private, by number."""
    query = f"SELECT {ROOM} FROM chat_room AS r WHERE r.room > ? AND r.closed IS NULL ORDER BY r.room LIMIT ?"  # noqa: S608
    return [room_of(row) for row in transaction.all(query, (after, limit))]


def room_numbers(transaction: Transaction, after: int, limit: int) -> list[int]:
    """Read numbers of rooms above ``after``, those of closed ones too, ascending."""
    query = "SELECT room FROM chat_room WHERE room > ? ORDER BY room LIMIT ?"
    return [room for (room,) in transaction.all(query, (after, limit))]


def owners(transaction: Transaction, number: int) -> list[int]:
    """Read the uids of a room's owners."""
    query = "SELECT uid FROM chat_member WHERE room = ? AND role = 'owner' ORDER BY uid"
    rows: list[Row] = transaction.all(query, (number,))
    return [uid for (uid,) in rows]


def _from(after: int | None) -> tuple[int]:
    """The lowest uid that comes after one."""
    if after is None or after < LOWEST:
        return (LOWEST,)
    return (min(after, HIGHEST - 1) + 1,)
