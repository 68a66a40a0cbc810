"""No question about rooms has a database read all of a table, on a real SQLite and a real MariaDB."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from chatsvc.rooms.lists import room_numbers
from chatsvc.rooms.room import PUBLIC, RoomRefused
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable
from tests.support.databases import OnMariaDB, OnSQLite
from tests.support.rooms import ANN, BOB, CAT, OnRooms

ROOMS = 500
MEMBERS = 8


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnRooms):
        """The tests, for each kind of database."""

        def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
            """What in the database's plan for a statement reads a whole table."""
            raise NotImplementedError

        async def test_no_scan(self) -> None:
            """Each log-in, or each command of one member, could keep the database busy for seconds."""
            await self.set_rooms_up()
            await self.database.run(self.fill)
            self.counted()
            asked = self.listen_in()
            rooms = self.rooms
            number = (await rooms.create(ANN, "dev", PUBLIC, "")).number
            await rooms.join(BOB, "dev")
            await rooms.invite(BOB, "dev", CAT)
            await rooms.change(ANN, number, topic="x", name="Dev")
            await rooms.set_role(ANN, "dev", BOB, "owner")
            await rooms.leave(ANN, "dev")
            await rooms.remove(BOB, "dev", ANN, True)
            await rooms.unban(BOB, "dev", ANN)
            await rooms.of_user(BOB, [1, 2, 3])
            await rooms.list_rooms(BOB, "room-7", 10, 50, False)
            await rooms.list_rooms(BOB, "", 10, 50, True)
            await rooms.list_members(BOB, number, 5, 10)
            self.logs.lose(number, 2)
            await self.node().ready(number)
            self.logs.rooms[number].version = 99
            await self.node().ready(number)
            self.logs.away = True
            try:
                await rooms.join(CAT, "dev")
            except StoreUnavailable:
                self.logs.away = False
            self.now += 10
            await rooms.finish_old()
            try:
                await rooms.join(CAT, "nothing")
            except RoomRefused:
                await rooms.close(BOB, number)
            await self.store.all_rooms(0, 10)
            found = await self.database.run(lambda transaction: room_numbers(transaction, 7, 10))
            self.assertEqual(found, list(range(8, 18)))
            questions = {sql: args for sql, args in asked if re.match("SELECT|UPDATE|DELETE", sql)}
            self.assertGreater(len(questions), 30)
            for statement, args in questions.items():
                self.assertEqual(self.plan(statement, args), [], statement)

        def fill(self, transaction: Transaction) -> None:
            """Have so many rooms that a plan for some of them is another one than for all."""
            numbers = range(1, ROOMS + 1)
            transaction.insert_many(
                "INSERT INTO chat_room (room, name, folded, topic, kind, history, version, members, created)",
                [
                    (n, f"room-{n}", f"room-{n}".encode(), "", kind, "all", 8, MEMBERS, 1)
                    for n in numbers
                    for kind in (("public", "private")[n % 2],)
                ],
            )
            several = [(n, uid) for n in numbers for uid in range(1, MEMBERS + 1)]
            transaction.insert_many(
                "INSERT INTO chat_member (room, uid, role, version, since)",
                [(n, uid, "member", uid, 1) for n, uid in several],
            )
            transaction.insert_many(
                "INSERT INTO chat_room_event (room, version, at, event, actor, uid, name, details, id, serial)",
                [(n, uid, 1, "joined", uid, uid, "x", "{}", uid, 1) for n, uid in several],
            )
            for table in ("chat_ban", "chat_invitation (room, uid, actor, at, version)"):
                rows = [(n, uid, 1, 1, 1)[: 4 if table == "chat_ban" else 5] for n, uid in several]
                transaction.insert_many(f"INSERT INTO {table}", rows)

        def counted(self) -> None:
            """Have the database count its rows."""


class SQLiteScanTests(BothKinds.Tests, OnSQLite):
    """SQLite's query plans."""

    def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
        """Return the steps that read a whole table."""
        rows = self.sql(f"EXPLAIN QUERY PLAN {statement}", args)
        allowed = (
            r"SCAN (single$|CONSTANT ROW|chat_room_event USING .*INDEX chat_room_event_unfinished)"
        )
        return [
            row[3] for row in rows if row[3].startswith("SCAN") and not re.match(allowed, row[3])
        ]


class MariaDBScanTests(BothKinds.Tests, OnMariaDB):
    """MariaDB's query plans."""

    def counted(self) -> None:
        """Have the database count its rows."""
        self.sql("ANALYZE TABLE chat_room, chat_member, chat_ban, chat_invitation, chat_room_event")

    def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
        """Return the steps that read a whole table."""
        return self.full_scans(statement, args)
