"""
Keeps what a client must not forget: one SQLite file for each account on each server.

It outlives SIGKILL at any moment: a message is in it before it is sent, and leaves it when the server has confirmed or
refused it; what was read is in it before it is acknowledged.

Several processes may use an account at once. Each holds a *device* of its own by a lock on a file (``slots.py``), with
its own numbers and unconfirmed messages, and a terminal's with what it has shown (``shown.py``).

The file may be an older one that was put back, or a copy that another machine uses, too: then its device's numbers are
used already. Such a device is given up for a new one. What may have been stored under it stays with it until that is
decided, and only what was certainly not stored goes on under the new one.
"""

from __future__ import annotations

import secrets
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from chatsvc.client.state.database import one, open_database
from chatsvc.client.state.shown import ShownRecord
from chatsvc.client.state.slots import SlotLock, SlotTaken, slots_to_read, slots_to_send


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
    there is no older copy of its numbers. ``shown`` is the record of messages shown.

    :param server: ``HOST:PORT``
    :param suits: whether to take over the device of a crashed process, given the first message that it left
        unconfirmed; such a device is taken before all others
    :param terminal: take the device of a terminal that is gone, or a new one for a terminal, whatever ``suits``;
        what other processes left is found by :meth:`left`
    :param slot: take this one and no other
    :raise StateUnusable: the folder cannot be used. Any later method may raise ``sqlite3.Error``
    :raise SlotTaken: another process holds ``slot``
    """

    def __init__(
        self,
        folder: Path,
        server: str,
        uid: int,
        suits: Callable[[OutboxEntry], bool] = lambda entry: True,
        *,
        terminal: bool = False,
        slot: int | None = None,
    ) -> None:
        self._account = folder, server, uid
        self.path = folder / quote(server, safe="") / f"{uid}.db"
        self._lock: SlotLock | None = None
        try:
            self._database = open_database(self.path)
            wanted = self._slots_wanted(suits, terminal) if slot is None else [slot]
            self._lock = SlotLock(self.path, wanted)
            self._slot = self._lock.slot
            self.is_new = False
            self.present_device = self._name_device()
        except SlotTaken:
            self.close()
            raise
        except (OSError, sqlite3.Error) as problem:
            self._let_go()
            reason = getattr(problem, "strerror", None) or str(problem)
            raise StateUnusable(f"{self.path}: {reason}") from None
        self.shown = ShownRecord(self._database, self._slot)

    def close(self) -> None:
        """Let another process use the device."""
        self._database.close()
        self._let_go()

    def left(self) -> list[Outbox]:
        """What processes that are gone have left unconfirmed: their outboxes, which are this process's now."""
        found = []
        for slot in self._first_left():
            try:
                found.append(Outbox(*self._account, slot=slot))
            except SlotTaken:
                continue
        return found

    @property
    def is_terminal(self) -> bool:
        """Whether a terminal has used this slot, as a registered device."""
        return self._one("SELECT 1 FROM shown WHERE slot = ?", self._slot) is not None

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

    # Messages shown, without a registered device

    @property
    def last_shown(self) -> int:
        """The id of the last message shown in this epoch by any process, 0 before the first."""
        return self.shown.last

    def logged_in(self, epoch: str) -> None:
        """Take the epoch of a log-in: in a new one, ids begin anew."""
        self.shown.enter(epoch)

    def mark_shown(self, epoch: str, up_to: int) -> None:
        """Record that messages up to an id have been shown; when this returns, that is on the disk."""
        self.shown.mark(epoch, up_to)

    # Opening

    def _slots_wanted(self, suits: Callable[[OutboxEntry], bool], terminal: bool) -> Iterable[int]:
        left = self._first_left()
        terminals = [
            slot for (slot,) in self._database.execute("SELECT slot FROM shown ORDER BY 1")
        ]
        if terminal:
            return slots_to_read(terminals, left)
        suitable = (slot for slot, first in left.items() if suits(first))
        return slots_to_send(suitable, left, terminals)

    def _first_left(self) -> dict[int, OutboxEntry]:
        """The first unconfirmed message of each slot that has one."""
        # Beside min(), SQLite gives the other columns of the row that has it.
        rows = self._database.execute(
            "SELECT slot, min(key), recipient, n, text FROM unconfirmed GROUP BY slot"
        )
        return {slot: OutboxEntry(*row) for slot, *row in rows}

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
        if self._lock is not None:
            self._lock.release()

    # SQL

    def _next(self, to: int) -> int:
        row = self._one("SELECT next FROM recipient WHERE slot = ? AND uid = ?", self._slot, to)
        return int(row[0]) if row else 1

    def _set_next(self, to: int, n: int) -> None:
        self._database.execute("REPLACE INTO recipient VALUES (?, ?, ?)", (self._slot, to, n))

    def _one(self, sql: str, *arguments: object) -> Any:
        return one(self._database, sql, *arguments)

    def _transaction(self) -> sqlite3.Connection:
        self._database.execute("BEGIN IMMEDIATE")
        return self._database  # as a context manager it commits, or rolls back on an exception
