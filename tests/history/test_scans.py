"""No question about the archive has a database read all of a table, on a real SQLite and a real MariaDB."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from chatsvc.archive.pages import page
from chatsvc.archive.reading import count_unread, mark_read, readings
from chatsvc.archive.retention import expire_some
from chatsvc.archive.scope import Scope
from chatsvc.archive.word_index import index_some
from chatsvc.archive.writing import greatest_serial
from chatsvc.history.access import Conversation, all_readable, last_messages, named, scope_of
from chatsvc.history.conversations import conversations
from chatsvc.history.history import _newest_unindexed, _waits_for_index
from chatsvc.history.mentions import mark_mentions
from chatsvc.rooms.room import JOINED, PUBLIC
from chatsvc.storage.sql import Transaction
from tests.support.archive_stores import (
    OnArchive,
    ScansOnMariaDB,
    ScansOnSQLite,
    edited,
    retracted,
    said,
)
from tests.support.rooms import ANN, BOB, CAT, OnRooms

USERS = 60
ROOMS = 300
MEMBERS = 8
MESSAGES = 4000
STEP = 500
"""Messages in one transaction, so that each ends in time on a busy machine."""


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnRooms, OnArchive):
        """The tests, for each kind of database."""

        async def counted(self) -> None:
            """Have the database count its rows."""
            raise NotImplementedError

        def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
            """What in the database's plan for a statement reads a whole table."""
            raise NotImplementedError

        async def test_no_scan(self) -> None:
            """Each question, or each batch of the archiver, could keep the database busy for seconds."""
            await self.set_rooms_up()
            number = (await self.rooms.create(ANN, "dev", PUBLIC, "")).number
            await self.rooms.change(ANN, number, history=JOINED)
            await self.rooms.join(BOB, "dev")
            for start in range(1, MESSAGES, STEP):
                await self.run_in(self.fill, range(start, start + STEP))
                await self.run_in(index_some, STEP // 2)
            await self.run_in(self.fill_rooms)
            await self.counted()
            asked = self.listen_in()
            await self.archive()
            await self.ask(number)
            pattern = "SELECT|UPDATE|DELETE"
            questions = {sql: args for sql, args in asked if re.match(pattern, sql)}
            self.assertGreater(len(questions), 25)
            for statement, args in questions.items():
                self.assertEqual(self.plan(statement, args), [], statement)

        async def archive(self) -> None:
            """Do what is done behind the history."""
            await self.write(*[said(10**6 + n) for n in range(50)], said(10**7, place=7))
            await self.write(edited(10**8, 10**6), retracted(10**8 + 1, 10**6 + 1))
            await self.write(said(10**8 + 2, f"@bob 你好, @{'x ' * 20}, @ann", place=7))
            await self.run_in(index_some, 10)
            await self.run_in(index_some, MESSAGES, mark_mentions)
            await self.run_in(expire_some, 200, 10)
            await self.run_in(greatest_serial)

        async def ask(self, number: int) -> None:
            """Ask all that users ask."""
            now = int(self.now * 1000)
            places = (
                Conversation(None, number),
                Conversation(None, "dev"),
                Conversation(BOB, None),
            )
            for where in places:
                for uid in (ANN, BOB):
                    await self.run_in(scope_of, uid, where, now)
            for uid in (ANN, CAT):
                readable = await self.run_in(all_readable, uid)
                self.assertGreater(len(readable), 1)
                await self.run_in(last_messages, uid)
                await self.run_in(named, [one.conversation for one in readable[:20]], uid)
                await self.run_in(conversations, uid, None, 50)
                await self.run_in(conversations, uid, 2000, 50)
                await self.run_in(readings, [(uid, one.conversation) for one in readable])
            for scope in (Scope(1), Scope(-number, 500)):
                await self.run_in(page, scope, None, None, 50)
                await self.run_in(page, scope, 2000, None, 50)
                await self.run_in(page, scope, None, 2000, 50)
                await self.run_in(mark_read, ANN, scope, 1500)
                await self.run_in(count_unread, ANN, scope, 20)
            await self.run_in(_newest_unindexed)
            await self.run_in(_waits_for_index, 5)

        def fill(self, transaction: Transaction, serials: range) -> None:
            """Have so many messages that a plan for some is another one than for all."""
            columns = "serial, conversation, sender, name, at, text, changed, retracted"
            rows = [
                (
                    n,
                    (n % 97) - 30 or 1,
                    ANN + n % 3,
                    "x",
                    n,
                    f"word{n % 50} 你好",
                    n,
                    int(n % 9 == 0),
                )
                for n in serials
            ]
            transaction.insert_many(f"INSERT INTO chat_message ({columns})", rows)
            transaction.insert_many("INSERT INTO chat_unindexed", [row[:1] for row in rows])

        def fill_rooms(self, transaction: Transaction) -> None:
            """The same of conversations, rooms and markers."""
            pairs = [(a, b) for a in range(1, USERS) for b in range(a, USERS)]
            pairs += [(uid, ANN) for uid in range(1, USERS)] + [(ANN, BOB), (ANN, CAT)]
            transaction.insert_many("INSERT INTO chat_conversation (low, high)", pairs)
            rooms = range(100, 100 + ROOMS)
            transaction.insert_many(
                "INSERT INTO chat_room (room, name, folded, topic, kind, history, version, members, created)",
                [
                    (n, f"room-{n}", f"room-{n}".encode(), "", "public", history, 8, MEMBERS, 1)
                    for n in rooms
                    for history in (("all", "joined")[n % 2],)
                ],
            )
            several = [(n, ANN + n % 50 + i) for n in rooms for i in range(MEMBERS)]
            transaction.insert_many(
                "INSERT INTO chat_member (room, uid, role, version, since)",
                [(n, uid, "member", uid - ANN + 1, 1) for n, uid in several],
            )
            transaction.insert_many(
                "INSERT INTO chat_room_event (room, version, at, event, actor, uid, name, details, id, serial)",
                [(n, u - ANN + 1, 1, "joined", u, u, "x", "{}", u, 500) for n, u in several],
            )
            read = [(uid, n) for uid in (ANN, BOB, CAT) for n in range(1, 800)]
            transaction.insert_many("INSERT INTO chat_reading (uid, conversation)", read)
            mentions = [(uid, n, 9 * n) for uid in range(ANN - 3, CAT + 3) for n in range(1, 450)]
            transaction.insert_many(
                "INSERT INTO chat_mention (uid, conversation, serial)", mentions
            )
            names = [(f"name-{n}".encode(), 20_000 + n) for n in range(2000)]
            transaction.insert_many("INSERT INTO chat_name (folded, uid)", names)


class SQLiteHistoryScanTests(ScansOnSQLite, BothKinds.Tests):
    """SQLite's query plans."""


class MariaDBHistoryScanTests(ScansOnMariaDB, BothKinds.Tests):
    """MariaDB's query plans."""
