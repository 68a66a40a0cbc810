"""A test of rooms' logs in a store of either kind."""

from __future__ import annotations

from typing import Any

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Outcome, RoomAcknowledgement, RoomDraft, Stored
from chatsvc.inbox.room_log import (
    Applied,
    Invited,
    LogEvent,
    Opened,
    RoomEnds,
    RoomLogLimits,
    RoomStart,
)
from chatsvc.wire.events import RoomEntry, RoomEvent, RoomMessage
from tests.inbox.contract.case import StoreCase
from tests.inbox.fixtures import A

ROOM, ELSEWHERE = 7, 8
AT = 1_700_000_000_123


def changed(version: int, event: str, user: int, room: int = ROOM, **more: Any) -> LogEvent:
    """A change that A makes, and that is about ``user``."""
    details = more.pop("details", {})
    return LogEvent(room, version, AT, event, A, user, "名", details, **more)


def created(room: int = ROOM) -> LogEvent:
    """A makes a room."""
    return changed(1, "created", A, room, members=((A, "owner"),), joins=True)


def joined(version: int, user: int, room: int = ROOM) -> LogEvent:
    """A user joins a room."""
    return changed(version, "joined", user, room, members=((user, "member"),), joins=True)


def left(version: int, user: int, room: int = ROOM) -> LogEvent:
    """A member leaves a room."""
    return changed(version, "left", user, room, members=((user, None),))


def closed(version: int, room: int = ROOM) -> LogEvent:
    """A room is closed."""
    return changed(version, "closed", 0, room, closes=True)


def invitation(
    version: int, user: int, room: int = ROOM, sender: int = A, name: str = "dev"
) -> LogEvent:
    """An invitation of a user into a room of this name."""
    invited = Invited(user, sender, "名", name, "join #dev")
    return changed(version, "", user, room, invited=invited)


def says(text: str = "x", sender: int = A, room: int = ROOM, **more: Any) -> RoomDraft:
    """A message of A to a room, unless told otherwise."""
    return RoomDraft(room, sender, "名", more.pop("at", AT), text, **more)


class RoomCase(StoreCase):
    """A test with a room that A has made, and whose log has the entry 1."""

    async def begin_room(
        self,
        *members: int,
        limits: InboxLimits | None = None,
        rooms: RoomLogLimits | None = None,
    ) -> None:
        """Open the store, and have A make ROOM and ``members`` join it: versions and ids 2, 3, …"""
        await self.begin(limits, rooms)
        joining = [joined(version, user) for version, user in enumerate(members, 2)]
        await self.apply(created(), *joining)

    async def apply(self, *events: LogEvent, room: int = ROOM) -> Applied:
        """Put events into a room's log."""
        return await self.inbox.rooms.apply(room, events)

    async def log(self, room: int = ROOM) -> list[RoomEntry]:
        """All that a room's log keeps."""
        return (await self.inbox.rooms.read(room, 0, 10_000)).entries

    async def said(self, room: int = ROOM) -> list[str]:
        """What was said in a room, its events left out."""
        return [one.text for one in await self.log(room) if isinstance(one, RoomMessage)]

    async def happened(self, room: int = ROOM) -> list[tuple[int, str, int]]:
        """A room's events: version, which, about whom."""
        events = [one for one in await self.log(room) if isinstance(one, RoomEvent)]
        return [(one.version, one.event, one.user) for one in events]

    async def room_ids(self, room: int = ROOM) -> list[int]:
        """The ids that a room's log keeps."""
        return [one.id for one in await self.log(room)]

    async def room_serials(self, room: int = ROOM) -> dict[int, int]:
        """The serials of what a room's log keeps, by id."""
        return {one.id: one.serial for one in await self.log(room)}

    async def opened(self, uid: int, *starts: RoomStart) -> Opened:
        """What a session is told that begins in some rooms."""
        return await self.inbox.rooms.open(uid, starts)

    async def ends(self, uid: int = A, room: int = ROOM, **start: Any) -> RoomEnds:
        """The ends of one room's log, and where a session of ``uid`` begins in it."""
        (ends,) = (await self.opened(uid, RoomStart(room, **start))).ends
        return ends

    async def passed_in_room(self, uid: int, id: int, room: int = ROOM, over: bool = False) -> None:
        """Acknowledge a room's log."""
        await self.commit(acknowledgements=[RoomAcknowledgement(uid, room, id, over)])

    def serial_in(self, outcome: Outcome) -> int:
        """The serial under which a message was stored."""
        assert isinstance(outcome, Stored), outcome
        return outcome.serial
