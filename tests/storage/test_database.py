"""chatsvc.storage.database on a real SQLite and a real MariaDB."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from functools import partial
from operator import methodcaller
from threading import Barrier, Event
from typing import Any

import pymysql
from twisted.internet import reactor
from twisted.internet.defer import Deferred, DeferredList, ensureDeferred
from twisted.internet.task import Clock, deferLater
from twisted.python.filepath import FilePath
from twisted.trial.unittest import TestCase

from chatsvc.observability.metrics import Metrics
from chatsvc.storage.database import Database
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import (
    STORE_PATIENCE,
    StoreMisconfigured,
    StoreUnavailable,
    parse_store_url,
)
from tests.support.clocked import ClockedReactor
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite
from tests.support.servers import mariadb


def one(transaction: Transaction) -> Any:
    """Ask the database for a number."""
    return transaction.one("SELECT 1")


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        """The tests, for each kind of database."""

        async def clocked(self) -> tuple[Database, Clock]:
            """Return the database, open until the test's end, and the clock by which it is patient."""
            clocked = ClockedReactor()
            database = Database(parse_store_url(self.url, ("mysql", "sqlite")), clocked)
            await database.open()
            self.addCleanup(database.close)
            return database, clocked.clock

        async def test_arguments_and_results(self) -> None:
            """Text, bytes, None, percent and quote signs would not come back as they went in."""
            database = await self.open()
            await database.run(lambda t: t.execute("CREATE TABLE v (a VARCHAR(99), b BLOB)"))
            rows = [("张三 100% '\"\\ ? %s \x00😀", b"\x00\xff'"), (None, None)]

            def write(transaction: Transaction) -> int:
                for row in rows:
                    transaction.insert("INSERT INTO v (a, b) VALUES (?, ?)", row)
                return transaction.execute(
                    "UPDATE v SET a = a WHERE a LIKE '%100%' OR a = ?", ["x"]
                )

            self.assertEqual(await database.run(write), 1)
            found = await database.run(lambda t: t.all("SELECT a, b FROM v"), write=False)
            self.assertEqual(found, rows)
            none = await database.run(lambda t: t.one("SELECT a FROM v WHERE a = ?", ["none"]))
            self.assertIsNone(none)

        async def test_an_interaction_is_all_or_nothing(self) -> None:
            """Half of a failed interaction would stay, or its own error would be hidden."""
            database = await self.open()
            await database.run(lambda t: t.execute("CREATE TABLE v (a INT PRIMARY KEY)"))

            def write(transaction: Transaction) -> None:
                transaction.execute("INSERT INTO v VALUES (1)")
                transaction.execute("INSERT INTO v VALUES (1)")

            for lock in ("", "word"):
                with self.assertRaises((pymysql.IntegrityError, sqlite3.IntegrityError)):
                    await database.run(write, lock=lock)
            self.assertEqual(await database.run(lambda t: t.all("SELECT a FROM v")), [])

        async def test_wrong_sql_is_no_absence(self) -> None:
            """A programming error would pass for a database that is away."""
            database = await self.open()
            with self.assertRaises((pymysql.ProgrammingError, sqlite3.OperationalError)):
                await database.run(lambda t: t.one("SELECT a FROM nowhere"))

        async def test_lock_covers_the_commit(self) -> None:
            """Two processes under one lock would not see what the other has just written."""
            first, second = await self.open(), await self.open()
            await first.run(lambda t: t.execute("CREATE TABLE v (a INT)"))

            def count_up(transaction: Transaction) -> None:
                (number,) = transaction.one("SELECT COUNT(*) FROM v") or (0,)
                time.sleep(0.005)
                transaction.execute("INSERT INTO v VALUES (?)", (number,))

            runs = [db.run(count_up, lock="count") for _ in range(10) for db in (first, second)]
            await DeferredList([ensureDeferred(run) for run in runs], fireOnOneErrback=True)
            numbers = await first.run(lambda t: t.all("SELECT a FROM v ORDER BY a"))
            self.assertEqual(numbers, [(number,) for number in range(20)])

        async def test_two_monitors(self) -> None:
            """Accounts and inboxes in one file would be counted together, or closing one break the other's closing."""
            database = await self.open()
            metrics = Metrics()
            shares = [
                database.monitored_by(StoreMonitor(database.url, store, counts=counts))
                for store, counts in metrics.stores.items()
            ]
            await shares[0].run(one)
            counted = [
                metrics.registry.get_sample_value("chatsvc_store_seconds_count", {"store": store})
                for store in metrics.stores
            ]
            self.assertEqual(counted, [1, 0])
            for share in (*shares, database):
                share.close()
                with self.assertRaises(StoreUnavailable):
                    await shares[0].run(one)

        async def test_closed(self) -> None:
            """A command on a database that is closed would wait for ever."""
            database = await self.open()
            waiting = ensureDeferred(database.run(lambda t: time.sleep(0.1)))
            database.close()
            with self.assertRaises(StoreUnavailable):
                await database.run(one)
            with self.assertRaises(StoreUnavailable):
                await self.closed().run(one)
            await self.assertFailure(waiting, StoreUnavailable)

        async def test_patience(self) -> None:
            """A command would wait longer than the patience, or run late though given up."""
            database, clock = await self.clocked()
            end = Event()
            ran: list[int] = []
            self.addCleanup(end.set)

            def late(transaction: Transaction) -> bool:
                ran.append(1)
                return True

            runs = [ensureDeferred(database.run(lambda t: end.wait(60))) for _ in range(5)]
            runs.append(ensureDeferred(database.run(late)))
            clock.advance(STORE_PATIENCE - 0.01)
            for run in runs:
                self.assertNoResult(run)
            clock.advance(0.01)
            for run in runs:
                self.failureResultOf(run, StoreUnavailable)
            end.set()
            await database.run(one)  # it was queued last
            self.assertEqual(ran, [])


