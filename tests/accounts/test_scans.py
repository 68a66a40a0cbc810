"""No question that is asked of accounts has a database read all of a table, on a real SQLite and a real MariaDB."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from chatsvc.accounts.creation import NewAccount
from chatsvc.accounts.store import AccountStore
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite

ROWS = 3000


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        """The tests, for each kind of database."""

        def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
            """What in the database's plan for a statement reads a whole table."""
            raise NotImplementedError

        async def test_no_scan(self) -> None:
            """One member, or one address, could keep the database busy for seconds with each question."""
            accounts = AccountStore(await self.open())
            await accounts.open()
            await self.fill(accounts)
            asked = self.listen_in()
            await accounts.open()
            await accounts.find("user 77")
            await accounts.find("nobody")
            uid = await accounts.register("newcomer", "$")
            await accounts.get(uid)
            self.sql("INSERT INTO user (username, password) VALUES ('of another program', 'x')")
            await accounts.find("Of another program")
            people = [NewAccount(f"n {i}", "$", 50_000 + i if i % 2 else None) for i in range(300)]
            await accounts.require_free(people)
            await accounts.create_many(people)
            await accounts.page(0, 10)
            await accounts.replace_password(uid, "$", "x")
            await accounts.set_stored(uid, "x")
            await accounts.plain_passwords()
            await accounts.check_usable()
            questions = {
                sql: args
                for sql, args in asked
                if re.match("SELECT|UPDATE", sql) and re.search("user|chat_name", sql)
            }
            self.assertGreater(len(questions), 10)
            for statement, args in questions.items():
                self.assertEqual(self.plan(statement, args), [], statement)

        async def fill(self, accounts: AccountStore) -> None:
            """Have so many accounts that a plan for some of them is another one than for all."""
            await accounts.create_many([NewAccount(f"user {i}", "$") for i in range(ROWS)])


class SQLiteScanTests(BothKinds.Tests, OnSQLite):
    """SQLite's query plans."""

    def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
        """Return the steps that read a whole table."""
        rows = self.sql(f"EXPLAIN QUERY PLAN {statement}", args)
        return [row[3] for row in rows if re.match(r"SCAN (user|chat_name)\b", row[3])]


class MariaDBScanTests(BothKinds.Tests, OnMariaDB):
    """MariaDB's query plans."""

    older_table = "CREATE TABLE user (id int auto_increment primary key, username varchar(255), password varchar(255))"

    async def fill(self, accounts: AccountStore) -> None:
        """Add rows, and let the server count them."""
        await super().fill(accounts)
        self.sql("ANALYZE TABLE user, chat_name")

    def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
        """Return the steps that read a whole table."""
        return self.full_scans(statement, args)

    async def test_older_tables(self) -> None:
        """An index would not be made, or not be used, in a table of another program's making."""
        tables = (
            "username varchar(255)) CHARSET=latin1",
            "username varchar(255)) CHARSET=utf8mb3",
            "username varchar(255)) CHARSET=gbk",
            "username varchar(255)) CHARSET=utf8mb4 ROW_FORMAT=COMPACT",
            "username varchar(20)) CHARSET=utf8mb4 COLLATE=utf8mb4_bin",
            "username text) CHARSET=utf8mb4",
            "username varchar(255), KEY own (username, password)) CHARSET=utf8mb4",
        )
        for table in tables:
            self.sql("DROP TABLE IF EXISTS user, chat_name, chat_schema")
            own = "CREATE TABLE user (id int auto_increment primary key, password varchar(255), "
            self.sql(own + table)
            accounts = AccountStore(await self.open())
            await accounts.open()
            # As after an upgrade that was cut off before it was noted down.
            self.sql("DELETE FROM chat_schema WHERE version = 6")
            await accounts.open()
            ((_, definition),) = self.sql("SHOW CREATE TABLE user")
            self.assertEqual(definition.count("KEY `"), 1, definition)
            await self.fill(accounts)
            question = "SELECT id, username FROM user WHERE username = ? ORDER BY id LIMIT ?"
            self.assertEqual(self.plan(question, ("user 77", 100)), [], table)
            several = "SELECT username FROM user WHERE username IN (?, ?, ?)"
            self.assertEqual(self.plan(several, ("user 77", "b", "c")), [], table)

    async def test_a_view(self) -> None:
        """Where the user table is a view, no index can be made, and no server would start."""
        self.sql(self.older_table.replace("TABLE user", "TABLE people"))
        self.sql("CREATE VIEW user AS SELECT * FROM people")
        accounts = AccountStore(await self.open())
        await accounts.open()
        uid = await accounts.register("Bob", "$")
        self.assertEqual(await accounts.find("bob"), [uid])
