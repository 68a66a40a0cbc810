"""
One transaction on inboxes in SQLite: it reads all that it needs at its start, and writes all changes at its end.

So what is confirmed is stored once (P1 of docs/protocol.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Draft, Duplicate, Full, Gap, Moved, Outcome, Removal, Stored
from chatsvc.inbox.sqlite.sending import SendingDevices
from chatsvc.storage.sql import Transaction

_READERS = """
SELECT json_group_array(json_array(uid, last_id, acknowledged, generation))
FROM chat_reader WHERE uid IN (SELECT value FROM json_each(?))
"""

_SHARES = """
SELECT json_group_array(json_array(uid, sender, share, acknowledged))
FROM json_each(?) AS wanted CROSS JOIN chat_share
ON uid = json_extract(wanted.value, '$[0]') AND sender = json_extract(wanted.value, '$[1]')
"""

_NEXT_GENERATION = """
SELECT 1 + max(
    coalesce((SELECT generation FROM chat_reader WHERE uid = ?1), 0),
    coalesce((SELECT max(generation) FROM chat_generation WHERE uid = ?1), 0)
)
"""

_DELETE = """
DELETE FROM chat_inbox WHERE (uid, id) IN (
    SELECT waiting.uid, waiting.id FROM json_each(?) AS wanted CROSS JOIN chat_inbox AS waiting
    ON waiting.uid = json_extract(wanted.value, '$[0]') AND waiting.id <= json_extract(wanted.value, '$[1]')
)
"""


@dataclass(slots=True)
class InboxState:
    """One inbox in a batch: the last id given out, the last one acknowledged, and its session's generation."""

    last_id: int = 0
    acknowledged: int = 0
    generation: int = 0

    @property
    def waiting(self) -> int:
        """How many messages wait in it."""
        return self.last_id - self.acknowledged