class SQLiteDatabaseTests(BothKinds.Tests, OnSQLite):
    """SQLite, and other programs with the same file."""

    async def test_locked_by_another_program(self) -> None:
        """A file that another program holds would count as an error and not as an absence."""
        database = await self.open(patience=0.3)
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with self.assertRaises(StoreUnavailable):
                await database.run(one)
            await database.run(one, write=False)
        await database.run(one)

    async def test_settings(self) -> None:
        """A power cut could take what was confirmed, or readers would wait for writers."""
        database = await self.open()
        asked = ("PRAGMA journal_mode", "PRAGMA synchronous")
        found = [await database.run(partial(Transaction.one, sql=sql)) for sql in asked]
        self.assertEqual(found, [("wal",), (2,)])

    async def test_many_open_a_new_file_at_once(self) -> None:
        """Processes that start together on a new file would find it locked."""
        opening = [ensureDeferred(self.closed().open()) for _ in range(8)]
        await DeferredList(opening, fireOnOneErrback=True)


class MariaDBDatabaseTests(BothKinds.Tests, OnMariaDB):
    """MariaDB, and what can happen to a server."""

    async def test_restart_while_idle(self) -> None:
        """The first command after a restart of MySQL would fail though MySQL is there."""
        database = await self.open()
        await database.run(one)
        mariadb().kill()
        mariadb().start()
        self.assertEqual(await database.run(one), (1,))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_denied(self) -> None:
        """A right that is taken away while a server runs would pass for a fault of ours, with a traceback each time."""
        self.sql("CREATE TABLE v (a INT, b INT)")
        user, all_rights = f"d_{self.name}", self.url
        mariadb().execute("", f"CREATE USER {user} IDENTIFIED BY 'pw'")
        self.addCleanup(mariadb().execute, "", f"DROP USER IF EXISTS {user}")
        mariadb().execute("", f"GRANT SELECT (a) ON `{self.name}`.v TO {user}")
        self.url = f"mysql://{user}:pw@127.0.0.1:{mariadb().port}/{self.name}"
        database = await self.open()
        await database.run(lambda t: t.all("SELECT a FROM v"))
        for statement in (
            "SELECT b FROM v",
            "INSERT INTO v VALUES (1, 2)",
            "CREATE TABLE w (a INT)",
        ):
            with self.assertRaises(StoreUnavailable) as caught:
                await database.run(methodcaller("execute", statement))
            self.assertRegex(str(caught.exception), "^mysql://.*: [A-Z ]+ command denied to user")
            self.assertNotIn("\n", str(caught.exception))
        mariadb().execute("", f"DROP USER {user}")
        with self.assertRaisesRegex(StoreMisconfigured, "Access denied for user"):
            await self.closed().open()
        self.url = all_rights

    async def test_killed_in_use(self) -> None:
        """A server that dies would raise something else, log tracebacks or never be found again."""
        database = await self.open()
        sleeping = ensureDeferred(database.run(lambda t: t.one("SELECT SLEEP(3)")))
        await _until_it_sleeps()
        mariadb().kill()
        try:
            with self.assertRaises(StoreUnavailable):
                await sleeping
            with self.assertRaises(StoreUnavailable) as caught:
                await database.run(one)
            self.assertIn("Connection refused", str(caught.exception))
        finally:
            mariadb().start()
        self.assertEqual(await database.run(one), (1,))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_frozen(self) -> None:
        """A server that hangs would hold commands beyond the patience."""
        database, clock = await self.clocked()
        with _frozen():
            runs = [ensureDeferred(database.run(one)) for _ in range(10)]
            clock.advance(STORE_PATIENCE)
            for run in runs:
                self.failureResultOf(run, StoreUnavailable)
        self.assertEqual(await database.run(one), (1,))
        self.assertEqual(self.flushLoggedErrors(), [])

    async def test_close_while_frozen(self) -> None:
        """A server that hangs would hold up the process that wants to stop."""
        database = await self.open(patience=60)
        with _frozen():
            waiting = ensureDeferred(database.run(one))
            await deferLater(reactor, 0.05)  # type: ignore[arg-type]
            started = time.monotonic()
            database.close()
            self.assertLess(time.monotonic() - started, 30)
            await self.assertFailure(waiting, StoreUnavailable)

    async def test_deadlock(self) -> None:
        """Two that change the same rows in another order would have one of them refused, as if the store were away."""
        database = await self.open()
        await database.run(lambda t: t.execute("CREATE TABLE v (a INT PRIMARY KEY, b INT)"))
        await database.run(lambda t: t.execute("INSERT INTO v VALUES (1, 0), (2, 0)"))
        both, begun = Barrier(2, timeout=5), list[int]()

        def change(transaction: Transaction, first: int) -> None:
            begun.append(first)
            for number in (first, 3 - first):
                transaction.execute("UPDATE v SET b = b + 1 WHERE a = ?", (number,))
                if number == first and len(begun) < 3:
                    both.wait()

        changes = [Deferred.fromCoroutine(database.run(partial(change, first=n))) for n in (1, 2)]
        for one in changes:
            await one
        self.assertEqual(len(begun), 3)
        found = await database.run(lambda t: t.all("SELECT b FROM v ORDER BY a"), write=False)
        self.assertEqual(found, [(2,), (2,)])

    async def test_one_moment(self) -> None:
        """On a server with another default, a page could be read by who was removed just before."""
        level = "SET GLOBAL TRANSACTION ISOLATION LEVEL {}"
        mariadb().execute("", level.format("READ COMMITTED"))
        self.addCleanup(mariadb().execute, "", level.format("REPEATABLE READ"))
        database = await self.open()
        await database.run(lambda t: t.execute("CREATE TABLE v (a INT)"))

        def read(transaction: Transaction) -> list[int]:
            found = []
            for number in range(2):
                found.append(len(transaction.all("SELECT a FROM v")))
                self.sql("INSERT INTO v VALUES (?)", (number,))
            return found

        self.assertEqual(await database.run(read, write=False), [0, 0])

    async def test_option_file(self) -> None:
        """A deployment that keeps its password in an option file could not connect."""
        options = FilePath(self.mktemp())
        server = mariadb()
        account = f"user={server.user}\npassword={server.password}\nsocket={server.socket}\n"
        options.setContent(b"[client]\n" + account.encode())
        self.url = f"mysql:///{self.name}?read_default_file={options.path}"
        database = await self.open()
        self.assertEqual(await database.run(lambda t: t.one("SELECT DATABASE()")), (self.name,))

    async def test_socket(self) -> None:
        """A database behind a Unix socket could not be reached."""
        before, at, _ = self.url.rpartition("@")
        self.url = f"{before}{at}/{self.name}?unix_socket={mariadb().socket}"
        database = await self.open()
        self.assertEqual(await database.run(one), (1,))


