"""A Redis that lost what it had confirmed and went on: who notices, and what becomes of the ids that readers know."""

from __future__ import annotations

import shutil
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from chatsvc.inbox.claim import Cursor, InboxClaim
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Removal
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.watermark import Watermark
from chatsvc.storage.url import parse_store_url
from tests.inbox.fixtures import READER, A, RecordingWatcher, draft, losses, until
from tests.inbox.redis.stores import OlderData
from tests.support.script_rules import replace_rule
from tests.support.servers import PrivateRedis, redis


class ReadUpToTen(OlderData):
    """A test whose READER knows messages that older data does not have."""

    async def read_up_to_ten(self) -> tuple[InboxClaim, list[tuple[bytes, bytes]]]:
        """READER has read ten messages and is away; the copy of when there were eight."""
        claim = await self.begin()
        await self.store_there(*[draft(f"{n}") for n in range(8)])
        await self.here.commit([], [Removal(READER, claim.generation, 8)])
        copy = self.copy()
        await self.store_there(draft(), draft())
        await self.here.commit([], [Removal(READER, claim.generation, 10, leaving=True)])
        self.mine.here = set()
        return claim, copy


class WentBackTests(ReadUpToTen):
    """What the nodes make of older data."""

    async def test_reader_who_is_away(self) -> None:
        """Three confirmed messages would be dropped by a client that knows their ids of others."""
        before, copy = await self.read_up_to_ten()
        self.put_back(copy)
        with capturedLogs() as logged:
            outcomes = await self.store_there(*[draft() for _ in range(3)])
            self.assertEqual([outcome.id for outcome in outcomes], [9, 10, 11])
            await until(lambda: self.theirs.returned and self.mine.returned)
        self.assertTrue(self.theirs.comparisons[0].is_other_data)
        self.assertTrue(self.mine.comparisons[0].is_other_data)
        self.assertEqual(losses(logged), 2, "once by each node")
        claim = await self.here.claim(READER, 10)
        self.assertNotEqual(claim.epoch, before.epoch)

    async def test_it_is_the_count(self) -> None:
        """Something else would begin the epoch, and the count be of no use."""
        before, copy = await self.read_up_to_ten()
        replace_rule("return batches < expected_batches", "return false", self.patch)
        self.put_back(copy)
        await self.store_there(*[draft() for _ in range(3)])
        claim = await self.here.claim(READER, 10)
        self.assertEqual(claim.epoch, before.epoch)

    async def test_node_that_stores_nothing(self) -> None:
        """A store that a new node has filled past the old ids would not be noticed by one that only heard of them."""
        before, copy = await self.read_up_to_ten()
        self.mine.here = {READER}
        await self.here.claim(READER, 10)
        await self.store_there(draft())
        await until(lambda: self.mine.stored)
        await self.there.close()
        self.put_back(copy)
        third = await self.node("third", RecordingWatcher())
        await third.commit([draft()], [])
        await self.here.examine()
        await until(lambda: self.mine.returned)
        self.assertNotEqual((await third.claim(READER, 10)).epoch, before.epoch)

    async def test_who_is_here(self) -> None:
        """A reader who was handed nothing that was lost would be shown again what it has not acknowledged yet."""
        before = await self.begin()
        other = await self.there.claim(A, None)
        await self.store_there(draft(at=1), draft(at=2))
        copy = self.copy()
        await self.there.commit([draft(to=A)], [])
        self.mine.read = [Cursor(READER, 2, before.generation, 2)]
        self.theirs.read = [Cursor(A, 1, other.generation, draft().at)]
        self.put_back(copy)
        await self.here.examine()
        await self.there.examine()
        await until(lambda: self.mine.returned and self.theirs.returned)
        self.assertEqual((self.mine.returned[0], self.theirs.returned[0]), ([], [A]))
        self.assertEqual((await self.here.claim(READER, 2)).epoch, before.epoch)
        self.assertNotEqual((await self.there.claim(A, 1)).epoch, other.epoch)
        await self.here.renew_epoch()
        self.assertNotEqual((await self.here.claim(READER, 2)).epoch, before.epoch)

    async def test_news_of_other_data(self) -> None:
        """Of four new messages under ids of which two are known, a reader at another node would get the last two."""
        before = await self.begin()
        await self.store_there(*[draft(at=n) for n in range(8)])
        copy = self.copy()
        await self.store_there(draft(at=9), draft(at=10))
        await until(lambda: len(self.mine.stored) == 10)
        self.mine.read = [Cursor(READER, 10, before.generation, 10)]
        self.put_back(copy)
        await self.store_there(*[draft(at=n) for n in range(11, 15)])
        await until(lambda: self.mine.returned)
        self.assertEqual(len(self.mine.stored), 10, "nothing of the new data was heard")
        self.assertEqual(self.mine.returned[0], [READER])

    async def test_stored_here_in_other_data(self) -> None:
        """The same on one node, where the batch that finds it out brings the new messages."""
        await self.begin()
        await self.store_there(*[draft() for _ in range(8)])
        copy = self.copy()
        await self.store_there(draft(), draft())
        self.put_back(copy)
        committed = await self.there.commit([draft()], [])
        self.assertTrue(committed.lost)
        await until(lambda: self.theirs.returned)
        self.assertFalse((await self.there.commit([draft()], [])).lost)

    async def test_what_an_earlier_session_showed(self) -> None:
        """A client that has shown more than its session was handed would drop new messages under those ids."""
        before = await self.begin()
        await self.store_there(*[draft(at=n) for n in range(1, 9)])
        copy = self.copy()
        await self.store_there(draft(at=9), draft(at=10))
        await until(lambda: len(self.mine.stored) == 10)
        # It was handed 5 again, and has shown 10 before.
        self.mine.read = [Cursor(READER, 5, before.generation, 5, shown=10)]
        self.put_back(copy)
        await self.here.examine()
        await until(lambda: self.mine.returned)
        self.assertEqual(self.mine.returned[0], [READER])

    async def test_the_same_copy_again(self) -> None:
        """A copy that is put back a second time would bring an epoch back, and with it the ids that clients know."""
        before, copy = await self.read_up_to_ten()
        for _ in range(2):
            self.put_back(copy)
            self.mine.returned.clear()
            await self.here.examine()
            await until(lambda: self.mine.returned)
            self.assertNotEqual((await self.here.claim(READER, 10)).epoch, before.epoch)

    async def test_batch_that_makes_room(self) -> None:
        """A batch that removed more, because it had waited too long, than it stored would not be missed."""
        inbox = self.store(InboxLimits(waiting=2, days=1))
        await inbox.open(self.watcher)
        old = ("f", "7", "u", "n", "a", "1", "t", "x")
        for id in ("1-0", "2-0"):
            redis().execute("XADD", f"chat:{{{READER}}}:inbox", id, *old, db=self.db)
        before = inbox._rollback.mark
        committed = await inbox.commit([draft()], [])
        self.assertEqual(committed.expired, 2)
        assert before is not None and inbox._rollback.mark is not None
        self.assertEqual(inbox._rollback.mark.batches, before.batches + 1)

    async def test_noticed_once(self) -> None:
        """Each node would begin an epoch of its own, and readers begin anew for ever."""
        _, copy = await self.read_up_to_ten()
        await self.there.examine()
        self.put_back(copy)
        for node, watcher in ((self.here, self.mine), (self.there, self.theirs)):
            await node.examine()
            await until(lambda watcher=watcher: watcher.returned)  # type: ignore[misc]
        epoch = redis().execute("GET", "chat:epoch", db=self.db)
        for node in (self.here, self.there):
            await node.examine()
            await node.commit([draft()], [])
        self.assertEqual(redis().execute("GET", "chat:epoch", db=self.db), epoch)
        self.assertEqual((len(self.mine.returned), len(self.theirs.returned)), (1, 1))


