"""
SQL: transactions, and the contract of the databases behind them (``mysql.py``, ``sqlite.py``).

Statements are written once for both, with ``?`` for each argument and nowhere else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, Literal, Protocol

import pymysql

from chatsvc.storage.value_lists import rows_of_places

Row = tuple[Any, ...]

SQL_ERRORS = (pymysql.MySQLError, sqlite3.Error)
"""The errors of both drivers: a database that is there refused a statement."""


class Transaction:
    """An open transaction, which the interaction that gets it uses in a thread of the pool."""

    def __init__(self, connection: Any, backend: Literal["mysql", "sqlite"]) -> None:
        self._connection = connection
        self.backend: Final = backend

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and return all its rows."""
        return [tuple(row) for row in self._run(sql, args).fetchall()]

    def one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """Run one statement and return its first row, or None if it has none."""
        row = self._run(sql, args).fetchone()
        return None if row is None else tuple(row)

    def execute(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run one statement and return the number of rows that it matched."""
        return int(self._run(sql, args).rowcount)

    def insert(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run one INSERT and return the id that the row got."""
        return int(self._run(sql, args).lastrowid)

    def insert_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Run one INSERT, written without its VALUES; return the ids that the rows got, in their order."""
        places = rows_of_places(len(rows[0]), len(rows))
        id = self.insert(f"{sql} VALUES {places}", [value for row in rows for value in row])
        if self.backend == "sqlite":
            return list(range(id - len(rows) + 1, id + 1))  # it was the last row's
        # It was the first row's; the others follow in steps (MySQL's manual, "AUTO_INCREMENT Handling in InnoDB").
        (step,) = self.one("SELECT @@auto_increment_increment") or (1,)
        return [id + step * i for i in range(len(rows))]

    def _run(self, sql: str, args: Sequence[Any]) -> Any:
        cursor = self._connection.cursor()
        if self.backend == "sqlite":
            cursor.execute(sql, tuple(args))
        elif args:
            cursor.execute(_mysql_placeholders(sql), tuple(args))
        else:
            cursor.execute(sql)
        return cursor


@lru_cache(maxsize=1024)
def _mysql_placeholders(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


@dataclass(frozen=True, slots=True)
class Pool:
    """
    The connections to a database: ``size`` of them (0: as many as suit it), which ``only_read`` if so.

    MySQL ends one that is silent for ``idle`` seconds (0: for as long as it is set up to), and rolls back what that has
    begun: a process that was stopped in a transaction would hold its locks otherwise.
    """

    size: int = 0
    only_read: bool = False
    idle: int = 0


DEFAULT_POOL = Pool()
"""What suits most."""


class SQLBackend(Protocol):
    """A kind of database: what MySQL and SQLite do differently. A connection is the driver's own."""

    name: Literal["mysql", "sqlite"]

    driver: str
    """The module of its DB-API 2.0 driver (PEP 249)."""

    threads: int
    """How many threads of the pool can use it at once."""

    def check_url(self) -> None:
        """
        Check what can be checked without a connection.

        :raise StoreMisconfigured: when the URL cannot be used.
        """

    def new_connection(self) -> Any:
        """Make a connection that is not connected yet, as far as the driver knows such a thing."""

    def connect(self, connection: Any) -> None:
        """Connect it and set it up."""

    def check_usable(self, transaction: Transaction) -> None:
        """
        Check that the database can be read.

        :raise StoreMisconfigured: when the URL names no database.
        """

    def begin_statement(self, write: bool) -> str:
        """Return the statement that begins a transaction; empty if none is needed."""

    def acquire(self, transaction: Transaction, lock: str) -> None:
        """
        Take the lock named ``lock``, a short word, from all processes that use the database.

        :raise StoreUnavailable: when another one holds it for too long.
        """

    def release(self, transaction: Transaction, lock: str) -> None:
        """Release the lock."""

    def is_unavailable(self, problem: Exception) -> bool:
        """Return whether an error means that the database is away or denies a right; not that a statement is wrong."""

    def is_connection_lost(self, problem: Exception) -> bool:
        """Return whether an error at the begin means that the idle connection has died, so that a retry is safe."""

    def is_deadlock(self, problem: Exception) -> bool:
        """Return whether the database has undone a transaction, all of it, so that another one can go on."""

    def abort(self, connection: Any) -> None:
        """Wake a thread that waits for an answer on this connection; called from another thread."""


def first_line(problem: BaseException) -> str:
    """Return the first line of an error's text; MySQL's errors carry a number before it."""
    text = problem.args[-1] if problem.args else problem
    return (str(text).strip() or type(problem).__name__).splitlines()[0]
