"""The search of the archive, on a real SQLite and a real MariaDB."""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from functools import partial
from typing import Any

from chatsvc.archive import search
from chatsvc.archive.candidates import Candidates, Source, everything, with_token, within
from chatsvc.archive.message import ArchivedMessage
from chatsvc.archive.scope import Scope
from chatsvc.archive.search import Found, search_page
from chatsvc.archive.segmenter import query_of, tokens_of
from chatsvc.archive.word_index import index_some, remove_words
from chatsvc.storage.database import Database
from chatsvc.storage.schema import apply
from chatsvc.storage.sql import Transaction
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite

ANN, BOB = 10001, 10002

WORDS = ("你好", "世界", "你好世界", "好世", "deploy", "ok", "😂", "服务器", "器", "2026")

QUERIES = (
    *(
        "你好",
        "你好世界",
        "好世",
        "deploy",
        "DEPLOY ok",
        "😂",
        "你好 deploy 😂",
        "服务器 你好",
        "世界 2026",
    ),
    *("器", "好 器", "服务器你好", "没有", "没", "没有 你好"),
)


def message(serial: int, conversation: int, text: str, sender: int = ANN) -> ArchivedMessage:
    """A message of the archive."""
    return ArchivedMessage(conversation, serial, sender, "ann", 1000 + serial, text)


