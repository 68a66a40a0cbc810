"""Where a log-in begins to read each of its rooms, and what it is told of them before."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from chatsvc.inbox.room_log import RoomEnds, RoomStart
from chatsvc.rooms.event import BEGINS, CLOSED, ENDS
from chatsvc.rooms.room import MEMBER, Membership, Room, RoomOfUser
from chatsvc.wire import events as e

TEXT_BACKLOG = 50
"""Entries of each room that a text session is handed at most: somebody reads them."""


@dataclass(frozen=True, slots=True)
class Known:
    """
    What a session knows of its rooms when it logs in.

    ``positions`` has the id and the serial of the last entry that it has shown, by room; None: it does not say, and
    begins at the account's positions. ``backlog`` is the most entries of each room that it wants; None: all.
    ``registered_at`` is the store's serial when its device was registered. ``tells_backlog``: it is told which entries
    ``backlog`` leaves out, as it has not asked for that itself.
    """

    positions: Mapping[int, tuple[int, int]] | None = None
    backlog: int | None = None
    registered_at: int = 0
    tells_backlog: bool = False


def is_over(room: RoomOfUser, known: Known) -> bool:
    """Whether nothing of a room is left to be read: it was left, and the session knows all up to that."""
    if room.role:
        return False
    if known.positions is None:
        return not room.memberships
    position = known.positions.get(room.room.number)
    if position is None:
        return True
    return all(one.until and one.until <= position[1] for one in room.memberships)


def start_of(room: RoomOfUser, known: Known) -> RoomStart:
    """Say to the store where a session wants to begin in a room that is not over for it."""
    number, memberships = room.room.number, room.memberships
    if known.positions is None:
        # Behind the account's position, which may lie in an earlier membership.
        return RoomStart(number, floor=memberships[0].serial)
    position = known.positions.get(number)
    if position is None:
        floor = max(memberships[-1].serial, known.registered_at + 1)
        return RoomStart(number, 0, floor - 1, floor)
    unread = (one.serial for one in memberships if not one.until or one.until > position[1])
    return RoomStart(number, *position, floor=next(unread))


@dataclass(frozen=True, slots=True)
class Beginning:
    """A room in which a session begins behind the entry ``begin``; ``missed``: what it is told of, if anything."""

    of_user: RoomOfUser
    begin: int
    last: int
    memberships: Sequence[Membership]
    missed: e.RoomMissed | None

    @property
    def room(self) -> int:
        """The room's number."""
        return self.of_user.room.number

    def shown(self, joining: bool = False) -> list[e.Event]:
        """
        Say what the session is told of the room before it reads there.

        ``joining``: it learns of the room now, and reads it even if that has been left since.
        """
        room = self.of_user.room
        role = self.of_user.role or (MEMBER if joining else "")
        events: list[e.Event] = []
        if role:
            about = room.number, room.name, room.kind, room.topic, room.history
            events.append(e.RoomShown(*about, role, room.members, self.last, self.begin))
        if self.missed is not None:
            events.append(self.missed)
        return events


def beginning_of(room: RoomOfUser, known: Known, ends: RoomEnds) -> Beginning:
    """Work out where a session begins, once the store has looked."""
    memberships: Sequence[Membership] = room.memberships
    after, begin = ends.after, ends.begin
    says_nothing = known.positions is not None and room.room.number not in known.positions
    if after is None or says_nothing:
        memberships = memberships[-1:]
        after = memberships[0].id - 1
        begin = max(begin, min(after, ends.last))
    missed = _missed(room.room, after, ends) if begin <= ends.front else None
    newest = begin if known.backlog is None else ends.last - known.backlog
    if newest > max(begin, ends.front):
        left_out = e.RoomMissed(
            room.room.number, missed.after if missed else begin, newest, None, room.room.name
        )
        missed = left_out if known.tells_backlog else None
    return Beginning(room, max(begin, newest), ends.last, memberships, missed)


def _missed(room: Room, after: int, ends: RoomEnds) -> e.RoomMissed | None:
    """Say which entries behind ``after`` are not kept any more."""
    if after >= ends.front:
        return None
    return e.RoomMissed(room.number, after, ends.front, ends.first_serial or None, room.name)


def covers(memberships: Iterable[Membership], serial: int) -> bool:
    """Whether an entry with this serial lies within a membership."""
    return any(
        one.serial <= serial and (not one.until or serial <= one.until) for one in memberships
    )


def ends_membership(entry: e.RoomEntry, uid: int) -> str:
    """Return why an entry ends the membership of a user; empty: it does not."""
    if type(entry) is not e.RoomEvent:
        return ""
    ends = entry.event == CLOSED or (entry.event in ENDS and entry.user == uid)
    return entry.event if ends else ""


def begins_membership(entry: e.RoomEntry, uid: int) -> bool:
    """Whether a user becomes a member by an entry."""
    return type(entry) is e.RoomEvent and entry.event in BEGINS and entry.user == uid
