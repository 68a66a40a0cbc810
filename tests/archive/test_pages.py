"""Pages of conversations, and the end of old messages, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from collections.abc import Callable

from chatsvc.archive.entry import Pair
from chatsvc.archive.pages import ENDLESS, page
from chatsvc.archive.reading import count_unread
from chatsvc.archive.retention import expire_some
from chatsvc.archive.scope import Scope
from chatsvc.archive.word_index import index_some
from chatsvc.storage.sql import Transaction
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


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnArchive):
        """The tests, for each kind of database."""

        async def page(
            self,
            scope: Scope,
            before: int | None = None,
            after: int | None = None,
            limit: int = 10,
        ) -> tuple[list[int], bool]:
            """The serials on a page, and whether it is complete."""
            messages, complete = await self.run_in(page, scope, before, after, limit)
            return [one.serial for one in messages], complete

        async def test_newest(self) -> None:
            """Who opens a conversation would not see what was said last, or in another order."""
            await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
            scope = Scope(-ROOM)
            self.assertEqual(await self.page(scope, limit=2), ([40, 50], False))
            self.assertEqual(await self.page(scope, limit=4), ([20, 30, 40, 50], False))
            for limit in (5, 6):
                self.assertEqual(await self.page(scope, limit=limit), ([10, 20, 30, 40, 50], True))

        async def test_before(self) -> None:
            """Who reads backwards would see a message twice, miss one, or never come to the beginning."""
            await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
            scope = Scope(-ROOM)
            self.assertEqual(await self.page(scope, before=40, limit=2), ([20, 30], False))
            self.assertEqual(await self.page(scope, before=20, limit=2), ([10], True))
            self.assertEqual(await self.page(scope, before=10, limit=2), ([], True))
            self.assertEqual(await self.page(scope, before=41, limit=1), ([40], False))
            self.assertEqual(await self.page(scope, before=30, limit=2), ([10, 20], True))

        async def test_after(self) -> None:
            """Who reads on from what is known would miss a message, or see the newest ones first."""
            await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
            scope = Scope(-ROOM)
            self.assertEqual(await self.page(scope, after=20, limit=2), ([30, 40], False))
            self.assertEqual(await self.page(scope, after=30, limit=2), ([40, 50], True))
            self.assertEqual(await self.page(scope, after=50, limit=2), ([], True))
            self.assertEqual(await self.page(scope, after=0, limit=2), ([10, 20], False))

        async def test_any_numbers(self) -> None:
            """A client could ask for a page with a number that the database does not take."""
            await self.begin(said(10, place=ROOM))
            scope = Scope(-ROOM)
            for before, after, there in (
                (0, None, False),
                (-5, None, False),
                (ENDLESS, None, True),
                (None, -5, True),
                (None, ENDLESS - 1, False),
                (None, 2**53, False),
            ):
                serials, complete = await self.page(scope, before, after)
                self.assertEqual((serials, complete), ([10] if there else [], True))

        async def test_since(self) -> None:
            """Who joined a room later would read what was said before."""
            await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
            scope = Scope(-ROOM, 30)
            self.assertEqual(await self.page(scope, limit=9), ([30, 40, 50], True))
            self.assertEqual(await self.page(scope, after=0, limit=2), ([30, 40], False))
            self.assertEqual(await self.page(scope, before=40, limit=9), ([30], True))
            self.assertEqual(await self.page(scope, before=20, limit=9), ([], True))
            self.assertEqual(await self.page(Scope(-ROOM, ENDLESS)), ([], True))

        async def test_large(self) -> None:
            """Somebody who asks for pages of large messages would fill the memory, or not get all of them (P8)."""
            many = [said(n, "长" * 20_000, place=ROOM) for n in range(1, 121)]
            await self.begin(*many)
            scope, serials = Scope(-ROOM), list(range(1, 121))
            self.assertEqual(await self.page(scope, limit=200), (serials[70:], False))
            self.assertEqual(await self.page(scope, before=71, limit=200), (serials[20:70], False))
            self.assertEqual(await self.page(scope, before=21, limit=200), (serials[:20], True))
            self.assertEqual(await self.page(scope, after=20, limit=200), (serials[20:70], False))
            self.assertEqual(await self.page(scope, after=100, limit=200), (serials[100:], True))

        async def test_portions(self) -> None:
            """A page that is read in portions would have a message twice, or miss one, or be too long."""
            await self.begin(*[said(n, place=ROOM) for n in range(1, 171)])
            scope, serials = Scope(-ROOM), list(range(1, 171))
            self.assertEqual(await self.page(scope, limit=120), (serials[50:], False))
            self.assertEqual(await self.page(scope, limit=170), (serials, True))
            self.assertEqual(await self.page(scope, after=0, limit=120), (serials[:120], False))
            self.assertEqual(await self.page(scope, after=20, limit=150), (serials[20:], True))

        async def test_other_conversations(self) -> None:
            """Messages of other users, or of a room with the same number, would be on a page."""
            await self.begin(
                said(10), said(20, place=Pair(ANN, CAT)), said(30, place=Pair(BOB, CAT)), said(40)
            )
            number = self.conversations()[PAIR]
            await self.write(said(50, place=number), said(60, place=number + 1))
            self.assertEqual(await self.page(Scope(number)), ([10, 40], True))
            self.assertEqual(await self.page(Scope(-number)), ([50], True))

        async def test_retracted(self) -> None:
            """What was retracted would be shown, or take a place on a page (P6)."""
            await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
            await self.write(retracted(60, 30), retracted(70, 50), retracted(80, 10))
            self.assertEqual(await self.page(Scope(-ROOM), limit=2), ([20, 40], True))
            self.assertEqual(await self.page(Scope(-ROOM), after=20, limit=1), ([40], True))

        async def test_what_is_shown(self) -> None:
            """A message would be shown otherwise than it was said, or its edit not be."""
            await self.begin(
                said(10, "你好 😂", place=ROOM, sender=BOB, name="李四", reply=5),
                edited(20, 10, "再见"),
            )
            ((one,), _) = await self.run_in(page, Scope(-ROOM), None, None, 10)
            self.assertEqual(
                (one.conversation, one.serial, one.sender, one.name, one.at),
                (-ROOM, 10, BOB, "李四", 1010),
            )
            self.assertEqual((one.text, one.reply, one.edited), ("再见", 5, 1020))

        async def test_expire(self) -> None:
            """What is too old would stay, what is not be gone, or a step take more than it should."""
            await self.begin(*[said(10 * n) for n in range(1, 8)])
            self.assertEqual(await self.run_in(expire_some, 50, 3), 3)
            self.assertEqual(sorted(self.messages()), [40, 50, 60, 70])
            self.assertEqual(self.marks()["kept"], 30)
            self.assertEqual(await self.run_in(expire_some, 50, 3), 1)
            self.assertEqual(await self.run_in(expire_some, 50, 3), 0)
            self.assertEqual(sorted(self.messages()), [50, 60, 70])
            self.assertEqual(self.marks()["kept"], 40)

        async def test_expired_for_ever(self) -> None:
            """What was removed because of its age would come back, or a batch of it be refused (P6)."""
            batch = [said(10 * n) for n in range(1, 4)]
            await self.begin(*batch, retracted(50, 10))
            await self.run_in(expire_some, 30, 100)
            self.assertEqual(await self.write(*batch, edited(60, 20), retracted(70, 10)), [])
            self.assertEqual(self.messages(), {30: ("hi", 30)})
            self.assertEqual(self.count("chat_message"), 1)
            self.assertEqual(self.unindexed(), [30])

        async def test_words_go(self) -> None:
            """What is gone would be found by a search, or its words stay for ever."""
            await self.begin(
                said(10, "你好"), said(20, "deploy ok"), said(30, "你好"), said(40, "x", place=ROOM)
            )
            await self.run_in(index_some, 100)
            await self.write(said(50, "not indexed yet"))
            await self.run_in(expire_some, 30, 100)
            self.assertEqual(
                self.sql("SELECT DISTINCT serial FROM chat_word ORDER BY serial"), [(30,), (40,)]
            )
            self.assertEqual(self.unindexed(), [50])
            await self.run_in(expire_some, 2**62, 100)
            self.assertEqual([self.count("chat_word"), self.unindexed()], [0, []])

        async def test_mentions_go(self) -> None:
            """Mentions by what is gone would stay for ever, of who never reads."""
            await self.begin(*[said(10 * n) for n in range(1, 5)])
            mentions = [(uid, 1, 10 * n) for uid in (ANN, BOB) for n in range(1, 5)]
            for mention in mentions:
                self.sql("INSERT INTO chat_mention VALUES (?, ?, ?)", mention)
            await self.run_in(expire_some, 30, 100)
            found = self.sql("SELECT uid, conversation, serial FROM chat_mention ORDER BY 1, 3")
            self.assertEqual([*found], [one for one in mentions if one[2] >= 30])

        async def test_many_mentions_go(self) -> None:
            """One step would remove any number of mentions, or leave those for ever that are too many for it."""
            await self.begin(said(10), said(20))
            for uid in range(ANN, ANN + 25):
                self.sql("INSERT INTO chat_mention VALUES (?, 1, 10)", (uid,))
            await self.run_in(expire_some, 30, 1)
            self.assertEqual(self.count("chat_mention"), 15)
            await self.run_in(expire_some, 30, 2)
            self.assertEqual(self.count("chat_mention"), 0)

        async def test_expired_before_it_is_indexed(self) -> None:
            """Words of a message that is gone would come into the index behind it."""
            await self.begin(said(10, "你好"))
            await self.run_in(expire_some, 20, 100)
            self.assertEqual(await self.run_in(index_some, 100), 0)
            self.assertEqual(self.count("chat_word"), 0)


class SQLitePageTests(BothKinds.Tests, OnSQLite):
    """SQLite."""


class MariaDBPageTests(BothKinds.Tests, OnMariaDB):
    """MariaDB."""

    async def test_any_depth(self) -> None:
        """A page in the middle of a long conversation would take as long as reading all that is newer, or older."""
        await self.begin()
        await self.run_in(_fill, 20_000)
        for serial in (1000, 5000, 10_000, 15_000, 19_000):
            for between in ((serial, None), (None, serial)):
                read = await self.run_in(_rows_read, page, Scope(-ROOM), *between, 50)
                self.assertLess(read, 100, between)
            counted = await self.run_in(_rows_read, count_unread, BOB, Scope(-ROOM), serial)
            self.assertLess(counted, 250, serial)


def _fill(transaction: Transaction, many: int) -> None:
    """Write messages, every third one of them into the room."""
    for start in range(1, many, 1000):
        transaction.insert_many(
            "INSERT INTO chat_message (serial, conversation, sender, name, at, text, changed)",
            [
                (n, 5 if n % 3 else -ROOM, ANN, "ann", n, "hi", n)
                for n in range(start, start + 1000)
            ],
        )


def _rows_read(transaction: Transaction, interaction: Callable[..., object], *args: object) -> int:
    """Say how many rows MariaDB reads for an interaction."""
    status = "SHOW SESSION STATUS LIKE 'Handler_read%'"
    before = sum(int(value) for _, value in transaction.all(status))
    interaction(transaction, *args)
    return sum(int(value) for _, value in transaction.all(status)) - before
