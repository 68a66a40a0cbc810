"""
Keeps what a client must not forget: one SQLite file for each account on each server.

It outlives SIGKILL at any moment: a message is in it before it is sent, and leaves it when the server has confirmed or
refused it; what was read is in it before it is acknowledged.

Several processes may use an account at once. Each holds a *device* of its own by a lock on a file, with its own numbers
and unconfirmed messages; what was read is known to all.

The file may be an older one that was put back, or a copy that another machine uses, too: then its device's numbers are
used already. Such a device is given up for a new one. What may have been stored under it stays with it until that is
decided, and only what was certainly not stored goes on under the new one.
"""

from __future__ import annotations

import fcntl
import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import Any
from urllib.parse import quote

_BUSY = 10.0
"""Seconds to wait for another process of the same user that holds the file."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS device (
    slot INTEGER PRIMARY KEY,  -- whose lock file is UID.SLOT.lock
    id TEXT NOT NULL           -- 32 hex digits
);
CREATE TABLE IF NOT EXISTS recipient (
    slot INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    next INTEGER NOT NULL,     -- the number of the next message to them
    PRIMARY KEY (slot, uid)
);
CREATE TABLE IF NOT EXISTS unconfirmed (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    slot INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    n INTEGER NOT NULL,
    text TEXT NOT NULL,
    device TEXT                -- of which n is a number; NULL, as older clients have it: of the slot's device
);
CREATE TABLE IF NOT EXISTS reading (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,       -- of the inbox's ids
    last INTEGER NOT NULL      -- the last id shown, 0 before the first
);
INSERT OR IGNORE INTO reading (one, epoch, last) VALUES (1, '', 0);
"""


class StateUnusable(Exception):
    """The folder or a file in it cannot be used; one line that names it."""


@dataclass(frozen=True, slots=True)
class OutboxEntry:
    """
    A message that the server has not confirmed.

    ``key`` stays; ``n`` is the number under which the message is sent next, and may change.
    """

    key: int
    to: int
    n: int
    text: str


