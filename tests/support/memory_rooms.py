"""Rooms as a test says they are, for what is said to and by them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.interfaces import IReactorTime

from chatsvc.delivery.feeds import RoomFeeds
from chatsvc.inbox.interface import Inbox
from chatsvc.rooms.room import PUBLIC, Room, RoomOfUser, RoomRefused
from chatsvc.rooms.rooms import Rooms
from chatsvc.wire.events import ListedRoom
from tests.support.fakes import Turns

ROOM = Room(7, "dev", PUBLIC, "", "all", 1, 1)


class MemoryRooms(Turns):
    """
    One room, which everything is about; ``asked`` has the method and the arguments of each call.

    With ``refusal`` it refuses everything.
    """

    def __init__(self) -> None:
        super().__init__()
        self.room = ROOM
        self.asked: list[tuple[Any, ...]] = []
        self.refusal: RoomRefused | None = None
        self.listed: list[ListedRoom] = []
        self.there: set[int] = set()
        """Who is found to be a member when invited."""
        self.members: list[tuple[int, str, str]] = []
        self.more = False
        self.own: list[RoomOfUser] = []
        """What is said of the rooms of any user."""
        self.is_known = True
        self.is_visible = True
        self.noted: list[str] = []

    async def _ask(self, *asked: Any) -> Room:
        self.asked.append(asked)
        await self.turn(asked[0])
        if self.refusal is not None:
            raise self.refusal
        return self.room

    async def create(self, by: int, name: str, kind: str, topic: str) -> Room:
        return await self._ask("create", by, name, kind, topic)

    async def join(self, uid: int, room: int | str) -> Room:
        return await self._ask("join", uid, room)

    async def leave(self, uid: int, room: int | str) -> Room:
        return await self._ask("leave", uid, room)

    async def invite(self, by: int, room: int | str, user: int) -> tuple[Room, bool]:
        return await self._ask("invite", by, room, user), user in self.there

    async def remove(self, by: int, room: int | str, user: int, ban: bool) -> Room:
        return await self._ask("remove", by, room, user, ban)

    async def unban(self, by: int, room: int | str, user: int) -> Room:
        return await self._ask("unban", by, room, user)

    async def set_role(self, by: int, room: int | str, user: int, role: str) -> Room:
        return await self._ask("set_role", by, room, user, role)

    async def change(
        self,
        by: int,
        room: int | str,
        name: str | None = None,
        topic: str | None = None,
        kind: str | None = None,
        history: str | None = None,
    ) -> Room:
        return await self._ask("change", by, room, name, topic, kind, history)

    async def close(self, by: int, room: int | str) -> Room:
        return await self._ask("close", by, room)

    async def list_rooms(
        self, uid: int, name: str, after: int, limit: int, mine: bool
    ) -> tuple[list[ListedRoom], bool]:
        await self._ask("list_rooms", uid, name, after, limit, mine)
        return self.listed, self.more

    async def list_members(
        self, uid: int, room: int | str, after: int | None, limit: int
    ) -> tuple[Room, list[tuple[int, str, str]], bool]:
        return (
            await self._ask("list_members", uid, room, after, limit),
            self.members,
            self.more,
        )

    async def of_user(self, uid: int, also: Sequence[int] = ()) -> list[RoomOfUser]:
        await self._ask("of_user", uid, *also)
        return self.own

    async def ready(self, room: int) -> Room:
        return await self._ask("ready", room)

    async def find(self, uid: int, room: int | str) -> tuple[Room, bool]:
        return await self._ask("find", uid, room), self.is_visible

    def known(self, room: int) -> Room | None:
        return self.room if self.is_known else None

    def entry_seen(self, room: int, version: int, name: str | None, kind: str | None) -> None:
        pass

    def lost_events(self, room: int) -> None:
        self.noted.append(f"lost events of {room}")

    def reconnected(self) -> None:
        pass


def no_rooms(clock: IReactorTime, inbox: Inbox) -> RoomFeeds:
    """Feeds of a node at which nobody reads a room."""
    return RoomFeeds(clock, inbox.rooms, cast(Rooms, MemoryRooms()))