class RestartTests(TestCase):
    """Redis itself ends and comes back, with all that it had or with less."""

    def setUp(self) -> None:
        """Start a Redis, and make a folder for the copy and the watermark."""
        self.server = PrivateRedis()
        self.server.start()
        self.addCleanup(self.server.remove)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    async def node(self, watermark: bool = True) -> RedisInbox:
        """Open a node."""
        path = str(self.folder / "inbox.watermark")
        mark = Watermark(reactor, path) if watermark else None
        url = parse_store_url(self.server.url(2), ("redis",))
        inbox = RedisInbox(reactor, url, InboxLimits(), "node", patience=2.0, watermark=mark)
        self.addCleanup(inbox.close)
        self.watcher = RecordingWatcher()
        await inbox.open(self.watcher)
        return inbox

    async def read_up_to_ten(self, inbox: RedisInbox) -> InboxClaim:
        """READER reads ten messages; the copy of Redis's folder is of when there were eight."""
        claim = await inbox.claim(READER, None)
        await inbox.commit([draft() for _ in range(8)], [])
        shutil.copytree(self.server.folder / "appendonlydir", self.folder / "copy")
        await inbox.commit([draft(), draft()], [Removal(READER, claim.generation, 8)])
        await inbox.commit([], [Removal(READER, claim.generation, 10, leaving=True)])
        return claim

    def restore(self) -> None:
        """Start Redis again with the copy."""
        self.server.kill()
        shutil.rmtree(self.server.folder / "appendonlydir")
        shutil.copytree(self.folder / "copy", self.server.folder / "appendonlydir")
        self.server.start()

    async def new_epoch(self, inbox: RedisInbox, before: InboxClaim) -> bool:
        """Whether READER is told to forget the ids, when three more were given out."""
        await inbox.commit([draft() for _ in range(3)], [])
        return (await inbox.claim(READER, 10)).epoch != before.epoch

    async def test_nothing_lost(self) -> None:
        """Each restart of Redis would make clients show again what they had shown."""
        inbox = await self.node()
        before = await self.read_up_to_ten(inbox)
        for _ in range(2):
            self.server.kill()
            self.server.start()
            self.watcher.returned.clear()
            await until(lambda: self.watcher.returned)
        self.assertFalse(await self.new_epoch(inbox, before))
        await inbox.close()
        self.server.kill()
        self.server.start()
        self.assertFalse(await self.new_epoch(await self.node(), before))

    async def test_question_that_waits_for_redis(self) -> None:
        """What a node asked of one process would be taken for a word on the next, and all readers begin anew."""
        inbox = await self.node()
        before = await self.read_up_to_ten(inbox)
        self.server.kill()
        await until(lambda: inbox._connection._protocol is None)
        renewing = Deferred.fromCoroutine(
            inbox.examine()
        )  # asked now, answered by the next process
        self.server.start()
        await renewing
        await inbox.commit([draft()], [])
        await inbox.examine()
        self.server.kill()
        self.server.start()
        self.watcher.returned.clear()
        await until(lambda: self.watcher.returned)
        self.assertEqual((await inbox.claim(READER, 10)).epoch, before.epoch)

    async def test_older_data(self) -> None:
        """A Redis that comes back with less would not be noticed by a server that goes on running."""
        inbox = await self.node()
        before = await self.read_up_to_ten(inbox)
        self.restore()
        await until(lambda: self.watcher.returned)
        self.assertTrue(await self.new_epoch(inbox, before))

    async def test_older_data_while_no_server_runs(self) -> None:
        """A back-up that was restored while no server ran would not be noticed by the next one."""
        inbox = await self.node()
        before = await self.read_up_to_ten(inbox)
        await inbox.close()
        self.restore()
        with capturedLogs() as logged:
            inbox = await self.node()
        self.assertEqual(losses(logged), 1)
        self.assertTrue(await self.new_epoch(inbox, before))

    async def test_without_a_watermark(self) -> None:
        """Something else than the watermark would notice, or a server without one not start."""
        inbox = await self.node(watermark=False)
        before = await self.read_up_to_ten(inbox)
        await inbox.close()
        self.restore()
        self.assertFalse(await self.new_epoch(await self.node(watermark=False), before))

    async def test_an_epoch_that_an_admin_began(self) -> None:
        """`chatsvc inbox restored` would be said to be a loss at the next start."""
        inbox = await self.node()
        await self.read_up_to_ten(inbox)
        await inbox.renew_epoch()
        await inbox.close()
        with capturedLogs() as logged:
            await self.node()
        self.assertEqual(losses(logged), 0)
