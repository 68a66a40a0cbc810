"""Rooms on a real SQLite and a real MariaDB: who comes and goes, and what is refused."""

from __future__ import annotations

from chatsvc.rooms.members import create
from chatsvc.rooms.room import (
    ALL,
    JOINED,
    MEMBER,
    MODERATOR,
    OWNER,
    PRIVATE,
    PUBLIC,
    RoomLimits,
)
from chatsvc.wire.problems import Problem
from tests.support.databases import OnMariaDB, OnSQLite
from tests.support.rooms import ANN, BOB, CAT, DAN, EVE, OnRooms


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnRooms):
        """The tests, for each kind of database."""

        async def test_create(self) -> None:
            """A room would not be there, or not be its maker's, or not begin its log."""
            rooms = await self.set_rooms_up()
            room = await rooms.create(ANN, "Dev", PUBLIC, "all of it")
            self.assertEqual(
                (room.name, room.kind, room.topic, room.history, room.version, room.members),
                ("Dev", PUBLIC, "all of it", ALL, 1, 1),
            )
            self.assertEqual(self.roles(room.number), {ANN: OWNER})
            self.assertEqual(self.events(room.number), [(1, "created", 1)])
            self.assertEqual(self.logs.rooms[room.number].members, {ANN: OWNER})
            self.assertEqual(self.logs.marks, [(ANN, room.number, 1)])
            other = await rooms.create(ANN, "Ops", PRIVATE, "")
            self.assertEqual((other.number, other.history), (room.number + 1, JOINED))

        async def test_name_taken(self) -> None:
            """Two rooms could have one name, or a repeated command would not tell its room."""
            rooms = await self.set_rooms_up()
            room = await rooms.create(ANN, "Dev", PRIVATE, "")
            self.assertEqual(
                await self.refused(rooms.create(ANN, "ｄｅｖ", PUBLIC, "")),
                Problem.ROOM_NAME_TAKEN,
            )
            self.assertEqual(self.refusal.room, room.number)
            self.assertEqual(
                await self.refused(rooms.create(BOB, "DEV", PUBLIC, "")), Problem.ROOM_NAME_TAKEN
            )
            self.assertIsNone(self.refusal.room)

        async def test_join_and_leave(self) -> None:
            """Nobody could come or go, or a repeated command would be refused, or change something."""
            rooms = await self.set_rooms_up()
            number = (await rooms.create(ANN, "dev", PUBLIC, "")).number
            for _ in range(2):
                self.assertEqual((await rooms.join(BOB, "DEV")).members, 2)
            self.assertEqual(self.roles(number), {ANN: OWNER, BOB: MEMBER})
            self.assertEqual(self.logs.rooms[number].members, {ANN: OWNER, BOB: MEMBER})
            for _ in range(2):
                self.assertEqual((await rooms.leave(BOB, number)).members, 1)
            self.assertEqual(self.logs.kinds(number), ["created", "joined", "left"])
            self.assertEqual(self.logs.rooms[number].members, {ANN: OWNER})
            self.assertEqual(await self.refused(rooms.leave(CAT, number)), Problem.NOT_A_MEMBER)
            self.assertEqual(self.logs.marks[1:], [(BOB, number, 2)])
            _, _, joined = self.logs.rooms[number].entries[1]
            self.assertEqual((joined.by, joined.user, joined.name), (BOB, BOB, "bob"))

        async def test_last_owner(self) -> None:
            """A room would be left without an owner, or go to a newcomer."""
            rooms = await self.set_rooms_up()
            number = (await rooms.create(ANN, "dev", PUBLIC, "")).number
            for uid in (BOB, CAT, DAN, EVE):
                await rooms.join(uid, number)
            await rooms.set_role(ANN, number, EVE, MODERATOR)
            await rooms.set_role(ANN, number, DAN, MODERATOR)
            await rooms.leave(ANN, number)
            self.assertEqual(
                self.roles(number), {BOB: MEMBER, CAT: MEMBER, DAN: OWNER, EVE: MODERATOR}
            )
            await rooms.leave(EVE, number)
            await rooms.leave(DAN, number)
            self.assertEqual(self.roles(number), {BOB: OWNER, CAT: MEMBER})
            self.assertEqual(self.logs.kinds(number)[-2:], ["role", "left"])
            await rooms.leave(BOB, number)
            await rooms.leave(CAT, number)
            self.assertEqual(self.logs.kinds(number)[-2:], ["left", "closed"])
            self.assertEqual(self.logs.rooms[number].members, {})

        async def test_owner_who_is_gone(self) -> None:
            """A room would be handed over to an account that another program has deleted."""
            rooms = await self.set_rooms_up()
            number = (await rooms.create(ANN, "dev", PUBLIC, "")).number
            await rooms.join(BOB, number)
            await rooms.join(CAT, number)
            self.sql("DELETE FROM user WHERE id = ?", (BOB,))
            await rooms.leave(ANN, number)
            self.assertEqual(self.roles(number), {BOB: MEMBER, CAT: OWNER})
            await rooms.leave(CAT, number)
            self.assertEqual(self.roles(number), {BOB: OWNER})

        async def test_closed(self) -> None:
            """A closed room would keep its name or its members, or its number would be given out again."""
            rooms = await self.set_rooms_up()
            room = await rooms.create(ANN, "dev", PUBLIC, "")
            await rooms.join(BOB, room.number)
            self.assertEqual(await self.refused(rooms.close(BOB, "dev")), Problem.FORBIDDEN)
            for _ in range(2):
                self.assertTrue((await rooms.close(ANN, room.number)).closed)
            self.assertTrue((await rooms.close(BOB, room.number)).closed)
            self.assertTrue((await rooms.leave(BOB, room.number)).closed)
            self.assertEqual(
                await self.refused(rooms.close(CAT, room.number)), Problem.UNKNOWN_ROOM
            )
            self.assertEqual(await self.refused(rooms.join(BOB, room.number)), Problem.UNKNOWN_ROOM)
            self.assertEqual(self.roles(room.number), {})
            self.assertEqual(self.logs.kinds(room.number), ["created", "joined", "closed"])
            self.assertEqual((await rooms.create(BOB, "dev", PUBLIC, "")).number, room.number + 1)

        async def test_limits(self) -> None:
            """A room, or a user's rooms, would grow without a bound."""
            rooms = await self.set_rooms_up(RoomLimits(members=2, per_user=3, owned=2))
            first = (await rooms.create(ANN, "a", PUBLIC, "")).number
            await rooms.create(ANN, "b", PUBLIC, "")
            many = Problem.TOO_MANY_ROOMS
            self.assertEqual(await self.refused(rooms.create(ANN, "c", PUBLIC, "")), many)
            self.assertEqual(
                await self.refused(rooms.create(ANN, "b", PUBLIC, "")), Problem.ROOM_NAME_TAKEN
            )
            await rooms.join(BOB, first)
            self.assertEqual(await self.refused(rooms.join(CAT, first)), Problem.ROOM_FULL)
            await rooms.join(BOB, first)
            for name in "cd":
                await rooms.create(CAT, name, PUBLIC, "")
                await rooms.join(BOB, name)
            await rooms.create(DAN, "e", PUBLIC, "")
            self.assertEqual(await self.refused(rooms.join(BOB, "e")), many)
            self.assertEqual(await self.refused(rooms.create(BOB, "f", PUBLIC, "")), many)
            self.assertEqual(
                await self.refused(rooms.set_role(DAN, "e", EVE, OWNER)), Problem.NOT_A_MEMBER
            )
            await rooms.leave(BOB, first)
            await rooms.join(CAT, first)
            self.assertEqual(await self.refused(rooms.set_role(ANN, first, CAT, OWNER)), many)

        async def test_creation_closed(self) -> None:
            """Users would make rooms where only the admin may."""
            rooms = await self.set_rooms_up(RoomLimits(open=False))
            self.assertEqual(
                await self.refused(rooms.create(ANN, "a", PUBLIC, "")), Problem.FORBIDDEN
            )
            of_admin = PUBLIC, "", None, self.store.now
            await self.store.change(create, ANN, "a", *of_admin)
            self.assertEqual(
                await self.refused(self.store.change(create, 77, "b", *of_admin)),
                Problem.UNKNOWN_USER,
            )


class SQLiteTests(BothKinds.Tests, OnSQLite):
    """On SQLite."""


class MariaDBTests(BothKinds.Tests, OnMariaDB):
    """On MariaDB."""
