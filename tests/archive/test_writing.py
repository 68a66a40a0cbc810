"""Writing into the archive, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from functools import partial

import pymysql

from chatsvc.archive.changes import write_new
from chatsvc.archive.entry import ArchiveEntry, Pair, Place, Said
from chatsvc.archive.writing import greatest_serial, numbers_of, raise_mark
from tests.support.archive_stores import (
    ANN,
    BOB,
    CAT,
    PAIR,
    ROOM,
    OnArchive,
    edited,
    retracted,
    said,
)
from tests.support.databases import OnMariaDB, OnSQLite

LOWEST, HIGHEST = -(2**63), 2**63 - 1

TEXTS = (
    "",
    " ",
    "你好 😂😂",
    "\U0001f468‍\U0001f469‍\U0001f467 𠮷",
    "a\0b\0",
    "'; DROP TABLE chat_message; -- %s ? \\",
    "字" * 2730,  # 8 KiB
    "😂" * 2048,
    "\ud7ff\ue000\uffff\U0010ffff",
)


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnArchive):
        """The tests, for each kind of database."""

        async def numbers(self, *places: Place) -> dict[Place, int]:
            """The numbers of conversations, made if there are none."""
            return await self.run_in(numbers_of, places)

        async def test_once(self) -> None:
            """A message that two nodes archive would be in the history twice, or have another text then (P6)."""
            first, second = said(10, "one"), said(20, "two", sender=BOB)
            await self.begin(first, second)
            before = self.sql("SELECT * FROM chat_message ORDER BY serial")
            for batch in ([first], [second, first], [first, second, said(30)], [second, second]):
                self.assertEqual(await self.write(*batch), [])
            after = self.sql("SELECT * FROM chat_message ORDER BY serial")
            self.assertEqual(after[:2], before)
            self.assertEqual([row[0] for row in after], [10, 20, 30])

        async def test_columns(self) -> None:
            """The history would say another sender, name, time or place of a message, or what it does not answer."""
            await self.begin(
                said(10, "你好", place=ROOM, sender=BOB, name="李四"), said(20, reply=10)
            )
            rows = self.sql(
                "SELECT serial, conversation, sender, name, at, text, reply, edited, changed, retracted"
                " FROM chat_message ORDER BY serial"
            )
            number = self.conversations()[PAIR]
            self.assertEqual(
                rows,
                [
                    (10, -ROOM, BOB, "李四", 1010, "你好", None, None, 10, 0),
                    (20, number, ANN, "ann", 1020, "hi", 10, None, 20, 0),
                ],
            )

        async def test_texts(self) -> None:
            """What somebody wrote would come back as something else, or stop the archive."""
            await self.begin(*[said(10 * n, text) for n, text in enumerate(TEXTS, 1)])
            await self.write(*[edited(1000 + n, 10, text) for n, text in enumerate(TEXTS)])
            found = {serial: text for serial, (text, _) in self.messages().items()}
            expected = {10 * n: text for n, text in enumerate(TEXTS, 1)} | {10: TEXTS[-1]}
            self.assertEqual(found, expected)

        async def test_names(self) -> None:
            """A sender's name of the longest kind, or one that older releases allowed, would stop the archive."""
            names = ("名" * 64, "😂", "", "x\0y", "a" * 255)
            await self.begin(*[said(n, name=name) for n, name in enumerate(names, 1)])
            found = [name for (name,) in self.sql("SELECT name FROM chat_message ORDER BY serial")]
            self.assertEqual(found, list(names))

        async def test_many(self) -> None:
            """A long batch would be more than one statement of the database takes, or come in only in part."""
            batch = [said(n, place=Pair(n, 10 * n)) for n in range(1, 2501)]
            await self.begin(*batch)
            self.assertEqual(await self.write(*batch, said(9999)), [])
            counts = [
                self.count(f"chat_{table}") for table in ("message", "unindexed", "conversation")
            ]
            self.assertEqual(counts, [2501, 2501, 2501])
            pairs = (
                "SELECT COUNT(*) FROM chat_message AS m JOIN chat_conversation AS c"
                " ON c.conversation = m.conversation AND c.low = m.serial"
            )
            self.assertEqual(self.sql(pairs), [(2500,)])

        async def test_clash(self) -> None:
            """A message would take the place of another one that was confirmed before, or be lost without a word."""
            first = said(10, "first")
            await self.begin(first)
            others = [
                said(10, place=ROOM),
                said(10, sender=BOB),
                said(10, place=Pair(ANN, CAT)),
                Said(10, PAIR, ANN, "ann", 7, "later"),
            ]
            self.assertEqual(await self.write(*others, first, said(20)), others)
            self.assertEqual(self.messages(), {10: ("first", 10), 20: ("hi", 20)})

        async def test_clash_within_a_batch(self) -> None:
            """Of two messages under one serial that come at once the second one would be lost without a word."""
            first, other = said(10, "first"), said(10, "other", sender=BOB)
            await self.begin()
            self.assertEqual(await self.write(first, other, first), [other])
            self.assertEqual(self.messages(), {10: ("first", 10)})
            self.assertEqual(await self.write(other), [other])

        async def test_clash_after_changes(self) -> None:
            """A message that was edited or retracted would be taken for another one when it comes again."""
            first, second = said(10), said(20)
            await self.begin(first, second, edited(30, 10), retracted(40, 20))
            self.assertEqual(await self.write(first, second), [])
            self.assertEqual(self.messages(), {10: ("better", 30)})

        async def test_changes(self) -> None:
            """An edit would not show, or a message be readable that was retracted (P6)."""
            await self.begin(said(10, "one"), said(20, "secret"), said(30, "three"))
            await self.write(edited(40, 10, "ONE"), retracted(50, 20))
            rows = self.sql(
                "SELECT serial, text, edited, changed, retracted FROM chat_message ORDER BY serial"
            )
            self.assertEqual(
                rows,
                [(10, "ONE", 1040, 40, 0), (20, "", None, 50, 1), (30, "three", None, 30, 0)],
            )

        async def test_change_in_the_batch_of_its_message(self) -> None:
            """A message that is edited or retracted at once would stay as it was."""
            await self.begin()
            await self.write(
                said(10), edited(20, 10, "a"), edited(30, 10, "b"), said(40), retracted(50, 40)
            )
            self.assertEqual(self.messages(), {10: ("b", 30)})

        async def test_smaller_serial(self) -> None:
            """A change that comes again, or late, would undo a newer one."""
            await self.begin(said(10), edited(40, 10, "newest"))
            for late in (edited(30, 10, "late"), edited(40, 10, "again"), retracted(35, 10)):
                await self.write(late)
                self.assertEqual(self.messages(), {10: ("newest", 40)})
            await self.write(edited(5, 10, "before it was said"))
            self.assertEqual(self.messages(), {10: ("newest", 40)})

        async def test_retracted_for_ever(self) -> None:
            """What was retracted would come back by an edit, or when it is archived again (P6)."""
            await self.begin(said(10, "secret"), retracted(20, 10))
            await self.write(said(10, "secret"), edited(30, 10, "secret"), edited(15, 10, "secret"))
            self.assertEqual(self.sql("SELECT text, retracted FROM chat_message"), [("", 1)])
            self.assertEqual(self.messages(), {})

        async def test_change_of_nothing(self) -> None:
            """A change of a message that is gone would stop the archive, or leave a row of no message."""
            await self.begin()
            self.assertEqual(await self.write(edited(20, 10), retracted(30, 11)), [])
            self.assertEqual([self.count("chat_message"), self.unindexed()], [0, []])

        async def test_kept(self) -> None:
            """What retention has removed would come back when it is archived again (P6)."""
            await self.begin()
            await self.run_in(raise_mark, "kept", 20)
            batch: list[ArchiveEntry] = [
                said(10),
                said(20, place=Pair(CAT, CAT)),
                said(21),
                edited(30, 10),
            ]
            self.assertEqual(await self.write(*batch), [])
            self.assertEqual(self.messages(), {21: ("hi", 21)})
            self.assertEqual(self.unindexed(), [21])
            self.assertEqual(await self.write(said(20, "other", sender=BOB)), [])

        async def test_waits_for_the_index(self) -> None:
            """A message, or what it was changed into, would never be found by a search."""
            await self.begin(said(10), said(20), said(30))
            self.assertEqual(self.unindexed(), [10, 20, 30])
            self.sql("DELETE FROM chat_unindexed")
            await self.write(said(10), edited(40, 20), retracted(50, 30), edited(15, 20))
            self.assertEqual(self.unindexed(), [20, 30])

        async def test_not_indexed_for_nothing(self) -> None:
            """Each repetition, or each late change, would be work for the index."""
            batch: list[ArchiveEntry] = [said(10), said(20), edited(30, 10), retracted(40, 20)]
            await self.begin(*batch)
            self.sql("DELETE FROM chat_unindexed")
            await self.write(*batch)
            self.assertEqual(self.unindexed(), [])

        async def test_numbers(self) -> None:
            """Two users would have two conversations, or two pairs of users one."""
            await self.begin()
            first = await self.numbers(Pair.between(ANN, BOB), Pair.between(BOB, CAT))
            again = await self.numbers(
                Pair.between(BOB, ANN), Pair.between(CAT, BOB), Pair.between(CAT, ANN), ROOM
            )
            for pair, number in first.items():
                self.assertEqual(again[pair], number)
            self.assertEqual(again[ROOM], -ROOM)
            direct = [number for place, number in again.items() if place != ROOM]
            self.assertEqual(len(set(direct)), 3)
            self.assertTrue(all(number > 0 for number in direct), "a room's are below zero")

        async def test_strange_uids(self) -> None:
            """Somebody who writes to themselves, or has a uid that older releases gave, would have no history."""
            await self.begin()
            uids = (ANN, 0, -1, -ANN, LOWEST, HIGHEST, 2**53 + 1, 2**53)
            pairs = {Pair.between(one, other) for one in uids for other in uids}
            numbers = await self.numbers(*pairs)
            self.assertEqual(len(set(numbers.values())), len(pairs))
            self.assertEqual(self.conversations(), numbers)
            self.assertEqual(await self.numbers(*pairs), numbers)
            await self.write(*[said(n, place=pair) for n, pair in enumerate(sorted(pairs), 1)])
            found = self.sql("SELECT conversation FROM chat_message ORDER BY serial")
            self.assertEqual([number for (number,) in found], [numbers[p] for p in sorted(pairs)])

        async def test_greatest_serial(self) -> None:
            """A store that was lost would give out serials again that messages or changes have already."""
            await self.begin()
            self.assertEqual(await self.run_in(greatest_serial), 0)
            await self.write(said(10), edited(2**53, 10), said(30))
            await self.write(said(20))
            self.assertEqual(await self.run_in(greatest_serial), 2**53)

        async def test_mark_only_grows(self) -> None:
            """What was removed because of its age would come back after a smaller step of retention."""
            await self.begin()
            for value, expected in ((5, 5), (3, 5), (5, 5), (7, 7)):
                await self.run_in(raise_mark, "kept", value)
                self.assertEqual(self.marks(), {"kept": expected})

        async def test_nothing(self) -> None:
            """A batch without messages would be an error, or write something."""
            await self.begin()
            self.assertEqual(await self.write(), [])
            await self.run_in(write_new, [])
            self.assertEqual(self.marks(), {})

        async def test_write_new(self) -> None:
            """What is stored in SQLite would be archived otherwise than what comes by the queue."""
            await self.begin()
            messages = [said(10, "你"), said(20, place=ROOM, reply=10), said(30, place=Pair(1, 1))]
            await self.run_in(write_new, messages)
            before = self.sql("SELECT * FROM chat_message ORDER BY serial")
            self.assertEqual(len(before), 3)
            self.assertEqual(await self.write(*messages), [])
            self.assertEqual(self.sql("SELECT * FROM chat_message ORDER BY serial"), before)
            self.assertEqual(self.unindexed(), [10, 20, 30])

        async def test_rolled_back(self) -> None:
            """A batch that fails would be half in the archive, and its end be taken for archived."""
            await self.begin()
            with self.assertRaises((OverflowError, pymysql.MySQLError)):
                await self.write(said(10), said(20), edited(30, 10), edited(2**70, 20))
            self.assertEqual([self.count("chat_message"), self.conversations()], [0, {}])
            self.assertEqual(self.marks(), {})