class UnusableTests(TestCase):
    """Databases that cannot be opened."""

    async def _refused(self, url: str) -> str:
        database = Database(parse_store_url(url, ("mysql", "sqlite")), reactor, 2)
        with self.assertRaises(StoreMisconfigured) as caught:
            await database.open()
        line = str(caught.exception)
        self.assertNotIn("\n", line)
        self.assertNotIn("secret", line)
        self.assertEqual(line.count(str(database.url)), 1)
        return line

    async def test_sqlite(self) -> None:
        """An admin would not learn from one line what is wrong with a file."""
        folder = FilePath(self.mktemp())
        missing = f"sqlite:{folder.path}/chat.db"
        self.assertIn("there is no folder", await self._refused(missing))
        folder.makedirs()
        self.assertIn("unable to open", await self._refused(f"sqlite:{folder.path}"))
        text = folder.child("text")
        text.setContent(b"no database, and long enough to be looked at\n" * 100)
        self.assertIn("not a database", await self._refused(f"sqlite:{text.path}"))

    async def test_mysql(self) -> None:
        """An admin would not learn from one line why MySQL cannot be used."""
        server, user = mariadb(), "chat:p%40ss%20w%2Frd%3A%3F%23%25"
        place = f"127.0.0.1:{server.port}"
        for url, reason in [
            ("mysql://u:secret@127.0.0.1:1/chat", "refused"),
            ("mysql://u:secret@no-such-host.invalid/chat", "no-such-host.invalid"),
            (f"mysql://u:secret@{place}/chat", "Access denied"),
            (f"mysql://u:secret中@{place}/chat", "Access denied"),
            (f"mysql://{user}@{place}/missing", "Unknown database"),
            (f"mysql://{user}@{place}", "names no database"),
            ("mysql://u:secret@h/chat?tls=1", "unknown option 'tls'"),
            ("mysql:///chat?read_default_file=/missing.cnf", "/missing.cnf is no file"),
            ("mysql:///chat?unix_socket=/missing.sock", "No such file"),
        ]:
            self.assertIn(reason, await self._refused(url))


@contextmanager
def _frozen() -> Iterator[None]:
    mariadb().freeze()
    try:
        yield
    finally:
        mariadb().thaw()


async def _until_it_sleeps() -> None:
    question = "SELECT 1 FROM information_schema.processlist WHERE info = 'SELECT SLEEP(3)'"
    deadline = time.monotonic() + 5
    while not mariadb().execute("", question):
        assert time.monotonic() < deadline
        await deferLater(reactor, 0.01)  # type: ignore[arg-type]
