"""
The state of inboxes in one transaction: the tables chat_reader and chat_registered.

All rows are read at its start and written at its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import astuple, dataclass, field
from typing import Any

from chatsvc.inbox.sqlite.rows import read_rows, write_rows
from chatsvc.storage.sql import Transaction

UNNAMED = ""
"""The name of the unnamed device."""

_INBOX = (
    *("last_id", "acknowledged", "generation", "unnamed_used", "newest", "kept", "copies"),
    *("bytes", "copies_acknowledged", "bytes_acknowledged", "unnamed_device", "registered"),
    *("unnamed_behind", "unnamed_bytes"),
)
_PLAIN = _INBOX[:4]
"""The columns that messages change where no device is registered."""

_DEVICE = (
    *("generation", "position", "bytes", "used", "online"),
    *("shown", "serial", "client", "first", "since", "registered_at"),
)

_READ_INBOXES = f"""
SELECT (SELECT value FROM chat_setting WHERE name = 'serial'), json_group_array(
    CASE WHEN ?2 AND registered = 0 AND bytes = 0 AND copies = 0 AND coalesce(unnamed_behind, 0) = 0
    THEN json_array(uid, {", ".join(_PLAIN)}, unnamed_behind)
    ELSE json_array(uid, {", ".join(_INBOX)}) END),
    (SELECT json_group_array(uid) FROM chat_reader WHERE registered > 0 AND uid IN (SELECT value FROM json_each(?3)))
FROM chat_reader WHERE uid IN (SELECT value FROM json_each(?1))
"""  # noqa: S608
_UPDATE = " ON CONFLICT (uid) DO UPDATE SET "
_WRITE_PLAIN = f"INSERT INTO chat_reader (uid, {', '.join(_PLAIN)}) VALUES"
_UPDATE_PLAIN = _UPDATE + ", ".join(f"{name} = excluded.{name}" for name in _PLAIN)
_WRITE_INBOXES = f"INSERT INTO chat_reader (uid, {', '.join(_INBOX)}) VALUES"
_UPDATE_INBOX = _UPDATE + ", ".join(f"{name} = excluded.{name}" for name in _INBOX)
_RAISE_GENERATION = """
INSERT INTO chat_reader (uid, newest) VALUES (?, ?)
ON CONFLICT (uid) DO UPDATE SET newest = max(newest, excluded.newest)
"""

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
    generation of its registration, ``registered_at`` the serial that the store had given out last then.
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
    registered_at: int = 0

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
    the unnamed device has the generation ``generation`` and sends as ``unnamed_device``; ``unnamed_used`` is when it
    ended, in ms, 0 if it has not.

    A *plain* inbox has no registered device, and no note of a joining is kept in it: nothing is counted, the unnamed
    device is where the inbox is acknowledged, and of that nothing else is known than ``has_unnamed``, whether it is
    registered.
    """

    last_id: int = 0
    acknowledged: int = 0
    generation: int = 0
    unnamed_used: int = 0
    is_plain: bool = False
    has_unnamed: bool = False
    front: int = 0
    newest: int = 0
    copies: int = 0
    bytes: int = 0
    copies_acknowledged: int = 0
    bytes_acknowledged: int = 0
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
    def lowest(self) -> int:
        """The id that every device has passed."""
        return min([self.acknowledged, *[one.position for one in self.devices.values()]])

    @property
    def is_even(self) -> bool:
        """Whether ``copies`` and ``bytes`` are the same at all ids that a device may acknowledge."""
        return self.copies == self.copies_acknowledged and self.bytes == min(
            [self.bytes_acknowledged, *[one.bytes for one in self.devices.values()]]
        )

    def acknowledge(self, id: int, copies: int, bytes: int) -> None:
        """Note that a device is at ``id``, where the inbox had taken so many copies and bytes."""
        if id > self.acknowledged:
            self.acknowledged = id
            self.copies_acknowledged, self.bytes_acknowledged = copies, bytes

    def take_generation(self) -> int:
        """A generation above all that the user's sessions have taken."""
        self.newest += 1
        return self.newest

    def begin_counts(self) -> None:
        """Count from 0 again if nothing is kept and there is no registered device any more: the inbox is plain then."""
        if self.front == self.last_id and not self.registered:
            self.copies = self.bytes = self.copies_acknowledged = self.bytes_acknowledged = 0
            if self.unnamed is not None:
                self.unnamed.bytes = 0

    def row(self) -> list[Any]:
        """The columns ``_INBOX``."""
        unnamed = self.unnamed
        its: tuple[int | None, int] = (None, 0)
        if unnamed is not None:
            self.generation = unnamed.generation
            self.unnamed_used = 0 if unnamed.online else unnamed.used
            its = (self.acknowledged - unnamed.position, unnamed.bytes)
        return [
            *(self.last_id, self.acknowledged, self.generation, self.unnamed_used, self.newest),
            *(self.acknowledged - self.front, self.copies, self.bytes),
            *(self.copies_acknowledged, self.bytes_acknowledged),
            *(self.unnamed_device, self.registered, *its),
        ]


