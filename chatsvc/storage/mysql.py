"""MySQL and MariaDB: how to connect, to lock, and to tell that the server is away."""

from __future__ import annotations

from pathlib import Path
from socket import SHUT_RDWR
from typing import Any, Literal

import pymysql
from pymysql.constants import CLIENT, CR, ER
from twisted.logger import Logger

from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, StoreURL

_log = Logger()


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

    def check_url(self) -> None:
        unknown = sorted(self._url.query.keys() - self._OPTIONS)
        if unknown:
            known = ", ".join(sorted(self._OPTIONS))
            raise StoreMisconfigured(
                f"{self._url}: unknown option {unknown[0]!r} (there are {known})"
            )
        options = self._url.query.get("read_default_file")
        if options and not Path(options).expanduser().is_file():
            raise StoreMisconfigured(f"{self._url}: {options} is no file")

    def new_connection(self) -> Any:
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

    def check_usable(self, transaction: Transaction) -> None:
        if transaction.one("SELECT DATABASE()") == (None,):
            raise StoreMisconfigured(f"{self._url} names no database: write mysql://HOST/DATABASE")

    def begin_statement(self, write: bool) -> str:
        return "START TRANSACTION" if write else "START TRANSACTION READ ONLY"

    _LOCK = "CONCAT('chat:', ?, ':', SHA1(DATABASE()))"

    def acquire(self, transaction: Transaction, lock: str) -> None:
        seconds = max(1, int(self._patience) - 1)
        if transaction.one(f"SELECT GET_LOCK({self._LOCK}, ?)", (lock, seconds)) != (1,):
            raise StoreUnavailable(f"another process holds the lock {lock!r}")

    def release(self, transaction: Transaction, lock: str) -> None:
        transaction.one(f"SELECT RELEASE_LOCK({self._LOCK})", (lock,))

    def is_unavailable(self, problem: Exception) -> bool:
        if isinstance(problem, (StoreUnavailable, pymysql.InterfaceError, OSError)):
            return True
        if not isinstance(problem, pymysql.MySQLError):
            return False
        number = problem.args[0] if problem.args else 0
        # 2000 to 2999 are the client's own: no connection, or no longer one.
        return not isinstance(number, int) or 2000 <= number < 3000 or number in self._AWAY

    def is_connection_lost(self, problem: Exception) -> bool:
        lost = isinstance(problem, pymysql.MySQLError) and problem.args[:1] != ()
        timed_out = isinstance(problem.__context__, TimeoutError)
        return lost and not timed_out and problem.args[0] in self._DEAD

    def abort(self, connection: Any) -> None:
        if connection.open:
            try:
                connection._sock.shutdown(SHUT_RDWR)
            except (OSError, AttributeError):
                _log.debug("{url}: already hung up", event="hung-up", url=self._url)
