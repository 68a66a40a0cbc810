"""
Rooms' logs in one transaction: the tables chat_room_log and chat_room_log_state.

All states are read at its start; states and entries are written at its end.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any

from chatsvc.inbox.mark import mark_to_text, message_or_change
from chatsvc.inbox.outcome import RoomDraft
from chatsvc.inbox.room_log import LogEvent, Place, RoomLogLimits
from chatsvc.inbox.sqlite.rows import read_rows, write_rows
from chatsvc.storage.sql import Transaction
from chatsvc.wire.events import Reference, RoomEntry, RoomEvent

ENTRY = "room, id, serial, version, sender, at, device, name, text, reference"
"""The columns of which :func:`entry_of` makes an entry."""

_STATE = "room, version, front, last, serial, bytes, bytes_front, refused"
_READ = f"""
SELECT json_group_array(json_array({_STATE}))
FROM chat_room_log_state WHERE room IN (SELECT value FROM json_each(?))
"""  # noqa: S608
_WRITE = f"REPLACE INTO chat_room_log_state ({_STATE}) VALUES"
_APPEND = f"INSERT INTO chat_room_log ({ENTRY}, bytes) VALUES"

_TO_DELETE = """
SELECT id, length(CAST(name AS BLOB)) + length(CAST(text AS BLOB)) FROM chat_room_log
WHERE room = ? AND (serial = ? AND version = 0 OR reference = ?)
"""

_OLDEST = "SELECT id, serial, bytes FROM chat_room_log WHERE room = ? ORDER BY id LIMIT ?"

_REFUSED = 64
"""Versions of invitations into full inboxes that are remembered: a node that finishes them late must hear it, too."""


@dataclass(slots=True)
class RoomState:
    """
    A room's log.

    ``version`` is the room's with the last change, 0: the log has none. ``front`` is the id before the first entry,
    ``last`` the id given out last, and ``serial`` that entry's. ``bytes`` and ``bytes_front`` are those that the log
    had taken at the two. ``refused`` is JSON: the versions of the last invitations that an inbox was too full for.
    """

    version: int = 0
    front: int = 0
    last: int = 0
    serial: int = 0
    bytes: int = 0
    bytes_front: int = 0
    refused: str = "[]"

    def refuse(self, version: int) -> None:
        """Remember that an inbox was too full for the invitation of a version."""
        self.refused = json.dumps([*json.loads(self.refused), version][-_REFUSED:])

    def has_refused(self, version: int) -> bool:
        """Whether an inbox was too full for the invitation of a version."""
        return version in json.loads(self.refused)


_columns = attrgetter(*(field.name for field in fields(RoomState)))
"""A state as a row has it. (``dataclasses.astuple`` copies deeply, at a fifth of the cost of a batch.)"""


class RoomEntries(dict[int, RoomState]):
    """The states of the logs of ``rooms``, by room, and their entries."""

    def __init__(self, transaction: Transaction, rooms: Iterable[int]) -> None:
        super().__init__()
        self._transaction = transaction
        self._appended: list[tuple[Any, ...]] = []
        for room in rooms:
            self[room] = RoomState()
        for room, *row in read_rows(transaction, _READ, self):
            self[room] = RoomState(*row)
        self._before = {room: _columns(state) for room, state in self.items()}

    def append(self, draft: RoomDraft, serial: int) -> int:
        """Append a message, or what changes an earlier one; its id."""
        reference = draft.reference
        changes = reference is not None and reference.changes
        word = "" if reference is None else mark_to_text(reference)
        device = "" if changes else draft.mark  # P5: a change is told to all
        what = (draft.sender, draft.at, device, draft.name, draft.text, word)
        return self._append(draft.room, serial, 0, *what)

    def is_retracted(self, room: int, change: Reference) -> bool:
        """Whether the log says that the message of a change was retracted; of an answer, nothing is looked up."""
        if not change.changes:
            return False
        self._flush()
        word = mark_to_text(Reference("retracted", change.serial))
        sql = "SELECT 1 FROM chat_room_log WHERE room = ? AND serial > ? AND reference = ? LIMIT 1"
        return self._transaction.one(sql, (room, change.serial, word)) is not None

    def delete(self, room: int, target: int) -> None:
        """Delete a message, and what has changed it (P6): its place stays empty."""
        self._flush()
        state, edit = self[room], mark_to_text(Reference("edited", target))
        for id, size in self._transaction.all(_TO_DELETE, (room, target, edit)):
            key = (room, id)
            self._transaction.execute("DELETE FROM chat_room_log WHERE room = ? AND id = ?", key)
            less = "UPDATE chat_room_log SET bytes = bytes - ? WHERE room = ? AND id > ?"
            self._transaction.execute(less, (size, *key))
            state.bytes -= size

    def has(self, room: int, id: int) -> bool:
        """Whether an entry is kept."""
        self._flush()
        sql = "SELECT 1 FROM chat_room_log WHERE room = ? AND id = ?"
        return self._one(sql, room, id) is not None

    def append_event(self, event: LogEvent, serial: int) -> RoomEvent:
        """Append an event."""
        details = {"event": event.event, "user": event.user, "details": dict(event.details)}
        text = json.dumps(details, ensure_ascii=False)
        what = (event.by, event.at, "", event.name, text, "")
        id = self._append(event.room, serial, event.version, *what)
        about = (event.at, event.event, event.by, event.user, event.name, event.details)
        return RoomEvent(event.room, id, serial, event.version, *about)

    def place(self, event: LogEvent) -> Place:
        """Where an event stands whose version the log has."""
        room, version, state = event.room, event.version, self[event.room]
        row = self._one(
            "SELECT id, serial FROM chat_room_log WHERE room = ? AND version = ?", room, version
        )
        if row is not None:
            return Place(version, *row)
        # An event that is no longer kept is before all that is; another change is before the next event.
        least = 0 if event.event else version + 1
        behind = self._one(
            "SELECT serial FROM chat_room_log WHERE room = ? AND version >= ? ORDER BY id LIMIT 1",
            *(room, least),
        )
        serial = state.serial if behind is None else behind[0] - 1
        return Place(version, 0, serial, state.has_refused(version))

    def expire(self, room: int, before: int, limit: int) -> int:
        """Let go of the first entries whose serials are below ``before``, ``limit`` at most; how many these are."""
        self._flush()
        state, count = self[room], 0
        for id, serial, bytes in self._transaction.all(_OLDEST, (room, limit)):
            if serial >= before or id > state.last:
                break
            state.front, state.bytes_front, count = id, bytes, count + 1
        if count:
            self._cut(room, state)
        return count

    def save(self, limits: RoomLogLimits) -> None:
        """Write what was appended, trim the logs that have grown, and write their states."""
        self._flush()
        for room, state in self.items():
            self._trim(room, state, limits)
        rows = [(room, *_columns(state)) for room, state in self.items()]
        changed = [row for row in rows if row[1:] != self._before[row[0]]]
        write_rows(self._transaction, _WRITE, changed)

    def _flush(self) -> None:
        write_rows(self._transaction, _APPEND, self._appended)
        self._appended = []

    def _append(self, room: int, serial: int, version: int, *what: Any) -> int:
        *_, name, text, _ = what
        state = self[room]
        state.last += 1
        state.serial = serial
        state.bytes += len(name.encode()) + len(text.encode())
        self._appended.append((room, state.last, serial, version, *what, state.bytes))
        return state.last

    def _trim(self, room: int, state: RoomState, limits: RoomLogLimits) -> None:
        """Let go of what is before the window, or before the last bytes."""
        front, bytes = max(state.front, state.last - limits.window), state.bytes - limits.bytes
        if front <= state.front and bytes <= state.bytes_front:
            return
        # Ids of what was retracted are missing: there need be no entry at the front.
        before = "SELECT id, bytes FROM chat_room_log WHERE room = ? AND id <= ? ORDER BY id DESC LIMIT 1"
        row = self._one(before, room, front)
        state.front, state.bytes_front = front, row[1] if row else state.bytes_front
        if bytes > state.bytes_front:
            row = self._one(
                "SELECT id, bytes FROM chat_room_log WHERE room = ? AND id > ? AND bytes >= ? ORDER BY id LIMIT 1",
                *(room, front, bytes),
            )
            state.front, state.bytes_front = row or (state.last, state.bytes)
        self._cut(room, state)

    def _cut(self, room: int, state: RoomState) -> None:
        delete = "DELETE FROM chat_room_log WHERE room = ? AND id <= ?"
        self._transaction.execute(delete, (room, state.front))

    def _one(self, sql: str, *arguments: int) -> tuple[Any, ...] | None:
        return self._transaction.one(sql, arguments)


def entry_of(
    room: int,
    id: int,
    serial: int,
    version: int,
    sender: int,
    at: int,
    device: str,
    name: str,
    text: str,
    word: str,
) -> RoomEntry:
    """The entry of a row with the columns ``ENTRY``."""
    if not version:
        return message_or_change((room, id, serial, sender, name, at, text, device), word)
    what = json.loads(text)
    about = (what["event"], sender, what["user"], name, what["details"])
    return RoomEvent(room, id, serial, version, at, *about)
