"""MySQL and MariaDB: connecting, locking, and which errors mean that the server is away."""

from __future__ import annotations

import os
from socket import SHUT_RDWR
from typing import Any, Literal

import pymysql
from pymysql.constants import CLIENT, CR, ER
from twisted.logger import Logger

from chatsvc.storage.sql import DEFAULT_POOL, Pool, Transaction
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, StoreURL

_log = Logger()


class MySQL:
    """The backend of ``mysql:`` URLs; ``patience`` is how many seconds connecting, reading and writing may take."""

    name: Literal["mysql", "sqlite"] = "mysql"
    driver = "pymysql"
    _OPTIONS = frozenset({"unix_socket", "read_default_file"})
    _DEAD = frozenset({0, CR.CR_SERVER_GONE_ERROR, CR.CR_SERVER_LOST})
    _AWAY = frozenset(
        {
            *(ER.CON_COUNT_ERROR, ER.TOO_MANY_USER_CONNECTIONS, ER.USER_LIMIT_REACHED),
            *(ER.SERVER_SHUTDOWN, ER.NORMAL_SHUTDOWN, ER.FORCING_CLOSE, ER.QUERY_INTERRUPTED),
            *(ER.LOCK_WAIT_TIMEOUT, ER.LOCK_DEADLOCK, ER.LOCK_TABLE_FULL, ER.CHECKREAD),
            *(ER.OPTION_PREVENTS_STATEMENT, ER.DISK_FULL, ER.RECORD_FILE_FULL),
            *(ER.ERROR_DURING_COMMIT, ER.OUTOFMEMORY, ER.OUT_OF_RESOURCES),
            *(1047, 1836, 1927, 3024, 4031),  # cluster node not ready, read-only, killed, idle
        }
    )
    _DENIED = frozenset(
        {
            *(ER.ACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR, ER.TABLEACCESS_DENIED_ERROR),
            *(ER.COLUMNACCESS_DENIED_ERROR, ER.SPECIFIC_ACCESS_DENIED_ERROR),
            *(1698, 3118, 4151),  # no password allowed; locked, as MySQL and as MariaDB say it
        }
    )

    def __init__(self, url: StoreURL, patience: float, pool: Pool = DEFAULT_POOL) -> None:
        self._url = url
        self._patience = patience
        self.threads = pool.size or 5
        self._idle = pool.idle

    def check_url(self) -> None:
        """Check the URL's options, and that an option file is there."""
        unknown = sorted(self._url.query.keys() - self._OPTIONS)
        if unknown:
            known = ", ".join(sorted(self._OPTIONS))
            raise StoreMisconfigured(
                f"{self._url}: unknown option {unknown[0]!r} (there are {known})"
            )
        options = self._url.query.get("read_default_file")
        if options and not os.path.isfile(os.path.expanduser(options)):  # as PyMySQL has it
            raise StoreMisconfigured(f"{self._url}: {options} is no file")

    def new_connection(self) -> Any:
        """Make a connection that is not connected yet."""
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
            # A name that the table cannot hold is then an error, not question marks.
            sql_mode="STRICT_ALL_TABLES,NO_ENGINE_SUBSTITUTION",
            init_command=f"SET SESSION wait_timeout = {self._idle}" if self._idle else None,
            defer_connect=True,
        )

    def connect(self, connection: Any) -> None:
        """Connect to the server and log in; what one transaction reads is of one moment, however the server is set."""
        connection.connect()
        connection.query("SET SESSION TRANSACTION ISOLATION LEVEL REPEATABLE READ")

    def check_usable(self, transaction: Transaction) -> None:
        """Check that the URL or the option file names a database."""
        if transaction.one("SELECT DATABASE()") == (None,):
            raise StoreMisconfigured(f"{self._url} names no database: write mysql://HOST/DATABASE")

    def begin_statement(self, write: bool) -> str:
        """Return START TRANSACTION, read-only where nothing is written."""
        return "START TRANSACTION" if write else "START TRANSACTION READ ONLY"

    _LOCK = "CONCAT('chat:', ?, ':', SHA1(DATABASE()))"

    def acquire(self, transaction: Transaction, lock: str) -> None:
        """Take a lock of GET_LOCK(), whose names are the server's: so the name contains the database's."""
        seconds = max(1, int(self._patience) - 1)
        if transaction.one(f"SELECT GET_LOCK({self._LOCK}, ?)", (lock, seconds)) != (1,):
            raise StoreUnavailable(f"another process holds the lock {lock!r}")

    def release(self, transaction: Transaction, lock: str) -> None:
        """Release the lock; the server also releases it when the connection ends."""
        transaction.one(f"SELECT RELEASE_LOCK({self._LOCK})", (lock,))

    def is_unavailable(self, problem: Exception) -> bool:
        """Return whether an error means that the server is away, full, read-only or overloaded, or denies a right."""
        if isinstance(problem, (StoreUnavailable, pymysql.InterfaceError, OSError)):
            return True
        if not isinstance(problem, pymysql.MySQLError):
            return False
        number = problem.args[0] if problem.args else 0
        # 2000 to 2999 are the client's own errors: no connection, or no longer one.
        if not isinstance(number, int) or 2000 <= number < 3000:
            return True
        return number in self._AWAY or number in self._DENIED

    def is_connection_lost(self, problem: Exception) -> bool:
        """Return whether the server has closed the connection; one that timed out may still run the statement."""
        lost = isinstance(problem, pymysql.MySQLError) and problem.args[:1] != ()
        timed_out = isinstance(problem.__context__, TimeoutError)
        return lost and not timed_out and problem.args[0] in self._DEAD

    def is_deadlock(self, problem: Exception) -> bool:
        """Return whether InnoDB chose this transaction as the victim (its manual, "Deadlocks in InnoDB")."""
        return isinstance(problem, pymysql.MySQLError) and problem.args[:1] == (ER.LOCK_DEADLOCK,)

    def abort(self, connection: Any) -> None:
        """Shut the connection's socket down, so that a thread that waits for the server returns at once."""
        if connection.open:
            try:
                # PyMySQL offers no public way. Its close() wakes no thread that reads, and a socket of our own, handed
                # to connect(), is unusable once TLS wraps it. tests/storage/test_mysql.py holds this attribute.
                connection._sock.shutdown(SHUT_RDWR)
            except (OSError, AttributeError):
                _log.debug("{url}: already hung up", event="hung-up", url=self._url)
