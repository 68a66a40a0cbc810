"""What endangers accounts, as a real MariaDB and a real SQLite tell it."""

from __future__ import annotations

from chatsvc.check import database as checked
from chatsvc.check.database import risks, version
from chatsvc.storage.schema import apply
from tests.support.databases import OnMariaDB, OnSQLite
from tests.support.servers import mariadb

FLUSH = "innodb_flush_log_at_trx_commit"


class SQLiteTests(OnSQLite):
    async def test_nothing_to_set(self) -> None:
        """An admin would be warned of a file that is opened as it should be, or not be told the version."""
        database = await self.open()
        what, oldest = await version(database)
        self.assertRegex(what, r"^SQLite 3\.\d+\.\d+$")
        self.assertEqual((oldest, await risks(database)), ("", []))


class MariaDBTests(OnMariaDB):
    def set(self, name: str, value: int) -> None:
        """Set a variable of the shared server until the test's end; it has no binary log to set."""
        ((_, before),) = mariadb().execute("", f"SHOW GLOBAL VARIABLES LIKE '{name}'")
        self.addCleanup(mariadb().execute, "", f"SET GLOBAL {name} = {before}")
        mariadb().execute("", f"SET GLOBAL {name} = {value}")

    async def test_safe(self) -> None:
        """A server that keeps everything would be found wanting."""
        self.set(FLUSH, 1)
        database = await self.open()
        await apply(database)
        self.assertEqual(await risks(database), [])
        what, oldest = await version(database)
        self.assertRegex(what, r"^MariaDB \d+\.\d+\.\d+$")
        self.assertEqual(oldest, "")

    async def test_too_old(self) -> None:
        """A server that cannot be used would pass."""
        self.patch(checked, "_OLDEST", {"MariaDB": (99, 1)})
        _, oldest = await version(await self.open())
        self.assertEqual(oldest, "99.1")

    async def test_dangers(self) -> None:
        """An admin would not hear what a crash can lose, or which names and hashes have no room."""
        self.set(FLUSH, 2)
        self.sql(
            "CREATE TABLE user (id int auto_increment primary key, username varchar(255),"
            " password varchar(60)) ENGINE=MyISAM CHARSET=latin1"
        )
        database = await self.open()
        await apply(database)
        found = sorted(await risks(database))
        words = ["set innodb_flush_log_at_trx_commit = 1", "ENGINE = InnoDB", "in latin1", "60"]
        self.assertEqual(len(found), len(words), found)
        for word, line in zip(words, found, strict=True):
            self.assertIn(word, line)
        self.sql("ALTER TABLE user ENGINE = InnoDB")
        self.sql("ALTER TABLE user CONVERT TO CHARACTER SET utf8mb4")
        self.sql("ALTER TABLE user MODIFY password varchar(255)")
        self.assertEqual(await risks(database), found[:1])