class Outbox:
    """
    The state of one account on one server, with a device that no other process uses until :meth:`close`.

    ``present_device`` is the one under which messages are numbered now. ``is_new``: this process has made it, so that
    there is no older copy of its numbers.

    :param server: ``HOST:PORT``
    :param suits: whether to take over the device of a crashed process, given the first message that it left
        unconfirmed; such a device is taken before all others
    :raise StateUnusable: the folder cannot be used. Any later method may raise ``sqlite3.Error``
    """

    def __init__(
        self,
        folder: Path,
        server: str,
        uid: int,
        suits: Callable[[OutboxEntry], bool] = lambda entry: True,
    ) -> None:
        home = folder / quote(server, safe="")
        self.path = home / f"{uid}.db"
        self._lock = -1
        try:
            home.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
            self._database = sqlite3.connect(self.path, timeout=_BUSY, isolation_level=None)
            self._prepare()
            self._slot = self._take_slot(suits)
            self.is_new = False
            self.present_device = self._name_device()
        except (OSError, sqlite3.Error) as problem:
            self._let_go()
            reason = getattr(problem, "strerror", None) or str(problem)
            raise StateUnusable(f"{self.path}: {reason}") from None

    def close(self) -> None:
        """Let another process use the device."""
        self._database.close()
        self._let_go()

    # Messages on their way

    def add(self, to: int, text: str) -> OutboxEntry:
        """Record a message before it is sent, under the next number to its recipient."""
        with self._transaction():
            n = self._next(to)
            self._set_next(to, n + 1)
            cursor = self._database.execute(
                "INSERT INTO unconfirmed (slot, recipient, n, text, device) VALUES (?, ?, ?, ?, ?)",
                (self._slot, to, n, text, self.present_device),
            )
        assert cursor.lastrowid is not None
        return OutboxEntry(cursor.lastrowid, to, n, text)

    def unconfirmed(self, to: int) -> list[OutboxEntry]:
        """All unconfirmed messages to one recipient, in order."""
        rows = self._database.execute(
            "SELECT key, recipient, n, text FROM unconfirmed"
            " WHERE slot = ? AND recipient = ? ORDER BY key",
            (self._slot, to),
        )
        return [OutboxEntry(*row) for row in rows]

    def numbered(self, device: str, to: int, after: int = 0, limit: int = -1) -> list[OutboxEntry]:
        """Those of :meth:`unconfirmed` that are numbered as ``device``'s, from the first key above ``after``."""
        rows = self._database.execute(
            "SELECT key, recipient, n, text FROM unconfirmed"
            " WHERE slot = ? AND recipient = ? AND key > ? AND device = ? ORDER BY key LIMIT ?",
            (self._slot, to, after, device, limit),
        )
        return [OutboxEntry(*row) for row in rows]

    def recipients(self) -> list[int]:
        """The uids of all recipients of unconfirmed messages, the longest-waiting first."""
        rows = self._database.execute(
            "SELECT recipient FROM unconfirmed WHERE slot = ? GROUP BY recipient ORDER BY min(key)",
            (self._slot,),
        )
        return [uid for (uid,) in rows]

    def count(self) -> int:
        """How many messages of this device are unconfirmed."""
        return int(self._one("SELECT count(*) FROM unconfirmed WHERE slot = ?", self._slot)[0])

    def confirm(self, key: int) -> None:
        """Forget a message: the server has it."""
        self._database.execute("DELETE FROM unconfirmed WHERE key = ?", (key,))

    def refuse(self, key: int) -> None:
        """Forget a message that the server refuses. Its number was not used up: those after it move up."""
        with self._transaction():
            row = self._one("SELECT recipient, n, device FROM unconfirmed WHERE key = ?", key)
            if row is None:
                return
            to, n, device = row
            self._database.execute("DELETE FROM unconfirmed WHERE key = ?", (key,))
            if device != self.present_device:
                return  # what stays with a device that was given up is asked about under the numbers that it has
            self._database.execute(
                "UPDATE unconfirmed SET n = n - 1"
                " WHERE slot = ? AND recipient = ? AND device = ? AND n > ?",
                (self._slot, to, device, n),
            )
            self._set_next(to, self._next(to) - 1)

    def renumber(self, to: int, expected: int) -> None:
        """
        Number messages from ``expected`` on, which the server expects next.

        Only those with that or a higher number: a lower one was accepted, though the answer was lost. It stays, and is
        answered when it is sent again.
        """
        with self._transaction():
            present = self.numbered(self.present_device, to)
            self._number([entry for entry in present if entry.n >= expected], to, expected)

    # Devices

    @property
    def device(self) -> str:
        """The device to log in as: one that was given up, while something that it may have sent is undecided."""
        row = self._one(
            "SELECT device FROM unconfirmed WHERE slot = ? AND device <> ? ORDER BY key LIMIT 1",
            self._slot,
            self.present_device,
        )
        return str(row[0]) if row else self.present_device

    def change_device(self, keys: Iterable[int]) -> None:
        """
        Give the present device up: others use its numbers.

        The messages ``keys`` were certainly not stored under it: they are numbered from 1 under a new device. All else
        stays with the old one, to be asked about.
        """
        device = secrets.token_hex(16)
        with self._transaction():
            self._database.execute("UPDATE device SET id = ? WHERE slot = ?", (device, self._slot))
            self._database.execute("DELETE FROM recipient WHERE slot = ?", (self._slot,))
            self._move(keys, device)
        self.present_device, self.is_new = device, True

    def move(self, key: int) -> None:
        """
        Move a message of a device that was given up to the present one, as which nothing has been sent yet.

        It is certainly not stored.
        """
        with self._transaction():
            self._move([key], self.present_device)

    def _move(self, keys: Iterable[int], device: str) -> None:
        moved = [
            self._one(
                "UPDATE unconfirmed SET device = ? WHERE key = ? RETURNING recipient", device, key
            )
            for key in keys
        ]
        for to in {to for (to,) in filter(None, moved)}:
            self._number(self.numbered(device, to), to, 1)

    def _number(self, entries: Sequence[OutboxEntry], to: int, first: int) -> None:
        self._database.executemany(
            "UPDATE unconfirmed SET n = ? WHERE key = ?",
            [(n, entry.key) for n, entry in enumerate(entries, first)],
        )
        self._set_next(to, first + len(entries))

    # Messages shown

    @property
    def last_shown(self) -> int:
        """The id of the last message shown in this epoch by any process, 0 before the first."""
        return int(self._one("SELECT last FROM reading")[0])

    def logged_in(self, epoch: str) -> None:
        """Take the epoch of a log-in: in a new one, ids begin anew."""
        self._database.execute(
            "UPDATE reading SET last = 0, epoch = ? WHERE epoch <> ?", (epoch, epoch)
        )

    def mark_shown(self, epoch: str, up_to: int) -> None:
        """Record that messages up to an id have been shown; when this returns, that is on the disk."""
        self._database.execute(
            "UPDATE reading SET last = ? WHERE epoch = ? AND last < ?", (up_to, epoch, up_to)
        )

    # Opening

    def _prepare(self) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.executescript(_SCHEMA)
        if "token" in self._columns("reading"):  # older clients kept one unasked
            self._database.execute("PRAGMA secure_delete = ON")
            self._database.execute("ALTER TABLE reading DROP COLUMN token")
        with self._transaction():  # another process may be about to do the same
            if "device" not in self._columns("unconfirmed"):
                self._database.execute("ALTER TABLE unconfirmed ADD COLUMN device TEXT")

    def _columns(self, table: str) -> list[str]:
        columns = self._database.execute(f"PRAGMA table_info({table})").fetchall()
        return [name for _, name, *_ in columns]

    def _take_slot(self, suits: Callable[[OutboxEntry], bool]) -> int:
        """A device that no process holds."""
        # Beside min(), SQLite gives the other columns of the row that has it.
        rows = self._database.execute(
            "SELECT slot, min(key), recipient, n, text FROM unconfirmed GROUP BY slot"
        )
        left: dict[int, OutboxEntry] = {slot: OutboxEntry(*row) for slot, *row in rows}
        suitable = (slot for slot, first in left.items() if suits(first))
        empty = (slot for slot in count(1) if slot not in left)
        return next(slot for slot in chain(suitable, empty) if self._try_lock(slot))

    def _try_lock(self, slot: int) -> bool:
        path = self.path.with_suffix(f".{slot}.lock")
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        except OSError:
            os.close(descriptor)
            raise
        self._lock = descriptor
        return True

    def _name_device(self) -> str:
        made = self._database.execute(
            "INSERT OR IGNORE INTO device VALUES (?, ?)", (self._slot, secrets.token_hex(16))
        )
        self.is_new = made.rowcount == 1
        device = str(self._one("SELECT id FROM device WHERE slot = ?", self._slot)[0])
        self._database.execute(
            "UPDATE unconfirmed SET device = ? WHERE slot = ? AND device IS NULL",
            (device, self._slot),
        )
        return device

    def _let_go(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    # SQL

    def _next(self, to: int) -> int:
        row = self._one("SELECT next FROM recipient WHERE slot = ? AND uid = ?", self._slot, to)
        return int(row[0]) if row else 1

    def _set_next(self, to: int, n: int) -> None:
        self._database.execute("REPLACE INTO recipient VALUES (?, ?, ?)", (self._slot, to, n))

    def _one(self, sql: str, *arguments: object) -> Any:
        with closing(self._database.execute(sql, arguments)) as cursor:
            return cursor.fetchone()

    def _transaction(self) -> sqlite3.Connection:
        self._database.execute("BEGIN IMMEDIATE")
        return self._database  # as a context manager it commits, or rolls back on an exception
