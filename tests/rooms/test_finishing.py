"""Changes that are half done, and logs that have lost something, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred

from chatsvc.rooms.event import raised_members
from chatsvc.rooms.room import (
    MEMBER,
    OWNER,
    PRIVATE,
    PUBLIC,
    Membership,
    Room,
    RoomLimits,
    RoomOfUser,
)
from chatsvc.rooms.rooms import UNFINISHED_SECONDS_ALONE, Rooms
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.problems import Problem
from tests.support.databases import OnMariaDB, OnSQLite
from tests.support.rooms import ANN, BOB, CAT, DAN, OnRooms


class Halfway(OnRooms):
    """A room ``dev`` of ANN, in which something goes wrong."""

    async def make(self) -> int:
        """Make the room; give its number."""
        await self.set_rooms_up()
        return (await self.rooms.create(ANN, "dev", PUBLIC, "")).number

    async def break_off(self, *joining: int, after: bool = False) -> None:
        """Have users join, of whom the log does not hear, or SQL does not hear what the log said."""
        self.logs.away, self.logs.dies_after = not after, after
        for uid in joining:
            try:
                await self.rooms.join(uid, "dev")
            except StoreUnavailable:
                pass
            else:
                self.fail("it was said to be done")
        self.logs.away = self.logs.dies_after = False

    def back_up(self, number: int) -> list[Any]:
        """What SQL has of a room."""
        return [
            (table, self.sql(f"SELECT * FROM {table} WHERE room = ?", (number,)))  # noqa: S608
            for table in ("chat_room", "chat_member", "chat_room_event")
        ]

    def restore(self, number: int, backup: list[Any]) -> None:
        """Have SQL go back."""
        for table, rows in backup:
            self.sql(f"DELETE FROM {table} WHERE room = ?", (number,))  # noqa: S608
            for row in rows:
                places = ", ".join("?" * len(row))
                self.sql(f"INSERT INTO {table} VALUES ({places})", row)  # noqa: S608


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(Halfway):
        """The tests, for each kind of database."""

        async def test_crash_before_the_log(self) -> None:
            """A change that was committed would never reach the log, or come twice, or in another order."""
            number = await self.make()
            await self.break_off(BOB, CAT)
            self.assertEqual(self.unfinished(), 2)
            self.assertEqual(self.logs.rooms[number].members, {ANN: OWNER})
            await self.node().ready(number)
            self.assertEqual(self.logs.kinds(number), ["created", "joined", "joined"])
            self.assertEqual(
                self.events(number), [(1, "created", 1), (2, "joined", 2), (3, "joined", 3)]
            )
            await self.node().ready(number)
            self.assertEqual(self.logs.rooms[number].last, 3)
            self.assertEqual([mark[0] for mark in self.logs.marks], [ANN, BOB, CAT])

        async def test_crash_before_the_places(self) -> None:
            """An event would stand in the log twice, or SQL would never know where."""
            number = await self.make()
            await self.break_off(BOB, after=True)
            self.assertEqual((self.unfinished(), self.logs.rooms[number].last), (1, 2))
            room = await self.rooms.join(
                BOB, "dev"
            )  # it is so already; that it is in the log counts
            self.assertEqual((self.unfinished(), self.logs.rooms[number].last), (0, 2))
            self.assertEqual(room.version, 2)
            self.assertEqual(self.events(number)[-1], (2, "joined", 2))

        async def test_old_ones(self) -> None:
            """What a node that died left half done would stay so, or be taken out of the hands of who is at it."""
            number = await self.make()
            await self.break_off(BOB)
            self.now += 4
            await self.rooms.finish_old()
            self.assertEqual(self.unfinished(), 1)
            self.now += 2
            other = (await self.rooms.create(CAT, "ops", PUBLIC, "")).number
            self.logs.away = True
            with self.assertRaises(StoreUnavailable):
                await self.rooms.finish_old()
            self.logs.away = False
            await self.rooms.finish_old()
            self.assertEqual(self.unfinished(), 0)
            self.assertEqual(self.logs.rooms[number].members, {ANN: OWNER, BOB: MEMBER})
            self.assertEqual(self.logs.kinds(other), ["created"])

        async def test_old_ones_of_a_command(self) -> None:
            """Members would hear late of what an admin did, though no other server could be at it."""
            number = await self.make()
            await self.break_off(BOB)
            alone = Rooms(self.store, self.logs, RoomLimits(), old=UNFINISHED_SECONDS_ALONE)
            self.now += 0.5
            await alone.finish_old()
            self.assertEqual(self.unfinished(), 1)
            self.now += 0.5
            await alone.finish_old()
            self.assertEqual(self.unfinished(), 0)
            self.assertEqual(self.logs.rooms[number].members, {ANN: OWNER, BOB: MEMBER})

        async def test_two_nodes(self) -> None:
            """Two nodes that change one room at once would lose a change, or put one into the log twice."""
            number = await self.make()
            nodes = [self.node() for _ in range(4)]
            asked = [
                Deferred.fromCoroutine(node.join(uid, "dev"))
                for uid in (BOB, CAT, DAN)
                for node in nodes
            ]
            asked += [Deferred.fromCoroutine(node.ready(number)) for node in nodes]
            for one in asked:
                await one
            self.assertEqual(self.logs.rooms[number].version, 4)
            self.assertEqual(self.logs.kinds(number), ["created", "joined", "joined", "joined"])
            self.assertEqual(self.unfinished(), 0)
            versions = [event.version for _, _, event in self.logs.rooms[number].entries]
            self.assertEqual(versions, [1, 2, 3, 4])
            self.assertEqual([id for _, _, id in self.events(number)], [1, 2, 3, 4])

        async def test_log_without_beginning(self) -> None:
            """Where a log begins only by loading members, no room could be made."""
            await self.set_rooms_up()
            self.logs.begins_by_itself = False
            number = (await self.rooms.create(ANN, "dev", PUBLIC, "")).number
            self.assertEqual(self.logs.kinds(number), ["created"])
            self.assertEqual(self.logs.rooms[number].members, {ANN: OWNER})

        async def test_log_that_is_gone(self) -> None:
            """Members could not send, or those would that are none, after the logs were lost."""
            number = await self.make()
            await self.rooms.join(BOB, "dev")
            await self.rooms.join(CAT, "dev")
            await self.rooms.leave(CAT, "dev")
            del self.logs.rooms[number]
            await self.break_off(DAN)
            start = (await self.store.lost(number, None)).start
            self.assertEqual(start, (4, {ANN: OWNER, BOB: MEMBER}))  # DAN joins by the event
            room = await self.node().ready(number)
            log = self.logs.rooms[number]
            self.assertEqual(log.members, {ANN: OWNER, BOB: MEMBER, DAN: MEMBER})
            self.assertEqual((room.version, log.version), (5, 5))
            self.assertEqual(self.logs.kinds(number), ["joined"])
            self.assertEqual(
                log.entries[0][0], 5
            )  # ids that were given out are not given out again

        async def test_log_that_lost_events(self) -> None:
            """After a fail-over the log would lack who has joined or was removed, or SQL know other places."""
            number = await self.make()
            await self.rooms.join(BOB, "dev")
            await self.rooms.join(CAT, "dev")
            await self.rooms.remove(ANN, "dev", BOB, False)
            before = await self.rooms.of_user(CAT)
            self.logs.lose(number, 1)
            self.logs.rooms[number].last += 7  # messages
            self.assertEqual((await self.node().ready(number)).version, 4)
            self.assertEqual(self.logs.rooms[number].members, {ANN: OWNER, CAT: MEMBER})
            self.assertEqual(self.logs.kinds(number), ["created", "joined", "joined", "removed"])
            self.assertEqual([id for _, _, id in self.events(number)], [1, 9, 10, 11])
            (after,) = await self.rooms.of_user(CAT)
            self.assertGreater(after.memberships[0].serial, before[0].memberships[0].serial)

        async def test_sql_that_went_back(self) -> None:
            """After an older back-up of SQL its members would not be those of the log, or new changes be lost."""
            number = await self.make()
            await self.rooms.join(BOB, "dev")
            backup = self.back_up(number)
            await self.rooms.join(CAT, "dev")
            await self.rooms.remove(ANN, "dev", BOB, False)
            self.restore(number, backup)
            room = await self.node().ready(number)
            log = self.logs.rooms[number]
            self.assertEqual((room.version, log.version), (5, 5))
            self.assertEqual(log.members, {ANN: OWNER, BOB: MEMBER})
            self.assertEqual(self.unfinished(), 0)
            self.assertEqual((await self.rooms.join(DAN, "dev")).version, 6)
            self.assertEqual(log.members, {ANN: OWNER, BOB: MEMBER, DAN: MEMBER})

        async def test_change_after_sql_went_back(self) -> None:
            """A joining under a version that the log has already would be confirmed, and nobody hear of it."""
            number = await self.make()
            await self.rooms.join(BOB, "dev")
            backup = self.back_up(number)
            await self.rooms.join(CAT, "dev")
            await self.rooms.leave(CAT, "dev")
            self.restore(number, backup)
            room = await self.rooms.join(DAN, "dev")
            log = self.logs.rooms[number]
            self.assertEqual((room.version, log.version), (6, 6))
            self.assertEqual(log.members, {ANN: OWNER, BOB: MEMBER, DAN: MEMBER})
            self.assertEqual(self.logs.marks[-1], (DAN, number, log.last))
            (one,) = await self.rooms.of_user(DAN)
            self.assertEqual([m.id for m in one.memberships], [log.last])

        async def test_changes_after_sql_went_back(self) -> None:
            """Several joinings at once would be taken for what the log has under their versions."""
            number = await self.make()
            backup = self.back_up(number)
            await self.rooms.join(BOB, "dev")
            self.restore(number, backup)
            self.logs.rooms[number].entries.pop()  # it is not kept any more
            self.logs.away = True
            for uid in (BOB, CAT):
                asking = Deferred.fromCoroutine(self.node().join(uid, "dev"))
                await self.assertFailure(asking, StoreUnavailable)
            self.assertEqual(self.unfinished(), 0)
            self.logs.away = False
            asked = [
                Deferred.fromCoroutine(self.node().join(uid, "dev")) for uid in (BOB, CAT, DAN)
            ]
            for one in asked:
                await one
            members = {ANN: OWNER, BOB: MEMBER, CAT: MEMBER, DAN: MEMBER}
            self.assertEqual(self.logs.rooms[number].members, members)
            self.assertEqual({mark[0] for mark in self.logs.marks[-3:]}, {BOB, CAT, DAN})
            self.assertEqual(self.unfinished(), 0)

        async def test_raised_and_died(self) -> None:
            """Members would never be loaded if the node that raised the version died before."""
            number = await self.make()
            backup = self.back_up(number)
            await self.rooms.join(BOB, "dev")
            await self.rooms.leave(BOB, "dev")
            self.restore(number, backup)
            await self.break_off(DAN)
            raised = await self.store.raise_above(number, 3)
            assert raised is not None
            self.assertEqual(raised_members(raised.changes[0]), {ANN: OWNER})
            self.assertEqual([one.version for one in raised.changes], [4, 5])
            self.assertIsNone(await self.store.raise_above(number, 3))
            await self.break_off(CAT)
            await self.node().ready(number)
            members = {ANN: OWNER, CAT: MEMBER, DAN: MEMBER}
            self.assertEqual(self.logs.rooms[number].members, members)
            self.assertEqual(self.unfinished(), 0)
            self.assertEqual([mark[0] for mark in self.logs.marks[-2:]], [DAN, CAT])

        async def test_known(self) -> None:
            """Messages would go under a version from before the store was connected to, or wait for SQL each."""
            number = await self.make()
            node = self.node()
            self.assertIsNone(node.known(number))
            room = await node.ready(number)
            self.assertEqual(node.known(number), room)
            self.assertEqual(self.rooms.known(number), room)
            node.entry_seen(number, 5, "ops", None)
            node.entry_seen(number, 4, "old", None)
            seen = node.known(number)
            assert seen is not None
            self.assertEqual((seen.version, seen.name, seen.kind), (5, "ops", PUBLIC))
            node.entry_seen(number + 1, 5, "ops", None)
            self.assertIsNone(node.known(number + 1))
            node.reconnected()
            self.assertIsNone(node.known(number))
            asked = Deferred.fromCoroutine(node.ready(number))
            node.reconnected()
            await asked
            self.assertIsNone(node.known(number))
            self.assertEqual(await self.refused(node.ready(99)), Problem.UNKNOWN_ROOM)

        async def test_ready_together(self) -> None:
            """Each of many members would have SQL and the log asked after a reconnection."""
            number = await self.make()
            node = self.node()
            self.logs.calls.clear()
            asked = [Deferred.fromCoroutine(node.ready(number)) for _ in range(20)]
            asked[0].addErrback(lambda failure: None)
            asked[0].cancel()
            self.assertEqual(len({(await one).number for one in asked[1:]}), 1)
            self.assertEqual(self.logs.calls, ["apply"])
            self.logs.away = True
            for one in [Deferred.fromCoroutine(node.ready(number)) for _ in range(3)]:
                await self.assertFailure(one, StoreUnavailable)
            self.logs.away = False
            self.assertEqual((await node.ready(number)).number, number)

        async def test_of_user(self) -> None:
            """A device would read what was said outside of its user's memberships, or not read what is within."""
            number = await self.make()
            await self.rooms.join(BOB, "dev")
            await self.rooms.leave(BOB, "dev")
            await self.rooms.join(BOB, "dev")
            await self.rooms.remove(ANN, "dev", BOB, False)
            await self.rooms.join(BOB, "dev")
            other = (await self.rooms.create(BOB, "ops", PRIVATE, "")).number
            self.assertEqual(await self.rooms.of_user(CAT), [])
            first, second = await self.rooms.of_user(BOB)
            serials = {id: serial for id, serial, _ in self.logs.rooms[number].entries}
            self.assertEqual(
                first.memberships,
                (
                    Membership(2, serials[2], serials[3], "left"),
                    Membership(4, serials[4], serials[5], "removed"),
                    Membership(6, serials[6]),
                ),
            )
            self.assertEqual((first.room.number, first.role), (number, MEMBER))
            self.assertEqual((second.room.number, second.role), (other, OWNER))

        async def test_rooms_that_were_left(self) -> None:
            """Who was away would not be told how a membership ended, or hear of rooms of others."""
            number = await self.make()
            await self.rooms.join(BOB, "dev")
            await self.rooms.leave(BOB, "dev")
            await self.rooms.join(CAT, "dev")
            await self.rooms.close(ANN, "dev")
            other = (await self.rooms.create(ANN, "ops", PUBLIC, "")).number
            entries = self.logs.rooms[number].entries
            (room,) = await self.rooms.of_user(BOB, [number, other, 99, -1, 2**70, number])
            self.assertEqual((room.role, room.room.closed), ("", True))
            self.assertEqual(
                room.memberships, (Membership(2, entries[1][1], entries[2][1], "left"),)
            )
            (room,) = await self.rooms.of_user(CAT, [number])
            self.assertEqual(
                room.memberships, (Membership(4, entries[3][1], entries[4][1], "closed"),)
            )
            self.assertEqual(await self.rooms.of_user(DAN, [number, other]), [])

        async def test_of_user_before_the_log(self) -> None:
            """Who joins, or comes back, while a log-in reads SQL would be taken for a member already, and read on."""
            number = await self.make()
            await self.break_off(BOB)
            ((room,), unfinished) = await self.store.rooms_of(BOB, [])
            self.assertEqual((room.role, room.memberships, unfinished), ("", (), [number]))
            await self.rooms.leave(BOB, "dev")
            await self.break_off(BOB)
            ((room,), unfinished) = await self.store.rooms_of(BOB, [])
            self.assertEqual((room.role, len(room.memberships)), ("", 1))

        async def test_of_user_finishes(self) -> None:
            """Who logs in just after joining would not begin to read the room, or read it from elsewhere."""
            number = await self.make()
            await self.break_off(BOB)
            (room,) = await self.rooms.of_user(BOB)
            self.assertEqual(
                [(one.id, one.why) for one in room.memberships], [(2, "")], self.events(number)
            )
            self.assertEqual(self.unfinished(), 0)

        async def test_one_transaction(self) -> None:
            """A log-in would ask the database more than it must, above all of who is in no room."""
            await self.make()
            for uid, also, expected in ((CAT, [], 1), (ANN, [], 2), (ANN, [5, 6], 3)):
                self.assertEqual(await self.asked(self.rooms, uid, also), expected)

        async def asked(self, rooms: Rooms, uid: int, also: list[int]) -> int:
            """How many statements a user's rooms need, in one transaction."""
            statements, run = [], self.database.run

            async def counted(interaction: Any, **settings: Any) -> Any:
                def within(transaction: Any) -> Any:
                    ask = transaction._run

                    def heard(sql: str, args: Any) -> Any:
                        statements.append(sql)
                        return ask(sql, args)

                    transaction._run = heard
                    return interaction(transaction)

                transactions.append(1)
                return await run(within, **settings)

            transactions: list[int] = []
            self.patch(self.database, "run", counted)
            found: list[RoomOfUser] = await rooms.of_user(uid, also)
            self.patch(self.database, "run", run)
            self.assertIsInstance(found, list)
            self.assertEqual(len(transactions), 1)
            return len(statements)

        async def test_find(self) -> None:
            """A message that was stored before its sender was removed would be refused when it is asked after."""
            number = await self.make()
            await self.rooms.change(ANN, "dev", kind=PRIVATE)
            unknown = Problem.UNKNOWN_ROOM
            self.assertEqual(await self.refused(self.rooms.find(BOB, "dev")), unknown)
            await self.rooms.invite(ANN, "dev", BOB)
            room, visible = await self.rooms.find(BOB, number)
            self.assertEqual((room.number, visible), (number, True))
            await self.rooms.join(BOB, number)
            await self.rooms.remove(ANN, "dev", BOB, True)
            node = self.node()
            room, visible = await node.find(BOB, number)
            self.assertEqual((room.version, visible), (5, False))
            self.assertEqual(node.known(number), room)
            found: Room = (await node.find(ANN, "dev"))[0]
            self.assertEqual(found, room)


class SQLiteTests(BothKinds.Tests, OnSQLite):
    """On SQLite."""


class MariaDBTests(BothKinds.Tests, OnMariaDB):
    """On MariaDB."""
