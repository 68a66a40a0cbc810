"""chatsvc.accounts.store on a real SQLite and a real MariaDB, on new tables and on old ones."""

from __future__ import annotations

from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.logger import capturedLogs

from chatsvc.accounts import name_index
from chatsvc.accounts import store as module
from chatsvc.accounts.creation import (
    HIGHEST_GIVEN,
    AccountsTaken,
    NameTaken,
    NewAccount,
    RowRejected,
    UidsUsedUp,
)
from chatsvc.accounts.names import BadName
from chatsvc.accounts.store import (
    MOST_FOUND,
    Account,
    AccountStore,
)
from chatsvc.storage.database import Database
from chatsvc.storage.url import (
    STORE_PATIENCE,
    StoreMisconfigured,
    StoreUnavailable,
    parse_store_url,
)
from tests.support.clocked import ClockedReactor
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite
from tests.support.servers import mariadb

HOSTILE = [
    "'; DROP TABLE user; --",
    '" OR "1"="1',
    "\\' OR 1=1 #",
    "100% %s %(x)s ?",
    "\x00\x1b[2J",
    "]:\n[ 张三|UID:1 ]:",
    "\ud800",
    "\u202eevil",
    "",
    "x" * 70_000,
    "😀",
]


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        """The tests, for each kind of database."""

        async def accounts(self, patience: float = STORE_PATIENCE) -> AccountStore:
            """Give accounts with a cache of their own, open."""
            accounts = AccountStore(await self.open(patience))
            await accounts.open()
            return accounts

        def insert(self, uid: int, name: str | None, password: str | None = "old") -> None:
            """Add a row as another program does."""
            self.sql("INSERT INTO user VALUES (?, ?, ?)", (uid, name, password))

        async def test_register_and_get(self) -> None:
            """A new account could not be read back, or uids would not count from 10001."""
            accounts = await self.accounts()
            self.assertEqual(await accounts.register("张三", "$phc"), 10001)
            self.assertEqual(await accounts.register("李四", "$phc2"), 10002)
            self.assertEqual(await accounts.get(10001), Account(10001, "张三", "$phc"))
            self.assertEqual(accounts.cached_name(10002), "李四")

        async def test_names_are_compared_folded(self) -> None:
            """Two accounts could have names that look the same."""
            accounts = await self.accounts()
            uid = await accounts.register("  Ａlice   Liddell ", "$phc")
            self.assertEqual(await accounts.name(uid), "Alice Liddell")
            for name in ("alice liddell", "ALICE  LIDDELL", "Ａlice Liddell"):
                with self.assertRaises(NameTaken):
                    await accounts.register(name, "$phc")
                self.assertEqual(await accounts.find(name), [uid])
            accented = await accounts.register("Àlice Liddell", "$phc")
            self.assertEqual(await accounts.find("àlice liddell"), [accented])

        async def test_bad_names(self) -> None:
            """A name that no name may be would get an account."""
            accounts = await self.accounts()
            for name in ("", " ", "x" * 33, "a\nb"):
                with self.assertRaises(BadName):
                    await accounts.register(name, "$phc")
            self.assertEqual(self.sql("SELECT * FROM user"), [])

        async def test_one_of_many_gets_the_name(self) -> None:
            """Two nodes would give the same name to two people who ask at the same time."""
            several = [await self.accounts(), await self.accounts()]
            tries = [ensureDeferred(a.register("Bob", "$phc")) for _ in range(5) for a in several]
            results = await DeferredList(tries, consumeErrors=True)
            self.assertEqual([result for good, result in results if good], [10001])
            for good, result in results:
                if not good:
                    result.trap(NameTaken)  # type: ignore[attr-defined]

        async def test_old_rows(self) -> None:
            """An existing deployment's users would lose their uid, their name or their password."""
            await self.accounts()
            self.sql("DROP TABLE user")
            self.sql("DELETE FROM chat_name")
            self.sql(self.old_table)
            old = [(1, "Alice", "secret"), (2, "alice", "x"), (3, None, None), (-4, "neg", "")]
            for row in old:
                self.insert(*row)
            accounts = await self.accounts()
            self.assertEqual(await accounts.get(1), Account(1, "Alice", "secret"))
            self.assertEqual(await accounts.get(3), Account(3, "UID3", None))
            self.assertEqual(await accounts.find("ALICE"), [1, 2])
            self.assertEqual(await accounts.find("neg"), [-4])
            for taken in ("Alice", "aLICE", "Neg"):
                with self.assertRaises(NameTaken):
                    await accounts.register(taken, "$phc")
            self.assertEqual(await accounts.register("张三", "$phc"), 4)
            self.assertEqual(await accounts.find("张三"), [4])

        old_table = ""

        async def test_rows_of_other_programs(self) -> None:
            """Users whom another program adds at any time could not be found or named anew."""
            accounts = await self.accounts()
            await accounts.register("Bob", "$phc")
            self.assertIsNone(await accounts.name(20000))
            self.insert(20000, "Carol")
            self.assertEqual(await accounts.name(20000), "Carol")
            self.assertEqual(await accounts.find("carol"), [20000])
            self.insert(500, "Dave")
            self.assertEqual(await accounts.find("Dave"), [500])
            with self.assertRaises(NameTaken):
                await accounts.register("Dave", "$phc")
            self.insert(30000, "Eve")
            with self.assertRaises(NameTaken):
                await accounts.register("EVE", "$phc")
            await (await self.accounts()).open()
            self.assertEqual(await accounts.find("DAVE"), [500])

        async def test_index_is_not_believed_blindly(self) -> None:
            """A user who was renamed or deleted with SQL would still hold the old name."""
            accounts = await self.accounts()
            bob, carol = await accounts.register("Bob", "p"), await accounts.register("Carol", "p")
            self.sql("UPDATE user SET username = 'Robert' WHERE id = ?", (bob,))
            self.sql("DELETE FROM user WHERE id = ?", (carol,))
            self.assertEqual(await accounts.find("bob"), [])
            self.assertEqual(await accounts.find("Robert"), [bob])
            self.assertEqual(await accounts.find("Carol"), [])
            await accounts.register("Bob", "p")
            await accounts.register("Carol", "p")

        async def test_find_is_bounded(self) -> None:
            """A name that half the table has would fill memory and a frame."""
            accounts = await self.accounts()
            values = ", ".join(f"({uid}, 'Same', 'x')" for uid in range(1, 1501))
            self.sql(f"INSERT INTO user VALUES {values}")  # noqa: S608
            self.assertEqual(await accounts.find("same"), list(range(1, MOST_FOUND + 1)))
            indexed = self.sql("SELECT COUNT(*) FROM chat_name")
            self.assertEqual(indexed, [(1500,)])

        async def test_long_old_names(self) -> None:
            """A name that is longer than the index holds would stop the start."""
            await self.accounts()
            self.insert(1, "长" * 255)
            self.insert(2, "长" * 254)
            accounts = await self.accounts()
            self.assertEqual(await accounts.find("长" * 255), [1])
            self.assertEqual(await accounts.find("长" * 254), [2])

        async def test_uids_that_cannot_be(self) -> None:
            """A uid out of range would be an error of SQL, or wrap around to somebody else."""
            accounts = await self.accounts()
            await accounts.register("Bob", "$phc")
            for uid in (0, -1, 10000, 2**31, 2**63 - 1, 2**63, -(2**63), -(2**63) - 1, 10**5000):
                self.assertIsNone(await accounts.name(uid))
                self.assertIsNone(await accounts.get(uid))
                self.assertFalse(await accounts.set_stored(uid, "x"))
                self.assertFalse(await accounts.replace_password(uid, "$phc", "x"))
                await accounts.page(uid, 10)

        async def test_replace_password(self) -> None:
            """A password that has just changed would be overwritten by one who knew the old."""
            accounts = await self.accounts()
            uid = await accounts.register("Bob", "Pass")
            for other in ("pass", "Pass ", "Páss", "", "Pass\x00", "\ud800"):
                self.assertFalse(await accounts.replace_password(uid, other, "x"))
            self.assertTrue(await accounts.replace_password(uid, "Pass", "密码"))
            self.assertFalse(await accounts.replace_password(uid, "Pass", "x"))
            self.assertTrue(await accounts.replace_password(uid, "密码", "密码"))
            self.assertEqual(await accounts.get(uid), Account(uid, "Bob", "密码"))

        async def test_set_stored(self) -> None:
            """An admin could not set a password, or would hear that the user does not exist."""
            accounts = await self.accounts()
            uid = await accounts.register("Bob", "a")
            self.assertTrue(await accounts.set_stored(uid, "b"))
            self.assertTrue(await accounts.set_stored(uid, "b"))
            self.assertFalse(await accounts.set_stored(uid + 1, "b"))
            self.assertEqual(await accounts.get(uid), Account(uid, "Bob", "b"))

        async def test_page(self) -> None:
            """A list of all accounts would repeat or leave out some."""
            accounts = await self.accounts()
            for uid in range(1, 6):
                self.insert(uid, f"u{uid}")
            first = await accounts.page(0, 3)
            rest = await accounts.page(first[-1].uid, 3)
            self.assertEqual([account.uid for account in first + rest], [1, 2, 3, 4, 5])

        async def test_hostile_strings(self) -> None:
            """Text in a name or a password would act as SQL, or break what comes after it."""
            accounts = await self.accounts()
            uid = await accounts.register("Bob", "$phc")
            for text in HOSTILE:
                self.assertEqual(await accounts.find(text), [])
                self.assertFalse(await accounts.replace_password(uid, text, "x"))
                try:
                    await accounts.register(text, "$phc")
                except BadName:
                    continue
                self.assertEqual(len(await accounts.find(text)), 1)
            for stored in HOSTILE[:6]:
                await accounts.set_stored(uid, stored)
                self.assertEqual(await accounts.get(uid), Account(uid, "Bob", stored))

        async def test_names_are_forgotten(self) -> None:
            """A user who was renamed or deleted would keep the old name for ever."""
            clock = [0.0]
            accounts = AccountStore(await self.open(), 2, 10.0, lambda: clock[0])
            await accounts.open()
            uids = [await accounts.register(name, "p") for name in ("a", "b", "c")]
            self.assertIsNone(accounts.cached_name(uids[0]))
            self.assertEqual(accounts.cached_name(uids[2]), "c")
            clock[0] = 11.0
            self.assertIsNone(accounts.cached_name(uids[2]))
            self.assertEqual(await accounts.name(uids[2]), "c")

        async def test_create_many(self) -> None:
            """Accounts made together would not be found, mix up their uids, or be half of what was asked for."""
            accounts = await self.accounts()
            people = [
                NewAccount("Ann", "$1"),
                NewAccount("Bob", "$2", 10001),
                NewAccount("张三", "$3", 77),
                *(NewAccount(f"user {number}", "$4") for number in range(450)),
            ]
            uids = await accounts.create_many(people)
            self.assertEqual(uids, [10002, 10001, 77, *range(10003, 10453)])
            self.assertEqual(await accounts.get(10001), Account(10001, "Bob", "$2"))
            for name, uid in (("ann", 10002), ("张三", 77), ("USER 449", 10452)):
                self.assertEqual(await AccountStore(await self.open()).find(name), [uid])
            self.assertEqual(await accounts.register("next", "$5"), 10453)

        async def test_create_many_where_somebody_is(self) -> None:
            """Two accounts could have one name or uid, or some of those refused would be made."""
            accounts = await self.accounts()
            await accounts.register("Ann Bell", "$")
            self.insert(500, "Carol")
            people = [
                NewAccount("new", "$"),
                NewAccount("ANN BELL", "$"),
                NewAccount("Carol", "$"),
                NewAccount("x", "$", 500),
            ]
            for attempt in (accounts.require_free, accounts.create_many):
                with self.assertRaises(AccountsTaken) as caught:
                    await attempt(people)
                taken = caught.exception
                self.assertEqual((taken.names, taken.uids), ({"ANN BELL", "Carol"}, {500}))
            self.assertEqual(len(await accounts.page(0, 10)), 2)
            await accounts.require_free(people[:1])

        async def test_create_many_what_a_rule_of_the_table_refuses(self) -> None:
            """Whom the database refuses could not be told, or those before would be there."""
            accounts = await self.accounts()
            self.sql("CREATE UNIQUE INDEX own_rule ON user (password)")
            people = [NewAccount("a", "$1"), NewAccount("b", "$2"), NewAccount("c", "$1")]
            with self.assertRaises(RowRejected) as caught:
                await accounts.create_many(people)
            self.assertEqual(caught.exception.index, 2)
            self.assertEqual(await accounts.page(0, 10), [])
            self.assertEqual(await accounts.find("a"), [])

        async def test_walks_in_pages(self) -> None:
            """What is looked at in pages would be counted or indexed twice, or not at all."""
            self.patch(name_index, "_WALKED", 3)
            self.patch(module, "_COUNTED", 3)
            accounts = await self.accounts()
            for uid in range(1, 9):
                self.insert(uid * 10, f"u{uid}", "plain")
            self.insert(100, "u9", "$argon2id$")
            self.sql("INSERT INTO chat_name VALUES (?, 40)", (b"u4",))
            self.sql("INSERT INTO chat_name VALUES (?, 100)", (b"u9",))
            self.assertEqual(await accounts.plain_passwords(), 8)
            await accounts.open()
            self.assertEqual(
                self.sql("SELECT COUNT(*), MIN(uid), MAX(uid) FROM chat_name"), [(9, 10, 100)]
            )

        async def test_the_numbering_is_used_up(self) -> None:
            """One row with the last number would end all registration, with a traceback or as a store that is away."""
            accounts = await self.accounts()
            uid = await accounts.register("Ann", "$")
            gone = await accounts.register("Gone", "$")
            self.sql("DELETE FROM user WHERE id = ?", (gone,))
            self.insert(self.last_number, "Last")
            with capturedLogs() as said:
                given = [await accounts.register(name, "$") for name in ("Bob", "Carol")]
                given += await accounts.create_many(
                    [NewAccount("Dave", "$"), NewAccount("Eve", "$")]
                )
            self.assertEqual(given, list(range(gone + 1, gone + 5)))
            self.assertEqual(await accounts.find("carol"), [given[1]])
            warnings = [one for one in said if one["event"] == "uids-used-up"]
            self.assertEqual([one["log_level"].name for one in warnings], ["warn"])
            self.insert(HIGHEST_GIVEN - 1, "Highest")
            with self.assertRaises(UidsUsedUp):
                await accounts.register("Frank", "$")
            with self.assertRaises(RowRejected):
                await accounts.create_many([NewAccount("Frank", "$")])
            self.assertEqual(await accounts.find("ann"), [uid])

        last_number = 0

        async def test_get_by_name(self) -> None:
            """Somebody would log in as another of the same name, or not by a name that is theirs alone."""
            accounts = await self.accounts()
            uid = await accounts.register("Alice Liddell", "$")
            self.insert(20000, "Same")
            self.insert(20001, "sAME")
            for name in ("Alice Liddell", " ａlice  LIDDELL "):
                found = await accounts.get_by_name(name)
                self.assertEqual(found, Account(uid, "Alice Liddell", "$"))
            self.assertEqual(await accounts.find("same"), [20000, 20001])
            for name in ("same", "Same", "nobody", *HOSTILE):
                self.assertIsNone(await accounts.get_by_name(name, "0" * 16), name)
            self.sql("UPDATE user SET username = 'Other' WHERE id = 20001")
            found = await accounts.get_by_name("same")
            self.assertEqual(found and found.uid, 20000)
            self.assertEqual(accounts.cached_name(20000), "Same")

        async def test_plain_passwords(self) -> None:
            """An admin could not see how many passwords are still plain."""
            accounts = await self.accounts()
            stored = ["plain", "$argon2id$x", "!$argon2id$x", "", None, "!", "$5$x"]
            for uid, password in enumerate(stored, 1):
                self.insert(uid, f"u{uid}", password)
            self.assertEqual(await accounts.plain_passwords(), 3)
            await accounts.check_usable()
            self.assertEqual([one.stored for one in await accounts.page(0, 10)], stored)


