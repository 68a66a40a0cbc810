"""Rules of rooms, switched off one by one: a campaign without one of them must complain."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from chatsvc.delivery import room_reader
from chatsvc.delivery.feed import RoomFeed
from chatsvc.delivery.feeds import RoomFeeds
from chatsvc.delivery.room_reader import RoomReader
from chatsvc.inbox.room_log import LogEvent
from chatsvc.rooms import event, finishing
from chatsvc.rooms.event import RoomChange
from chatsvc.rooms.room import Membership, Room
from chatsvc.rooms.rooms import Rooms
from chatsvc.wire.events import RoomEntry
from tests.support.script_rules import replace_rule


def members() -> None:
    """Whoever says something into a room is taken for a member."""
    replace_rule("if not redis.call('HGET', members_of(name), sender) then", "if false then")


def versions() -> None:
    """A log that has lost events is not noticed."""
    replace_rule(
        "if lost or not room.version or room.version < version then return {'behind'} end",
        "room.version = room.version or version",
    )
    honest = Rooms.ready

    async def ready(self: Rooms, room: int) -> Room:
        return self._known.get(room) or await honest(self, room)

    Rooms.ready = ready  # type: ignore[method-assign]
    Rooms.reconnected = lambda self: None  # type: ignore[method-assign]


def marks() -> None:
    """The inbox of who has joined does not tell so."""
    honest = event.log_event

    def log_event(room: int, change: RoomChange) -> LogEvent:
        return replace(honest(room, change), joins=False)

    vars(finishing)["log_event"] = log_event


def memberships() -> None:
    """Who catches up is handed whatever the log has."""

    def covers(memberships: Iterable[Membership], serial: int) -> bool:
        return True

    vars(room_reader)["covers"] = covers


def cursor() -> None:
    """A room's feed takes any later entry, not only the next one."""

    def take(self: RoomFeed, entry: RoomEntry) -> bool:
        if entry.id > self.cursor:
            self.append(entry)
        return True

    RoomFeed.take = take  # type: ignore[method-assign]
    RoomFeeds.store_returned = lambda self: None  # type: ignore[method-assign]


def sender() -> None:
    """A device is handed what it has sent itself."""
    honest = RoomReader.__init__

    def begin(self: RoomReader, *arguments: Any, **settings: Any) -> None:
        honest(self, *arguments, **settings)
        self.mark = "nobody"

    RoomReader.__init__ = begin  # type: ignore[method-assign]


ROOM_RULES: dict[str, Callable[[], None]] = {
    "room-members": members,
    "room-versions": versions,
    "room-marks": marks,
    "room-memberships": memberships,
    "room-cursor": cursor,
    "room-sender": sender,
}
