"""Rooms with the logs of real stores: SQLite for all, and MariaDB with Redis."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import pairwise
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from chatsvc.accounts.creation import NewAccount
from chatsvc.accounts.store import AccountStore
from chatsvc.backends import inbox_at
from chatsvc.inbox.outcome import Behind, NotMember, Outcome, RoomDraft, Stored
from chatsvc.inbox.room_log import RoomStart
from chatsvc.rooms.room import PUBLIC, Membership, RoomLimits
from chatsvc.rooms.rooms import Rooms
from chatsvc.rooms.store import RoomStore
from chatsvc.storage.database import Database
from chatsvc.storage.url import parse_store_url
from chatsvc.wire.events import RoomEvent
from tests.support.processes import ServerStores
from tests.support.rooms import ANN, BOB, CAT, DAN, NAMES, NOW

SCHEMES = ("sqlite", "mysql", "redis")

TABLES = ("chat_room", "chat_member", "chat_ban", "chat_invitation", "chat_room_event")


class BothKinds:
    """What holds on both kinds of stores."""

    class Tests(TestCase):
        """The tests, for each kind of stores, at ``accounts`` and ``inbox_url``."""

        accounts: str
        inbox_url: str

        def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
            """Run SQL on the accounts, on a connection of its own."""
            raise NotImplementedError

        def lose_log(self, number: int) -> None:
            """Have the store lose a room's log."""
            raise NotImplementedError

        async def begin(self) -> Rooms:
            """Open the stores; give the rooms of one node."""
            database = Database(parse_store_url(self.accounts, SCHEMES), reactor)
            await database.open()
            self.addCleanup(database.close)
            accounts = AccountStore(database)
            await accounts.open()
            await accounts.create_many([NewAccount(name, "$") for name in NAMES])
            self.inbox, _ = await inbox_at(parse_store_url(self.inbox_url, SCHEMES), reactor)
            self.addCleanup(self.inbox.close)
            self.store = RoomStore(database, lambda: NOW)
            return self.node()

        def node(self) -> Rooms:
            """The rooms of another node."""
            return Rooms(self.store, self.inbox.rooms, RoomLimits())

        async def happened(self, number: int) -> list[tuple[int, int, str, int]]:
            """A room's events in its log: id, serial, which, about whom."""
            entries = (await self.inbox.rooms.read(number, 0, 1000)).entries
            return [
                (one.id, one.serial, one.event, one.user)
                for one in entries
                if isinstance(one, RoomEvent)
            ]

        async def say(self, number: int, sender: int, version: int) -> Outcome:
            """Have somebody say something in a room; what becomes of it."""
            draft = RoomDraft(number, sender, "x", 1_800_000_000_000, "hi", version=version)
            (outcome,) = (await self.inbox.commit([draft], [])).outcomes
            return outcome

        async def test_places(self) -> None:
            """SQL would say that events stand elsewhere than they do, and memberships begin or end there."""
            rooms = await self.begin()
            number = (await rooms.create(ANN, "dev", PUBLIC, "")).number
            await rooms.join(BOB, "dev")
            version = (await rooms.join(CAT, "dev")).version
            self.assertIsInstance(await self.say(number, BOB, version), Stored)
            version = (await rooms.remove(ANN, "dev", BOB, True)).version
            self.assertIsInstance(await self.say(number, BOB, version), NotMember)
            self.assertIsInstance(await self.say(number, CAT, version + 1), Behind)
            await rooms.leave(ANN, "dev")
            happened = await self.happened(number)
            self.assertEqual(
                [(id, event, user) for id, _, event, user in happened],
                [
                    (1, "created", ANN),
                    (2, "joined", BOB),
                    (3, "joined", CAT),
                    (5, "removed", BOB),
                    (6, "role", CAT),
                    (7, "left", ANN),
                ],
            )
            query = (
                "SELECT id, serial, event, uid FROM chat_room_event WHERE room = ? ORDER BY version"
            )
            self.assertEqual([tuple(row) for row in self.sql(query, (number,))], happened)
            (one,) = await rooms.of_user(BOB, [number])
            self.assertEqual(
                one.memberships, (Membership(2, happened[1][1], happened[3][1], "removed"),)
            )
            await rooms.leave(CAT, "dev")
            self.assertEqual(
                [event for _, _, event, _ in (await self.happened(number))[-2:]], ["left", "closed"]
            )

        async def test_invitation(self) -> None:
            """An invitation would not reach the inbox, or take a place in the room's log."""
            rooms = await self.begin()
            number = (await rooms.create(ANN, "dev", PUBLIC, "")).number
            for _ in range(2):
                await rooms.invite(ANN, number, BOB)
            (message,) = await self.inbox.read(BOB, 0, 10)
            self.assertEqual((message.sender, message.name), (ANN, "ann"))
            self.assertIn("join #dev", message.text)
            self.assertEqual(len(await self.happened(number)), 1)
            ((unfinished,),) = self.sql("SELECT COUNT(*) FROM chat_room_event WHERE serial IS NULL")
            self.assertEqual(unfinished, 0)

        async def test_lost_log(self) -> None:
            """After the store has lost a log nobody could send any more, or whoever was removed could."""
            rooms = await self.begin()
            number = (await rooms.create(ANN, "dev", PUBLIC, "")).number
            await rooms.join(BOB, "dev")
            version = (await rooms.remove(ANN, "dev", BOB, False)).version
            self.lose_log(number)
            self.assertIsInstance(await self.say(number, ANN, version), Behind)
            self.assertEqual((await self.node().ready(number)).version, version)
            stored = await self.say(number, ANN, version)
            assert isinstance(stored, Stored)
            self.assertGreater(stored.id, 3)
            self.assertIsInstance(await self.say(number, BOB, version), NotMember)
            (ends,) = (await self.inbox.rooms.open(ANN, [RoomStart(number)])).ends
            self.assertEqual(ends.version, version)
            await self.node().join(CAT, number)
            self.assertIsInstance(await self.say(number, CAT, version + 1), Stored)

        async def test_older_sql(self) -> None:
            """After an older back-up of SQL the log would let in who joined since, or new members not."""
            rooms = await self.begin()
            number = (await rooms.create(ANN, "dev", PUBLIC, "")).number
            before = {table: self.sql(f"SELECT * FROM {table}") for table in TABLES}  # noqa: S608
            await rooms.join(BOB, "dev")
            await rooms.join(CAT, "dev")
            for table, rows in before.items():
                self.sql(f"DELETE FROM {table}")  # noqa: S608
                for row in rows:
                    self.sql(f"INSERT INTO {table} VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
            node = self.node()
            joined = await node.join(DAN, "dev")
            self.assertEqual((joined.version, joined.members), (5, 2))
            self.assertIsInstance(await self.say(number, BOB, 5), NotMember)
            self.assertIsInstance(await self.say(number, DAN, 5), Stored)
            (one,) = await node.of_user(DAN)
            ((id, serial, event, _),) = (await self.happened(number))[-1:]
            self.assertEqual((event, one.memberships), ("joined", (Membership(id, serial),)))

        async def test_at_once(self) -> None:
            """Changes of several nodes at once would come into the log twice, not at all, or out of order."""
            rooms = await self.begin()
            number = (await rooms.create(ANN, "dev", PUBLIC, "")).number
            await rooms.join(BOB, "dev")
            nodes = [self.node() for _ in range(3)]
            asked = [
                Deferred.fromCoroutine(one)
                for node in nodes
                for one in (node.join(BOB, "dev"), node.join(CAT, number), node.ready(number))
            ]
            asked += [Deferred.fromCoroutine(node.leave(BOB, number)) for node in nodes]
            for one in asked:
                await one
            of_bob = [event for _, _, event, user in await self.happened(number) if user == BOB]
            self.assertTrue(all(one != other for one, other in pairwise(of_bob)), of_bob)
            query = (
                "SELECT id, serial, event, uid FROM chat_room_event WHERE room = ? ORDER BY version"
            )
            self.assertEqual(
                [tuple(row) for row in self.sql(query, (number,))], await self.happened(number)
            )


class SQLiteTests(BothKinds.Tests):
    """SQLite, one file for all."""

    def setUp(self) -> None:
        self.path = self.mktemp()
        self.accounts = self.inbox_url = f"sqlite:{self.path}"

    def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=5)) as connection, connection:
            return connection.execute(statement, tuple(args)).fetchall()

    def lose_log(self, number: int) -> None:
        for table in ("chat_room_log", "chat_room_log_state", "chat_room_role"):
            self.sql(f"DELETE FROM {table} WHERE room = ?", (number,))  # noqa: S608


class ServersTests(BothKinds.Tests):
    """MariaDB and Redis."""

    def setUp(self) -> None:
        self.stores = ServerStores()
        self.accounts, self.inbox_url = self.stores.accounts, self.stores.inbox

    def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self.stores.sql(statement, args)

    def lose_log(self, number: int) -> None:
        keys = [f"chat:{{#{number}}}:{name}" for name in ("log", "members", "version", "from")]
        self.stores.redis("DEL", *keys)
