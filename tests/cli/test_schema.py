"""``chatsvc schema`` as a process, on both kinds of database."""

from __future__ import annotations

import os

import orjson

from tests.cli.shell import chatsvc
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        def run_schema(self, *words: str, status: int = 0) -> str:
            """What it prints, or its complaint."""
            done = chatsvc("schema", *words, env={"CHATSVC_ACCOUNTS": self.url})
            self.assertEqual(done.status, status, done)
            return done.stderr if status else done.stdout

        def test_from_nothing(self) -> None:
            """An admin could not make the tables, see what was applied, or what an upgrade would do before it does."""
            made = self.run_schema("create").splitlines()
            self.assertEqual(made[:2], ["applied 000_chat_schema.sql", "applied 001_user.sql"])
            self.sql("DELETE FROM chat_schema WHERE version = 2")
            states = {
                row["file"]: row["state"]
                for row in orjson.loads(self.run_schema("status", "--json"))
            }
            self.assertEqual(
                [f for f, state in states.items() if state == "pending"], ["002_chat_name.sql"]
            )
            dry = self.run_schema("upgrade", "--dry-run")
            self.assertTrue(dry.startswith("-- 002_chat_name.sql\n"), dry)
            self.assertIn("CREATE TABLE IF NOT EXISTS chat_name", dry)
            self.assertEqual(self.run_schema("upgrade"), "applied 002_chat_name.sql\n")


class SQLiteSchemaTests(BothKinds.Tests, OnSQLite):
    def test_nothing_there(self) -> None:
        """A look at a mistyped file would make it."""
        self.assertIn("no such file", self.run_schema("upgrade", "--dry-run", status=1))
        self.assertFalse(os.path.exists(self.path))

    def test_twice(self) -> None:
        """Who wants new tables would not hear that there are some, or see when they were made."""
        self.run_schema("create")
        self.assertIn("`chatsvc schema upgrade`", self.run_schema("create", status=1))
        for line in self.run_schema("status").splitlines():
            self.assertRegex(line, r"^\d{3}_\w+\.sql\tapplied\t\d{4}-\d\d-\d\d \d\d:\d\d:\d\d$")


class MariaDBSchemaTests(BothKinds.Tests, OnMariaDB):
    pass
