"""Inboxes in the Redis that sentinels name, and what becomes of them when another one takes its place."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatsvc.backends import INBOX_SCHEMES
from chatsvc.inbox.claim import Cursor
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Outcome, Stored
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.redis.transport.locator import RedisLocator
from chatsvc.inbox.redis.transport.sentinel import Sentinels
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable, parse_store_url
from tests.inbox.fixtures import READER, A, RecordingWatcher, draft, until
from tests.support.servers import PrivateRedis, PrivateSentinel

_PATIENCE = 15.0
"""Seconds that a fail-over may take."""


class SentinelTests(TestCase):
    """A primary and its replica, the sentinel, and a node."""

    def setUp(self) -> None:
        """Start all three servers."""
        self.primary = PrivateRedis("--repl-diskless-sync-delay", "0")
        self.primary.start()
        self.replica = PrivateRedis("--replicaof", "127.0.0.1", str(self.primary.port))
        self.replica.start()
        self.sentinel = PrivateSentinel(self.primary)
        self.sentinel.start()
        for server in (self.primary, self.replica, self.sentinel):
            self.addCleanup(server.remove)
        self.watcher = RecordingWatcher()

    async def begin(self) -> None:
        """Open a node, when the sentinel knows the replica."""
        await until(lambda: b"ip\r\n" in self.sentinel.execute("SENTINEL", "REPLICAS", "chat"))
        await until(lambda: b"master_link_status:up" in self.replica.execute("INFO"))
        url = parse_store_url(self.sentinel.url(2), INBOX_SCHEMES)
        self.inbox = RedisInbox(reactor, url, InboxLimits(), "node", patience=1.0)
        self.addCleanup(self.inbox.close)
        await self.inbox.open(self.watcher)

    def primary_named(self) -> bytes:
        """What the sentinel answers to who looks for the primary."""
        return self.sentinel.execute("SENTINEL", "GET-MASTER-ADDR-BY-NAME", "chat")

    async def replicated(self) -> None:
        """Wait until the replica has READER's one message."""
        inbox = f"chat:{{{READER}}}:inbox"
        await until(lambda: self.replica.execute("XLEN", inbox, db=2) == b":1\r\n")

    async def stored(self, text: str) -> Outcome:
        """Store a message, as soon as that can be done: the outcome."""
        for _ in range(int(_PATIENCE * 10)):
            try:
                committed: Any = await self.inbox.commit([draft(text)], [])
            except StoreUnavailable:
                await deferLater(reactor, 0.1)  # type: ignore[arg-type]
            else:
                (outcome,) = committed.outcomes
                break
        else:
            self.fail("nothing could be stored")
        return outcome  # type: ignore[no-any-return]

    async def test_crash_of_the_primary(self) -> None:
        """The service would stay away until an admin names the new primary, or forget what that one has."""
        await self.begin()
        self.assertEqual(await self.stored("before"), Stored(1, 1))
        await self.replicated()
        self.primary.kill()
        self.assertEqual(await self.stored("after"), Stored(2, 2))
        self.assertIn(b"role:master", self.replica.execute("INFO"))
        page = await self.inbox.read(READER, 0, 10)
        self.assertEqual([message.text for message in page], ["before", "after"])
        await until(lambda: self.watcher.returned)
        self.assertEqual(self.watcher.returned[0], [])

    async def test_lost_ids(self) -> None:
        """A reader would not be shown what gets the ids of messages that the new primary does not have."""
        await self.begin()
        await self.stored("kept")
        await self.replicated()
        claim = await self.inbox.claim(READER, None)
        other = await self.inbox.claim(A, None)
        self.replica.freeze()
        self.primary.execute("CLIENT", "KILL", "TYPE", "replica")
        await self.stored("lost")
        self.watcher.read = [
            Cursor(READER, 2, claim.generation, draft().at),
            Cursor(A, 0, other.generation, None),
        ]
        self.primary.kill()
        self.replica.thaw()
        await until(lambda: self.watcher.returned)
        self.assertEqual(self.watcher.returned[0], [READER])
        self.assertEqual(await self.stored("new"), Stored(2, 2))
        again = await self.inbox.claim(READER, 2)
        self.assertNotEqual(again.epoch, claim.epoch)

    async def test_primary_that_became_a_replica(self) -> None:
        """A node would go on writing to a Redis that takes no more."""
        await self.begin()
        await self.stored("before")
        await self.replicated()
        await until(lambda: self.sentinel.execute("SENTINEL", "FAILOVER", "chat") == b"+OK\r\n")
        await until(lambda: str(self.replica.port).encode() in self.primary_named())
        # The sentinel does the same, some seconds later.
        self.primary.execute("REPLICAOF", "127.0.0.1", self.replica.port)
        self.assertEqual(await self.stored("after"), Stored(2, 2))
        self.assertIn(b"role:master", self.replica.execute("INFO"))

    async def test_unknown_primary(self) -> None:
        """A slip in the name would be a traceback, or be waited for without end."""
        url = parse_store_url(self.sentinel.url().replace("/chat", "/caht"), INBOX_SCHEMES)
        inbox = RedisInbox(reactor, url, InboxLimits(), "node")
        self.addCleanup(inbox.close)
        with self.assertRaises(StoreMisconfigured) as caught:
            await inbox.open(self.watcher)
        self.assertIn("the sentinels know no primary 'caht'", str(caught.exception))


class SentinelsTests(SynchronousTestCase):
    """URLs that name sentinels."""

    def test_bad_urls(self) -> None:
        """A slip in the URL would end in a traceback, or be found out at the first fail-over."""
        for url in (
            "redis+sentinel://h:26379",
            "redis+sentinel:///chat",
            "redis+sentinel://h:1,/chat",
            "redis+sentinel://h:port/chat",
            "redis+sentinel://h/chat?db=x",
        ):
            with self.assertRaises(StoreMisconfigured) as caught:
                RedisLocator(None, parse_store_url(url, INBOX_SCHEMES))
            self.assertIn(url, str(caught.exception))

    def test_many_sentinels(self) -> None:
        """Only the first sentinel would be asked, and a password be shown."""
        url = parse_store_url("redis+sentinel://:pw@a,b:7,[::1]:8/chat?db=3", INBOX_SCHEMES)
        sentinels = Sentinels(None, url)
        self.assertEqual(sentinels.addresses, [("a", 26379), ("b", 7), ("::1", 8)])
        self.assertEqual((url.path, url.password, "pw" in str(url)), ("chat", "pw", False))
