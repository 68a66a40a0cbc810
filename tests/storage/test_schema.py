"""chatsvc.storage.schema on a real SQLite and a real MariaDB."""

from __future__ import annotations

from twisted.internet.defer import DeferredList, ensureDeferred
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.storage.schema import Step, _statements, apply, pending, script, steps
from chatsvc.storage.url import StoreMisconfigured
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite
from tests.support.servers import mariadb

BEGINNING = ["000_chat_schema.sql", "001_user.sql", "002_chat_name.sql"]


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        """The tests, for each kind of database."""

        async def test_once_and_in_order(self) -> None:
            """A new database would not get its tables, or an old one would get them again."""
            database = await self.open()
            waiting = await pending(database)
            self.assertEqual(waiting[:3], BEGINNING)
            self.assertEqual(waiting, sorted(waiting))
            self.assertEqual(await apply(database), waiting)
            self.assertEqual(await pending(database), [])
            self.assertEqual(await apply(database), [])

        async def test_first_uid(self) -> None:
            """The first account of a new deployment would not be 10001."""
            database = await self.open()
            await apply(database)
            insert = "INSERT INTO user (username, password) VALUES ('a', 'b')"
            self.assertEqual(await database.run(lambda t: t.insert(insert)), 10001)

        async def test_two_at_once(self) -> None:
            """Two nodes that start together would trip over each other's tables."""
            runs = [ensureDeferred(apply(await self.open())) for _ in range(4)]
            results = await DeferredList(runs, fireOnOneErrback=True)
            applied = [name for _, names in results for name in names or ()]
            self.assertEqual(applied, sorted(set(applied)))
            self.assertEqual(applied[:3], BEGINNING)

        async def test_interrupted(self) -> None:
            """A start that was killed half-way would leave a database that no start can mend."""
            await apply(await self.open())
            self.sql("DELETE FROM chat_schema WHERE version > 0")
            again = await self.open()
            self.assertEqual((await apply(again))[:2], BEGINNING[1:])

        async def test_steps(self) -> None:
            """An admin could not see what was applied, or what an upgrade would run."""
            database = await self.open()
            names = await pending(database)
            self.assertEqual(await steps(database), [Step(name, None) for name in names])
            sql = await script(database)
            for name in names:
                self.assertIn(f"-- {name}\n", sql)
            self.assertIn("CREATE TABLE IF NOT EXISTS chat_name", sql)
            self.assertEqual(await pending(database), names)
            await apply(database)
            self.sql("DELETE FROM chat_schema WHERE version = 2")
            self.sql("INSERT INTO chat_schema (version) VALUES (999)")
            self.assertEqual(await pending(database), [names[2]])
            *_, newer = found = await steps(database)
            self.assertEqual([step.name for step in found if not step.applied], [names[2]])
            self.assertRegex(f"{newer.name} {newer.applied}", r"^999 \(of a newer .* \d{4}-\d\d-")
            self.assertNotIn(names[1], await script(database))

        async def test_newer_database(self) -> None:
            """A database that a newer release has seen would not work with this one."""
            database = await self.open()
            await apply(database)
            self.sql("INSERT INTO chat_schema (version) VALUES (999)")
            self.assertEqual(await apply(database), [])

        async def test_existing_users_stay(self) -> None:
            """The user table of a deployment would be changed, but for an index, or emptied."""
            for table in self.old_tables:
                self.sql("DROP TABLE IF EXISTS user")
                self.sql("DROP TABLE IF EXISTS chat_schema")
                self.sql(table)
                self.sql("INSERT INTO user VALUES (7, 'old', 'plain')")
                before = self.definition()
                await apply(await self.open())
                after = self.definition().replace(self.added_index, "")
                self.assertEqual(after, before)
                self.assertEqual(self.sql("SELECT * FROM user"), [(7, "old", "plain")])

        async def test_mentions_are_taken_over(self) -> None:
            """Whoever was mentioned before an upgrade would not see it any more, or see what is read or retracted."""
            await apply(await self.open())
            self.sql("DROP TABLE chat_mention")
            self.sql("DELETE FROM chat_schema WHERE version = 12")
            message = "INSERT INTO chat_message (serial, conversation, sender, name, at, text, changed, retracted)"
            for serial, retracted in ((10, 0), (20, 0), (30, 1)):
                values = f" VALUES ({serial}, 1, 5, 'x', 1, '@y', {serial}, {retracted})"
                self.sql(message + values)
            reading = "INSERT INTO chat_reading (uid, conversation, seen, mentioned)"
            for uid, seen, mentioned in (
                *((1, 0, 10), (2, 10, 20), (3, 20, 20), (4, 0, 30)),
                *((5, 0, 0), (6, 0, 40)),
            ):
                self.sql(f"{reading} VALUES ({uid}, 1, {seen}, {mentioned})")
            for _ in range(2):
                self.assertEqual(await apply(await self.open()), ["012_mention.sql"])
                found = self.sql("SELECT uid, conversation, serial FROM chat_mention ORDER BY uid")
                self.assertEqual([*found], [(1, 1, 10), (2, 1, 20)])
                self.sql("DELETE FROM chat_schema WHERE version = 12")

        old_tables: tuple[str, ...] = ()

        added_index = ""

        def definition(self) -> str:
            """Give the user table as the database describes it."""
            raise NotImplementedError