class SQLiteBatch:
    """
    The work of one transaction.

    It is about the inboxes of ``uids``, the (inbox, sender) of ``senders`` and the (sender, device) of ``devices``.
    ``now`` is in ms; by ``latest``, also in ms, it is judged whether messages have waited too long.

    The constructor reads and ``finish`` writes, each table by one statement: a row that is read or written by itself
    costs a fight for the interpreter's lock with the reactor's thread.
    """

    def __init__(
        self,
        transaction: Transaction,
        limits: InboxLimits,
        now: int,
        latest: int,
        uids: Iterable[int],
        senders: Iterable[tuple[int, int]] = (),
        devices: Iterable[tuple[int, str]] = (),
    ) -> None:
        self._transaction = transaction
        self._limits = limits
        self._latest = latest
        self.expired = 0
        self._inboxes = {uid: InboxState() for uid in uids}
        for uid, *state in self._rows(_READERS, list(self._inboxes)):
            self._inboxes[uid] = InboxState(*state)
        # By inbox and sender: the share, and what was acknowledged when it began.
        self._shares = {(to, by): share for to, by, *share in self._rows(_SHARES, [*senders])}
        self._sending = SendingDevices(transaction, now, devices)
        self._removed: dict[int, int] = {}
        self._stored = False
        self._appended: list[tuple[int, int, int, str, int, str]] = []

    def inbox(self, uid: int) -> InboxState:
        """The state of one of the inboxes."""
        return self._inboxes[uid]

    def append(self, draft: Draft) -> Outcome:
        """Store a message, or say why not."""
        if draft.sending and self._sending.is_superseded(draft, draft.sending):
            return Moved()
        inbox, key = self._inboxes[draft.to], (draft.to, draft.sender)
        digests = ""
        if draft.n is not None:
            seen = self._sending.seen(draft)
            if isinstance(seen, Duplicate):
                return Duplicate(seen.id, inbox.waiting)
            if isinstance(seen, Gap):
                return seen
            digests = seen
        if inbox.waiting >= self._limits.waiting:
            self.expire(draft.to)
            if inbox.waiting >= self._limits.waiting:
                return Full(inbox.waiting, share=False)
        share, since = self._shares.get(key, (0, 0))
        if since != inbox.acknowledged:
            share = 0
        if share >= self._limits.share:
            return Full(inbox.waiting, share=True)
        self._stored = True
        inbox.last_id += 1
        self._shares[key] = [share + 1, inbox.acknowledged]
        self._appended.append((*key, inbox.last_id, draft.name, draft.at, draft.text))
        if draft.n is not None:
            self._sending.remember(draft, inbox.last_id, digests)
        return Stored(inbox.last_id, inbox.waiting)

    def remove(self, removal: Removal) -> bool:
        """Remove what a session has received; False: the inbox is no longer that session's."""
        inbox = self._inboxes[removal.uid]
        if inbox.generation != removal.generation or removal.up_to > inbox.last_id:
            return False
        self._acknowledge(removal.uid, removal.up_to)
        return True

    def purge(self, uid: int, up_to: int) -> None:
        """Remove what waits up to an id, whoever has the inbox."""
        self._acknowledge(uid, min(up_to, self._inboxes[uid].last_id))

    def expire(self, uid: int) -> None:
        """Remove what has waited too long."""
        if not self._limits.days:
            return
        self._write_messages()
        oldest_kept = self._one(
            "SELECT id FROM chat_inbox WHERE uid = ? AND at >= ? ORDER BY id LIMIT 1",
            uid,
            self._latest - self._limits.days * 86_400_000,
        )
        before = self._inboxes[uid].waiting
        self._acknowledge(uid, oldest_kept[0] - 1 if oldest_kept else self._inboxes[uid].last_id)
        self.expired += before - self._inboxes[uid].waiting

    def take_generation(self, uid: int, device: str) -> int:
        """Take a generation above all that this user's sessions have taken, for the device too if there is one."""
        (generation,) = self._one(_NEXT_GENERATION, uid)
        if device:
            self._sending.set_generation(uid, device, generation)
            self._sending.forget_generations(uid)
        return int(generation)

    def finish(self) -> int:
        """
        Write what has changed.

        :return: how many batches with messages there have been; 0: this was none.
        """
        self._write_messages()
        self._write(
            "INSERT INTO chat_reader (uid, last_id, acknowledged, generation) VALUES",
            [
                (uid, inbox.last_id, inbox.acknowledged, inbox.generation)
                for uid, inbox in self._inboxes.items()
            ],
            " ON CONFLICT (uid) DO UPDATE SET last_id = excluded.last_id,"
            " acknowledged = excluded.acknowledged, generation = excluded.generation",
        )
        self._write(
            "REPLACE INTO chat_share (uid, sender, share, acknowledged) VALUES",
            [(*key, *share) for key, share in self._shares.items()],
        )
        if self._removed:
            self._execute(_DELETE, json.dumps(list(self._removed.items())))
        if not self._stored:
            return 0
        count = "UPDATE chat_setting SET value = value + 1 WHERE name = 'batches' RETURNING value"
        return int(self._one(count)[0])

    def _write_messages(self) -> None:
        self._write(
            "INSERT INTO chat_inbox (uid, sender, id, name, at, text) VALUES", self._appended
        )
        self._appended = []

    def _write(self, sql: str, rows: Sequence[tuple[Any, ...]], rest: str = "") -> None:
        if rows:
            places = f"({', '.join('?' * len(rows[0]))})"
            values = ", ".join([places] * len(rows))
            self._execute(f"{sql} {values}{rest}", *chain.from_iterable(rows))

    def _acknowledge(self, uid: int, up_to: int) -> None:
        inbox = self._inboxes[uid]
        if up_to > inbox.acknowledged:
            inbox.acknowledged = self._removed[uid] = up_to

    def _rows(self, sql: str, keys: list[Any]) -> list[Any]:
        """The rows of some keys, which come as one JSON text."""
        if not keys:
            return []
        rows: list[Any] = json.loads(self._one(sql, json.dumps(keys))[0])
        return rows

    def _one(self, sql: str, *arguments: Any) -> Any:
        return self._transaction.one(sql, arguments)

    def _execute(self, sql: str, *arguments: Any) -> int:
        return self._transaction.execute(sql, arguments)
