"""An archive in a database of either kind: what tests of the archive share."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import Any, TypeVar

from chatsvc.archive.changes import write
from chatsvc.archive.entry import ArchiveEntry, Edited, Pair, Place, Retracted, Said
from chatsvc.storage.database import Database
from chatsvc.storage.schema import apply
from chatsvc.storage.sql import Transaction
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite
from tests.support.servers import mariadb

T = TypeVar("T")

ANN, BOB, CAT, DAN, EVE = range(10001, 10006)
PAIR = Pair(ANN, BOB)
ROOM = 7

TABLES = (
    "chat_conversation",
    "chat_message",
    "chat_word",
    "chat_unindexed",
    "chat_reading",
    "chat_mention",
    "chat_archive",
)


def said(serial: int, text: str = "hi", place: Place = PAIR, **more: Any) -> Said:
    """A message of ANN to BOB, unless told otherwise."""
    sender = more.pop("sender", ANN)
    return Said(serial, place, sender, more.pop("name", "ann"), 1000 + serial, text, **more)


def edited(serial: int, target: int, text: str = "better") -> Edited:
    """A change of a message's text."""
    return Edited(serial, target, 1000 + serial, text)


def retracted(serial: int, target: int) -> Retracted:
    """The end of a message."""
    return Retracted(serial, target)


class OnArchive(OnDatabase):
    """A test with an empty archive."""

    database: Database

    async def begin(self, *entries: ArchiveEntry) -> None:
        """Make the tables, and write these entries."""
        self.database = await self.open()
        await apply(self.database)
        await self.write(*entries)

    async def run_in(self, interaction: Callable[..., T], *args: Any, **more: Any) -> T:
        """Run a function of the archive in a transaction of its own."""
        call = partial(_call, interaction=interaction, args=args, more=more)
        return await self.database.run(call)

    async def write(self, *entries: ArchiveEntry) -> list[Said]:
        """Write a batch of the queue."""
        return await self.run_in(write, entries)

    def before(self, beginning: str, act: Callable[[], object]) -> None:
        """Do something once, just before the next statement of a transaction that begins so."""
        run = Transaction._run
        acts = [act]

        def noted(transaction: Transaction, sql: str, args: Sequence[Any]) -> Any:
            if acts and sql.startswith(beginning):
                acts.pop()()
            return run(transaction, sql, args)

        self.patch(Transaction, "_run", noted)

    def count(self, table: str) -> int:
        """How many rows a table has."""
        ((count,),) = self.sql(f"SELECT COUNT(*) FROM {table}")  # noqa: S608
        return int(count)

    def messages(self) -> dict[int, tuple[str, int]]:
        """Text, and the serial of the last change, of each message that can be read."""
        query = "SELECT serial, text, changed FROM chat_message WHERE retracted = 0"
        return {serial: (text, changed) for serial, text, changed in self.sql(query)}

    def unindexed(self) -> list[int]:
        """The serials that wait to be indexed."""
        query = "SELECT serial FROM chat_unindexed ORDER BY serial"
        return [serial for (serial,) in self.sql(query)]

    def marks(self) -> dict[str, int]:
        """How far the archive is."""
        return dict(self.sql("SELECT name, value FROM chat_archive"))

    def conversations(self) -> dict[tuple[int, int], int]:
        """The numbers of conversations, by their users."""
        query = "SELECT low, high, conversation FROM chat_conversation"
        return {(low, high): number for low, high, number in self.sql(query)}


def _call(
    transaction: Transaction,
    interaction: Callable[..., T],
    args: Sequence[Any],
    more: dict[str, Any],
) -> T:
    return interaction(transaction, *args, **more)


class ScansOnSQLite(OnSQLite):
    """SQLite's query plans."""

    async def counted(self) -> None:
        """SQLite counts nothing by itself."""

    def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
        """The steps that read a whole table."""
        rows = self.sql(f"EXPLAIN QUERY PLAN {statement}", args)
        return [row[3] for row in rows if _is_scan(row[3])]


_IN_ORDER = "chat_unindexed: index"
"""What waits to be indexed is taken from one end, a LIMIT of it."""


def _is_scan(step: str) -> bool:
    # What was asked about, a part of the query itself, or one end of an index.
    harmless = ("CONSTANT ROW", "SUBQUERY", "(subquery", "single", "unread", "chat_unindexed")
    if "chat_message" in step or " m " in step or " x " in step:
        # All that was said since a serial, whoever said it.
        return "SCAN" in step or "(rowid>" in step
    return step.startswith("SCAN") and not any(word in step for word in harmless)


_OTHERS = ("chat_room", "chat_member", "chat_room_event", "chat_name", "user")


class ScansOnMariaDB(OnMariaDB):
    """MariaDB's query plans."""

    async def counted(self) -> None:
        """Have the database count its rows."""
        tables = ", ".join((*TABLES, *_OTHERS))
        self.sql(f"ANALYZE TABLE {tables}")

    def plan(self, statement: str, args: Sequence[Any]) -> list[str]:
        """The steps that read a whole table, or so many rows that it comes to the same."""
        scans = [one for one in self.full_scans(statement, args) if one != _IN_ORDER]
        statement = statement.replace("%", "%%") if args else statement
        rows = self.sql(f"EXPLAIN {statement}", args)
        return scans + [
            f"{table}: {kind}, {many} rows"
            for _, _, table, kind, *_, many, _ in rows
            if many and not str(table).startswith("<") and int(many) > _MANY
        ]


_MANY = 900
"""More rows than any question about one user needs, of what these tests fill tables with."""


class Blocking:
    """An archive that answers before it returns, for Hypothesis; ``backend`` says on which kind of database."""

    def __init__(self, connection: Any, backend: Any) -> None:
        self._connection = connection
        self._backend = backend

    def run(self, interaction: Callable[[Transaction], T]) -> T:
        """Run an interaction in one transaction."""
        if self._backend == "sqlite":
            self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = interaction(Transaction(self._connection, self._backend))
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()
        return result

    def clear(self) -> None:
        """Empty all tables of the archive."""
        for table in TABLES:
            delete = f"DELETE FROM {table}"  # noqa: S608
            self.run(partial(Transaction.execute, sql=delete))

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()


def blocking_sqlite(path: str) -> Blocking:
    """The archive in a file."""
    return Blocking(sqlite3.connect(path, isolation_level=None), "sqlite")


def blocking_mariadb(name: str) -> Blocking:
    """The archive in a database of the tests' MariaDB."""
    connection = mariadb()._connect(name)
    connection.autocommit(False)
    with closing(connection.cursor()) as cursor:
        cursor.execute("SET SESSION sql_mode = 'STRICT_ALL_TABLES'")
    return Blocking(connection, "mysql")
