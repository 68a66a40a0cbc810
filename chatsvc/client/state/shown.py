"""
What was shown: the id and the serial of the last message, on disk before it is acknowledged.

A registered device has a position of its own, the id and the serial of the last message that it has shown. All sessions
without a registered device are one device to the server, and one record in the file: an id and the epoch that it
belongs to.

What a terminal has shown without a registered device, because client or server knew of none, is only in the latter. The
last id is kept as ``before`` until a terminal has registered and knows where it begins (see
``conversation/reading.py``).
"""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass

from chatsvc.client.state.database import one


@dataclass(frozen=True, slots=True)
class Position:
    """A message in an inbox; ``serial`` 0: it was stored before messages had serials."""

    id: int
    serial: int


START = Position(0, 0)
"""Before the first message."""


class ShownRecord:
    """What has been shown to the user of a slot, and to the user of the unnamed device."""

    def __init__(self, database: sqlite3.Connection, slot: int) -> None:
        self._database = database
        self._slot = slot

    # By the registered device of this slot

    @property
    def position(self) -> Position:
        """The last message shown, :data:`START` before the first."""
        row = one(self._database, "SELECT id, serial FROM shown WHERE slot = ?", self._slot)
        return Position(*row) if row else START

    def begin(self) -> None:
        """Note that this slot is a terminal's: its device is registered."""
        self._database.execute("INSERT OR IGNORE INTO shown VALUES (?, 0, 0)", (self._slot,))

    def move_to(self, position: Position) -> None:
        """Record the last message shown; when this returns, that is on the disk."""
        self._database.execute(
            "REPLACE INTO shown (slot, id, serial) VALUES (?, ?, ?)",
            (self._slot, position.id, position.serial),
        )

    @property
    def before(self) -> int:
        """The last id that terminals have shown without a registered device; 0: it does not matter any more."""
        return int(one(self._database, "SELECT before FROM reading")[0])

    def settle(self, position: Position = START) -> None:
        """Forget ``before``; what it stands for is all up to ``position``, or has not been shown to begin with."""
        with self._database:
            self._database.execute("BEGIN IMMEDIATE")
            self._database.execute("UPDATE reading SET before = 0")
            if position != START:
                self.move_to(position)

    # By the unnamed device

    @property
    def last(self) -> int:
        """The id of the last message shown in this epoch by any process, 0 before the first."""
        return int(one(self._database, "SELECT last FROM reading")[0])

    def enter(self, epoch: str) -> None:
        """Take the epoch of a log-in: in a new one, ids begin anew."""
        self._database.execute(
            "UPDATE reading SET last = 0, before = 0, epoch = ? WHERE epoch <> ?", (epoch, epoch)
        )

    def mark(self, epoch: str, up_to: int, *, at_terminal: bool = False) -> None:
        """
        Record that messages up to an id have been shown; when this returns, that is on the disk.

        :param at_terminal: to somebody whose terminal registers its device as soon as the server knows how
        """
        self._database.execute(
            "UPDATE reading SET last = ?, before = CASE WHEN ? THEN ? ELSE before END"
            " WHERE epoch = ? AND last < ?",
            (up_to, at_terminal, up_to, epoch, up_to),
        )
