"""The entries of inboxes in one transaction: the table chat_inbox."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from chatsvc.inbox.mark import mark_to_text
from chatsvc.inbox.outcome import Draft
from chatsvc.inbox.sqlite.rows import read_rows, write_rows
from chatsvc.inbox.sqlite.state import InboxState
from chatsvc.storage.sql import Transaction
from chatsvc.wire.entries import Joining, Mark

_PLAIN = "uid, id, sender, name, at, text, serial"
_WRITE_PLAIN = f"INSERT INTO chat_inbox ({_PLAIN}) VALUES"
_WRITE = f"INSERT INTO chat_inbox ({_PLAIN}, recipient, device, copies, bytes, mark) VALUES"

_PLACES = """
SELECT json_group_array(json_array(uid, wanted, id, serial, copies, bytes))
FROM (SELECT json_extract(value, '$[0]') AS user, json_extract(value, '$[1]') AS wanted FROM json_each(?))
CROSS JOIN chat_inbox
ON uid = user AND id = (SELECT max(id) FROM chat_inbox WHERE uid = user AND id <= wanted)
"""

_DELETE = """
DELETE FROM chat_inbox WHERE (uid, id) IN (
    SELECT waiting.uid, waiting.id FROM json_each(?) AS wanted CROSS JOIN chat_inbox AS waiting
    ON waiting.uid = json_extract(wanted.value, '$[0]') AND waiting.id <= json_extract(wanted.value, '$[1]')
)
"""


@dataclass(slots=True)
class Place:
    """An entry: how many copies and bytes the inbox had taken with it."""

    id: int
    serial: int
    copies: int
    bytes: int


class MessageLog:
    """The entries of inboxes; those that are appended are written by ``flush``."""

    def __init__(self, transaction: Transaction) -> None:
        self._transaction = transaction
        self._plain: list[tuple[Any, ...]] = []
        self._appended: list[tuple[Any, ...]] = []

    def append(
        self,
        uid: int,
        inbox: InboxState,
        draft: Draft,
        serial: int,
        to: int = 0,
        mark: Mark | None = None,
    ) -> int:
        """
        Append a message to the inbox of ``uid``, or, with ``to``, a copy of what its user sent there.

        ``mark`` says what more it is. The note of a joining counts as a copy; an inbox with invitations or such notes
        is not plain.

        :return: its id.
        """
        inbox.last_id = id = inbox.last_id + 1
        row = (uid, id, draft.sender, draft.name, draft.at, draft.text, serial)
        if inbox.is_plain and mark is None:
            self._plain.append(row)
            return id
        if to or isinstance(mark, Joining):
            inbox.copies += 1
        if inbox.registered:
            inbox.bytes += len(draft.name.encode()) + len(draft.text.encode())
        device = draft.device if to else ""
        word = "" if mark is None else mark_to_text(mark)
        self._appended.append((*row, to, device, inbox.copies, inbox.bytes, word))
        return id

    def flush(self) -> None:
        """Write what was appended."""
        write_rows(self._transaction, _WRITE_PLAIN, self._plain)
        write_rows(self._transaction, _WRITE, self._appended)
        self._plain, self._appended = [], []

    def delete(self, fronts: dict[int, int]) -> None:
        """Delete all entries up to an id, for each uid."""
        if fronts:
            self._transaction.execute(_DELETE, (json.dumps(list(fronts.items())),))

    def places(self, wanted: Iterable[tuple[int, int]]) -> dict[tuple[int, int], Place]:
        """The last entry that is not above an id, for each (uid, id) that has one."""
        rows = read_rows(self._transaction, _PLACES, wanted)
        return {(uid, id): Place(*place) for uid, id, *place in rows}

    def serial_of(self, uid: int, inbox: InboxState, id: int) -> int | None:
        """The serial of an entry that is kept; None: it is not."""
        if id <= inbox.front:
            return None
        return self._number("SELECT serial FROM chat_inbox WHERE uid = ? AND id = ?", uid, id)

    def last_not_above(self, uid: int, inbox: InboxState, serial: int) -> int:
        """The id before the first entry whose serial is above one; the last id if there is none."""
        found = self._number(
            "SELECT id FROM chat_inbox WHERE uid = ? AND id > ? AND serial > ? ORDER BY id LIMIT 1",
            *(uid, inbox.front, serial),
        )
        return inbox.last_id if found is None else found - 1

    def first_serial(self, uid: int, inbox: InboxState) -> int | None:
        """The serial of the first entry that is kept; None: there is none, or it has no serial."""
        sql = "SELECT serial FROM chat_inbox WHERE uid = ? AND id > ? ORDER BY id LIMIT 1"
        return self._number(sql, uid, inbox.front) or None

    def first_since(self, uid: int, inbox: InboxState, at: int) -> int | None:
        """The id of the first entry that was accepted at a time in ms or later."""
        sql = "SELECT id FROM chat_inbox WHERE uid = ? AND id > ? AND at >= ? ORDER BY id LIMIT 1"
        return self._number(sql, uid, inbox.front, at)

    def _number(self, sql: str, *arguments: int) -> int | None:
        row = self._transaction.one(sql, arguments)
        return None if row is None else int(row[0])
