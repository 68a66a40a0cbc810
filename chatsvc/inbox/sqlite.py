"""Inboxes in SQLite: the same rules as in Redis, for one server on one machine."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from sqlite3 import sqlite_version
from typing import Any

from twisted.internet.defer import Deferred, succeed
from zope.interface import implementer

from chatsvc import migration
from chatsvc.database import Database
from chatsvc.dialects import Transaction
from chatsvc.inbox.interface import (
    DEVICES,
    MEMORY_OF_SENDERS,
    Backlog,
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

_READERS = """
SELECT json_group_array(json_array(uid, last_id, acknowledged, generation))
FROM chat_reader WHERE uid IN (SELECT value FROM json_each(?))
"""

_SHARES = """
SELECT json_group_array(json_array(uid, sender, share, acknowledged))
FROM json_each(?) AS asked CROSS JOIN chat_share
ON uid = json_extract(asked.value, '$[0]') AND sender = json_extract(asked.value, '$[1]')
"""

_BACKLOGS = """
SELECT uid, last_id - acknowledged, last_id,
    (SELECT at FROM chat_inbox WHERE chat_inbox.uid = chat_reader.uid ORDER BY id LIMIT 1)
FROM chat_reader WHERE last_id > acknowledged AND uid = coalesce(?, uid) ORDER BY uid
"""

_DELETE = """
DELETE FROM chat_inbox WHERE (uid, id) IN (
    SELECT waiting.uid, waiting.id FROM json_each(?) AS asked CROSS JOIN chat_inbox AS waiting
    ON waiting.uid = json_extract(asked.value, '$[0]') AND waiting.id <= json_extract(asked.value, '$[1]')
)
"""


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
            uids = {draft.to for draft in drafts} | {removal.uid for removal in removals}
            senders = {(draft.to, draft.sender) for draft in drafts}
            batch = _Batch(transaction, self._limits, int(self._now() * 1000), uids, senders)
            refused = [removal for removal in removals if not batch.remove(removal)]
            outcomes = [batch.append(draft) for draft in drafts]
            batch.finish()
            return Committed(outcomes, refused)

        return Deferred.fromCoroutine(self._database.run(interaction))

    async def claim(self, uid: int, after: int | None, renewed: int | None = None) -> Claim:
        fresh = secrets.token_hex(8)

        def interaction(transaction: Transaction) -> Claim:
            batch = _Batch(transaction, self._limits, int(self._now() * 1000), [uid])
            batch.expire(uid)
            book = batch.book(uid)
            book.generation += 1
            batch.finish()
            if after is not None and after > book.last_id:
                transaction.execute("UPDATE chat_reader SET epoch = ? WHERE uid = ?", (fresh, uid))
            row = transaction.one(
                "SELECT (SELECT value FROM chat_setting WHERE name = 'epoch'), epoch"
                " FROM chat_reader WHERE uid = ?",
                (uid,),
            )
            assert row is not None
            return Claim(book.generation, f"{row[0]}.{row[1]}", book.last_id, book.waiting)

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

    async def examine(self) -> None:
        await self.count(1)

    async def count(self, uid: int) -> int:
        row = await self._database.run(
            lambda t: t.one("SELECT last_id - acknowledged FROM chat_reader WHERE uid = ?", (uid,)),
            write=False,
        )
        return int(row[0]) if row else 0

    async def elsewhere(self, uids: Sequence[int]) -> set[int]:
        return set()  # a file has one server

    async def nodes(self) -> dict[str, str]:
        return {}

    async def total(self) -> int:
        row = await self._database.run(
            lambda t: t.one("SELECT SUM(last_id - acknowledged) FROM chat_reader"), write=False
        )
        return int(row[0] or 0) if row else 0

    async def renew_epoch(self) -> None:
        fresh = secrets.token_hex(8)
        await self._database.run(
            lambda t: t.execute("UPDATE chat_setting SET value = ? WHERE name = 'epoch'", (fresh,))
        )

    async def about(self) -> str:
        return f"SQLite {sqlite_version}"

    async def backlogs(self, uid: int | None) -> list[Backlog]:
        rows = await self._database.run(lambda t: t.all(_BACKLOGS, (uid,)), write=False)
        return [Backlog(*row) for row in rows]

    async def purge(self, uid: int, up_to: int) -> int:
        def interaction(transaction: Transaction) -> int:
            batch = _Batch(transaction, self._limits, int(self._now() * 1000), [uid])
            book = batch.book(uid)
            before = book.waiting
            batch.purge(uid, up_to)
            if book.waiting < before:
                batch.finish()
            return before - book.waiting

        return await self._database.run(interaction)


@dataclass(slots=True)
class _Book:
    """An inbox while a batch is stored in it: the last id given out, the last one acknowledged, the generation."""

    last_id: int = 0
    acknowledged: int = 0
    generation: int = 0

    @property
    def waiting(self) -> int:
        return self.last_id - self.acknowledged


class _Batch:
    """
    The work of one transaction, on the inboxes of ``uids`` and the (inbox, sender) of ``senders``.

    What it needs to know is asked for at first, what it changes is written by ``finish``, each table by one statement:
    a row that is stepped to or written by itself costs a fight for the interpreter's lock with the reactor's thread.
    """

    def __init__(
        self,
        transaction: Transaction,
        limits: Limits,
        now: int,
        uids: Iterable[int],
        senders: Iterable[tuple[int, int]] = (),
    ) -> None:
        self._transaction = transaction
        self._limits = limits
        self._now = now
        self._books = {uid: _Book() for uid in uids}
        for uid, *book in self._ask(_READERS, list(self._books)):
            self._books[uid] = _Book(*book)
        # By inbox and sender: the share, and what was acknowledged when it began.
        self._shares = {(to, by): share for to, by, *share in self._ask(_SHARES, [*senders])}
        self._removed: dict[int, int] = {}
        self._appended: list[tuple[int, int, int, str, int, str]] = []

    def book(self, uid: int) -> _Book:
        return self._books[uid]

    def append(self, draft: Draft) -> Outcome:
        book, key = self._books[draft.to], (draft.to, draft.sender)
        if draft.n is not None:
            seen = self._seen(draft)
            if seen is not None:
                return Duplicate(seen.id, book.waiting) if isinstance(seen, Duplicate) else seen
        if book.waiting >= self._limits.waiting:
            self.expire(draft.to)
            if book.waiting >= self._limits.waiting:
                return Full(book.waiting, share=False)
        share, since = self._shares.get(key, (0, 0))
        if since != book.acknowledged:
            share = 0
        if share >= self._limits.share:
            return Full(book.waiting, share=True)
        book.last_id += 1
        self._shares[key] = [share + 1, book.acknowledged]
        self._appended.append((*key, book.last_id, draft.name, draft.at, draft.text))
        if draft.n is not None:
            self._remember_device(draft, book.last_id)
        return Stored(book.last_id, book.waiting)

    def remove(self, removal: Removal) -> bool:
        """False: the session that asks is no longer the inbox's."""
        book = self._books[removal.uid]
        if book.generation != removal.generation or removal.up_to > book.last_id:
            return False
        self._acknowledge(removal.uid, removal.up_to)
        return True

    def purge(self, uid: int, up_to: int) -> None:
        """Remove what waits up to an id, whoever asks."""
        self._acknowledge(uid, min(up_to, self._books[uid].last_id))

    def expire(self, uid: int) -> None:
        """Remove what has waited too long."""
        if not self._limits.days:
            return
        self._write_messages()
        oldest_kept = self._one(
            "SELECT id FROM chat_inbox WHERE uid = ? AND at >= ? ORDER BY id LIMIT 1",
            uid,
            self._now - self._limits.days * 86_400_000,
        )
        self._acknowledge(uid, oldest_kept[0] - 1 if oldest_kept else self._books[uid].last_id)

    def finish(self) -> None:
        """Write what has changed."""
        self._write_messages()
        self._write(
            "INSERT INTO chat_reader (uid, last_id, acknowledged, generation) VALUES",
            [
                (uid, book.last_id, book.acknowledged, book.generation)
                for uid, book in self._books.items()
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
        book = self._books[uid]
        if up_to > book.acknowledged:
            book.acknowledged = self._removed[uid] = up_to

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

    def _ask(self, sql: str, keys: list[Any]) -> list[Any]:
        """The rows of some keys, which come as one."""
        if not keys:
            return []
        rows: list[Any] = json.loads(self._one(sql, json.dumps(keys))[0])
        return rows

    def _one(self, sql: str, *arguments: Any) -> Any:
        return self._transaction.one(sql, arguments)

    def _execute(self, sql: str, *arguments: Any) -> int:
        return self._transaction.execute(sql, arguments)
