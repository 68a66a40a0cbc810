"""The rooms of one user, with the memberships, as the events of the rooms tell them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatsvc.accounts.name_index import HIGHEST
from chatsvc.rooms.event import BEGINS, CLOSED, ENDS
from chatsvc.rooms.room import Membership, Room, RoomOfUser
from chatsvc.rooms.standing import ROOM, room_of
from chatsvc.storage.sql import Row, Transaction

_VERSIONS = 5000
"""
Changes of a room back to which a user's earlier memberships are read.

A bound for who comes and goes all the time. A log keeps fewer events by default (``--room-window``).
"""

_LACKS = "EXISTS (SELECT 1 FROM chat_room_event AS u WHERE u.serial IS NULL AND u.room = r.room)"

_OWN = (
    f"SELECT {ROOM}, m.role, {_LACKS} FROM chat_member AS m JOIN chat_room AS r ON r.room = m.room"  # noqa: S608
    " WHERE m.uid = ? ORDER BY r.room"
)


def rooms_of(
    transaction: Transaction, uid: int, also: Sequence[int]
) -> tuple[list[RoomOfUser], list[int]]:
    """
    Read the rooms of a user, and those of ``also`` that the user was once in.

    :return: the rooms, by number, and the numbers of those whose log may lack events: there, memberships may, too.
    """
    rows = transaction.all(_OWN, (uid,))
    mine = {row[0] for row in rows}
    others = [number for number in dict.fromkeys(also) if number not in mine]
    others = [number for number in others if 0 < number <= HIGHEST]
    if others:
        rows += transaction.all(_left(len(others)), others)
    if not rows:
        return [], []
    found: dict[int, list[Row]] = {row[0]: [] for row in rows}
    for number, *event, _ in transaction.all(_events(len(found)), (uid, *found, *found)):
        found[number].append(tuple(event))
    rows = [row for row in rows if any(event in BEGINS for event, _, _ in found[row[0]])]
    rooms = [
        _of_user(room_of(columns), role or "", found[columns[0]]) for *columns, role, _ in rows
    ]
    return rooms, [row[0] for row in rows if row[-1]]


def _of_user(room: Room, role: str, events: Iterable[Row]) -> RoomOfUser:
    """As the log has it: who has joined in SQL alone is no member there, and has no role yet."""
    found = tuple(memberships(events))
    is_member = found and not found[-1].until
    return RoomOfUser(room, role if is_member else "", found)


def memberships(events: Iterable[Row]) -> list[Membership]:
    """Make memberships of events (name, id, serial), ascending; what has no serial yet is not known yet."""
    found: list[Membership] = []
    for event, id, serial in events:
        if serial is None:
            continue
        if event in BEGINS:
            found.append(Membership(id, serial))
        elif found and not found[-1].until:
            why = event if event in (CLOSED, *ENDS) else ""
            found[-1] = Membership(found[-1].id, found[-1].serial, serial, why)
    return found


def _left(count: int) -> str:
    places = ", ".join("?" * count)
    return f"SELECT {ROOM}, NULL, {_LACKS} FROM chat_room AS r WHERE r.room IN ({places})"  # noqa: S608


def _events(count: int) -> str:
    """A query of one user's joinings and leavings in some rooms, back to ``_VERSIONS``, and of what closed these."""
    places = ", ".join("?" * count)
    last = (
        "(SELECT MAX(l.version) FROM chat_room_event AS l WHERE l.uid = e.uid AND l.room = e.room"  # noqa: S608
        f" AND l.event IN {BEGINS})"
    )
    return (
        "SELECT e.room, e.event, e.id, e.serial, e.version AS place"  # noqa: S608
        " FROM chat_room_event AS e JOIN chat_room AS r ON r.room = e.room"
        f" WHERE e.uid = ? AND e.room IN ({places}) AND e.event IN {BEGINS + ENDS}"
        f" AND (e.version > r.version - {_VERSIONS} OR e.version >= {last})"
        " UNION ALL SELECT e.room, e.event, e.id, e.serial, e.version"
        " FROM chat_room AS r JOIN chat_room_event AS e ON e.room = r.room AND e.version = r.closed"
        f" WHERE r.room IN ({places}) ORDER BY place"
    )
