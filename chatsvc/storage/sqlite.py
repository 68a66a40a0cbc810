"""SQLite: opening a file, and which errors mean that it cannot be used."""

from __future__ import annotations

import os
import sqlite3
import time
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal

from chatsvc.storage.sql import DEFAULT_POOL, Pool, Transaction
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, StoreURL


class SQLite:
    """The backend of ``sqlite:`` URLs; ``patience`` is how many seconds a locked file is waited for."""

    name: Literal["mysql", "sqlite"] = "sqlite"
    driver = "sqlite3"

    _AWAY = frozenset(
        {
            *(sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_PROTOCOL),
            *(sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR),
            *(sqlite3.SQLITE_FULL, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_INTERRUPT),
            *(sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT),
        }
    )

    def __init__(self, url: StoreURL, patience: float, pool: Pool = DEFAULT_POOL) -> None:
        self._url = url
        self._patience = patience
        self._only_reads = pool.only_read
        self.threads = pool.size or 1

    def check_url(self) -> None:
        """Check that the file's folder is there."""
        folder = Path(self._url.path).parent
        if not folder.is_dir():
            raise StoreMisconfigured(f"{self._url}: there is no folder {folder}")

    def new_connection(self) -> Any:
        """Open the file; create it with mode 0600 if it is missing."""
        # SQLite would create it readable for everybody. Other problems with the path show when it opens the file.
        with suppress(OSError):
            os.close(os.open(self._url.path, os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        return sqlite3.connect(
            self._url.path,
            timeout=self._patience,
            isolation_level=None,
            check_same_thread=False,
        )

    def connect(self, connection: Any) -> None:
        """Set the connection up: the write-ahead log, synced at each commit."""
        # Text that another program wrote in another encoding must not stop us.
        connection.text_factory = lambda raw: raw.decode(errors="replace")
        self._switch_to_wal(connection)
        connection.execute("PRAGMA synchronous = FULL")
        if self._only_reads:
            connection.execute("PRAGMA query_only = ON")

    def _switch_to_wal(self, connection: sqlite3.Connection) -> None:
        """Switch to WAL; while another connection does the same, SQLite reports busy at once, without waiting."""
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
        """Read the schema, which fails unless the file is a database."""
        transaction.one("SELECT COUNT(*) FROM sqlite_master")

    def begin_statement(self, write: bool) -> str:
        """Begin only to write: without a transaction, each statement sees the database as it is at its own time."""
        # SQLite gives up the interpreter's lock at each step and must win it back: without BEGIN, a log-in takes an
        # eighth less time.
        if self._only_reads:
            return "BEGIN"  # what is read in one transaction is of one time
        return "BEGIN IMMEDIATE" if write else ""

    def acquire(self, transaction: Transaction, lock: str) -> None:
        """Do nothing: a transaction that writes is alone."""

    def release(self, transaction: Transaction, lock: str) -> None:
        """Do nothing."""

    def is_unavailable(self, problem: Exception) -> bool:
        """Return whether an error means that the file is locked, unreadable, damaged or on a full disk."""
        if isinstance(problem, sqlite3.Error):
            return getattr(problem, "sqlite_errorcode", 0) & 0xFF in self._AWAY
        return isinstance(problem, StoreUnavailable)

    def is_connection_lost(self, problem: Exception) -> bool:
        """Return False: there is no connection to lose."""
        return False

    def is_deadlock(self, problem: Exception) -> bool:
        """Return False: only one writes at a time."""
        return False

    def abort(self, connection: Any) -> None:
        """Do nothing: there is no other end that could keep a thread waiting."""