_NO_PLAIN = [0] * len(_PLAIN)
_NO_INBOX = InboxState().row()


class Inboxes(dict[int, InboxState]):
    """
    Inboxes by uid: those of ``uids``, and those of ``senders`` who have registered devices.

    With ``may_be_plain``, plain ones are read and written in part. ``serial`` is the one that was given out last.
    """

    def __init__(
        self,
        transaction: Transaction,
        uids: Iterable[int],
        senders: Iterable[int] = (),
        may_be_plain: bool = False,
    ) -> None:
        super().__init__()
        self._transaction = transaction
        self._before: dict[int, list[Any]] = {}
        self._devices: dict[tuple[int, str], tuple[Any, ...]] = {}
        self.serial = 0
        wanted, senders = list(uids), list(senders)
        found = self._read(wanted, may_be_plain, senders)
        for uid in wanted:
            if uid not in self:
                self[uid] = InboxState(is_plain=may_be_plain)
        more = [uid for uid in found if uid not in self]
        if more:
            self._read(more)
        self._read_devices()

    def next_serial(self, now: int) -> int:
        """Give out the next serial at a time in ms: never lower than the clock's, and its last digit is 0."""
        self.serial = max(self.serial + 10, now * 1000)
        return self.serial

    def raise_generation(self, uid: int, generation: int) -> None:
        """Take no generation again up to one that a session has, and of which nothing is known: it was lost."""
        if uid in self:
            self[uid].newest = max(self[uid].newest, generation)
        self._transaction.execute(_RAISE_GENERATION, (uid, generation))

    def save(self) -> None:
        """Write the rows that have changed."""
        plain, whole = [], []
        for uid, inbox in self.items():
            if inbox.is_plain:
                row = [inbox.last_id, inbox.acknowledged, inbox.generation, inbox.unnamed_used]
                if row != self._before.get(uid, _NO_PLAIN):
                    plain.append((uid, *row))
            else:
                row = inbox.row()
                if row != self._before.get(uid, _NO_INBOX):
                    whole.append((uid, *row))
        write_rows(self._transaction, _WRITE_PLAIN, plain, _UPDATE_PLAIN)
        write_rows(self._transaction, _WRITE_INBOXES, whole, _UPDATE_INBOX)
        self._save_devices()

    def _read(
        self, uids: list[int], may_be_plain: bool = False, senders: Sequence[int] = ()
    ) -> list[int]:
        """Read inboxes; those of ``senders`` who have registered devices."""
        arguments = (json.dumps(uids), may_be_plain, json.dumps(senders))
        serial, rows, found = self._transaction.one(_READ_INBOXES, arguments) or (0, "[]", "[]")
        self.serial = int(serial)
        for row in json.loads(rows):
            uid = row[0]
            if len(row) == len(_PLAIN) + 2:
                _, last_id, acknowledged, generation, used, behind = row
                self._before[uid] = row[1:-1]
                self[uid] = InboxState(
                    *(
                        last_id,
                        acknowledged,
                        generation,
                        used,
                        True,
                        behind is not None,
                        acknowledged,
                    )
                )
            else:
                self._before[uid] = row[1:]
                self[uid] = _whole(*row[1:])
        with_devices: list[int] = json.loads(found)
        return with_devices

    def _read_devices(self) -> None:
        registered = [
            uid
            for uid, inbox in self.items()
            if not inbox.is_plain and uid in self._before and self._before[uid][_REGISTERED]
        ]
        for uid, device, *row in read_rows(self._transaction, _READ_DEVICES, registered):
            self._devices[uid, device] = tuple(row)
            self[uid].devices[device] = DeviceState(*row)

    def _save_devices(self) -> None:
        devices = {
            (uid, name): astuple(one)
            for uid, inbox in self.items()
            for name, one in inbox.devices.items()
            if name != UNNAMED
        }
        new = [(*key, *row) for key, row in devices.items() if row != self._devices.get(key)]
        write_rows(self._transaction, _WRITE_DEVICES, new)
        gone = list(self._devices.keys() - devices.keys())
        if gone:
            self._transaction.execute(_DELETE_DEVICES, (json.dumps(gone),))


_REGISTERED = _INBOX.index("registered")


def _whole(
    last_id: int,
    acknowledged: int,
    generation: int,
    used: int,
    newest: int,
    kept: int,
    copies: int,
    bytes: int,
    copies_acknowledged: int,
    bytes_acknowledged: int,
    unnamed_device: str,
    registered: int,
    unnamed_behind: int | None,
    unnamed_bytes: int,
) -> InboxState:
    """The inbox of a row with the columns ``_INBOX``."""
    inbox = InboxState(
        *(last_id, acknowledged, generation, used, False, unnamed_behind is not None),
        *(acknowledged - kept, newest, copies, bytes, copies_acknowledged, bytes_acknowledged),
        unnamed_device,
    )
    if unnamed_behind is not None:
        position = acknowledged - unnamed_behind
        inbox.devices[UNNAMED] = DeviceState(generation, position, unnamed_bytes, used, used == 0)
    return inbox
