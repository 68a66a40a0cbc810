"""The index of words, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from chatsvc.archive.segmenter import tokens_of
from chatsvc.archive.word_index import index_some, remove_words
from chatsvc.storage.database import Database
from chatsvc.storage.schema import apply
from chatsvc.storage.sql import Row, Transaction
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite

ROOM = -7

TEXTS = (
    "你好,世界",
    "deploy 好了 😂😂",
    "",
    "...",
    "𠮷野家 café",
    "一".join(map(chr, range(0x4E00, 0x4E00 + 1400))),
)


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        """The tests, for each kind of database."""

        database: Database

        async def begin(self, texts: Sequence[str] = TEXTS, retracted: int = 0) -> None:
            """Have messages with the serials 1, 2, 3 … that are not in the index yet."""
            self.database = await self.open()
            await apply(self.database)
            rows = [
                (serial, ROOM, 10001, "ann", 5, text, serial, int(serial == retracted))
                for serial, text in enumerate(texts, 1)
            ]
            await self.database.run(partial(self.fill, rows=rows))

        def fill(self, transaction: Transaction, rows: Sequence[tuple[object, ...]]) -> None:
            """Insert messages, and that they wait."""
            columns = "serial, conversation, sender, name, at, text, changed, retracted"
            transaction.insert_many(f"INSERT INTO chat_message ({columns})", rows)
            transaction.insert_many("INSERT INTO chat_unindexed", [row[:1] for row in rows])

        async def index(self, limit: int = 1000) -> int:
            """Index some messages; how many were taken."""
            return await self.database.run(partial(index_some, limit=limit))

        async def remove(self, *messages: tuple[int, int, str]) -> None:
            """Remove the words of texts."""
            await self.database.run(partial(remove_words, messages=messages))

        def words(self) -> set[tuple[int, int, int]]:
            """The rows of the index."""
            rows = self.sql("SELECT conversation, token, serial FROM chat_word")
            return {(row[0], row[1], row[2]) for row in rows}

        def expected(self, *serials: int) -> set[tuple[int, int, int]]:
            """The rows that the index should have of some messages."""
            return {(ROOM, token, n) for n in serials for token in tokens_of(TEXTS[n - 1])}

        def waiting(self) -> list[int]:
            """The serials that wait."""
            rows = self.sql("SELECT serial FROM chat_unindexed ORDER BY serial")
            return [serial for (serial,) in rows]

        async def test_all(self) -> None:
            """A message could not be found by one of its words, however long it is."""
            await self.begin()
            self.assertEqual(await self.index(), len(TEXTS))
            self.assertEqual(self.words(), self.expected(1, 2, 3, 4, 5, 6))
            self.assertEqual(self.waiting(), [])
            self.assertEqual(await self.index(), 0)

        async def test_some(self) -> None:
            """One transaction would index all that waits, and block everybody else meanwhile."""
            await self.begin()
            self.assertEqual(await self.index(2), 2)
            self.assertEqual(self.words(), self.expected(1, 2))
            self.assertEqual(self.waiting(), [3, 4, 5, 6])

        async def test_many(self) -> None:
            """What fits into no one statement would be left out, or be an error."""
            await self.begin([f"第{n}个 n{n}" for n in range(1, 1101)])
            self.assertEqual(await self.index(1050), 1050)
            self.assertEqual(self.waiting(), [*range(1051, 1101)])
            self.assertEqual({serial for _, _, serial in self.words()}, {*range(1, 1051)})

        async def test_twice(self) -> None:
            """A message that waits again would be an error, or have rows twice."""
            await self.begin()
            await self.index()
            for serial in (1, 6):
                self.sql("INSERT INTO chat_unindexed (serial) VALUES (?)", (serial,))
            self.assertEqual(await self.index(), 2)
            self.assertEqual(self.words(), self.expected(1, 2, 3, 4, 5, 6))
            self.assertEqual(self.waiting(), [])

        async def test_gone(self) -> None:
            """What was retracted or removed could be found, or would be waited for without end."""
            await self.begin(retracted=2)
            self.sql("DELETE FROM chat_message WHERE serial = 5")
            self.assertEqual(await self.index(), len(TEXTS))
            self.assertEqual(self.words(), self.expected(1, 3, 4, 6))
            self.assertEqual(self.waiting(), [])

        async def test_also(self) -> None:
            """What is done beside would not be done of all that is taken, or of what is gone as if it were there."""
            await self.begin(retracted=2)
            self.sql("DELETE FROM chat_message WHERE serial = 5")
            told: list[tuple[list[int], set[int]]] = []

            def also(_: Transaction, serials: Sequence[int], messages: set[Row]) -> None:
                told.append(([*serials], {serial for _, serial, _ in messages}))

            await self.database.run(partial(index_some, limit=1000, also=also))
            self.assertEqual(told, [([1, 2, 3, 4, 5, 6], {1, 3, 4, 6})])

        async def test_remove(self) -> None:
            """Words of a text that was edited or retracted would stay, or other messages lose theirs."""
            await self.begin()
            await self.index()
            await self.remove((ROOM, 6, TEXTS[5]), (ROOM, 1, TEXTS[0]), (ROOM, 3, ""))
            self.assertEqual(self.words(), self.expected(2, 4, 5))
            await self.remove((ROOM, 1, TEXTS[0]), (ROOM + 1, 2, TEXTS[1]))
            self.assertEqual(self.words(), self.expected(2, 4, 5))
            await self.remove((ROOM, 2, "deploy"))
            rest = self.expected(2) - {(ROOM, token, 2) for token in tokens_of("deploy")}
            self.assertEqual(self.words(), self.expected(4, 5) | rest)

        async def test_nothing_is_remembered_of_lengths(self) -> None:
            """Each length of a list would be a statement of its own, and all are remembered for ever."""
            await self.begin([chr(0x4E00 + n) * 2 + "一二三四五六"[: n % 7] for n in range(60)])
            asked = self.listen_in()
            for limit in range(1, 10):
                await self.index(limit)
            for serial in range(30):
                await self.remove((ROOM, serial, " ".join(map(str, range(serial)))))
            self.assertLess(len({sql for sql, _ in asked}), 40)


class SQLiteTests(BothKinds.Tests, OnSQLite):
    """In SQLite."""


class MariaDBTests(BothKinds.Tests, OnMariaDB):
    """In MariaDB."""

    async def test_new_messages_go_on(self) -> None:
        """Nobody could send anything while messages are indexed: their places would be locked."""
        await self.begin()

        def meanwhile(transaction: Transaction) -> int:
            taken = index_some(transaction, 10)
            self.sql(
                "SET STATEMENT innodb_lock_wait_timeout=1 FOR INSERT INTO chat_unindexed VALUES (99)"
            )
            return taken

        self.assertEqual(await self.database.run(meanwhile), len(TEXTS))
        self.assertEqual(self.waiting(), [99])

    async def test_edited_meanwhile(self) -> None:
        """A message that is edited while it is indexed would keep the words of its old text."""
        await self.begin()

        def late(transaction: Transaction) -> int:
            # The transaction has its view of the tables before the other one changes them.
            transaction.one("SELECT COUNT(*) FROM chat_message")
            self.sql("UPDATE chat_message SET text = 'new' WHERE serial = 1")
            return index_some(transaction, 1)

        self.assertEqual(await self.database.run(late), 1)
        self.assertEqual(self.words(), {(ROOM, token, 1) for token in tokens_of("new")})
