"""
Space on the disk of an SQLite file: what is left, what is kept in reserve, and how to go on when there is none.

A removal frees pages in the file, not on the disk, and takes some pages of the write-ahead log
(https://www.sqlite.org/wal.html). So a second file holds some of the disk in reserve. When the disk is full, that file
is deleted and the log is written back, so that the log's next pages need no more of the disk. From then on the file
itself does not grow: its free pages are for messages, the space left on the disk is for removals and log-ins.
"""

from __future__ import annotations

import os
import sqlite3
from contextlib import suppress

from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable

RESERVE = 2 * 1024 * 1024
"""Bytes held in reserve: the log's 256 pages of 4 KiB (``CHECKPOINT``), and as much for what a checkpoint appends."""

CHECKPOINT = 256
"""Pages of the log after which it is written back."""

_NEAR_NOTHING = 256 * 1024
"""Bytes free on the disk, as many as a batch may have, below which it is tried whether one can be written."""

_LEAST = 64 * 1024
"""Bytes, free on the disk or in the file, without which a message of the longest text may not fit."""

_FULL = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR})


def is_disk_full(problem: StoreUnavailable) -> bool:
    """Whether SQLite failed because the disk is full; some of its writes call that an I/O error."""
    return getattr(problem.__cause__, "sqlite_errorcode", 0) & 0xFF in _FULL


class DiskSpace:
    """The disk space of the file ``path``. Methods that take a transaction run in a thread."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._reserve = f"{path}-reserve"
        self._keeps = False
        self._most_pages: int | None = None

    def in_doubt(self, transaction: Transaction) -> bool:
        """Read something; True: there may be no space, and it should be tried whether a write succeeds."""
        transaction.one("SELECT 1 FROM chat_reader LIMIT 1")
        return self._most_pages is not None or self._free() < _NEAR_NOTHING

    def keep(self, transaction: Transaction) -> None:
        """Keep a reserve from now on; ``transaction`` must not have begun."""
        self._keeps = True
        transaction.one(f"PRAGMA wal_autocheckpoint = {CHECKPOINT}")
        self._take_reserve()

    def free_reserve(self, transaction: Transaction) -> None:
        """Free the reserve, and let the file grow no more; ``transaction`` must not have begun."""
        with suppress(FileNotFoundError):
            os.unlink(self._reserve)
        if self._most_pages is None:
            (self._most_pages,) = transaction.one("PRAGMA max_page_count") or (None,)
        (pages,) = transaction.one("PRAGMA page_count") or (1,)
        transaction.one(f"PRAGMA max_page_count = {pages}")
        with suppress(sqlite3.OperationalError):  # then the log grows into the reserve
            transaction.one("PRAGMA wal_checkpoint(RESTART)")

    def grow(self, transaction: Transaction) -> None:
        """Let the file grow again and take the reserve, if both fit; ``transaction`` must not have begun."""
        if self._most_pages is not None and self._free() >= 2 * RESERVE:
            transaction.one(f"PRAGMA max_page_count = {self._most_pages}")
            self._most_pages = None
            if self._keeps:
                self._take_reserve()

    def suffices(self, transaction: Transaction) -> bool:
        """Write something that changes nothing; True: a message would fit as well."""
        transaction.execute("UPDATE chat_setting SET value = value WHERE name = 'epoch'")
        (pages,) = transaction.one("PRAGMA freelist_count") or (0,)
        (size,) = transaction.one("PRAGMA page_size") or (0,)
        free = 0 if self._most_pages is not None else self._free()
        return int(pages * size + free) >= _LEAST

    def _take_reserve(self) -> None:
        if os.path.exists(self._reserve) or self._free() < 2 * RESERVE:
            return
        with (
            suppress(OSError),  # another process has taken the space
            open(
                os.open(self._reserve, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600), "wb"
            ) as file,
        ):
            os.posix_fallocate(file.fileno(), 0, RESERVE)

    def _free(self) -> int:
        """Bytes that this process may still write to the disk (statvfs(3))."""
        try:
            disk = os.statvfs(os.path.dirname(self._path) or ".")
        except OSError:
            return 0
        return disk.f_frsize * (disk.f_bfree if os.geteuid() == 0 else disk.f_bavail)
