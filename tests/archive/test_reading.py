"""How far users have read, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from functools import partial

from chatsvc.archive.pages import ENDLESS
from chatsvc.archive.reading import (
    UNREAD,
    Reading,
    count_unread,
    is_mentioned,
    mark_read,
    mute,
    readings,
)
from chatsvc.archive.scope import Scope
from tests.support.archive_stores import ANN, BOB, CAT, ROOM, OnArchive, retracted, said
from tests.support.databases import OnMariaDB, OnSQLite

IN_ROOM = Scope(-ROOM)


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnArchive):
        """The tests, for each kind of database."""

        async def mark(self, serial: int, uid: int = BOB, scope: Scope = IN_ROOM) -> int | None:
            """Note how far somebody has read."""
            return await self.run_in(mark_read, uid, scope, serial)

        async def seen(self, uid: int = BOB, conversation: int = -ROOM) -> int:
            """How far somebody has read."""
            found = await self.run_in(readings, [(uid, conversation)])
            return found.get((uid, conversation), Reading()).seen

        async def unread(self, seen: int, uid: int = BOB, scope: Scope = IN_ROOM) -> int:
            """How much somebody has not read."""
            return await self.run_in(count_unread, uid, scope, seen)

        async def test_only_grows(self) -> None:
            """A device that is behind would have read messages counted as unread again (P7)."""
            await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
            for serial, answer, seen in (
                (30, 30, 30),
                (20, None, 30),
                (30, None, 30),
                (35, 35, 35),
                (-1, None, 35),
                (50, 50, 50),
            ):
                self.assertEqual(await self.mark(serial), answer)
                self.assertEqual(await self.seen(), seen)

        async def test_not_above_the_newest(self) -> None:
            """A client could mark as read what will be said later."""
            await self.begin(said(10, place=ROOM), said(20, place=ROOM + 1))
            self.assertEqual(await self.mark(2**53), 10)
            self.assertEqual(await self.mark(ENDLESS), None)
            await self.write(said(30, place=ROOM))
            self.assertEqual(await self.unread(await self.seen()), 1)
            self.assertEqual(await self.mark(2**53), 30)

        async def test_nothing_there(self) -> None:
            """A marker would be set in a conversation in which nothing was said that may be read."""
            await self.begin(said(10, place=ROOM))
            for scope in (Scope(-8), Scope(5), Scope(-ROOM, 11), Scope(-ROOM, ENDLESS)):
                self.assertEqual(await self.mark(50, scope=scope), None)
            self.assertEqual(self.count("chat_reading"), 0)

        async def test_after_retraction(self) -> None:
            """A marker would fall, or be refused, once the newest message was retracted (P7)."""
            await self.begin(said(10, place=ROOM), said(20, place=ROOM))
            self.assertEqual(await self.mark(20), 20)
            await self.write(retracted(30, 20))
            self.assertEqual(await self.mark(99), None)
            self.assertEqual(await self.seen(), 20)

        async def test_muted_stays(self) -> None:
            """Reading would undo what else is kept of a user in a conversation, or begin with it wrong."""
            await self.begin(said(10, place=ROOM), said(20, place=ROOM))
            await self.run_in(mute, BOB, -ROOM, True)
            self.assertEqual(await self.mark(10), 10)
            found = await self.run_in(readings, [(BOB, -ROOM)])
            self.assertEqual(found, {(BOB, -ROOM): Reading(10, True)})

        def mention(self, *mentions: tuple[int, int, int]) -> None:
            """Have messages mention users: uid, conversation and serial of each."""
            for mention in mentions:
                self.sql("INSERT INTO chat_mention VALUES (?, ?, ?)", mention)

        def mentions(self) -> list[tuple[int, int, int]]:
            """Who is mentioned where, as `mention` takes it."""
            query = "SELECT uid, conversation, serial FROM chat_mention ORDER BY 1, 2, 3"
            return [(uid, conversation, serial) for uid, conversation, serial in self.sql(query)]

        async def test_mentions_go(self) -> None:
            """The table of mentions would grow with all that was ever said, or somebody lose one that is not read."""
            await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
            other = [(CAT, -ROOM, 10), (BOB, -ROOM - 1, 10)]
            self.mention(*[(BOB, -ROOM, 10 * n) for n in range(1, 5)], *other)
            self.assertEqual(await self.mark(30), 30)
            self.assertEqual(self.mentions(), sorted([(BOB, -ROOM, 40), *other]))
            self.assertEqual(await self.mark(20), None)
            self.assertEqual(len(self.mentions()), 3)
            self.assertEqual(await self.mark(99), 50)
            self.assertEqual(self.mentions(), sorted(other))

        async def test_many_mentions(self) -> None:
            """Reading what mentions somebody thousands of times would hold a transaction open for as long."""
            await self.begin(*[said(n, place=ROOM) for n in range(1, 260)])
            self.mention(*[(BOB, -ROOM, n) for n in range(1, 260)])
            await self.mark(250)
            self.assertEqual(self.count("chat_mention"), 59)
            await self.mark(251)
            self.assertEqual([serial for _, _, serial in self.mentions()], [*range(252, 260)])

        async def test_mentioned(self) -> None:
            """A mention would count that was read, retracted or said before one joined, or one not that was not."""
            await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
            self.mention((BOB, -ROOM, 20), (BOB, -ROOM, 40), (CAT, -ROOM, 50))
            for since, seen, expected in (
                *((0, 0, True), (0, 20, True), (0, 39, True), (0, 40, False)),
                *((40, 0, True), (41, 0, False), (10, 40, False)),
            ):
                found = await self.run_in(is_mentioned, BOB, Scope(-ROOM, since), seen)
                self.assertEqual(found, expected, (since, seen))
            self.assertFalse(await self.run_in(is_mentioned, BOB, Scope(-ROOM - 1), 0))
            await self.write(retracted(60, 40))
            self.assertTrue(await self.run_in(is_mentioned, BOB, IN_ROOM, 0))
            await self.write(retracted(70, 20))
            self.assertFalse(await self.run_in(is_mentioned, BOB, IN_ROOM, 0))

        async def test_one_marker_each(self) -> None:
            """One user's marker would count for another, or for another conversation."""
            await self.begin(said(10, place=ROOM), said(20, place=ROOM + 1))
            await self.mark(10)
            await self.mark(20, CAT, Scope(-ROOM - 1))
            asked = [(uid, number) for uid in (ANN, BOB, CAT) for number in (-ROOM, -ROOM - 1)]
            found = await self.run_in(readings, asked)
            marked = {key: one for key, one in found.items() if key in asked}
            self.assertEqual(marked, {(BOB, -ROOM): Reading(10), (CAT, -ROOM - 1): Reading(20)})
            self.assertEqual(await self.run_in(readings, []), {})

        async def test_unread(self) -> None:
            """Somebody would be told of fewer or more messages than there are to read."""
            await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
            await self.write(said(60, place=ROOM + 1), retracted(70, 40))
            for seen, count in ((0, 4), (9, 4), (10, 3), (30, 1), (40, 1), (50, 0), (ENDLESS, 0)):
                self.assertEqual(await self.unread(seen), count, seen)

        async def test_own(self) -> None:
            """What somebody said would count as unread for themselves."""
            await self.begin(said(10, place=ROOM), said(20, place=ROOM, sender=BOB))
            self.assertEqual([await self.unread(0, uid) for uid in (ANN, BOB, CAT)], [1, 1, 2])

        async def test_unread_since(self) -> None:
            """What was said before somebody joined would count as unread."""
            await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
            self.assertEqual(await self.unread(0, scope=Scope(-ROOM, 30)), 3)
            self.assertEqual(await self.unread(40, scope=Scope(-ROOM, 30)), 1)
            self.assertEqual(await self.unread(0, scope=Scope(-ROOM, ENDLESS)), 0)

        async def test_unread_at_most(self) -> None:
            """A list of conversations would cost more, the longer somebody has read nothing."""
            await self.begin(*[said(n, place=ROOM) for n in range(1, UNREAD + 10)])
            self.assertEqual(UNREAD, 100)
            self.assertEqual(await self.unread(0), 100)
            self.assertEqual(await self.unread(9), 100)
            self.assertEqual(await self.unread(10), 99)


class SQLiteReadingTests(BothKinds.Tests, OnSQLite):
    """SQLite."""


class MariaDBReadingTests(BothKinds.Tests, OnMariaDB):
    """MariaDB."""

    async def test_two_at_once(self) -> None:
        """Of two devices that read at the same moment the one that is behind could have the last word (P7)."""
        await self.begin(*[said(10 * n, place=ROOM) for n in range(1, 6)])
        columns = "uid, conversation, seen"
        newer = f"INSERT INTO chat_reading ({columns}) VALUES (?, ?, 50)"  # noqa: S608
        self.before("INSERT INTO chat_reading", partial(self.sql, newer, (BOB, -ROOM)))
        await self.mark(30)
        self.assertEqual(await self.seen(), 50)
