"""Rooms on a real database, with their logs in memory: what tests of rooms share."""

from __future__ import annotations

from collections.abc import Awaitable

from chatsvc.accounts.creation import NewAccount
from chatsvc.accounts.store import AccountStore
from chatsvc.rooms.room import RoomLimits, RoomRefused
from chatsvc.rooms.rooms import Rooms
from chatsvc.rooms.store import RoomStore
from chatsvc.wire.problems import Problem
from tests.support.databases import OnDatabase
from tests.support.room_logs import FakeRoomLogs

ANN, BOB, CAT, DAN, EVE = range(10001, 10006)
NAMES = ("ann", "bob", "cat", "dan", "eve")

NOW = 1_800_000_000.0


class OnRooms(OnDatabase):
    """A test with the accounts ANN to EVE, and rooms at one node (``rooms``), whose time is ``now``."""

    async def set_rooms_up(self, limits: RoomLimits | None = None) -> Rooms:
        """Make the tables and the accounts; give the rooms."""
        self.database = await self.open()
        accounts = AccountStore(self.database)
        await accounts.open()
        await accounts.create_many([NewAccount(name, "$") for name in NAMES])
        self.logs = FakeRoomLogs()
        self.now = NOW
        self.store = RoomStore(self.database, lambda: self.now)
        self.rooms = self.node(limits)
        return self.rooms

    def node(self, limits: RoomLimits | None = None) -> Rooms:
        """Rooms as another node has them."""
        return Rooms(self.store, self.logs, limits or RoomLimits())

    async def refused(self, asked: Awaitable[object]) -> Problem:
        """Why something is refused."""
        try:
            answer = await asked
        except RoomRefused as refused:
            self.refusal = refused
        else:
            self.fail(f"not refused, but {answer}")
        return self.refusal.problem

    def events(self, room: int) -> list[tuple[int, str, int | None]]:
        """The version, the event and the id of all that SQL has of a room."""
        query = "SELECT version, event, id FROM chat_room_event WHERE room = ? ORDER BY version"
        return [(version, event, id) for version, event, id in self.sql(query, (room,))]

    def unfinished(self) -> int:
        """How many events are not finished."""
        ((count,),) = self.sql("SELECT COUNT(*) FROM chat_room_event WHERE serial IS NULL")
        return int(count)

    def roles(self, room: int) -> dict[int, str]:
        """The members that SQL has, by uid."""
        return dict(self.sql("SELECT uid, role FROM chat_member WHERE room = ?", (room,)))
