"""SQLite: how to open a file, and to tell that it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, StoreURL


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

    def check_url(self) -> None:
        folder = Path(self._url.path).parent
        if not folder.is_dir():
            raise StoreMisconfigured(f"{self._url}: there is no folder {folder}")

    def new_connection(self) -> Any:
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
        self._switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")

    def _switch_to_wal(self, connection: sqlite3.Connection) -> None:
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

    def check_usable(self, transaction: Transaction) -> None:
        transaction.one("SELECT COUNT(*) FROM sqlite_master")

    def begin_statement(self, write: bool) -> str:
        # Each step of SQLite lets go of the interpreter's lock and fights for it: log-ins take an eighth less without.
        return "BEGIN IMMEDIATE" if write else ""

    def acquire(self, transaction: Transaction, lock: str) -> None:
        """Take nothing: a transaction that writes is alone."""

    def release(self, transaction: Transaction, lock: str) -> None:
        """Release nothing."""

    def is_unavailable(self, problem: Exception) -> bool:
        if isinstance(problem, sqlite3.Error):
            return getattr(problem, "sqlite_errorcode", 0) & 0xFF in self._AWAY
        return isinstance(problem, StoreUnavailable)

    def is_connection_lost(self, problem: Exception) -> bool:
        return False

    def abort(self, connection: Any) -> None:
        """Do nothing: no other end can keep a thread waiting."""
