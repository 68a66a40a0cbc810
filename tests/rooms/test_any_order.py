"""Several nodes change the same rooms at once, in any order, and the logs fail now and then."""

from __future__ import annotations

from random import Random

from twisted.internet.defer import Deferred

from chatsvc.rooms.room import MEMBER, MODERATOR, OWNER, PUBLIC, Room, RoomRefused
from chatsvc.rooms.rooms import Rooms
from chatsvc.storage.url import StoreUnavailable
from tests.support.databases import OnMariaDB, OnSQLite
from tests.support.rooms import ANN, BOB, CAT, DAN, EVE, OnRooms

COMMANDS = 200
AT_ONCE = 12

PEOPLE = (ANN, BOB, CAT, DAN, EVE)

OFTEN = ("join", "join", "join", "leave", "invite", "remove", "unban", "role", "change", "create")


async def invited(node: Rooms, by: int, room: int, user: int) -> Room:
    """Have a user invited; the room."""
    return (await node.invite(by, room, user))[0]


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnRooms):
        """The tests, for each kind of database."""

        async def test_any_order(self) -> None:
            """Where nodes and failures meet, a log would have other members than SQL, or a change twice or never."""
            await self.set_rooms_up()
            self.chance = Random(5)
            self.numbers = [
                (await self.rooms.create(ANN, f"r{i}", PUBLIC, "")).number for i in range(2)
            ]
            nodes = [self.node() for _ in range(3)]
            asked: list[Deferred[None]] = []
            for _ in range(COMMANDS):
                self.logs.away = self.chance.random() < 0.05
                self.logs.dies_after = self.chance.random() < 0.05
                asked.append(Deferred.fromCoroutine(self.command(self.chance.choice(nodes))))
                if len(asked) >= AT_ONCE:
                    await asked.pop(self.chance.randrange(AT_ONCE))
            for one in asked:
                await one
            self.logs.away = self.logs.dies_after = False
            self.now += 60
            await self.rooms.finish_old()
            self.assertEqual(self.unfinished(), 0)
            for number in set(self.numbers):
                self.assert_same(number)

        async def command(self, node: Rooms) -> None:
            """Have a node carry out any command."""
            chance = self.chance
            room, by, user = (
                chance.choice(self.numbers),
                chance.choice(PEOPLE),
                chance.choice(PEOPLE),
            )
            what, name = chance.choice(OFTEN), f"r{chance.randrange(6)}"
            role, ban = chance.choice((OWNER, MODERATOR, MEMBER)), chance.random() < 0.3
            asked = {
                "join": lambda: node.join(by, room),
                "leave": lambda: node.leave(by, room),
                "invite": lambda: invited(node, by, room, user),
                "remove": lambda: node.remove(by, room, user, ban),
                "unban": lambda: node.unban(by, room, user),
                "role": lambda: node.set_role(by, room, user, role),
                "change": lambda: node.change(by, room, name=name),
                "create": lambda: node.create(by, name, PUBLIC, ""),
            }
            try:
                self.numbers.append((await asked[what]()).number)
                await node.of_user(by, self.numbers)
            except (RoomRefused, StoreUnavailable):
                pass

        def assert_same(self, number: int) -> None:
            """The log of a room has the members that SQL has, and each of its changes once."""
            log, roles = self.logs.rooms[number], self.roles(number)
            self.assertEqual(log.members, roles)
            query = "SELECT members, version FROM chat_room WHERE room = ?"
            self.assertEqual(
                [tuple(row) for row in self.sql(query, (number,))], [(len(roles), log.version)]
            )
            self.assertTrue(OWNER in roles.values() or not roles, roles)
            entries = [(event.version, event.event, id) for id, _, event in log.entries]
            self.assertEqual([one for one in self.events(number) if one[2]], entries)


class SQLiteTests(BothKinds.Tests, OnSQLite):
    """On SQLite."""


class MariaDBTests(BothKinds.Tests, OnMariaDB):
    """On MariaDB."""
