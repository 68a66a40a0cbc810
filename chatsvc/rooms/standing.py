"""How a user stands to a room: one query, the same for a room that is there and for one that is not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatsvc.accounts.name_index import HIGHEST, LOWEST
from chatsvc.rooms.event import BEGINS
from chatsvc.rooms.name import room_key
from chatsvc.rooms.room import INVITATION_DAYS, PUBLIC, Room, RoomRefused
from chatsvc.rooms.rules import Action, may
from chatsvc.storage.sql import Transaction
from chatsvc.wire.problems import Problem
from chatsvc.wire.record import record

ROOM = "r.room, r.name, r.kind, r.topic, r.history, r.version, r.members, r.closed IS NOT NULL"
"""The columns of which :func:`room_of` makes a room; ``r`` is ``chat_room``."""

INVITATION_MS = INVITATION_DAYS * 86_400_000

# Its only row is there whatever was asked for, and all questions about the user are asked.
_QUERY = (
    f"SELECT {ROOM},"  # noqa: S608
    " (SELECT role FROM chat_member AS m WHERE m.room = COALESCE(r.room, 0) AND m.uid = ?),"
    " EXISTS (SELECT 1 FROM chat_invitation AS i WHERE i.room = COALESCE(r.room, 0) AND i.uid = ? AND i.at > ?),"
    " EXISTS (SELECT 1 FROM chat_ban AS b WHERE b.room = COALESCE(r.room, 0) AND b.uid = ?),"
    " EXISTS (SELECT 1 FROM chat_room_event AS e WHERE e.uid = ? AND e.room = COALESCE(r.room, 0)"
    f" AND e.event IN {BEGINS})"
    " FROM (SELECT 1 AS one) AS single LEFT JOIN chat_room AS r ON "
)


@record
class Standing:
    """
    How a user stands to a ``room`` (None: there is none).

    ``role`` is None for who is no member. ``invited``: by an invitation that still admits; ``once``: the user is or was
    a member.
    """

    room: Room | None
    role: str | None = None
    invited: bool = False
    banned: bool = False
    once: bool = False

    def visible(self) -> Room:
        """
        Return the room, if this user may know of it, and it is not closed.

        :raise RoomRefused: ``UNKNOWN_ROOM``: otherwise.
        """
        if self.room is None or not self.is_visible:
            raise RoomRefused(Problem.UNKNOWN_ROOM)
        return self.room

    @property
    def is_visible(self) -> bool:
        """Whether the room is there, not closed, and this user may know of it."""
        if self.room is None or self.room.closed:
            return False
        return self.room.kind == PUBLIC or self.role is not None or self.invited

    def known(self) -> Room:
        """
        Return the room, closed or not, if this user may know of it, or was ever a member.

        :raise RoomRefused: ``UNKNOWN_ROOM``: otherwise.
        """
        if self.room is not None and self.once:
            return self.room
        return self.visible()

    def closed_or_visible(self) -> Room:
        """
        Return the room, if it is closed and this user was in it, or may know of it.

        :raise RoomRefused: ``UNKNOWN_ROOM``: otherwise.
        """
        if self.room is not None and self.room.closed and self.once:
            return self.room
        return self.visible()

    def require(self, *actions: Action) -> str:
        """
        Check that this user may do all of some actions in a visible room; return the role.

        :raise RoomRefused: ``NOT_A_MEMBER`` or ``FORBIDDEN``.
        """
        if self.role is None:
            raise RoomRefused(Problem.NOT_A_MEMBER)
        if not all(may(self.role, action) for action in actions):
            raise RoomRefused(Problem.FORBIDDEN)
        return self.role


def standing(transaction: Transaction, uid: int, room: int | str, now: int) -> Standing:
    """Read how a user stands to a room, given by its number or its name; ``now`` is in ms since 1970."""
    which, wanted = _wanted(room)
    user = uid if LOWEST <= uid <= HIGHEST else 0
    args = (user, user, now - INVITATION_MS, user, user, wanted)
    row = transaction.one(_QUERY + which, args)
    assert row is not None
    *columns, role, invited, banned, once = row
    if columns[0] is None:
        return Standing(None)
    return Standing(room_of(columns), role, bool(invited), bool(banned), bool(once))


def _wanted(room: int | str) -> tuple[str, int | bytes]:
    if isinstance(room, str):
        return "r.folded = ?", room_key(room)
    return "r.room = ?", room if 0 < room <= HIGHEST else 0


def room_of(columns: Sequence[Any]) -> Room:
    """Make a room of the columns ``ROOM``."""
    number, name, kind, topic, history, version, members, closed = columns
    return Room(number, name, kind, topic, history, version, members, bool(closed))
