"""
The state of inboxes in one transaction: the tables chat_reader and chat_registered.

All rows are read at its start and written at its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import astuple, dataclass, field
from typing import Any

from chatsvc.inbox.sqlite.rows import read_rows, write_rows
from chatsvc.storage.sql import Transaction

UNNAMED = ""
"""The name of the unnamed device."""

_INBOX = (
    *("last_id", "acknowledged", "front", "newest", "copies", "bytes", "copies_acknowledged"),
    *("bytes_acknowledged", "generation", "unnamed_device", "registered"),
    *("unnamed", "unnamed_bytes", "unnamed_used", "unnamed_online"),
)
_DEVICE = (
    *("generation", "position", "bytes", "used", "online"),
    *("shown", "serial", "client", "first", "since"),
)
_OWN = _INBOX.index("registered")
"""Columns of chat_reader that are fields of ``InboxState``."""

_READ_INBOXES = f"""
SELECT (SELECT value FROM chat_setting WHERE name = 'serial'),
    json_group_array(json_array(uid, {", ".join(_INBOX)}))
FROM chat_reader WHERE uid IN (SELECT value FROM json_each(?))
"""  # noqa: S608
_WRITE_INBOXES = f"INSERT INTO chat_reader (uid, {', '.join(_INBOX)}) VALUES"
_UPDATE_INBOX = " ON CONFLICT (uid) DO UPDATE SET " + ", ".join(
    f"{name} = excluded.{name}" for name in _INBOX
)

_READ_DEVICES = f"""
SELECT json_group_array(json_array(uid, device, {", ".join(_DEVICE)}))
FROM chat_registered WHERE uid IN (SELECT value FROM json_each(?))
"""  # noqa: S608
_WRITE_DEVICES = f"REPLACE INTO chat_registered (uid, device, {', '.join(_DEVICE)}) VALUES"
_DELETE_DEVICES = """
DELETE FROM chat_registered WHERE (uid, device) IN (
    SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each(?)
)
"""


@dataclass(slots=True)
class DeviceState:
    """
    A device that is registered.

    ``bytes`` are those that the inbox had taken at its ``position``. ``used`` and ``first`` are in ms. ``shown`` is the
    last id that it was shown up to there, and ``serial`` that message's, 0 if it is not known. ``since`` is the
    generation of its registration.
    """

    generation: int
    position: int
    bytes: int
    used: int
    online: int
    shown: int = 0
    serial: int = 0
    client: str = ""
    first: int = 0
    since: int = 0

    def pass_to(self, id: int, bytes: int) -> None:
        """Raise the position to ``id``, where the inbox had taken so many bytes; it never falls (P7)."""
        if id > self.position:
            self.position, self.bytes = id, bytes

    def leave(self, now: int) -> None:
        """Note that no session has the device any more."""
        if self.online:
            self.online, self.used = 0, now


@dataclass(slots=True)
class InboxState:
    """
    One inbox.

    ``last_id`` is the id given out last, ``acknowledged`` the highest position that any device ever had, ``front`` the
    id removed last; ``newest`` is the generation taken last. ``copies`` and ``bytes`` count what the inbox has taken up
    to ``last_id``, and, as ``copies_acknowledged`` and ``bytes_acknowledged``, up to ``acknowledged``. The session of
    the unnamed device has the generation ``generation`` and sends as ``unnamed_device``.
    """

    last_id: int = 0
    acknowledged: int = 0
    front: int = 0
    newest: int = 0
    copies: int = 0
    bytes: int = 0
    copies_acknowledged: int = 0
    bytes_acknowledged: int = 0
    generation: int = 0
    unnamed_device: str = ""
    devices: dict[str, DeviceState] = field(default_factory=dict)

    @property
    def waiting(self) -> int:
        """How many messages, copies not counted, no device has acknowledged."""
        return self.last_id - self.acknowledged - (self.copies - self.copies_acknowledged)

    @property
    def unnamed(self) -> DeviceState | None:
        """The unnamed device, if it is registered."""
        return self.devices.get(UNNAMED)

    @property
    def registered(self) -> int:
        """How many devices that have a name are registered."""
        return len(self.devices) - (UNNAMED in self.devices)

    @property
    def is_even(self) -> bool:
        """Whether ``copies`` and ``bytes`` are the same at all ids that a device may acknowledge."""
        lowest = min([one.bytes for one in self.devices.values()], default=self.bytes_acknowledged)
        return self.bytes == lowest

    def acknowledge(self, id: int, copies: int, bytes: int) -> None:
        """Note that a device is at ``id``, where the inbox had taken so many copies and bytes."""
        if id > self.acknowledged:
            self.acknowledged = id
            self.copies_acknowledged, self.bytes_acknowledged = copies, bytes

    def take_generation(self) -> int:
        """A generation above all that the user's sessions have taken."""
        self.newest += 1
        return self.newest

    def row(self) -> list[Any]:
        """The columns ``_INBOX``."""
        unnamed = self.unnamed
        its: tuple[int | None, int, int, int] = (None, 0, 0, 0)
        if unnamed is not None:
            self.generation = unnamed.generation
            its = (unnamed.position, unnamed.bytes, unnamed.used, unnamed.online)
        return [
            *(self.last_id, self.acknowledged, self.front, self.newest, self.copies, self.bytes),
            *(self.copies_acknowledged, self.bytes_acknowledged, self.generation),
            *(self.unnamed_device, self.registered, *its),
        ]


