"""The two kinds of database that tests of SQL run on, each test with one of its own."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from itertools import count
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import STORE_PATIENCE, parse_store_url
from tests.support.servers import mariadb

_NUMBERS = count(1)

Asked = list[tuple[str, Sequence[Any]]]
"""Statements and their arguments, in the order in which they were run."""


class OnDatabase(TestCase):
    """A test with an empty database at ``url``."""

    url: str

    async def open(self, patience: float = STORE_PATIENCE) -> Database:
        """Give the database, open until the test's end."""
        database = self.closed(patience)
        await database.open()
        return database

    def closed(self, patience: float = STORE_PATIENCE) -> Database:
        """Give the database without opening it."""
        database = Database(parse_store_url(self.url, ("mysql", "sqlite")), reactor, patience)
        self.addCleanup(database.close)
        return database

    def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run SQL as another program would, on a connection of its own."""
        raise NotImplementedError

    def listen_in(self) -> Asked:
        """The statements that are run from now on."""
        asked: Asked = []
        run = Transaction._run

        def noted(transaction: Transaction, sql: str, args: Sequence[Any]) -> Any:
            asked.append((sql, args))
            return run(transaction, sql, args)

        self.patch(Transaction, "_run", noted)
        return asked


class OnSQLite(OnDatabase):
    def setUp(self) -> None:
        self.path = self.mktemp()
        self.url = f"sqlite:{self.path}"

    def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        with closing(sqlite3.connect(self.path, timeout=5)) as connection, connection:
            return connection.execute(statement, tuple(args)).fetchall()


class OnMariaDB(OnDatabase):
    charset = "utf8mb4"

    def setUp(self) -> None:
        self.name = f"test_{next(_NUMBERS)}"
        mariadb().create_database(self.name, self.charset)
        self.url = mariadb().url(self.name)

    def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return mariadb().execute(self.name, statement.replace("?", "%s"), args)

    def full_scans(self, statement: str, args: Sequence[Any]) -> list[str]:
        """What in the plan for a statement reads a whole table, and how."""
        statement = statement.replace("%", "%%") if args else statement
        rows = self.sql(f"EXPLAIN {statement}", args)
        return [
            f"{table}: {kind}"
            for _, _, table, kind, *_ in rows
            if kind in ("ALL", "index") and not str(table).startswith("<")
        ]