class SQLiteWritingTests(BothKinds.Tests, OnSQLite):
    """SQLite."""


class MariaDBWritingTests(BothKinds.Tests, OnMariaDB):
    """MariaDB, and what two archivers do at the same moment."""

    async def test_conversation_of_another_node(self) -> None:
        """A batch would fail because another archiver has made the number of the same two users just before."""
        await self.begin()
        insert = "INSERT INTO chat_conversation (low, high) VALUES (?, ?)"
        self.before("INSERT INTO chat_conversation", partial(self.sql, insert, PAIR))
        self.assertEqual(await self.write(said(10)), [])
        self.assertEqual(
            self.sql("SELECT conversation FROM chat_message"), [(self.conversations()[PAIR],)]
        )

    async def test_message_of_another_node(self) -> None:
        """A batch would fail because another archiver has written the same messages just before."""
        await self.begin(said(5))
        columns = "serial, conversation, sender, name, at, text, changed, retracted"
        row = (10, self.conversations()[PAIR], ANN, "ann", 1010, "", 20, 1)
        insert = f"INSERT INTO chat_message ({columns}) VALUES (?, ?, ?, ?, ?, ?, ?, ?)"  # noqa: S608
        self.before("INSERT INTO chat_message", partial(self.sql, insert, row))
        self.assertEqual(await self.write(said(10), said(30)), [])
        self.assertEqual(self.messages(), {5: ("hi", 5), 30: ("hi", 30)})

    async def test_change_of_another_node(self) -> None:
        """An edit would undo a newer one that another archiver has written just before."""
        await self.begin(said(10))
        newer = "UPDATE chat_message SET text = 'newer', changed = 40 WHERE serial = 10"
        self.before("INSERT INTO chat_unindexed", partial(self.sql, newer))
        await self.write(edited(30, 10, "older"))
        self.assertEqual(self.messages(), {10: ("newer", 40)})
