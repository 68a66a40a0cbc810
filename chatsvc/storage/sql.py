"""
What MySQL and SQLite do differently: how to connect, to lock, and to tell that they are away.

SQL is written once, with ``?`` for each argument and nowhere else.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from socket import SHUT_RDWR
from typing import Any, Final, Literal, Protocol

import pymysql
from pymysql.constants import CLIENT, CR, ER
from twisted.logger import Logger

from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, StoreURL

Row = tuple[Any, ...]

SQL_ERRORS = (pymysql.MySQLError, sqlite3.Error)
"""What a statement may raise that the database is there to refuse."""

log = Logger()


class Transaction:
    """One open transaction, used in a thread of the pool by the interaction that it is given to."""

    def __init__(self, connection: Any, dialect: Literal["mysql", "sqlite"]) -> None:
        self._connection = connection
        self.dialect: Final = dialect

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
        if self.dialect == "sqlite":
            return list(range(id - len(rows) + 1, id + 1))  # the last one's
        # The first one's; the others follow one another (MySQL's manual, "AUTO_INCREMENT Handling in InnoDB").
        (step,) = self.one("SELECT @@auto_increment_increment") or (1,)
        return [id + step * i for i in range(len(rows))]

    def _run(self, sql: str, args: Sequence[Any]) -> Any:
        cursor = self._connection.cursor()
        if self.dialect == "sqlite":
            cursor.execute(sql, tuple(args))
        elif args:
            cursor.execute(_mysql_placeholders(sql), tuple(args))
        else:
            cursor.execute(sql)
        return cursor


@cache
def _mysql_placeholders(sql: str) -> str:
    return sql.replace("%", "%%").replace("?", "%s")


class Dialect(Protocol):
    """What the two kinds of database do differently."""

    name: Literal["mysql", "sqlite"]
    driver: str
    threads: int

    def check(self) -> None: ...
    def make(self) -> Any: ...
    def connect(self, connection: Any) -> None: ...
    def try_out(self, transaction: Transaction) -> None: ...
    def begin(self, write: bool) -> str: ...
    def take(self, transaction: Transaction, lock: str) -> None: ...
    def release(self, transaction: Transaction, lock: str) -> None: ...
    def is_away(self, problem: Exception) -> bool: ...
    def is_dead(self, problem: Exception) -> bool: ...
    def hang_up(self, connection: Any) -> None: ...


class MySQL:
    name: Literal["mysql", "sqlite"] = "mysql"
    driver = "pymysql"
    threads = 5

    _OPTIONS = frozenset({"unix_socket", "read_default_file"})
    _DEAD = frozenset({0, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST})
    _AWAY = frozenset(
        {
            *(ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS, ER.USER_LIMIT_REACHED),
            *(ER.SERVER_SHUTDOWN, ER.NORMAL_SHUTDOWN, ER.FORCING_CLOSE, ER.QUERY_INTERRUPTED),
            *(ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK, ER.LOCK_TABLE_FULL),
            *(ER.OPTION_PREVENTS_STATEMENT, ER.DISK_FULL, ER.RECORD_FILE_FULL),
            *(ER.ERROR_DURING_COMMIT, ER.OUTOFMEMORY, ER.OUT_OF_RESOURCES),
            *(1047, 1836, 1927, 3024, 4031),  # cluster node not ready, read-only, killed, idle
        }
    )

    def __init__(self, url: StoreURL, patience: float) -> None:
        self._url = url
        self._patience = patience

    def check(self) -> None:
        unknown = sorted(self._url.query.keys() - self._OPTIONS)
        if unknown:
            known = ", ".join(sorted(self._OPTIONS))
            raise StoreMisconfigured(
                f"{self._url}: unknown option {unknown[0]!r} (there are {known})"
            )
        options = self._url.query.get("read_default_file")
        if options and not Path(options).expanduser().is_file():
            raise StoreMisconfigured(f"{self._url}: {options} is no file")

    def make(self) -> Any:
        url, patience = self._url, self._patience
        return pymysql.connect(
            host=url.host or None,
            port=url.port,
            unix_socket=url.query.get("unix_socket"),
            read_default_file=url.query.get("read_default_file"),
            user=url.user or None,
            password=url.password.encode(),
            database=url.path or None,
            charset="utf8mb4",
            autocommit=False,
            connect_timeout=patience,
            read_timeout=patience,
            write_timeout=patience,
            client_flag=CLIENT.FOUND_ROWS,
            # So that a name which the table cannot hold is an error and not question marks.
            sql_mode="STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            defer_connect=True,
        )

    def connect(self, connection: Any) -> None:
        connection.connect()

    def try_out(self, transaction: Transaction) -> None:
        if transaction.one("SELECT DATABASE()") == (None,):
            raise StoreMisconfigured(f"{self._url} names no database: write mysql://HOST/DATABASE")

    def begin(self, write: bool) -> str:
        return "START TRANSACTION" if write else "START TRANSACTION READ ONLY"

    _LOCK = "CONCAT('chat:', ?, ':', SHA1(DATABASE()))"

    def take(self, transaction: Transaction, lock: str) -> None:
        seconds = max(1, int(self._patience) - 1)
        if transaction.one(f"SELECT GET_LOCK({self._LOCK}, ?)", (lock, seconds)) != (1,):
            raise StoreUnavailable(f"another process holds the lock {lock!r}")

    def release(self, transaction: Transaction, lock: str) -> None:
        transaction.one(f"SELECT RELEASE_LOCK({self._LOCK})", (lock,))

    def is_away(self, problem: Exception) -> bool:
        if isinstance(problem, (StoreUnavailable, pymysql.InterfaceError, OSError)):
            return True
        if not isinstance(problem, pymysql.MySQLError):
            return False
        number = problem.args[0] if problem.args else 0
        # 2000 to 2999 are the client's own: no connection, or no longer one.
        return not isinstance(number, int) or 2000 <= number < 3000 or number in self._AWAY

    def is_dead(self, problem: Exception) -> bool:
        lost = isinstance(problem, pymysql.MySQLError) and problem.args[:1] != ()
        timed_out = isinstance(problem.__context__, TimeoutError)
        return lost and not timed_out and problem.args[0] in self._DEAD

    def hang_up(self, connection: Any) -> None:
        if connection.open:
            try:
                connection._sock.shutdown(SHUT_RDWR)
            except (OSError, AttributeError):
                log.debug("{url}: already hung up", event="hung-up", url=self._url)


class SQLite:
    name: Literal["mysql", "sqlite"] = "sqlite"
    driver = "sqlite3"
    threads = 1

    _AWAY = frozenset(
        {
            *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
            *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR),
            *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT),
            *(sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT),
        }
    )

    def __init__(self, url: StoreURL, patience: float) -> None:
        self._url = url
        self._patience = patience

    def check(self) -> None:
        folder = Path(self._url.path).parent
        if not folder.is_dir():
            raise StoreMisconfigured(f"{self._url}: there is no folder {folder}")

    def make(self) -> Any:
        # SQLite would let everybody read what it makes. What else is wrong with the path it says itself.
        with suppress(OSError):
            os.close(os.open(self._url.path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return sqlite3.connect(
            self._url.path,
            timeout=self._patience,
            isolation_level=None,
            check_same_thread=False,
        )

    def connect(self, connection: Any) -> None:
        # What another program wrote in some other encoding must not stop us.
        connection.text_factory = lambda raw: raw.decode(errors="replace")
        self._keep_a_log(connection)
        connection.execute("PRAGMA synchronous = FULL")

    def _keep_a_log(self, connection: sqlite3.Connection) -> None:
        """Switch to WAL; while others do the same SQLite says busy at once, without waiting."""
        deadline = time.monotonic() + self._patience
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                return
            except sqlite3.OperationalError as problem:
                busy = problem.sqlite_errorcode & 0xFF == sqlite3.SQLITE_BUSY
                if not busy or time.monotonic() > deadline:
                    raise
                time.sleep(0.02)

    def try_out(self, transaction: Transaction) -> None:
        transaction.one("SELECT COUNT(*) FROM sqlite_master")

    def begin(self, write: bool) -> str:
        # Each step of SQLite lets go of the interpreter's lock and fights for it: log-ins take an eighth less without.
        return "BEGIN IMMEDIATE" if write else ""

    def take(self, transaction: Transaction, lock: str) -> None:
        """Take nothing: a transaction that writes is alone."""

    def release(self, transaction: Transaction, lock: str) -> None:
        """Release nothing."""

    def is_away(self, problem: Exception) -> bool:
        if isinstance(problem, sqlite3.Error):
            return getattr(problem, "sqlite_errorcode", 0) & 0xFF in self._AWAY
        return isinstance(problem, StoreUnavailable)

    def is_dead(self, problem: Exception) -> bool:
        return False

    def hang_up(self, connection: Any) -> None:
        """Do nothing: no other end can keep a thread waiting."""


def dialect_of(url: StoreURL, patience: float) -> Dialect:
    """Give the dialect of a ``mysql:`` or ``sqlite:`` URL; ``patience`` is in seconds."""
    return MySQL(url, patience) if url.scheme == "mysql" else SQLite(url, patience)


def first_line(problem: BaseException) -> str:
    """Say what is wrong: MySQL's errors carry a number first."""
    text = problem.args[-1] if problem.args else problem
    return (str(text).strip() or type(problem).__name__).splitlines()[0]
