"""A Redis that goes away and comes back."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs, formatEvent

from chatsvc.inbox.claim import Cursor
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Duplicate, Removal, Stored
from chatsvc.storage.url import StoreMisconfigured, StoreUnavailable
from tests.inbox.fixtures import DEVICE, READER, A, B, committed, draft, until
from tests.inbox.redis.stores import OnOneRedis
from tests.support.servers import PrivateRedis


class AwayTests(OnOneRedis):
    """A Redis that goes away and comes back. It is this test's own."""

    def setUp(self) -> None:
        """Start a Redis."""
        super().setUp()
        self.server = PrivateRedis()
        self.addCleanup(self.server.remove)
        self.server.start()

    async def begin(self, patience: float = 5.0, **limits: int) -> None:
        """Open a store there."""
        self.inbox = self.store(InboxLimits(**limits), url=self.server.url(), patience=patience)
        await self.inbox.open(self.watcher)

    async def test_crash(self) -> None:
        """A crash of Redis would lose what was confirmed, or its return not be noticed."""
        await self.begin(patience=0.3)
        await self.inbox.commit([draft("kept")], [])
        self.server.kill()
        with self.assertRaises(StoreUnavailable):
            await self.inbox.commit([draft()], [])
        with self.assertRaises(StoreUnavailable):
            await self.inbox.read(READER, 0, 10)
        self.assertEqual(self.watcher.returned, [])
        self.watcher.read = [Cursor(READER, 1, 1, draft().at)]
        self.server.start()
        await until(lambda: self.watcher.returned)
        self.assertEqual(self.watcher.returned[0], [])
        self.assertFalse(self.watcher.comparisons[0].is_other_data)
        (message,) = await self.inbox.read(READER, 0, 10)
        self.assertEqual(message.text, "kept")
        await deferLater(reactor, 0.2)  # type: ignore[arg-type]
        self.assertIn(self.watcher.returned, ([[]], [[], []]), "once for each connection")

    async def test_lost_connection(self) -> None:
        """An admin would not read that Redis was gone for a moment, as in a fail-over."""
        await self.begin()
        with capturedLogs() as events:
            self.server.execute("CLIENT", "KILL", "TYPE", "normal")
            await until(lambda: self.watcher.returned)
        said = [formatEvent(event) for event in events]
        self.assertEqual(len(said), 2, said)
        self.assertIn("is away: the connection was lost", said[0])
        self.assertIn("is back after 0 s", said[1])

    async def test_lost_messages(self) -> None:
        """After a fail-over that lost messages, new ones would take ids that readers have seen."""
        await self.begin()
        await self.inbox.commit([draft(), draft(), draft(to=B)], [])
        before = await self.inbox.claim(READER, None)
        self.watcher.read = [
            Cursor(READER, 2, before.generation, None),
            Cursor(B, 1, 0, draft().at),
            Cursor(A, 0, 0, None),
        ]
        self.server.execute("DEL", f"chat:{{{READER}}}:inbox")
        self.server.execute("CLIENT", "KILL", "TYPE", "normal")
        await until(lambda: self.watcher.returned)
        self.assertEqual(self.watcher.returned, [[READER]])
        late = Removal(READER, before.generation, 2)
        await self.inbox.commit([draft(), draft(), draft()], [])
        self.assertEqual((await self.inbox.commit([], [late])).refused, [late])
        self.assertEqual(await self.inbox.count(READER), 3)
        after = await self.inbox.claim(READER, None)
        self.assertNotEqual(after.epoch, before.epoch)

    async def test_frozen(self) -> None:
        """A batch that a frozen Redis carries out later would be taken for lost, or answers be mixed up."""
        await self.begin(patience=0.2)
        await self.inbox.commit([draft("a")], [])
        self.server.freeze()
        outcomes: list[Any] = []
        late = self.inbox.commit([draft("b", device=DEVICE, n=1)], [])
        late.addBoth(outcomes.append)
        for _ in range(2):
            with self.assertRaises(StoreUnavailable):
                await self.inbox.read(READER, 0, 10)
        with self.assertRaises(StoreUnavailable):
            await self.inbox.claim(READER, None)
        self.assertEqual(outcomes, [])
        self.server.thaw()
        await until(lambda: outcomes)
        self.assertEqual(outcomes, [committed(Stored(2, 2))])
        self.assertEqual([m.text for m in await self.inbox.read(READER, 0, 10)], ["a", "b"])
        self.assertEqual(await self.inbox.count(READER), 2)
        again = await self.inbox.commit([draft("b", device=DEVICE, n=1)], [])
        self.assertEqual(again.outcomes, [Duplicate(2, 2)])

    async def test_not_there(self) -> None:
        """A Redis that is not there would not be named in one line at the start."""
        self.server.kill()
        inbox = self.store(url=self.server.url(), patience=0.5)
        with self.assertRaises(StoreMisconfigured) as caught:
            await inbox.open(self.watcher)
        self.assertIn(self.server.url(), str(caught.exception))
        self.assertEqual(len(str(caught.exception).splitlines()), 1)

    async def test_silent(self) -> None:
        """A Redis that answers nothing would keep the server from saying so."""
        self.server.freeze()
        inbox = self.store(url=self.server.url(), patience=0.3)
        with self.assertRaises(StoreMisconfigured):
            await inbox.open(self.watcher)

    async def test_password(self) -> None:
        """A password would not be given, a wrong one not be named, or one be shown."""
        self.server.execute("CONFIG", "SET", "requirepass", "p@ss w:rd")
        right = f"redis://:p%40ss%20w%3Ard@127.0.0.1:{self.server.port}/0"
        inbox = self.store(url=right)
        await inbox.open(self.watcher)
        self.assertEqual(await inbox.count(READER), 0)
        user = self.store(url=right.replace("//:", "//default:"))
        await user.open(self.watcher)
        for url in (right.replace("%40", "x"), self.server.url()):
            with self.assertRaises(StoreMisconfigured) as caught:
                await self.store(url=url).open(self.watcher)
            self.assertNotIn("ss w", str(caught.exception))

    async def test_unix_socket(self) -> None:
        """A socket's URL would not work, or its database number be ignored."""
        inbox = self.store(url=f"redis+unix://{self.server.socket}?db=5")
        await inbox.open(self.watcher)
        await inbox.commit([draft()], [])
        key = f"chat:{{{READER}}}:inbox"
        self.assertEqual(self.server.execute("EXISTS", key, db=5), b":1\r\n")

    async def test_warnings(self) -> None:
        """An admin would not hear that confirmed messages can be lost."""
        for settings, words in (
            ({"appendonly": "no"}, ["appendonly yes"]),
            ({"appendfsync": "everysec"}, ["appendfsync always"]),
            ({"maxmemory": "100mb", "maxmemory-policy": "allkeys-lru"}, ["noeviction"]),
            ({"maxmemory": "0", "maxmemory-policy": "allkeys-lru"}, []),
        ):
            for name, value in settings.items():
                self.server.execute("CONFIG", "SET", name, value)
            warnings = await self.store(url=self.server.url()).open(self.watcher)
            self.assertEqual(len(warnings), len(words), settings)
            for warning, word in zip(warnings, words, strict=True):
                self.assertIn(word, warning)
                self.assertIn(self.server.url(), warning)
            good = {"appendonly": "yes", "appendfsync": "always", "maxmemory": "0"}
            for name, value in good.items():
                self.server.execute("CONFIG", "SET", name, value)
