"""
What MySQL and SQLite do differently: how to connect, to lock, and to tell that they are away.

SQL is written once, with ``?`` for each argument and nowhere else.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from functools import cache
from typing import Any, Final, Literal, Protocol

import pymysql
from twisted.logger import Logger

Row = tuple[Any, ...]

SQL_ERRORS = (pymysql.MySQLError, sqlite3.Error)
"""What a statement may raise that the database is there to refuse."""

_log = Logger()


class Transaction:
    """One open transaction, used in a thread of the pool by the interaction that it is given to."""

    def __init__(self, connection: Any, backend: Literal["mysql", "sqlite"]) -> None:
        self._connection = connection
        self.backend: Final = backend

    def all(self, sql: str, args: Sequence[Any] = ()) -> list[Row]:
        """Run one statement and give all its rows."""
        return [tuple(row) for row in self._run(sql, args).fetchall()]

    def one(self, sql: str, args: Sequence[Any] = ()) -> Row | None:
        """Run one statement and give its first row, None if it has none."""
        row = self._run(sql, args).fetchone()
        return None if row is None else tuple(row)

    def execute(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run one statement and give the number of rows that it matched."""
        return int(self._run(sql, args).rowcount)

    def insert(self, sql: str, args: Sequence[Any] = ()) -> int:
        """Run one INSERT and give the id that the row got."""
        return int(self._run(sql, args).lastrowid)

    def insert_many(self, sql: str, rows: Sequence[Sequence[Any]]) -> list[int]:
        """Run one INSERT without its VALUES and give the ids that the table gave to the rows, in their order."""
        places = ", ".join([f"({', '.join('?' * len(rows[0]))})"] * len(rows))
        id = self.insert(f"{sql} VALUES {places}", [value for row in rows for value in row])
        if self.backend == "sqlite":
            return list(range(id - len(rows) + 1, id + 1))  # the last one's
        # The first one's; the others follow one another (MySQL's manual, "AUTO_INCREMENT Handling in InnoDB").
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


@cache
def _mysql_placeholders(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


class SQLBackend(Protocol):
    """What the two kinds of database do differently."""

    name: Literal["mysql", "sqlite"]
    driver: str
    threads: int

    def check_url(self) -> None: ...
    def new_connection(self) -> Any: ...
    def connect(self, connection: Any) -> None: ...
    def check_usable(self, transaction: Transaction) -> None: ...
    def begin_statement(self, write: bool) -> str: ...
    def acquire(self, transaction: Transaction, lock: str) -> None: ...
    def release(self, transaction: Transaction, lock: str) -> None: ...
    def is_unavailable(self, problem: Exception) -> bool: ...
    def is_connection_lost(self, problem: Exception) -> bool: ...
    def abort(self, connection: Any) -> None: ...


def first_line(problem: BaseException) -> str:
    """Say what is wrong: MySQL's errors carry a number first."""
    text = problem.args[-1] if problem.args else problem
    return (str(text).strip() or type(problem).__name__).splitlines()[0]