_UNKNOWN = InboxState().row()


class Inboxes(dict[int, InboxState]):
    """
    The inboxes of ``uids``, by uid.

    ``serial`` is the one that was given out last.
    """

    def __init__(self, transaction: Transaction, uids: Iterable[int]) -> None:
        super().__init__((uid, InboxState()) for uid in uids)
        self._transaction = transaction
        self._rows: dict[int, list[Any]] = {}
        self._devices: dict[tuple[int, str], tuple[Any, ...]] = {}
        serial, rows = transaction.one(_READ_INBOXES, (json.dumps(list(self)),)) or (0, "[]")
        self.serial = int(serial)
        for uid, *row in json.loads(rows):
            self._rows[uid] = row
            self[uid] = self._inbox(row)
        registered = [uid for uid, row in self._rows.items() if row[_OWN]]
        for uid, device, *row in read_rows(transaction, _READ_DEVICES, registered):
            self._devices[uid, device] = tuple(row)
            self[uid].devices[device] = DeviceState(*row)

    def next_serial(self, now: int) -> int:
        """Give out the next serial at a time in ms: never lower than the clock's, and its last digit is 0."""
        self.serial = max(self.serial + 10, now * 1000)
        return self.serial

    def save(self) -> None:
        """Write the rows that have changed."""
        rows = ((uid, inbox.row()) for uid, inbox in self.items())
        changed = [(uid, *row) for uid, row in rows if row != self._rows.get(uid, _UNKNOWN)]
        write_rows(self._transaction, _WRITE_INBOXES, changed, _UPDATE_INBOX)
        devices = {
            (uid, name): astuple(one)
            for uid, inbox in self.items()
            if len(inbox.devices) > 1 or inbox.unnamed is None
            for name, one in inbox.devices.items()
            if name != UNNAMED
        }
        new = [(*key, *row) for key, row in devices.items() if row != self._devices.get(key)]
        write_rows(self._transaction, _WRITE_DEVICES, new)
        gone = list(self._devices.keys() - devices.keys())
        if gone:
            self._transaction.execute(_DELETE_DEVICES, (json.dumps(gone),))

    @staticmethod
    def _inbox(row: list[Any]) -> InboxState:
        inbox = InboxState(*row[:_OWN])
        position, *rest = row[_OWN + 1 :]
        if position is not None:
            inbox.devices[UNNAMED] = DeviceState(inbox.generation, position, *rest)
        return inbox