class SQLiteAccountsTests(BothKinds.Tests, OnSQLite):
    """Accounts in SQLite."""

    last_number = 2**63 - 1
    old_table = (
        "CREATE TABLE user (id integer primary key, username varchar(255), password varchar(255))"
    )

    async def test_other_types_in_columns(self) -> None:
        """A row that SQLite keeps as bytes, or not as UTF-8, would break every list."""
        accounts = await self.accounts()
        self.sql("INSERT INTO user VALUES (1, x'42ff', x'ff'), (2, CAST(x'43ff' AS TEXT), 7)")
        self.assertEqual(len(await accounts.page(0, 10)), 2)
        await (await self.accounts()).find("x")


class MariaDBAccountsTests(BothKinds.Tests, OnMariaDB):
    """Accounts in MariaDB."""

    last_number = 2**31 - 1
    old_table = (
        "CREATE TABLE user (id int auto_increment primary key, username varchar(255),"
        " password varchar(255)) CHARSET=utf8mb3"
    )

    async def test_locks_that_may_not_be_read(self) -> None:
        """After an upgrade a server with the rights of before would start, and nobody could log in."""
        await AccountStore(await self.open()).open()
        user, url = f"l_{self.name}", self.url
        mariadb().execute("", f"CREATE USER {user} IDENTIFIED BY 'pw'")
        self.addCleanup(mariadb().execute, "", f"DROP USER {user}")
        for table in ("user", "chat_name", "chat_schema"):
            mariadb().execute("", f"GRANT ALL ON `{self.name}`.{table} TO {user}")
        self.url = f"mysql://{user}:pw@127.0.0.1:{mariadb().port}/{self.name}"
        with self.assertRaisesRegex(StoreMisconfigured, "GRANT SELECT, INSERT, UPDATE"):
            await AccountStore(await self.open()).open()
        mariadb().execute("", f"GRANT SELECT ON `{self.name}`.chat_lock TO {user}")
        await AccountStore(await self.open()).open()
        self.url = url

    async def test_restart(self) -> None:
        """Accounts would stay lost after MySQL was killed and came back."""
        accounts = await self.accounts()
        uid = await accounts.register("Bob", "$phc")
        mariadb().kill()
        try:
            with self.assertRaises(StoreUnavailable):
                await accounts.get(uid)
            self.assertEqual(accounts.cached_name(uid), "Bob")
        finally:
            mariadb().start()
        self.assertEqual(await accounts.find("bob"), [uid])
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_frozen(self) -> None:
        """A database that hangs would count as an unknown user, or hold its sessions."""
        clocked = ClockedReactor()
        database = Database(parse_store_url(self.url, ("mysql",)), clocked)
        await database.open()
        self.addCleanup(database.close)
        accounts = AccountStore(database)
        await accounts.open()
        uid = await accounts.register("Bob", "$phc")
        mariadb().freeze()
        try:
            for command in (accounts.get(uid), accounts.register("Carol", "p")):
                waiting = ensureDeferred(command)
                self.assertNoResult(waiting)
                clocked.clock.advance(STORE_PATIENCE)
                self.failureResultOf(waiting, StoreUnavailable)
        finally:
            mariadb().thaw()
        self.assertEqual(await accounts.find("bob"), [uid])
