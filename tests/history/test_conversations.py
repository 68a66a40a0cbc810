"""The list of conversations, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from typing import Any

from chatsvc.archive.entry import Pair
from chatsvc.archive.reading import mark_read
from chatsvc.archive.scope import Scope
from chatsvc.history.conversations import conversations
from chatsvc.rooms.room import ALL, JOINED, PUBLIC
from chatsvc.wire.history_events import ListedConversation
from tests.support.archive_stores import OnArchive, edited, retracted, said
from tests.support.databases import OnMariaDB, OnSQLite
from tests.support.rooms import ANN, BOB, CAT, DAN, EVE, OnRooms

MANY = 250


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnRooms, OnArchive):
        """The tests, for each kind of database."""

        async def list(
            self, uid: int = ANN, before: int | None = None, limit: int = 50
        ) -> list[ListedConversation]:
            """Somebody's conversations; ``complete`` is what was said of the list."""
            listed, self.complete = await self.run_in(conversations, uid, before, limit)
            return listed  # type: ignore[no-any-return]

        async def read(self, uid: int, conversation: int, serial: int) -> None:
            """Have somebody read a conversation."""
            await self.run_in(mark_read, uid, Scope(conversation), serial)

        async def test_order(self) -> None:
            """The conversation in which something was said last would not come first."""
            await self.set_rooms_up()
            number = (await self.rooms.create(ANN, "dev", PUBLIC, "")).number
            await self.write(
                *(said(10), said(20, place=Pair(ANN, CAT)), said(30, place=number)),
                *(
                    said(40, place=Pair(ANN, ANN)),
                    said(50, "newest"),
                    said(60, place=Pair(BOB, CAT)),
                ),
            )
            listed = await self.list()
            found = [(one.last.serial, one.other, one.room, one.name) for one in listed]
            self.assertEqual(
                found,
                [
                    (50, BOB, None, "bob"),
                    (40, ANN, None, "ann"),
                    (30, None, number, "dev"),
                    (20, CAT, None, "cat"),
                ],
            )
            self.assertEqual((listed[0].last.text, self.complete), ("newest", True))
            self.assertEqual(await self.list(DAN), [])
            self.assertTrue(self.complete)

        async def test_pages(self) -> None:
            """Who has many conversations would miss some, see some twice, or be told too early that these are all."""
            await self.set_rooms_up()
            await self.write(
                *[said(10 * n, place=Pair(ANN, 20_000 + n)) for n in range(1, MANY + 1)]
            )
            found: list[int] = []
            before = None
            while True:
                page = await self.list(before=before, limit=100)
                found += [one.last.serial for one in page]
                if self.complete:
                    break
                self.assertEqual(len(page), 100)
                before = found[-1]
            self.assertEqual(found, [10 * n for n in range(MANY, 0, -1)])
            self.assertEqual(len(await self.list(limit=MANY)), MANY)
            self.assertTrue(self.complete)
            self.assertEqual(await self.list(before=10), [])
            self.assertEqual(await self.list(before=-5), [])

        async def test_read(self) -> None:
            """Somebody would be told of messages that they have read or said, or not of those that they have not."""
            await self.set_rooms_up()
            await self.write(said(10), said(20, sender=BOB), said(30, sender=BOB), said(40))
            number = self.conversations()[ANN, BOB]
            (one,) = await self.list()
            self.assertEqual((one.read, one.unread, one.seen), (0, 2, 0))
            await self.read(ANN, number, 20)
            await self.read(BOB, number, 10)
            (one,) = await self.list()
            self.assertEqual((one.read, one.unread, one.seen), (20, 1, 10))
            (other,) = await self.list(BOB)
            self.assertEqual((other.read, other.unread, other.seen), (10, 1, 20))

        async def test_seen_is_of_the_other(self) -> None:
            """Somebody would be told how far others have read in rooms, or have read themselves."""
            await self.set_rooms_up()
            number = (await self.rooms.create(ANN, "dev", PUBLIC, "")).number
            await self.rooms.join(BOB, number)
            serial = self.logs.serial()
            await self.write(said(serial, place=number), said(20, place=Pair(ANN, ANN)))
            await self.read(BOB, -number, serial)
            await self.read(ANN, self.conversations()[ANN, ANN], 20)
            self.assertEqual([one.seen for one in await self.list()], [None, None])

        async def test_rooms_since(self) -> None:
            """What was said before somebody joined would be shown, or count as unread or as a mention."""
            await self.set_rooms_up()
            number = (await self.rooms.create(ANN, "dev", PUBLIC, "")).number
            before = self.logs.serial()
            await self.write(said(before, "secret", place=number))
            self.sql(
                "INSERT INTO chat_mention (uid, conversation, serial) VALUES (?, ?, ?)",
                (BOB, -number, before),
            )
            await self.rooms.change(ANN, number, history=JOINED)
            await self.rooms.join(BOB, number)
            self.assertEqual(await self.list(BOB), [])
            await self.write(said(self.logs.serial(), "hello", place=number))
            (one,) = await self.list(BOB)
            self.assertEqual((one.last.text, one.unread, one.mentioned), ("hello", 1, False))
            await self.rooms.change(ANN, number, history=ALL)
            (one,) = await self.list(BOB)
            self.assertEqual((one.unread, one.mentioned), (2, True))

        async def test_without_rooms(self) -> None:
            """Who does not know of rooms would be told of them, or of fewer other conversations because of them."""
            await self.set_rooms_up()
            number = (await self.rooms.create(ANN, "dev", PUBLIC, "")).number
            await self.write(said(10), said(20, place=number), said(30, place=Pair(ANN, CAT)))
            listed, complete = await self.run_in(conversations, ANN, None, 2, False)
            self.assertEqual([one.last.serial for one in listed], [30, 10])
            self.assertTrue(complete)

        async def test_who_left(self) -> None:
            """A room that somebody has left, or that is closed, would be in the list."""
            await self.set_rooms_up()
            number = (await self.rooms.create(ANN, "dev", PUBLIC, "")).number
            await self.rooms.join(BOB, number)
            await self.write(said(self.logs.serial(), place=number))
            self.assertEqual(len(await self.list(BOB)), 1)
            await self.rooms.leave(BOB, number)
            self.assertEqual(await self.list(BOB), [])
            await self.rooms.close(ANN, number)
            self.assertEqual(await self.list(), [])

        async def test_retracted(self) -> None:
            """A conversation would be shown by what was retracted, or be gone with it (P6)."""
            await self.set_rooms_up()
            await self.write(said(10, "first"), said(20, "secret"), said(30, place=Pair(ANN, CAT)))
            await self.write(edited(35, 10, "better"), retracted(40, 20), retracted(50, 30))
            (one,) = await self.list(BOB)
            self.assertEqual((one.last.serial, one.last.text, one.unread), (10, "better", 1))
            self.assertEqual([listed.other for listed in await self.list()], [BOB])

        async def test_erased(self) -> None:
            """A conversation with somebody who has no account any more would be missing, or end the list."""
            await self.set_rooms_up()
            await self.write(
                said(10, place=Pair(ANN, EVE)), said(20, place=Pair(-5, ANN)), said(30)
            )
            self.sql("DELETE FROM user WHERE id = ?", (EVE,))
            found = [(one.other, one.name) for one in await self.list()]
            self.assertEqual(found, [(BOB, "bob"), (-5, "UID-5"), (EVE, f"UID{EVE}")])

        async def test_mentioned(self) -> None:
            """A mention would still be shown to who has read it, or not be shown."""
            await self.set_rooms_up()
            await self.write(said(10, sender=BOB), said(20, sender=BOB))
            number = self.conversations()[ANN, BOB]
            row: tuple[Any, ...] = (ANN, number)
            self.sql("INSERT INTO chat_mention (uid, conversation, serial) VALUES (?, ?, 20)", row)
            self.assertEqual([one.mentioned for one in await self.list()], [True])
            await self.read(ANN, number, 20)
            self.assertEqual([one.mentioned for one in await self.list()], [False])


class SQLiteConversationTests(BothKinds.Tests, OnSQLite):
    """SQLite."""


class MariaDBConversationTests(BothKinds.Tests, OnMariaDB):
    """MariaDB."""
