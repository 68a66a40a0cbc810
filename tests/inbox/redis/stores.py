"""Stores in the tests' Redis: one that is not open yet, one node, two nodes."""

from __future__ import annotations

from itertools import count
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from chatsvc.inbox.claim import InboxClaim
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Committed
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.redis.lease import Lease
from chatsvc.storage.url import parse_store_url
from tests.inbox.fixtures import READER, A, RecordingWatcher, draft
from tests.support.servers import redis

_DATABASES = count(1)

_APPEND = """
local info, last = redis.pcall('XINFO', 'STREAM', KEYS[1]), '0-0'
for i = 1, #info, 2 do
  if info[i] == 'last-generated-id' then last = info[i + 1] end
end
redis.call('XADD', KEYS[1], tonumber(string.match(last, '^%d+')) + 1, unpack(ARGV))
"""
"""An entry under the next id."""


class OnRedis(TestCase):
    """A test with an empty Redis database."""

    def setUp(self) -> None:
        """Empty a database that no other test of this process uses."""
        self.db = next(_DATABASES) % 63
        redis().execute("FLUSHDB", db=self.db)
        self.watcher = RecordingWatcher()

    def store(self, limits: InboxLimits | None = None, **more: Any) -> RedisInbox:
        """A store, not open yet."""
        url = parse_store_url(more.pop("url", redis().url(self.db)), ("redis", "redis+unix"))
        node = more.pop("node", "node")
        inbox = RedisInbox(reactor, url, limits or InboxLimits(), node, **more)
        self.addCleanup(inbox.close)
        return inbox

    def append_as_before(self, text: str) -> None:
        """Store a text of A as a node of the version before does: without a serial."""
        key = f"chat:{{{READER}}}:inbox"
        words = ("f", A, "u", "名", "a", draft().at, "t", text)
        redis().execute("EVAL", _APPEND, "1", key, *words, db=self.db)
        redis().execute("INCR", "chat:waiting", db=self.db)


class OnOneRedis(OnRedis):
    """A test with an open store."""

    async def begin(self, **limits: int) -> None:
        """Open the store with these limits."""
        self.inbox = self.store(InboxLimits(**limits))
        await self.inbox.open(self.watcher)

    def ask(self, *words: str | bytes | int) -> bytes:
        """What a plain client sees."""
        return redis().execute(*words, db=self.db)

    def array(self, *words: str | bytes | int) -> list[bytes]:
        """A flat array's elements, as a plain client sees them."""
        lines = self.ask(*words).split(b"\r\n")
        return [line for line in lines if line and line[:1] not in b"*$"]


class OnTwoNodes(OnRedis):
    """A test with two nodes, ``here`` and ``there``; messages come from there to READER, who reads here."""

    lease = 15.0

    async def begin(self) -> InboxClaim:
        """Open both nodes, and log READER in here."""
        self.mine, self.theirs = RecordingWatcher(), RecordingWatcher()
        self.here = await self.node("here", self.mine)
        self.there = await self.node("there", self.theirs)
        self.mine.here = {READER}
        claim: InboxClaim = await self.here.claim(READER, None)
        return claim

    async def node(self, name: str, watcher: RecordingWatcher) -> RedisInbox:
        """Open a node."""
        inbox = self.store(InboxLimits(), node=name, lease=self.lease)
        await inbox.open(watcher)
        return inbox

    @property
    def lease_of_mine(self) -> Lease:
        """The lease of the node ``here``."""
        assert self.here._lease is not None
        return self.here._lease

    async def deaf(self, node: RedisInbox) -> None:
        """Cut the connection on which a node hears of the others, and let it not come back by itself."""
        await node._subscriber.close()

    def session(self, uid: int = READER) -> bytes:
        """Who holds a user's session, as Redis has it: node and generation."""
        return redis().execute("GET", f"chat:{{{uid}}}:session", db=self.db).split(b"\r\n")[1]

    async def store_there(self, *drafts: Any) -> list[Any]:
        """Store messages at the other node, one by default; their outcomes."""
        committed: Committed = await self.there.commit(drafts or [draft()], [])
        return committed.outcomes


class OlderData(OnTwoNodes):
    """A test that puts older data in the place of what is there, as a restored back-up does; Redis goes on."""

    def keys(self) -> list[bytes]:
        """All keys but the nodes'."""
        reply = redis().execute("KEYS", "chat:*", db=self.db).split(b"\r\n")
        return [key for key in reply if key.startswith(b"chat:") and b"chat:node" not in key]

    def copy(self) -> list[tuple[bytes, bytes]]:
        """A back-up of all keys, while Redis goes on."""
        dumps = [(key, redis().execute("DUMP", key, db=self.db)) for key in self.keys()]
        return [(key, dump.split(b"\r\n", 1)[1][:-2]) for key, dump in dumps]

    def put_back(self, copy: list[tuple[bytes, bytes]]) -> None:
        """Restore a back-up."""
        redis().execute("DEL", *self.keys(), db=self.db)
        for key, dump in copy:
            redis().execute("RESTORE", key, 0, dump, db=self.db)