class SQLiteMigrationTests(BothKinds.Tests, OnSQLite):
    """Migrations of SQLite."""

    old_tables = (
        "CREATE TABLE user (id integer primary key, username varchar(255), password varchar(255))",
        "CREATE TABLE user (id integer primary key autoincrement, username text, password text)",
    )

    def definition(self) -> str:
        """Give the user table as SQLite describes it."""
        return str(self.sql("SELECT sql FROM sqlite_master WHERE name = 'user'"))


class MariaDBMigrationTests(BothKinds.Tests, OnMariaDB):
    """Migrations of MariaDB."""

    old_tables = tuple(
        "CREATE TABLE user (id int auto_increment primary key, username varchar(255), "
        f"password varchar(255)) ENGINE={engine} CHARSET={charset}"
        for engine, charset in [("InnoDB", "utf8mb3"), ("MyISAM", "latin1")]
    )

    added_index = r",\n  KEY `chat_username` (`username`(32))"

    def definition(self) -> str:
        """Give the user table as MariaDB describes it."""
        return str(self.sql("SHOW CREATE TABLE user"))

    async def test_account_that_may_not(self) -> None:
        """An account of MySQL without CREATE would get a riddle, or fail with its tables there."""
        mariadb().execute("", f"CREATE USER u_{self.name} IDENTIFIED BY 'pw'")
        grant = f"GRANT SELECT, INSERT, UPDATE, DELETE ON `{self.name}`.* TO u_{self.name}"
        mariadb().execute("", grant)
        self.addCleanup(mariadb().execute, "", f"DROP USER u_{self.name}")
        able = self.url
        self.url = f"mysql://u_{self.name}:pw@127.0.0.1:{mariadb().port}/{self.name}"
        with self.assertRaises(StoreMisconfigured) as caught:
            await apply(await self.open())
        self.assertIn("chatsvc schema", str(caught.exception))
        self.assertNotIn("pw@", str(caught.exception))
        limited, self.url = self.url, able
        await apply(await self.open())
        self.url = limited
        self.assertEqual(await apply(await self.open()), [])


class StatementTests(SynchronousTestCase):
    """Scripts, split into statements."""

    def test_taken_apart(self) -> None:
        """A semicolon in a comment or in a text would cut a statement in two."""
        script = "-- a; b\nCREATE TABLE a (\n  b INT -- c;\n);\n\nINSERT INTO a VALUES ('x;\ny');\n"
        found = list(_statements(script))
        self.assertEqual("".join(found), script)
        self.assertEqual(len(found), 2)

    def test_unfinished(self) -> None:
        """A last statement without its semicolon would be left out without a word."""
        with self.assertRaises(ValueError):
            list(_statements("SELECT 1;\nSELECT 2\n"))