def at_random(many: int, conversations: int) -> list[ArchivedMessage]:
    """The same messages each time, in conversations of very different sizes."""
    rng = random.Random(many)
    return [
        message(
            10 * n,
            int(conversations * rng.random() ** 3) + 1,
            rng.choice(("", " ", ",")).join(rng.choices(WORDS, k=rng.randint(1, 4))),
            rng.choice((ANN, BOB)),
        )
        for n in range(1, many + 1)
    ]


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        """The tests, for each kind of database."""

        database: Database

        async def begin(self, messages: Sequence[ArchivedMessage]) -> None:
            """Have messages in the archive, and in the index."""
            self.database = await self.open()
            await apply(self.database)
            await self.add(messages)

        async def add(self, messages: Sequence[ArchivedMessage]) -> None:
            """Have more of them."""
            await self.database.run(partial(self.fill, messages=messages))

        def fill(self, transaction: Transaction, messages: Sequence[ArchivedMessage]) -> None:
            """Insert messages and index them."""
            columns = "serial, conversation, sender, name, at, text, changed"
            rows = [
                (one.serial, one.conversation, one.sender, one.name, one.at, one.text, one.serial)
                for one in messages
            ]
            transaction.insert_many(f"INSERT INTO chat_message ({columns})", rows)
            transaction.insert_many("INSERT INTO chat_unindexed", [row[:1] for row in rows])
            index_some(transaction, len(rows))

        async def page(
            self, text: str, scopes: Sequence[Scope], before: int | None = None, **options: Any
        ) -> Found:
            """One page of what is found."""
            options = {"sender": None, "limit": 10, "deadline": lambda: False, **options}
            asked = {"scopes": scopes, "query": query_of(text), "before": before, **options}
            return await self.database.run(partial(search_page, **asked), write=False)

        async def pages(self, text: str, scopes: Sequence[Scope], **options: Any) -> list[int]:
            """The serials on all pages, each of which must lead on."""
            serials: list[int] = []
            before, complete = None, False
            while not complete:
                found = await self.page(text, scopes, before, **options)
                self.assertTrue(before is None or found.until < before)
                for one in found.messages:
                    self.assertTrue(found.until <= one.serial < (before or 2**63))
                    serials.append(one.serial)
                self.assertLessEqual(len(found.messages), options.get("limit", 10))
                before, complete = found.until, found.complete
            return serials

        def expected(
            self, text: str, messages: Sequence[ArchivedMessage], scopes: Sequence[Scope]
        ) -> list[int]:
            """The serials that should be found."""
            since = {scope.conversation: scope.since for scope in scopes}
            query = query_of(text)
            return [
                one.serial
                for one in reversed(messages)
                if one.serial >= since.get(one.conversation, 2**63) and query.matches(one.text)
            ]

        async def test_paging(self) -> None:
            """A message that has what somebody looks for would be missing, there twice, or in another order."""
            messages = at_random(1500, 40)
            await self.begin(messages)
            scopes = [Scope(n) for n in range(1, 41, 2)]
            for text in QUERIES:
                expected = self.expected(text, messages, scopes)
                self.assertEqual(
                    len(expected) > 0, "没" not in text and text != "服务器你好x", text
                )
                for limit in (1000, 50, 7):
                    self.assertEqual(await self.pages(text, scopes, limit=limit), expected, text)

        async def test_whole_message(self) -> None:
            """A message would be shown otherwise than it was sent."""
            await self.begin([message(5, -7, "Hi,  你好！", BOB), message(8, -7, "你好")])
            self.sql("UPDATE chat_message SET edited = 99, reply = 5 WHERE serial = 8")
            found = await self.page("你好", [Scope(-7)])
            self.assertEqual(
                found.messages,
                [
                    ArchivedMessage(-7, 8, ANN, "ann", 1008, "你好", 5, 99),
                    message(5, -7, "Hi,  你好！", BOB),
                ],
            )
            self.assertEqual((found.until, found.complete), (0, True))

        async def test_scopes(self) -> None:
            """Somebody would read what others wrote to each other, or what was said before they came."""
            messages = at_random(600, 6)
            await self.begin(messages)
            scopes = [Scope(1, 3000), Scope(3, 0), Scope(4, 6001), Scope(99, 0)]
            for text in (*QUERIES, "好"):
                self.assertEqual(
                    await self.pages(text, scopes), self.expected(text, messages, scopes), text
                )
            self.assertEqual(await self.pages("你好", []), [])
            twice = [Scope(1, 5990), Scope(1, 3000), Scope(1, 4000)]
            self.assertEqual(
                await self.pages("你好", twice), self.expected("你好", messages, scopes[:1])
            )

        async def test_foreign_rows(self) -> None:
            """A row of the index that should not be there would show somebody another conversation."""
            await self.begin([message(10, 1, "你好"), message(20, 2, "你好")])
            for token in tokens_of("你好"):
                self.sql("INSERT INTO chat_word VALUES (1, ?, 20)", (token,))
                self.sql("INSERT INTO chat_word VALUES (1, ?, 30)", (token,))
            for text in ("你好", "你"):
                self.assertEqual(await self.pages(text, [Scope(1)]), [10])
                self.assertEqual(await self.pages(text, [Scope(1), Scope(2, 25)]), [10])

        async def test_sender(self) -> None:
            """Looking for what somebody wrote would show what others wrote, or miss something."""
            messages = at_random(500, 4)
            await self.begin(messages)
            scopes = [Scope(n) for n in range(1, 5)]
            for sender in (ANN, BOB, BOB + 9):
                own = [one for one in messages if one.sender == sender]
                for text in QUERIES:
                    self.assertEqual(
                        await self.pages(text, scopes, sender=sender),
                        self.expected(text, own, scopes),
                    )

        async def test_seldom_sender(self) -> None:
            """What somebody wrote who seldom writes would be passed over when a search ends on the way to it."""
            messages = [message(n, 1, "你好", BOB if n % 90 == 0 else ANN) for n in range(1, 1000)]
            await self.begin(messages)
            for deadline in (lambda: True, lambda: False):
                found = await self.pages("你好", [Scope(1)], sender=BOB, limit=1, deadline=deadline)
                self.assertEqual(found, [*range(990, 0, -90)])

        async def test_changed(self) -> None:
            """What was retracted or edited away would still be found, or what it reads now would not."""
            await self.begin([message(n, 1, f"旧的 {n}") for n in range(1, 4)])
            self.sql("UPDATE chat_message SET retracted = 1 WHERE serial = 1")
            self.sql("UPDATE chat_message SET text = '新的' WHERE serial = 2")
            self.assertEqual(await self.pages("旧的", [Scope(1)]), [3])
            self.sql("INSERT INTO chat_unindexed VALUES (2)")
            await self.database.run(partial(remove_words, messages=[(1, 2, "旧的 2")]))
            await self.database.run(partial(index_some, limit=10))
            self.assertEqual(await self.pages("新的", [Scope(1)]), [2])
            self.assertEqual(await self.pages("旧的", [Scope(1)]), [3])

        async def test_deadline(self) -> None:
            """A search would keep the database busy after its time, or never come to what lies further down."""
            messages = at_random(800, 20)
            await self.begin(messages)
            scopes = [Scope(n) for n in range(1, 21)]
            self.patch(search, "_COUNTED_WITHIN", 100)
            for text in ("你好世界", "服务器你好", "器", "没有"):
                for patience in (0, 1, 3, 100):
                    asked: list[int] = []

                    def deadline(asked: list[int] = asked, patience: int = patience) -> bool:
                        asked.append(1)
                        return len(asked) % (patience + 1) == 0

                    self.assertEqual(
                        await self.pages(text, scopes, deadline=deadline),
                        self.expected(text, messages, scopes),
                    )
            found = await self.page("你好", scopes, limit=1000, deadline=lambda: True)
            self.assertLessEqual(len(found.messages), 1)
            self.assertFalse(found.complete)
            nobody: dict[str, Any] = {"sender": BOB + 9, "deadline": lambda: True}
            found = await self.page("你好", scopes, **nobody)
            self.assertEqual((found.messages, found.complete), ([], False))
            self.assertEqual(await self.pages("你好", scopes, **nobody), [])

        async def test_meanwhile(self) -> None:
            """A message that comes while somebody turns the pages would be among older ones, or hide one of them."""
            messages = at_random(100, 3)
            await self.begin(messages)
            scopes = [Scope(n) for n in range(1, 4)]
            serials: list[int] = []
            found = Found([], 2**63 - 1, False)
            for n in range(100):
                if found.complete:
                    break
                found = await self.page("你好", scopes, found.until, limit=3)
                serials += [one.serial for one in found.messages]
                await self.add([message(5000 + 2 * n + k, 1 + k, "你好") for k in range(2)])
            self.assertEqual(serials, self.expected("你好", messages, scopes))

        async def test_false_candidates(self) -> None:
            """Messages that have the pairs but not the word would end the search before it comes to one that has it."""
            wrong = [message(n, n % 3 + 1, "你好, 好吗 ok") for n in range(10, 3010)]
            await self.begin([message(5, 1, "你好吗 ok"), *wrong, message(9000, 2, "你好吗")])
            scopes = [Scope(1), Scope(2), Scope(3)]
            self.assertEqual(await self.pages("你好吗", scopes), [9000, 5])
            self.assertEqual(await self.pages("你好吗 ok", scopes), [5])
            self.assertEqual(await self.pages("ok ok2", scopes), [])

        async def test_candidates(self) -> None:
            """A candidate would be looked at twice, or messages from before somebody came be looked at for nothing."""
            messages = at_random(2000, 5)
            await self.begin([*messages, message(30_000, 1, "器器器")])
            first = ord("器") << 21
            for source, text in (
                (with_token(*query_of("你好").tokens), "你好"),
                (within(first, first + 2**21 - 1), "器"),
                (everything(), ""),
            ):
                scopes = [Scope(1, 4000), Scope(2), Scope(4, 30_000)]
                given = await self.database.run(partial(self.all_of, source=source, scopes=scopes))
                self.assertEqual(
                    given,
                    [
                        one.serial
                        for one in reversed(messages)
                        if text in one.text
                        and (
                            one.conversation == 2 or (one.conversation == 1 and one.serial >= 4000)
                        )
                    ],
                )

        def all_of(
            self, transaction: Transaction, source: Source, scopes: Sequence[Scope]
        ) -> list[int]:
            """All candidates below 25,000, batch by batch."""
            candidates = Candidates(transaction, source, scopes, 25_000)
            given: list[int] = []
            while not candidates.ended:
                before = candidates.until
                batch = candidates.next()
                self.assertTrue(all(candidates.until <= one < before for one in batch))
                given += batch
            self.assertEqual(candidates.until, 0)
            return given

        async def test_frequent_character(self) -> None:
            """One character of Chinese that many messages have would take the time of all of them, or miss some."""
            messages = at_random(700, 9)
            await self.begin(messages)
            scopes = [Scope(n) for n in range(1, 10)]
            expected = self.expected("好", messages, scopes)
            for most in (1, 10, 100_000):
                self.patch(search, "_COUNTED_WITHIN", most)
                asked = self.listen_in()
                self.assertEqual(await self.pages("好", scopes), expected)
                sorts_all = any("DISTINCT" in sql for sql, _ in asked)
                self.assertEqual(sorts_all, most == 100_000)
                self.assertEqual(await self.pages("没", scopes), [])

        async def test_rarest_word(self) -> None:
            """A rare word beside frequent ones would be looked for in all messages that have those."""
            frequent = "ok 你好 世界"
            await self.begin(
                [message(n, 1, f"{frequent} {'抹香' * (n % 40 == 0)}") for n in range(1, 4000)]
            )
            asked = self.listen_in()
            found = await self.page(f"{frequent} 抹香", [Scope(1)], limit=1000)
            self.assertEqual((len(found.messages), found.complete), (99, True))
            self.assertLess(len(asked), 10)

        async def test_many_conversations(self) -> None:
            """Whoever is in more conversations than one statement takes would find nothing, or not all."""
            messages = [message(n, n, "你好 世界" if n % 3 else "世界") for n in range(1, 1201)]
            messages.append(message(2000, 1150, "抹香鲸"))
            await self.begin(messages)
            scopes = [Scope(n) for n in range(1, 1201)]
            for text in ("你好", "世 你", "你好 世界", "世", "抹香鲸", "鲸"):
                expected = self.expected(text, messages, scopes)
                self.assertEqual(await self.pages(text, scopes, limit=300), expected, text)
            asked = self.listen_in()
            await self.page("你好", scopes[:200])
            self.assertLess(len([sql for sql, _ in asked if "chat_" in sql]), 4)

        async def test_ends(self) -> None:
            """A client would be told that there is more where nothing is, or get an error for a number."""
            await self.begin([message(n, 1, "你好") for n in range(1, 11)])
            for limit, complete in ((10, True), (11, True), (9, False)):
                found = await self.page("你好", [Scope(1)], limit=limit)
                self.assertEqual(found.complete, complete)
                self.assertEqual(found.until, 0 if complete else 2)
            for before, many in ((-5, 0), (0, 0), (1, 0), (2, 1), (2**80, 10), (None, 10)):
                found = await self.page("你好", [Scope(1)], before)
                self.assertEqual(len(found.messages), many)
                self.assertTrue(found.complete)
            for text in ("", "…", " "):
                found = await self.page(text, [Scope(1)])
                self.assertEqual((found.messages, found.complete), ([], True))

        def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
            """What in the database's plan for a statement reads a whole table, or sorts too much."""
            raise NotImplementedError

        def counted(self) -> None:
            """Have the database count its rows."""

        async def test_no_scan(self) -> None:
            """Each search, or each message that is edited, could keep the database busy for seconds."""
            await self.begin(at_random(5000, 300))
            self.counted()
            asked = self.listen_in()
            scopes = [Scope(n) for n in range(1, 100)]
            for most in (1, 10_000):
                self.patch(search, "_COUNTED_WITHIN", most)
                for text in QUERIES:
                    await self.page(text, scopes, 40_000, sender=BOB)
                    await self.page(text, scopes[:1])
            self.sql("INSERT INTO chat_unindexed VALUES (20), (40)")
            await self.database.run(partial(index_some, limit=10))
            removed = [(1, 20, "你好世界"), (1, 40, "你 ok")]
            await self.database.run(partial(remove_words, messages=removed))
            questions = {sql: args for sql, args in asked if re.match("[(]?SELECT|DELETE", sql)}
            self.assertGreater(len(questions), 10)
            for statement, args in questions.items():
                self.assertEqual(self.plan(statement, args), [], statement)


class SQLiteTests(BothKinds.Tests, OnSQLite):
    """In SQLite."""

    def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
        """Return the steps that read a whole table, or sort all of a list of which a few rows are wanted."""
        rows = self.sql(f"EXPLAIN QUERY PLAN {statement}", args)
        allowed = r"SCAN ([(]subquery-\d+[)]|counted|chat_unindexed)$"
        steps = [row[3] for row in rows if re.match("SCAN|USE TEMP B-TREE FOR ORDER", row[3])]
        if "DISTINCT" in statement:
            steps = [step for step in steps if not step.startswith("USE")]  # few, and counted
        return [step for step in steps if not re.match(allowed, step)]


class MariaDBTests(BothKinds.Tests, OnMariaDB):
    """In MariaDB."""

    def counted(self) -> None:
        """Have the database count its rows."""
        self.sql("ANALYZE TABLE chat_message, chat_word")

    def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
        """Return the steps that read a whole table."""
        return [step for step in self.full_scans(statement, args) if "chat_unindexed" not in step]
