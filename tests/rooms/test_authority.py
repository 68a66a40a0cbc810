"""Invitations, removals, roles and changes of a room, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatsvc.rooms.room import (
    INVITATION_DAYS,
    JOINED,
    MEMBER,
    MODERATOR,
    OWNER,
    PRIVATE,
    PUBLIC,
    RoomRefused,
)
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.problems import Problem
from tests.support.databases import OnMariaDB, OnSQLite
from tests.support.rooms import ANN, BOB, CAT, DAN, EVE, OnRooms

P = Problem


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnRooms):
        """A room ``dev`` of ANN, in which BOB is a moderator and CAT a member; DAN and EVE are none."""

        async def make(self, kind: str = PUBLIC) -> int:
            """Make the room; give its number."""
            rooms = await self.set_rooms_up()
            number = (await rooms.create(ANN, "dev", PUBLIC, "")).number
            await rooms.join(BOB, "dev")
            await rooms.join(CAT, "dev")
            await rooms.set_role(ANN, "dev", BOB, MODERATOR)
            if kind == PRIVATE:
                await rooms.change(ANN, "dev", kind=PRIVATE)
            return number

        async def test_invite(self) -> None:
            """Nobody could come into a private room, or by one invitation again and again."""
            number = await self.make(PRIVATE)
            rooms = self.rooms
            self.assertEqual(await self.refused(rooms.join(DAN, "dev")), P.UNKNOWN_ROOM)
            self.assertEqual(await self.refused(rooms.invite(CAT, "dev", DAN)), P.FORBIDDEN)
            for _ in range(2):
                self.assertFalse((await rooms.invite(BOB, "dev", DAN))[1])
            (sent,) = self.logs.invitations
            self.assertEqual((sent.user, sent.sender, sent.name), (DAN, BOB, "bob"))
            self.assertEqual(sent.room_name, "dev")
            self.assertEqual(
                sent.text,
                "邀请您加入 #dev, 请输入: join #dev / You are invited to #dev: join #dev",
            )
            self.assertEqual(self.logs.rooms[number].version, 6)
            self.assertNotIn("invited", self.logs.kinds(number))
            await rooms.join(DAN, number)
            self.assertEqual(self.roles(number)[DAN], MEMBER)
            for member in (DAN, BOB):
                self.assertTrue((await rooms.invite(BOB, "dev", member))[1])
            await rooms.leave(DAN, number)
            self.assertEqual(await self.refused(rooms.join(DAN, number)), P.UNKNOWN_ROOM)
            self.assertEqual(len(self.logs.invitations), 1)

        async def test_invite_into_public(self) -> None:
            """Members could not invite where anybody may join, or others could."""
            await self.make()
            await self.rooms.invite(CAT, "dev", DAN)
            self.assertEqual(await self.refused(self.rooms.invite(EVE, "dev", DAN)), P.NOT_A_MEMBER)
            self.assertEqual(await self.refused(self.rooms.invite(CAT, "dev", 77)), P.UNKNOWN_USER)
            self.assertEqual(
                await self.refused(self.rooms.invite(CAT, "dev", 2**63)), P.UNKNOWN_USER
            )

        async def test_invitation_ends(self) -> None:
            """An invitation would admit for ever, or nobody could be invited again."""
            await self.make(PRIVATE)
            await self.rooms.invite(BOB, "dev", DAN)
            self.now += INVITATION_DAYS * 86_400
            self.assertEqual(await self.refused(self.rooms.join(DAN, "dev")), P.UNKNOWN_ROOM)
            await self.rooms.invite(BOB, "dev", DAN)
            self.assertEqual(len(self.logs.invitations), 2)
            self.now += INVITATION_DAYS * 86_400 - 1
            await self.rooms.join(DAN, "dev")

        async def test_inbox_full(self) -> None:
            """An invitation that nobody gets would admit, or stand in the way of the next one."""
            await self.make(PRIVATE)
            self.logs.full.add(DAN)
            self.assertEqual(await self.refused(self.rooms.invite(BOB, "dev", DAN)), P.INBOX_FULL)
            self.assertEqual(await self.refused(self.rooms.join(DAN, "dev")), P.UNKNOWN_ROOM)
            self.assertEqual(self.unfinished(), 0)
            self.logs.full.clear()
            await self.rooms.invite(BOB, "dev", DAN)
            await self.rooms.join(DAN, "dev")

        async def test_inbox_full_for_another_node(self) -> None:
            """An invitation that a dead node left would stay though its inbox was full, or a later one go with it."""
            await self.make(PRIVATE)
            self.logs.away = True
            with self.assertRaises(StoreUnavailable):
                await self.rooms.invite(BOB, "dev", DAN)
            self.logs.away = False
            self.logs.full.add(DAN)
            self.assertEqual(await self.refused(self.node().invite(ANN, "dev", DAN)), P.INBOX_FULL)
            self.assertEqual(self.sql("SELECT * FROM chat_invitation"), [])

        async def test_remove(self) -> None:
            """A member could not be removed, or by somebody who may not; or would come back though banned."""
            number = await self.make()
            rooms = self.rooms
            for by, user, problem in (
                (CAT, BOB, P.FORBIDDEN),
                (CAT, CAT, P.FORBIDDEN),
                (BOB, ANN, P.FORBIDDEN),
                (BOB, BOB, P.FORBIDDEN),
                (ANN, ANN, P.FORBIDDEN),
                (DAN, CAT, P.NOT_A_MEMBER),
            ):
                self.assertEqual(
                    await self.refused(rooms.remove(by, "dev", user, False)), problem, (by, user)
                )
            for _ in range(2):
                await rooms.remove(BOB, "dev", CAT, False)
            await rooms.join(CAT, "dev")
            for _ in range(2):
                await rooms.remove(BOB, "dev", CAT, True)
            self.assertEqual(self.roles(number), {ANN: OWNER, BOB: MODERATOR})
            self.assertEqual(self.logs.rooms[number].members, {ANN: OWNER, BOB: MODERATOR})
            self.assertEqual(await self.refused(rooms.join(CAT, "dev")), P.BANNED)
            self.assertEqual(await self.refused(rooms.invite(BOB, "dev", CAT)), P.BANNED)
            removed = [
                one for _, _, one in self.logs.rooms[number].entries if one.event == "removed"
            ]
            self.assertEqual([one.details for one in removed], [{}, {"ban": True}])
            self.assertEqual(
                [(one.by, one.user, one.name) for one in removed], [(BOB, CAT, "cat")] * 2
            )
            for _ in range(2):
                await rooms.unban(BOB, "dev", CAT)
            await rooms.join(CAT, "dev")
            self.assertEqual(await self.refused(rooms.unban(CAT, "dev", DAN)), P.FORBIDDEN)

        async def test_ban_of_others(self) -> None:
            """Who is no member yet could not be kept out, or an invitation would let in who was removed."""
            number = await self.make(PRIVATE)
            rooms = self.rooms
            await rooms.invite(BOB, "dev", DAN)
            await rooms.remove(BOB, "dev", DAN, False)
            self.assertEqual(await self.refused(rooms.join(DAN, "dev")), P.UNKNOWN_ROOM)
            await rooms.invite(BOB, "dev", DAN)
            await rooms.remove(BOB, "dev", DAN, True)
            self.assertEqual(await self.refused(rooms.join(DAN, "dev")), P.UNKNOWN_ROOM)
            await rooms.change(ANN, "dev", kind=PUBLIC)
            self.assertEqual(await self.refused(rooms.join(DAN, "dev")), P.BANNED)
            await rooms.remove(BOB, "dev", 77, False)
            self.assertEqual(await self.refused(rooms.remove(BOB, "dev", 77, True)), P.UNKNOWN_USER)
            events = [event for _, event, _ in self.events(number)]
            self.assertEqual(events[-5:], ["invited", "withdrawn", "invited", "banned", "changed"])
            self.assertEqual(self.unfinished(), 0)

        async def test_roles(self) -> None:
            """Roles could be given by who may not, or the last owner lose the room by it."""
            number = await self.make()
            rooms = self.rooms
            for by, user, role, problem in (
                (BOB, CAT, MODERATOR, P.FORBIDDEN),
                (CAT, CAT, OWNER, P.FORBIDDEN),
                (ANN, ANN, MEMBER, P.FORBIDDEN),
                (ANN, DAN, MEMBER, P.NOT_A_MEMBER),
                (DAN, CAT, MEMBER, P.NOT_A_MEMBER),
            ):
                refusal = await self.refused(rooms.set_role(by, "dev", user, role))
                self.assertEqual(refusal, problem, (by, user))
            for _ in range(2):
                await rooms.set_role(ANN, "dev", CAT, OWNER)
            await rooms.set_role(CAT, "dev", ANN, MEMBER)
            expected = {ANN: MEMBER, BOB: MODERATOR, CAT: OWNER}
            self.assertEqual(self.roles(number), expected)
            self.assertEqual(self.logs.rooms[number].members, expected)
            last = self.logs.rooms[number].entries[-1][2]
            self.assertEqual((last.event, last.user, last.details), ("role", ANN, {"role": MEMBER}))

        async def test_change(self) -> None:
            """A room could not be changed, or by who may not, or all would be told of what did not change."""
            number = await self.make()
            rooms = self.rooms
            self.assertEqual(await self.refused(rooms.change(CAT, "dev", topic="x")), P.FORBIDDEN)
            refused = rooms.change(BOB, "dev", topic="x", name="y")
            self.assertEqual(await self.refused(refused), P.FORBIDDEN)
            self.assertEqual(
                await self.refused(rooms.change(DAN, "dev", topic="x")), P.NOT_A_MEMBER
            )
            await rooms.change(BOB, "dev", topic="x")
            for _ in range(2):
                room = await rooms.change(
                    ANN, number, name="Ｏps", topic="x", kind=PRIVATE, history=JOINED
                )
            self.assertEqual(
                (room.name, room.topic, room.kind, room.history), ("Ops", "x", PRIVATE, JOINED)
            )
            last = self.logs.rooms[number].entries[-1][2]
            self.assertEqual(
                (last.event, last.by, last.user, last.name), ("changed", ANN, 0, "ann")
            )
            self.assertEqual(last.details, {"name": "Ops", "kind": PRIVATE, "history": JOINED})
            self.assertEqual(self.logs.kinds(number).count("changed"), 2)
            self.assertEqual((await rooms.change(ANN, "ops", name="OPS")).name, "OPS")
            await rooms.create(DAN, "dev", PUBLIC, "")
            self.assertEqual(
                await self.refused(rooms.change(ANN, "ops", name="dev")), P.ROOM_NAME_TAKEN
            )
            self.assertEqual(
                await self.refused(rooms.change(ANN, "ops", name="a b")), P.BAD_ROOM_NAME
            )
            self.assertEqual(
                await self.refused(rooms.change(ANN, "ops", topic="好" * 171)), P.LONG_TOPIC
            )
            await rooms.change(ANN, "ops", topic="好" * 170 + "xy")

        async def test_one_name_at_once(self) -> None:
            """Two rooms would get one name, or who comes second an error of the database."""
            rooms = await self.set_rooms_up()
            asked = [
                Deferred.fromCoroutine(self.node().create(uid, name, PUBLIC, ""))
                for name in ("a", "b", "c")
                for uid in (ANN, BOB, CAT, DAN)
            ]
            made = 0
            for one in asked:
                try:
                    await one
                    made += 1
                except RoomRefused as refused:
                    self.assertEqual(refused.problem, P.ROOM_NAME_TAKEN)
            self.assertEqual(made, 3)
            self.assertEqual(len(self.sql("SELECT room FROM chat_room")), 3)
            await rooms.finish_old()

        async def test_gone_and_locked(self) -> None:
            """Members whose account was deleted or locked could not be seen or removed, or break the list."""
            number = await self.make()
            self.sql("DELETE FROM user WHERE id = ?", (BOB,))
            self.sql("UPDATE user SET password = '!$' WHERE id = ?", (CAT,))
            _, members, more = await self.rooms.list_members(ANN, "dev", None, 10)
            self.assertEqual(
                members,
                [(ANN, "ann", OWNER), (BOB, f"UID{BOB}", MODERATOR), (CAT, "cat", MEMBER)],
            )
            self.assertFalse(more)
            await self.rooms.remove(ANN, "dev", BOB, True)
            await self.rooms.remove(ANN, "dev", CAT, False)
            self.assertEqual(self.roles(number), {ANN: OWNER})
            self.assertEqual(self.logs.rooms[number].entries[-2][2].name, f"UID{BOB}")


class SQLiteTests(BothKinds.Tests, OnSQLite):
    """On SQLite."""


class MariaDBTests(BothKinds.Tests, OnMariaDB):
    """On MariaDB."""
