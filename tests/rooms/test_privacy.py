"""Private rooms, and the lists, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from chatsvc.rooms.room import MEMBER, MODERATOR, OWNER, PRIVATE, PUBLIC, RoomLimits
from chatsvc.rooms.rooms import Rooms
from chatsvc.wire.events import ListedRoom
from chatsvc.wire.problems import Problem
from tests.support.databases import OnMariaDB, OnSQLite
from tests.support.rooms import ANN, BOB, CAT, DAN, OnRooms

P = Problem

Command = Callable[[Rooms, int, int | str], Awaitable[object]]

COMMANDS: dict[str, Command] = {
    "join": lambda rooms, uid, room: rooms.join(uid, room),
    "leave": lambda rooms, uid, room: rooms.leave(uid, room),
    "invite": lambda rooms, uid, room: rooms.invite(uid, room, DAN),
    "remove": lambda rooms, uid, room: rooms.remove(uid, room, DAN, False),
    "ban": lambda rooms, uid, room: rooms.remove(uid, room, DAN, True),
    "unban": lambda rooms, uid, room: rooms.unban(uid, room, DAN),
    "role": lambda rooms, uid, room: rooms.set_role(uid, room, DAN, MEMBER),
    "change": lambda rooms, uid, room: rooms.change(uid, room, topic="x"),
    "close": lambda rooms, uid, room: rooms.close(uid, room),
    "members": lambda rooms, uid, room: rooms.list_members(uid, room, None, 10),
    "msg": lambda rooms, uid, room: rooms.find(uid, room),
}
"""Every command about one room."""


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnRooms):
        """The tests, for each kind of database."""

        async def test_not_found_out(self) -> None:
            """By what is answered, or by what the stores are asked, a private room could be told from none."""
            await self.set_rooms_up()
            private = (await self.rooms.create(ANN, "secret", PRIVATE, "")).number
            closed = (await self.rooms.create(ANN, "old", PUBLIC, "")).number
            await self.rooms.close(ANN, closed)
            asked = self.listen_in()
            for name, command in COMMANDS.items():
                for room, nothing in ((private, 4711), ("secret", "nothing"), (closed, -1)):
                    questions = []
                    for one in (room, nothing):
                        asked.clear()
                        self.logs.calls.clear()
                        refusal = await self.refused(command(self.node(), BOB, one))
                        self.assertEqual(refusal, P.UNKNOWN_ROOM, (name, one))
                        self.assertIsNone(self.refusal.room)
                        questions.append(([sql for sql, _ in asked], list(self.logs.calls)))
                    self.assertEqual(questions[0], questions[1], (name, room))
                    self.assertEqual(len(questions[0][0]), 1)

        async def test_once_a_member(self) -> None:
            """Who was removed from a private room could go on finding things out, or not repeat a ``leave``."""
            await self.set_rooms_up()
            await self.rooms.create(ANN, "secret", PUBLIC, "")
            await self.rooms.join(BOB, "secret")
            await self.rooms.change(ANN, "secret", kind=PRIVATE)
            await self.rooms.remove(ANN, "secret", BOB, True)
            for name, command in COMMANDS.items():
                if name == "leave":
                    await command(self.rooms, BOB, "secret")
                elif name == "msg":
                    _, visible = await self.rooms.find(BOB, "secret")
                    self.assertFalse(visible)
                else:
                    refusal = await self.refused(command(self.rooms, BOB, "secret"))
                    self.assertEqual(refusal, P.UNKNOWN_ROOM, name)

        async def test_lists(self) -> None:
            """A private room would be listed, or one's own not; or pages would lack some."""
            await self.set_rooms_up(RoomLimits(owned=100))
            made = {}
            for name in ("Dev", "devops", "ops", "50%", "开发"):
                made[name] = (await self.rooms.create(ANN, name, PUBLIC, f"t {name}")).number
            made["dev-x"] = (await self.rooms.create(ANN, "dev-x", PRIVATE, "")).number
            await self.rooms.join(BOB, "devops")
            await self.rooms.invite(ANN, "dev-x", CAT)
            await self.rooms.close(ANN, "ops")

            async def names(uid: int, name: str = "", mine: bool = False) -> list[str]:
                found, more = await self.rooms.list_rooms(uid, name, 0, 50, mine)
                self.assertFalse(more)
                return [one.name for one in found]

            self.assertEqual(await names(BOB), ["Dev", "devops", "50%", "开发"])
            self.assertEqual(await names(ANN), ["Dev", "devops", "50%", "开发", "dev-x"])
            self.assertEqual(await names(BOB, "ＤＥＶ"), ["Dev", "devops"])
            self.assertEqual(await names(BOB, "%"), ["50%"])
            self.assertEqual(await names(BOB, "开"), ["开发"])
            self.assertEqual(await names(BOB, "x" * 1000), [])
            self.assertEqual(await names(BOB, "", True), ["devops"])
            self.assertEqual(await names(CAT, "dev"), ["Dev", "devops"])
            page, more = await self.rooms.list_rooms(BOB, "", 0, 2, False)
            self.assertTrue(more)
            self.assertEqual(page[1], ListedRoom(made["devops"], "devops", "t devops", 2, True))
            self.assertEqual(page[0], ListedRoom(made["Dev"], "Dev", "t Dev", 1, False))
            page, more = await self.rooms.list_rooms(BOB, "", page[-1].room, 2, False)
            self.assertEqual(([one.name for one in page], more), (["50%", "开发"], False))
            self.assertEqual(await self.rooms.list_rooms(BOB, "", 2**70, 2, False), ([], False))

        async def test_members(self) -> None:
            """Members would be lacking from the list, or shown to who is none."""
            await self.set_rooms_up()
            number = (await self.rooms.create(BOB, "dev", PUBLIC, "")).number
            for uid in (CAT, ANN):
                await self.rooms.join(uid, "dev")
            await self.rooms.set_role(BOB, "dev", CAT, MODERATOR)
            room, page, more = await self.rooms.list_members(ANN, number, None, 2)
            self.assertEqual(
                (room.members, page, more), (3, [(ANN, "ann", MEMBER), (BOB, "bob", OWNER)], True)
            )
            _, page, more = await self.rooms.list_members(ANN, "dev", BOB, 2)
            self.assertEqual((page, more), ([(CAT, "cat", MODERATOR)], False))
            for after in (2**70, 2**63 - 1):
                self.assertEqual((await self.rooms.list_members(ANN, "dev", after, 2))[1], [])
            self.assertEqual(len((await self.rooms.list_members(ANN, "dev", -(2**70), 9))[1]), 3)
            refusal = await self.refused(self.rooms.list_members(DAN, "dev", None, 2))
            self.assertEqual(refusal, P.NOT_A_MEMBER)


class SQLiteTests(BothKinds.Tests, OnSQLite):
    """On SQLite."""


class MariaDBTests(BothKinds.Tests, OnMariaDB):
    """On MariaDB."""
