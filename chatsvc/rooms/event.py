"""A change of a room: a row of ``chat_room_event``, and the event that it is for the room's log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from chatsvc.inbox.room_log import Invited, LogEvent
from chatsvc.rooms.room import MEMBER, OWNER
from chatsvc.storage.sql import Row
from chatsvc.wire.record import record

CREATED, JOINED, LEFT, REMOVED = "created", "joined", "left", "removed"
ROLE, CHANGED, CLOSED = "role", "changed", "closed"
INVITED, WITHDRAWN, BANNED, UNBANNED = "invited", "withdrawn", "banned", "unbanned"
RAISED = "raised"
BEGINS, ENDS = (CREATED, JOINED), (LEFT, REMOVED)
"""The events about a user with which a membership begins, and ends; ``CLOSED`` ends all."""

_ENTRIES = frozenset({CREATED, JOINED, LEFT, REMOVED, ROLE, CHANGED, CLOSED})
"""The events that get an entry in the room's log."""

COLUMNS = "version, at, event, actor, uid, name, details"


@record
class RoomChange:
    """
    One change of a room; the fields are the columns of ``chat_room_event``.

    Details of ``INVITED`` are the inviter's name and the room's (``inviter``, ``room_name``); of ``RAISED`` the roles
    of all ``members`` by uid; of all others what the frame of the event says besides.
    """

    version: int
    at: int
    event: str
    by: int
    user: int
    name: str
    details: Mapping[str, Any]


def from_row(row: Row) -> RoomChange:
    """Make a change of the columns ``COLUMNS``."""
    version, at, event, by, user, name, details = row
    return RoomChange(version, at, event, by, user, name, orjson.loads(details))


def details_text(details: Mapping[str, Any]) -> str:
    """Return details as they stand in the table."""
    return orjson.dumps(details, option=orjson.OPT_NON_STR_KEYS).decode()


def raised_members(change: RoomChange) -> dict[int, str]:
    """Return the members, uid and role, that a change of the kind ``RAISED`` names."""
    return {int(uid): role for uid, role in change.details["members"].items()}


def log_event(room: int, change: RoomChange) -> LogEvent:
    """Return the event for the room's log that a change is."""
    has_entry = change.event in _ENTRIES
    return LogEvent(
        room=room,
        version=change.version,
        at=change.at,
        event=change.event if has_entry else "",
        by=change.by,
        user=change.user,
        name=change.name,
        details=change.details if has_entry else {},
        members=_members(change),
        joins=change.event in BEGINS,
        closes=change.event == CLOSED,
        invited=_invited(change) if change.event == INVITED else None,
    )


def before(members: Mapping[int, str], changes: Iterable[RoomChange]) -> dict[int, str]:
    """
    Return who was a member before some changes, given the members after them.

    Roles may be later ones, or ``MEMBER`` where that is not known any more: it does not matter where the changes are
    going to follow. So it is with the members of a room that was closed since: there is none.
    """
    found = dict(members)
    for change in sorted(changes, key=lambda one: one.version, reverse=True):
        if change.event in BEGINS:
            found.pop(change.user, None)
        elif change.event in ENDS:
            found[change.user] = MEMBER
    return found


def _members(change: RoomChange) -> tuple[tuple[int, str | None], ...]:
    roles = {CREATED: OWNER, JOINED: MEMBER, LEFT: None, REMOVED: None}
    if change.event in roles:
        return ((change.user, roles[change.event]),)
    return ((change.user, change.details["role"]),) if change.event == ROLE else ()


def _invited(change: RoomChange) -> Invited:
    name = change.details["room_name"]
    text = f"邀请您加入 #{name}, 请输入: join #{name} / You are invited to #{name}: join #{name}"
    return Invited(change.user, change.by, change.details["inviter"], name, text)
