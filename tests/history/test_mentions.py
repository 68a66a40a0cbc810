"""Who is mentioned by what, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from hypothesis import given, reject
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.accounts.creation import NewAccount
from chatsvc.accounts.names import BadName, enforce, fold, possible_folds
from chatsvc.accounts.store import AccountStore
from chatsvc.archive.entry import Place
from chatsvc.archive.reading import mark_read
from chatsvc.archive.scope import Scope
from chatsvc.archive.word_index import index_some
from chatsvc.history.conversations import conversations
from chatsvc.history.mentions import mark_mentions, names_in
from chatsvc.rooms.room import PUBLIC
from chatsvc.storage.sql import Transaction
from tests.support.archive_stores import PAIR, OnArchive, edited, retracted, said
from tests.support.databases import OnMariaDB, OnSQLite
from tests.support.rooms import ANN, BOB, CAT, DAN, OnRooms

SCRIPTS = st.characters(exclude_categories=["Cs"]) | st.sampled_from("aBßẞſΣσςµΜİıǅﬀ李四Ａ １ö·ー")


class NameTests(SynchronousTestCase):
    """What may be a name in a text."""

    def said(self, text: str) -> list[str]:
        """The longest that each `@` may name, as names are compared."""
        return [fold(names[0]) for names in names_in(text)]

    def test_addresses(self) -> None:
        """An e-mail address would mention whoever has the name behind its `@`, or another `@` mention nobody."""
        for text in (
            *("mail bob@ann", "bob.@ann", "bob_@ann", "bob+@ann", "bob-@ann", "9@ann", "Z＠ann"),
            "ask a.b@ann, or x@ann",
        ):
            self.assertEqual(self.said(text), [], text)
        for text in ("@ann", "你好@ann", "(@ann", "é@ann", "，＠ann", "@@ann", "\n@ann", "/@ann"):
            self.assertEqual(self.said(text)[-1:], ["ann"], text)

    def test_addresses_do_not_count(self) -> None:
        """Ten addresses in a message would take all mentions that it has."""
        self.assertEqual(self.said("x@y " * 20 + "@ann"), ["ann"])

    def test_bounds(self) -> None:
        """A message could have a database look for any number of names."""
        found = names_in("@李" * 500 + "@" + "一" * 500)
        self.assertEqual(len(found), 10)
        self.assertLessEqual(max(map(len, found)), 32)
        (names,) = names_in("@" + "一" * 500)
        self.assertEqual([len(name) for name in names], [*range(32, 0, -1)])

    @given(st.text(SCRIPTS, min_size=1, max_size=32))
    def test_any_name(self, raw: str) -> None:
        """Somebody whose name has a letter that is folded in another way could not be mentioned."""
        try:
            name = enforce(raw)
        except BadName:
            reject()
        names = names_in(f"hallo @{name}, bitte")[0]
        said = [one for one in names if fold(one) == fold(name)]
        self.assertNotEqual(said, [])
        for one in said:
            self.assertIn(fold(name), possible_folds(one))


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnRooms, OnArchive):
        """The tests, for each kind of database."""

        async def begin_room(self, *uids: int) -> None:
            """Have ANN make the room `dev`, and others join it."""
            await self.set_rooms_up()
            self.room = (await self.rooms.create(ANN, "dev", PUBLIC, "")).number
            for uid in uids:
                await self.rooms.join(uid, self.room)

        async def add(self, *names: str) -> list[int]:
            """Make accounts; give their uids."""
            accounts = AccountStore(self.database)
            await accounts.create_many([NewAccount(name, "$") for name in names])
            return [
                self.sql("SELECT id FROM user WHERE username = ?", (name,))[-1][0] for name in names
            ]

        async def index(self) -> None:
            """Have all that waits indexed."""
            await self.run_in(index_some, 100, mark_mentions)

        async def say(self, serial: int, text: str, place: Place | None = None) -> None:
            """Have ANN say something, in the room unless told otherwise, and have it indexed."""
            await self.write(said(serial, text, self.room if place is None else place))
            await self.index()

        def marked(self) -> list[tuple[int, int]]:
            """Who is mentioned by which message."""
            rows = self.sql("SELECT uid, serial FROM chat_mention ORDER BY serial, uid")
            return [(uid, serial) for uid, serial in rows]

        async def mentioned(self, uid: int) -> bool:
            """Whether the only conversation of somebody says that it mentions them."""
            (one,), _ = await self.run_in(conversations, uid, None, 50)
            return bool(one.mentioned)

        async def read(self, uid: int, serial: int) -> None:
            """Have somebody read the room."""
            await self.run_in(mark_read, uid, Scope(-self.room), serial)

        # Names

        async def test_folds(self) -> None:
            """A name with ß, ẞ, a final ς or full width could not be called, or another one would be instead."""
            await self.begin_room()
            names = ("Straße", "strasse", "ΟΔΟΣ", "Ｗ李", "x ẞ", "ſmall")
            uids = dict(zip(names, await self.add(*names), strict=True))
            for uid in uids.values():
                await self.rooms.join(uid, self.room)
            for serial, (text, name) in enumerate(
                (
                    *(("hallo @Straße, bitte", "Straße"), ("@STRAßE", "Straße")),
                    *(("@STRASSE", "strasse"), ("@ΟΔΟΣ ok", "ΟΔΟΣ"), ("@οδος", "ΟΔΟΣ")),
                    *(("@w李你好", "Ｗ李"), ("@X ß", "x ẞ"), ("@small", "ſmall")),
                ),
                1,
            ):
                await self.say(serial, text)
                self.assertEqual(self.marked()[-1:], [(uids[name], serial)], text)
                self.assertEqual(len(self.marked()), serial, text)

        async def test_old_names(self) -> None:
            """Whoever has a name that no rule of today allows could not be mentioned any more."""
            await self.begin_room()
            self.sql("INSERT INTO user (username, password) VALUES (?, '$')", ("Groß\u00adIn",))
            ((uid,),) = self.sql("SELECT MAX(id) FROM user")
            await self.rooms.join(uid, self.room)
            await self.say(10, "@groß\u00adin, @gross\u00adIN")
            self.assertEqual(self.marked(), [(uid, 10)])

        async def test_longer_name_of_a_stranger(self) -> None:
            """A stranger could take mentions away from anybody, by a name that begins with theirs."""
            await self.begin_room(BOB, CAT)
            (longer,) = await self.add("bob hello")
            await self.say(10, "@bob hello two, @cat")
            self.assertEqual(self.marked(), [(BOB, 10), (CAT, 10)])
            await self.say(20, "@bob hello two", PAIR)
            self.assertEqual(self.marked()[2:], [(BOB, 20)])
            await self.rooms.join(longer, self.room)
            await self.say(30, "@bob hello two, @bob")
            self.assertEqual(self.marked()[3:], [(BOB, 30), (longer, 30)])
            await self.say(40, "@bob hello two")
            self.assertEqual(self.marked()[5:], [(longer, 40)])

        async def test_who_may_read(self) -> None:
            """Somebody would be mentioned where they may not read, or by themselves."""
            await self.begin_room(BOB)
            await self.say(10, "@ann @bob @cat @nobody")
            await self.say(20, "@ann @bob @cat", PAIR)
            self.assertEqual(self.marked(), [(BOB, 10), (BOB, 20)])

        async def test_many_names(self) -> None:
            """With more of those who may be meant than one statement takes, some would not be mentioned."""
            await self.begin_room()
            insert = "INSERT INTO chat_name (folded, uid) VALUES (?, ?)"
            member = "INSERT INTO chat_member (room, uid, role, version, since) VALUES (?, ?, 'member', 1, 1)"

            def same_name(transaction: Transaction) -> None:
                for uid in range(1, 701):
                    transaction.execute(insert, (b"same", uid))
                    transaction.execute(member, (self.room, uid))

            await self.database.run(same_name)
            await self.say(10, "@same")
            self.assertEqual([uid for uid, _ in self.marked()], [*range(1, 701)])

        # Messages that change

        async def test_newer_one_is_retracted(self) -> None:
            """A mention that nobody has taken back would be forgotten with a newer one."""
            await self.begin_room(BOB)
            await self.say(10, "@bob one")
            await self.say(20, "@bob two")
            await self.write(retracted(30, 20))
            self.assertTrue(await self.mentioned(BOB))
            await self.index()
            self.assertEqual(self.marked(), [(BOB, 10)])
            self.assertTrue(await self.mentioned(BOB))
            await self.write(retracted(40, 10), said(50, "x", self.room))
            self.assertFalse(await self.mentioned(BOB), "before it is indexed")
            await self.index()
            self.assertEqual((self.marked(), await self.mentioned(BOB)), ([], False))

        async def test_edited_away(self) -> None:
            """Somebody would be shown as mentioned by a message that does not name them any more."""
            await self.begin_room(BOB, CAT)
            await self.say(10, "@bob @cat hi")
            await self.write(edited(20, 10, "@cat hi"))
            await self.index()
            self.assertEqual(self.marked(), [(CAT, 10)])
            self.assertEqual([await self.mentioned(uid) for uid in (BOB, CAT)], [False, True])

        async def test_edited_in(self) -> None:
            """Somebody would not be mentioned by a message that names them since it was edited."""
            await self.begin_room(BOB)
            await self.say(10, "hi")
            await self.write(edited(20, 10, "@bob hi"))
            await self.index()
            self.assertTrue(await self.mentioned(BOB))

        async def test_still_mentioned(self) -> None:
            """A mention would be gone for a moment whenever a message is edited."""
            await self.begin_room(BOB)
            await self.say(10, "@bob hi")
            await self.write(edited(20, 10, "@bob hello"))
            self.assertTrue(await self.mentioned(BOB))
            asked = self.listen_in()
            await self.index()
            self.assertTrue(await self.mentioned(BOB))
            self.assertEqual([sql for sql, _ in asked if "DELETE FROM chat_mention" in sql], [])

        # Reading

        async def test_read_before_it_is_indexed(self) -> None:
            """Each mention that somebody reads at once would stay in the table for a year."""
            await self.begin_room(BOB, CAT)
            await self.write(*[said(10 * n, "@bob @cat", self.room) for n in (1, 2, 3)])
            await self.read(BOB, 20)
            await self.index()
            self.assertEqual(self.marked(), [(CAT, 10), (CAT, 20), (BOB, 30), (CAT, 30)])
            await self.read(CAT, 30)
            await self.read(BOB, 30)
            self.assertEqual(self.marked(), [])
            await self.write(edited(40, 20, "@bob @cat again"))
            await self.index()
            self.assertEqual((self.marked(), await self.mentioned(BOB)), ([], False))


class SQLiteMentionTests(BothKinds.Tests, OnSQLite):
    """SQLite."""


class MariaDBMentionTests(BothKinds.Tests, OnMariaDB):
    """MariaDB, and what others do meanwhile."""

    async def test_nobody_waits(self) -> None:
        """Who reads, or is mentioned elsewhere, would wait for whoever changes other mentions at this moment."""
        await self.begin_room(BOB, CAT)
        await self.say(10, "@bob @cat")
        await self.say(20, "@bob @cat")
        await self.write(edited(30, 20, "@cat"), retracted(40, 10))
        await self.write(said(50, "@bob @cat", self.room))

        insert = (
            "SET STATEMENT innodb_lock_wait_timeout=1 FOR INSERT INTO chat_mention VALUES (?, ?, ?)"
        )

        def meanwhile(transaction: Transaction) -> None:
            index_some(transaction, 100, mark_mentions)
            for uid in (ANN, BOB, CAT, DAN):
                for conversation in (-self.room - 1, -self.room, -self.room + 1):
                    for serial in (5, 15, 25, 60):
                        self.sql(insert, (uid, conversation, serial))

        await self.database.run(meanwhile)
        self.sql("DELETE FROM chat_mention WHERE serial IN (5, 15, 25, 60)")
        self.assertEqual(self.marked(), [(CAT, 20), (BOB, 50), (CAT, 50)])
