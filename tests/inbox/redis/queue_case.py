"""A store in one real Redis that archives, and its queue."""

from __future__ import annotations

import json

from chatsvc.archive.entry import Said
from chatsvc.archive.queue import Done, Queued
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import (
    Draft,
    Outcome,
    RoomDraft,
)
from chatsvc.inbox.redis.archive_queue import RedisArchiveQueue
from chatsvc.inbox.redis.inbox import RedisInbox
from tests.inbox.contract.room_case import ROOM, created
from tests.inbox.redis.stores import OnOneRedis

KEY, LEASE, REFUSED = "chat:archive", "chat:archiver", "chat:archive:refused"


class QueueCase(OnOneRedis):
    """A test with an open store that archives."""

    inbox: RedisInbox

    async def begin(self, **limits: int) -> None:
        """Open the store, and have A make a room."""
        self.inbox = self.store(InboxLimits(**limits), archives=True)
        await self.inbox.open(self.watcher)
        await self.inbox.rooms.apply(ROOM, [created()])

    @property
    def queue(self) -> RedisArchiveQueue:
        """The queue as this node has it."""
        assert self.inbox.archive is not None
        return self.inbox.archive

    async def another(self) -> RedisArchiveQueue:
        """The queue as another node has it."""
        there = self.store(archives=True, node="there")
        await there.open(self.watcher)
        assert there.archive is not None
        return there.archive

    async def commit(self, *drafts: Draft | RoomDraft) -> list[Outcome]:
        """Have messages stored; what becomes of them."""
        return (await self.inbox.commit(drafts, [])).outcomes

    async def take(self, done: Done | None = None, limit: int = 100) -> list[Queued]:
        """What is taken, by who has the lease."""
        page = await self.queue.take(done, limit)
        assert page is not None
        return page

    async def texts(self, done: Done | None = None) -> list[str]:
        """The texts of what is taken."""
        page = await self.take(done)
        return [one.entry.text for one in page if isinstance(one.entry, Said)]

    def length(self, key: str = KEY) -> int:
        """How many entries a stream has."""
        return int(self.ask("XLEN", key)[1:])

    def entries(self, key: str) -> list[list[bytes]]:
        """The fields of all entries of a stream."""
        script = "return cjson.encode(redis.call('XRANGE', KEYS[1], '-', '+'))"
        reply = self.ask("EVAL", script, "1", key)
        page = json.loads(reply.split(b"\r\n", 1)[1])
        return [[field.encode() for field in fields] for _, fields in page] if page else []

    def lease_ends(self) -> None:
        """Have the lease end, as it does when a node was not heard of."""
        self.ask("DEL", LEASE)
