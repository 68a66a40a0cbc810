"""
Who may read what: the two users of a conversation all of it, members of a room what its history rule says.

It is asked of SQL in the transaction that reads: no node's memory decides it.
"""

from __future__ import annotations

from collections.abc import Sequence

from chatsvc.accounts.name_index import HIGHEST, LOWEST
from chatsvc.archive.entry import Pair
from chatsvc.archive.scope import Scope
from chatsvc.rooms.room import JOINED, Room
from chatsvc.rooms.rules import Action
from chatsvc.rooms.standing import standing
from chatsvc.storage.sql import Row, Transaction
from chatsvc.storage.value_lists import padded, places
from chatsvc.wire.record import record

_NUMBER = "SELECT conversation FROM chat_conversation WHERE low = ? AND high = ?"
_USERS = "SELECT low, high FROM chat_conversation WHERE conversation = ?"

# Behind the joining. One that is not in the room's log yet has no serial: nothing can have been said since. One that is
# not there any more was before all that the archive has.
_SINCE = (
    "COALESCE((SELECT COALESCE(e.serial, 9223372036854775807) FROM chat_room_event AS e"
    " WHERE e.room = m.room AND e.version = m.version), 0)"
)
_JOINED = f"SELECT {_SINCE} FROM chat_member AS m WHERE m.room = ? AND m.uid = ?"  # noqa: S608

_DIRECT = (
    "SELECT c.conversation, c.high FROM chat_conversation AS c WHERE c.low = ?"
    " UNION ALL SELECT c.conversation, c.low FROM chat_conversation AS c WHERE c.high = ? AND c.low <> c.high"
)
_ROOM_SINCE = f"CASE r.history WHEN 'joined' THEN {_SINCE} ELSE 0 END"
_ROOMS = (
    f"SELECT r.room, r.name, {_ROOM_SINCE}"  # noqa: S608
    " FROM chat_member AS m JOIN chat_room AS r ON r.room = m.room WHERE m.uid = ?"
)

# The serial of the last message that is not retracted.
_LAST = (
    "(SELECT x.serial FROM chat_message AS x WHERE x.conversation = {conversation} AND x.serial >= {since}"
    " AND x.retracted = 0 ORDER BY x.serial DESC LIMIT 1)"
)
_LAST_DIRECT = _DIRECT.replace(
    " FROM", f", {_LAST.format(conversation='c.conversation', since='0')} FROM"
)
_LAST_IN_ROOMS = _ROOMS.replace(
    " FROM chat_member",
    f", {_LAST.format(conversation='-r.room', since=_ROOM_SINCE)} FROM chat_member",
)


@record
class Readable:
    """A conversation that a user may read: with the user ``other``, or, if that is None, in ``room`` (``name``)."""

    scope: Scope
    other: int | None = None
    room: int | None = None
    name: str = ""


@record
class Conversation:
    """A conversation as a client names it: with the user ``other``, or, if that is None, in a room."""

    other: int | None
    room: int | str | None


def scope_of(
    transaction: Transaction, uid: int, where: Conversation, now: int
) -> tuple[Room | None, Scope | None]:
    """
    Find what ``uid`` may read of a conversation, and its room; None: it is none's, or nobody has said anything.

    :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``: who left may read nothing.
    """
    if where.room is not None:
        return room_scope(transaction, uid, where.room, now)
    assert where.other is not None
    return None, direct_scope(transaction, uid, where.other)


def direct_scope(transaction: Transaction, uid: int, other: int) -> Scope | None:
    """What ``uid`` may read of the conversation with ``other``; None: the two have never written to each other."""
    if not LOWEST <= other <= HIGHEST:
        return None
    pair = Pair.between(uid, other)
    row = transaction.one(_NUMBER, (pair.low, pair.high))
    return None if row is None else Scope(row[0])


def pair_of(transaction: Transaction, conversation: int) -> Pair | None:
    """Say whose conversation has this number; None: it is no two users'."""
    row = transaction.one(_USERS, (conversation,))
    return None if row is None else Pair(*row)


def room_scope(transaction: Transaction, uid: int, room: int | str, now: int) -> tuple[Room, Scope]:
    """
    Find a room, and what ``uid`` may read of it; ``now`` is in ms.

    :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``: who left may read nothing.
    """
    own = standing(transaction, uid, room, now)
    found = own.visible()
    own.require(Action.READ_HISTORY)
    if found.history != JOINED:
        return found, Scope(-found.number)
    row = transaction.one(_JOINED, (found.number, uid))
    assert row is not None  # a member
    return found, Scope(-found.number, row[0])


def all_readable(transaction: Transaction, uid: int, with_rooms: bool = True) -> list[Scope]:
    """All that ``uid`` may read, in no order."""
    direct: Sequence[Row] = transaction.all(_DIRECT, (uid, uid))
    rooms: Sequence[Row] = transaction.all(_ROOMS, (uid,)) if with_rooms else []
    return [
        *[Scope(conversation) for conversation, _ in direct],
        *[Scope(-room, since) for room, _, since in rooms],
    ]


def last_messages(
    transaction: Transaction, uid: int, with_rooms: bool = True
) -> list[tuple[int, Readable]]:
    """All conversations that ``uid`` may read, each with the serial of its last message; none without a message."""
    direct: Sequence[Row] = transaction.all(_LAST_DIRECT, (uid, uid))
    rooms: Sequence[Row] = transaction.all(_LAST_IN_ROOMS, (uid,)) if with_rooms else []
    found = [(last, Readable(Scope(conversation), other)) for conversation, other, last in direct]
    found += [
        (last, Readable(Scope(-room, since), None, room, name)) for room, name, since, last in rooms
    ]
    return [(last, one) for last, one in found if last is not None]


def named(transaction: Transaction, conversations: Sequence[int], uid: int) -> dict[int, Readable]:
    """Say with whom, or where, some conversations of ``uid`` are, by their numbers; all of them are readable."""
    found: dict[int, Readable] = {}
    pairs = [one for one in conversations if one > 0]
    rooms = [-one for one in conversations if one < 0]
    if pairs:
        some = padded(pairs)
        query = f"SELECT conversation, low, high FROM chat_conversation WHERE conversation IN {places(some)}"  # noqa: S608
        for number, low, high in transaction.all(query, some):
            found[number] = Readable(Scope(number), Pair(low, high).other(uid))
    if rooms:
        some = padded(rooms)
        query = f"SELECT room, name FROM chat_room WHERE room IN {places(some)}"  # noqa: S608
        for room, name in transaction.all(query, some):
            found[-room] = Readable(Scope(-room), None, room, name)
    return found
