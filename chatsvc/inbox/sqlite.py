"""Inboxes in SQLite: the same rules as in Redis, for one server on one machine."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from chatsvc import migration
from chatsvc.database import Database
from chatsvc.dialects import Transaction
from chatsvc.inbox.interface import (
    DEVICES,
    MEMORY_OF_SENDERS,
    Claim,
    Committed,
    Draft,
    Duplicate,
    Full,
    Gap,
    IInbox,
    IStoreWatcher,
    Limits,
    Outcome,
    Removal,
    Stored,
)
from chatsvc.wire.events import Message


@implementer(IInbox)
class SQLiteInbox:
    """``now`` gives seconds since 1970."""

    def __init__(
        self, database: Database, limits: Limits, now: Callable[[], float] = time.time
    ) -> None:
        self._database = database
        self._limits = limits
        self._now = now

    async def open(self, watcher: IStoreWatcher) -> list[str]:
        # The watcher is never called: a file does not go away and come back with something missing.
        await migration.apply(self._database)
        fresh = secrets.token_hex(8)
        await self._database.run(
            lambda t: t.execute("INSERT OR IGNORE INTO chat_setting VALUES ('epoch', ?)", (fresh,))
        )
        return []

    def close(self) -> Deferred[None]:
        self._database.close()
        return succeed(None)

    def commit(self, drafts: Sequence[Draft], removals: Sequence[Removal]) -> Deferred[Committed]:
        def interaction(transaction: Transaction) -> Committed:
            batch = _Batch(transaction, self._limits, int(self._now() * 1000))
            refused = [removal for removal in removals if not batch.remove(removal)]
            return Committed([batch.append(draft) for draft in drafts], refused)

        return Deferred.fromCoroutine(self._database.run(interaction))

    async def claim(self, uid: int, after: int | None) -> Claim:
        fresh = secrets.token_hex(8)

        def interaction(transaction: Transaction) -> Claim:
            batch = _Batch(transaction, self._limits, int(self._now() * 1000))
            batch.expire(uid)
            last_id, acknowledged = batch.ends(uid)
            if after is not None and after > last_id:
                transaction.execute("UPDATE chat_reader SET epoch = ? WHERE uid = ?", (fresh, uid))
            transaction.execute(
                "UPDATE chat_reader SET generation = generation + 1 WHERE uid = ?", (uid,)
            )
            row = transaction.one(
                "SELECT generation, (SELECT value FROM chat_setting WHERE name = 'epoch'), epoch"
                " FROM chat_reader WHERE uid = ?",
                (uid,),
            )
            assert row is not None
            return Claim(row[0], f"{row[1]}.{row[2]}", last_id, last_id - acknowledged)

        return await self._database.run(interaction)

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        rows = await self._database.run(
            lambda t: t.all(
                "SELECT id, sender, name, at, text FROM chat_inbox WHERE uid = ? AND id > ?"
                " ORDER BY id LIMIT ?",
                (uid, after, limit),
            ),
            write=False,
        )
        return [Message(*row) for row in rows]

    async def count(self, uid: int) -> int:
        row = await self._database.run(
            lambda t: t.one("SELECT last_id - acknowledged FROM chat_reader WHERE uid = ?", (uid,)),
            write=False,
        )
        return int(row[0]) if row else 0

    async def renew_epoch(self) -> None:
        fresh = secrets.token_hex(8)
        await self._database.run(
            lambda t: t.execute("UPDATE chat_setting SET value = ? WHERE name = 'epoch'", (fresh,))
        )


class _Batch:
    """The work of one transaction."""

    def __init__(self, transaction: Transaction, limits: Limits, now: int) -> None:
        self._transaction = transaction
        self._limits = limits
        self._now = now

    def ends(self, uid: int) -> tuple[int, int]:
        """The last id given out, and the last id acknowledged."""
        row = self._one("SELECT last_id, acknowledged FROM chat_reader WHERE uid = ?", uid)
        if row is None:
            self._execute("INSERT INTO chat_reader (uid) VALUES (?)", uid)
            return 0, 0
        return row[0], row[1]

    def append(self, draft: Draft) -> Outcome:
        last_id, acknowledged = self.ends(draft.to)
        waiting = last_id - acknowledged
        if draft.n is not None:
            seen = self._seen(draft)
            if seen is not None:
                return _repeated(seen, waiting)
        if waiting >= self._limits.waiting:
            acknowledged = self.expire(draft.to)
            waiting = last_id - acknowledged
            if waiting >= self._limits.waiting:
                return Full(waiting, share=False)
        share = self._share(draft, acknowledged)
        if share >= self._limits.share:
            return Full(waiting, share=True)
        self._store(draft, last_id + 1, share + 1, acknowledged)
        return Stored(last_id + 1, waiting + 1)

    def remove(self, removal: Removal) -> bool:
        """False: the session that asks is no longer the inbox's."""
        row = self._one(
            "SELECT generation, last_id, acknowledged FROM chat_reader WHERE uid = ?", removal.uid
        )
        if row is None or row[0] != removal.generation or removal.up_to > row[1]:
            return False
        self._acknowledge(removal.uid, removal.up_to, row[2])
        return True

    def expire(self, uid: int) -> int:
        """Remove what has waited too long; the last id acknowledged."""
        last_id, acknowledged = self.ends(uid)
        if not self._limits.days:
            return acknowledged
        oldest_kept = self._one(
            "SELECT id FROM chat_inbox WHERE uid = ? AND at >= ? ORDER BY id LIMIT 1",
            uid,
            self._now - self._limits.days * 86_400_000,
        )
        up_to = oldest_kept[0] - 1 if oldest_kept else last_id
        return self._acknowledge(uid, up_to, acknowledged)

    def _acknowledge(self, uid: int, up_to: int, acknowledged: int) -> int:
        if up_to <= acknowledged:
            return acknowledged
        self._execute("DELETE FROM chat_inbox WHERE uid = ? AND id <= ?", uid, up_to)
        self._execute("UPDATE chat_reader SET acknowledged = ? WHERE uid = ?", up_to, uid)
        return up_to

    def _seen(self, draft: Draft) -> Duplicate | Gap | None:
        row = self._one(
            "SELECT n, id FROM chat_device WHERE uid = ? AND sender = ? AND device = ?",
            draft.to,
            draft.sender,
            draft.device,
        )
        newest, id = row or (0, 0)
        assert draft.n is not None
        if draft.n == newest:
            return Duplicate(id, 0)
        if draft.n < newest:
            return Duplicate(None, 0)
        return Gap(newest + 1) if draft.n > newest + 1 or draft.again else None

    def _share(self, draft: Draft, acknowledged: int) -> int:
        row = self._one(
            "SELECT share, acknowledged FROM chat_share WHERE uid = ? AND sender = ?",
            draft.to,
            draft.sender,
        )
        return row[0] if row and row[1] == acknowledged else 0

    def _store(self, draft: Draft, id: int, share: int, acknowledged: int) -> None:
        to, sender = draft.to, draft.sender
        self._execute(
            "INSERT INTO chat_inbox (uid, id, sender, name, at, text) VALUES (?, ?, ?, ?, ?, ?)",
            *(to, id, sender, draft.name, draft.at, draft.text),
        )
        self._execute("UPDATE chat_reader SET last_id = ? WHERE uid = ?", id, to)
        self._execute(
            "REPLACE INTO chat_share (uid, sender, share, acknowledged) VALUES (?, ?, ?, ?)",
            *(to, sender, share, acknowledged),
        )
        if draft.n is not None:
            self._remember_device(draft, id)

    def _remember_device(self, draft: Draft, id: int) -> None:
        to, sender = draft.to, draft.sender
        known = self._execute(
            "UPDATE chat_device SET n = ?, id = ?, used = ?"
            " WHERE uid = ? AND sender = ? AND device = ?",
            *(draft.n, id, self._now, to, sender, draft.device),
        )
        if known:
            return
        self._execute(
            "INSERT INTO chat_device (uid, sender, device, n, id, used) VALUES (?, ?, ?, ?, ?, ?)",
            *(to, sender, draft.device, draft.n, id, self._now),
        )
        # The id breaks ties: it grows with every message.
        self._execute(
            "DELETE FROM chat_device WHERE uid = ? AND sender = ? AND (used < ? OR device NOT IN"
            " (SELECT device FROM chat_device WHERE uid = ? AND sender = ?"
            " ORDER BY id DESC LIMIT ?))",
            *(to, sender, self._now - MEMORY_OF_SENDERS * 1000, to, sender, DEVICES),
        )

    def _one(self, sql: str, *arguments: Any) -> Any:
        return self._transaction.one(sql, arguments)

    def _execute(self, sql: str, *arguments: Any) -> int:
        return self._transaction.execute(sql, arguments)


def _repeated(seen: Duplicate | Gap, waiting: int) -> Duplicate | Gap:
    return Duplicate(seen.id, waiting) if isinstance(seen, Duplicate) else seen
