"""Devices that send: which of their numbered messages were stored, and which of their log-ins is the last."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from typing import Any, Literal

from chatsvc.inbox.limits import (
    DEVICES,
    DIGEST_DIGITS,
    DIGESTS,
    MEMORY_OF_SENDERS,
    MOST_DEVICES,
    RECENT,
)
from chatsvc.inbox.outcome import Draft, Duplicate, Gap, RoomDraft
from chatsvc.storage.sql import Transaction

_FORGET = """
DELETE FROM {table} WHERE {owner} AND device IN (
    SELECT device FROM (
        SELECT device, used, row_number() OVER (ORDER BY used DESC, {newest} DESC) AS place
        FROM {table} WHERE {owner}
    ) WHERE used < ?1 OR place > ?2 OR (place > ?3 AND used < ?4)
)
"""
"""Time comes first: a device that was used a moment ago may have a message on its way."""

_SEEN = "SELECT n, id, serial, digests FROM {table} WHERE {to} = ? AND sender = ? AND device = ?"
_UPDATE = """
UPDATE {table} SET n = ?, id = ?, serial = ?, used = ?, digests = ? WHERE {to} = ? AND sender = ? AND device = ?
"""
_INSERT = """
INSERT INTO {table} (n, id, serial, used, digests, {to}, sender, device) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_FORGET_GENERATIONS = _FORGET.format(table="chat_generation", owner="uid = ?5", newest="generation")

_GENERATIONS = """
SELECT json_group_array(json_array(uid, device, generation))
FROM json_each(?) AS wanted CROSS JOIN chat_generation
ON uid = json_extract(wanted.value, '$[0]') AND device = json_extract(wanted.value, '$[1]')
"""


class SendingDevices:
    """
    What is known in one transaction of devices that send, among them the (sender, device) of ``devices``.

    ``now`` is in ms.
    """

    def __init__(
        self, transaction: Transaction, now: int, devices: Iterable[tuple[int, str]]
    ) -> None:
        self._transaction = transaction
        self._now = now
        wanted = json.dumps([*devices])
        rows = [] if wanted == "[]" else json.loads(self._one(_GENERATIONS, wanted)[0])
        self._generations: dict[tuple[int, str], int] = {
            (by, device): generation for by, device, generation in rows
        }

    def generation(self, uid: int, device: str) -> int:
        """The generation that a device has taken; 0: that is not known."""
        return self._generations.get((uid, device), 0)

    def is_known(self, uid: int, device: str) -> bool:
        """Whether a device has taken a generation that is still remembered."""
        sql = "SELECT 1 FROM chat_generation WHERE uid = ? AND device = ?"
        return self._one(sql, uid, device) is not None

    def set_generation(self, uid: int, device: str, generation: int) -> None:
        """Write down the generation that a device has taken."""
        self._generations[uid, device] = generation
        self._execute(
            "REPLACE INTO chat_generation (uid, device, generation, used) VALUES (?, ?, ?, ?)",
            *(uid, device, generation, self._now),
        )

    def forget_generations(self, uid: int) -> None:
        """Forget the generations of a user's devices that were not used for long."""
        self._execute(_FORGET_GENERATIONS, *_bounds(self._now), uid)

    def _one(self, sql: str, *arguments: Any) -> Any:
        return self._transaction.one(sql, arguments)

    def _execute(self, sql: str, *arguments: Any) -> int:
        return self._transaction.execute(sql, arguments)


class SentNumbers:
    """
    Which numbered messages to inboxes, or to rooms, were stored.

    ``to`` says where they go; ``now`` is in ms.
    """

    def __init__(self, transaction: Transaction, now: int, to: Literal["inboxes", "rooms"]) -> None:
        self._transaction = transaction
        self._now = now
        self._seen, self._update, self._insert, self._forget = _NUMBERS[to]

    def seen(self, to: int, draft: Draft | RoomDraft) -> Duplicate | Gap | str:
        """Say what a numbered message is if not the next one; else give the digests of its device's texts."""
        row = self._transaction.one(self._seen, (to, draft.sender, draft.device))
        newest, id, serial, digests = row or (0, 0, 0, "")
        assert draft.n is not None
        back = newest - draft.n
        if back >= 0 and _is_the_same(digests, back, draft.text):
            return Duplicate(None, 0) if back else Duplicate(id, 0, serial=serial)
        # Also for another text under a number that was accepted: that text was never stored.
        return str(digests) if back == -1 and not draft.again else Gap(newest + 1)

    def remember(
        self, to: int, draft: Draft | RoomDraft, id: int, serial: int, digests: str
    ) -> None:
        """
        Write down that a message was stored under ``id`` and ``serial``.

        ``digests`` are those of the texts that its device sent before.
        """
        digests = (digests + _digest(draft.text))[-DIGESTS * DIGEST_DIGITS :]
        row = (draft.n, id, serial, self._now, digests, to, draft.sender, draft.device)
        if not self._transaction.execute(self._update, row):
            self._transaction.execute(self._insert, row)
            self._transaction.execute(self._forget, (*_bounds(self._now), to, draft.sender))


def _statements(table: str, to: str) -> tuple[str, str, str, str]:
    forget = _FORGET.format(table=table, owner=f"{to} = ?5 AND sender = ?6", newest="id")
    seen, update, insert = (one.format(table=table, to=to) for one in (_SEEN, _UPDATE, _INSERT))
    return seen, update, insert, forget


_NUMBERS = {
    "inboxes": _statements("chat_sending", "uid"),
    "rooms": _statements("chat_room_sending", "room"),
}


def _bounds(now: int) -> tuple[int, int, int, int]:
    """What is forgotten at a time in ms: the arguments of ``_FORGET`` before those of its owner."""
    forgotten, recent = (now - age * 1000 for age in (MEMORY_OF_SENDERS, RECENT))
    return forgotten, MOST_DEVICES, DEVICES, recent


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:DIGEST_DIGITS]


def _is_the_same(digests: str, back: int, text: str) -> bool:
    """Whether a message, ``back`` numbers before the last one accepted, may be the one accepted under its number."""
    start = len(digests) - (back + 1) * DIGEST_DIGITS
    return start < 0 or digests[start : start + DIGEST_DIGITS] == _digest(text)
