"""A store that lost what it had confirmed and went on: who notices, and what becomes of the ids that readers know."""

from __future__ import annotations

import hashlib
import shutil
import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, capturedLogs
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatsvc.inbox.interface import Cursor, InboxClaim, InboxLimits, Removal, Stored
from chatsvc.inbox.redis import script
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.rollback import DataMark, RollbackDetector
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.inbox.watermark import Watermark
from chatsvc.storage.database import Database
from chatsvc.storage.url import parse_store_url
from tests.inbox.redis.test_nodes import OnTwoNodes
from tests.inbox.redis.test_sentinel import until
from tests.inbox.test_inbox import READER, A, OnRedis, SilentWatcher, draft
from tests.support.servers import PrivateRedis, redis


def losses(logged: Sequence[LogEvent]) -> int:
    """How often the log says that a store has gone back."""
    return sum(event.get("event") == "store-lost" for event in logged)


class LifeTests(SynchronousTestCase):
    """What a node knows of the data in Redis."""

    def test_nothing_known(self) -> None:
        """A node that is new would take any data for data that has gone back."""
        detector = RollbackDetector()
        self.assertEqual(detector.script_arguments(), {})
        detector.observe(DataMark("e", "r", 7))
        arguments = detector.script_arguments()
        self.assertEqual((arguments["epoch"], arguments["known"]), ("e", ["r", 7]))

    def test_counts_grow(self) -> None:
        """Late news would make a node forget what it knows, or an older process's count pass for a newer one's."""
        detector = RollbackDetector(DataMark("e", "r", 7))
        detector.advance("other", 99)
        self.assertEqual(detector.mark, DataMark("e", "r", 7))
        detector.observe(DataMark("e", "other", 8))
        detector.advance("other", 10)
        detector.advance("other", 9)
        detector.advance("r", 11)
        self.assertEqual(detector.mark, DataMark("e", "other", 10))

    def test_data_that_is_gone(self) -> None:
        """A node would think that its readers know the new data before they have begun anew, or never."""
        detector = RollbackDetector(DataMark("e", "r", 7))
        detector.observe(DataMark("f", "r", 3))
        self.assertTrue(detector.is_replaced)
        self.assertEqual(detector.script_arguments()["epoch"], "e")
        detector.accept()
        self.assertFalse(detector.is_replaced)
        arguments = detector.script_arguments()
        self.assertEqual((arguments["epoch"], arguments["known"]), ("f", ["r", 3]))


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
        redis().execute("DEL", *self.keys(), db=self.db)
        for key, dump in copy:
            redis().execute("RESTORE", key, 0, dump, db=self.db)

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


class WentBackTests(OlderData):
    async def test_reader_who_is_away(self) -> None:
        """Three confirmed messages would be dropped by a client that knows their ids of others."""
        before, copy = await self.read_up_to_ten()
        self.put_back(copy)
        with capturedLogs() as logged:
            outcomes = await self.store_there(*[draft() for _ in range(3)])
            self.assertEqual([outcome.id for outcome in outcomes], [9, 10, 11])
            await self.until(lambda: self.theirs.returned and self.mine.returned)
        self.assertEqual(losses(logged), 2, "once by each node")
        claim = await self.here.claim(READER, 10)
        self.assertNotEqual(claim.epoch, before.epoch)

    async def test_it_is_the_count(self) -> None:
        """Something else would begin the epoch, and the count be of no use."""
        before, copy = await self.read_up_to_ten()
        unruled = script.SCRIPT.replace(b"return batches < known_batches", b"return false")
        self.assertNotEqual(unruled, script.SCRIPT)
        self.patch(script, "SCRIPT", unruled)
        self.patch(script, "SCRIPT_HASH", "0" * 40)
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
        await self.until(lambda: self.mine.heard)
        await self.there.close()
        self.put_back(copy)
        third = await self.node("third", SilentWatcher())
        await third.commit([draft()], [])
        await self.here.examine()
        await self.until(lambda: self.mine.returned)
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
        await self.until(lambda: self.mine.returned and self.theirs.returned)
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
        await self.until(lambda: len(self.mine.heard) == 10)
        self.mine.read = [Cursor(READER, 10, before.generation, 10)]
        self.put_back(copy)
        await self.store_there(*[draft(at=n) for n in range(11, 15)])
        await self.until(lambda: self.mine.returned)
        self.assertEqual(len(self.mine.heard), 10, "nothing of the new data was heard")
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
        await self.until(lambda: self.theirs.returned)
        self.assertFalse((await self.there.commit([draft()], [])).lost)

    async def test_what_an_earlier_session_showed(self) -> None:
        """A client that has shown more than its session was handed would drop new messages under those ids."""
        before = await self.begin()
        await self.store_there(*[draft(at=n) for n in range(1, 9)])
        copy = self.copy()
        await self.store_there(draft(at=9), draft(at=10))
        await self.until(lambda: len(self.mine.heard) == 10)
        # It was handed 5 again, and has shown 10 before.
        self.mine.read = [Cursor(READER, 5, before.generation, 5, shown=10)]
        self.put_back(copy)
        await self.here.examine()
        await self.until(lambda: self.mine.returned)
        self.assertEqual(self.mine.returned[0], [READER])

    async def test_the_same_copy_again(self) -> None:
        """A copy that is put back a second time would bring an epoch back, and with it the ids that clients know."""
        before, copy = await self.read_up_to_ten()
        for _ in range(2):
            self.put_back(copy)
            self.mine.returned.clear()
            await self.here.examine()
            await self.until(lambda: self.mine.returned)
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
            await self.until(lambda watcher=watcher: watcher.returned)  # type: ignore[misc]
        epoch = redis().execute("GET", "chat:epoch", db=self.db)
        for node in (self.here, self.there):
            await node.examine()
            await node.commit([draft()], [])
        self.assertEqual(redis().execute("GET", "chat:epoch", db=self.db), epoch)
        self.assertEqual((len(self.mine.returned), len(self.theirs.returned)), (1, 1))


class RestartTests(TestCase):
    """Redis itself ends and comes back, with all that it had or with less."""

    def setUp(self) -> None:
        self.server = PrivateRedis()
        self.server.start()
        self.addCleanup(self.server.remove)
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    async def node(self, watermark: bool = True) -> RedisInbox:
        path = str(self.folder / "inbox.watermark")
        mark = Watermark(reactor, path) if watermark else None
        url = parse_store_url(self.server.url(2), ("redis",))
        inbox = RedisInbox(reactor, url, InboxLimits(), "node", patience=2.0, watermark=mark)
        self.addCleanup(inbox.close)
        self.watcher = SilentWatcher()
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


class SQLiteTests(TestCase):
    """A file that somebody puts an older one in the place of, while no server runs."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "chat.db"

    async def open(self) -> SQLiteInbox:
        database = Database(parse_store_url(f"sqlite:{self.file}", ("sqlite",)), reactor)
        await database.open()
        watermark = Watermark(reactor, str(self.folder / "inbox.watermark"))
        inbox = SQLiteInbox(database, InboxLimits(), watermark=watermark)
        self.addCleanup(inbox.close)
        await inbox.open(SilentWatcher())
        return inbox

    async def read_up_to_ten(self) -> InboxClaim:
        inbox = await self.open()
        claim = await inbox.claim(READER, None)
        await inbox.commit([draft() for _ in range(8)], [])
        with closing(sqlite3.connect(self.file)) as here:
            here.execute("VACUUM INTO ?", (str(self.folder / "copy.db"),))
        await inbox.commit([draft(), draft()], [Removal(READER, claim.generation, 8)])
        await inbox.close()
        return claim

    async def test_older_file(self) -> None:
        """Confirmed messages would be dropped by a client that knows their ids of others."""
        before = await self.read_up_to_ten()
        for file in self.folder.glob("chat.db*"):
            file.unlink()
        shutil.copy(self.folder / "copy.db", self.file)
        with capturedLogs() as logged:
            inbox = await self.open()
        self.assertEqual(losses(logged), 1)
        committed = await inbox.commit([draft() for _ in range(3)], [])
        self.assertEqual(committed.outcomes[-1], Stored(11, 11))
        self.assertNotEqual((await inbox.claim(READER, 10)).epoch, before.epoch)

    async def test_the_same_older_file_again(self) -> None:
        """A copy that is put back a second time would bring an epoch back, and with it the ids that clients know."""
        before = await self.read_up_to_ten()
        for _ in range(2):
            for file in self.folder.glob("chat.db*"):
                file.unlink()
            shutil.copy(self.folder / "copy.db", self.file)
            inbox = await self.open()
            self.assertNotEqual((await inbox.claim(READER, 10)).epoch, before.epoch)
            await inbox.close()

    async def test_the_same_file(self) -> None:
        """Each start would make clients show again what they had shown."""
        before = await self.read_up_to_ten()
        with capturedLogs() as logged:
            inbox = await self.open()
        self.assertEqual(losses(logged), 0)
        self.assertEqual((await inbox.claim(READER, 10)).epoch, before.epoch)


class WatermarkTests(TestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()) / "inbox.watermark"
        self.path.parent.mkdir()

    def kept(self, *marks: DataMark) -> DataMark | None:
        """What the next process knows, after one that heard of these."""
        heard: list[DataMark | None] = [None]
        watermark = Watermark(reactor, str(self.path))
        watermark.follow(lambda: heard[0])
        for mark in marks:
            heard[0] = mark
        watermark.close()
        return Watermark(reactor, str(self.path)).known

    def test_kept(self) -> None:
        """A process would not know how far the store was when the one before it ended."""
        self.assertIsNone(self.kept())
        self.assertEqual(
            self.kept(DataMark("e", "r", 1), DataMark("e", "r", 2)), DataMark("e", "r", 2)
        )
        self.assertEqual(self.kept(), DataMark("e", "r", 2))

    def test_workers(self) -> None:
        """A worker that has heard less than another would take back what that one has written down."""
        self.kept(DataMark("e", "r", 9))
        self.assertEqual(self.kept(DataMark("e", "r", 3)), DataMark("e", "r", 9))
        self.assertEqual(self.kept(DataMark("e", "other", 3)), DataMark("e", "other", 3))
        self.assertEqual(self.kept(DataMark("f", "other", 1)), DataMark("f", "other", 1))

    def test_damaged(self) -> None:
        """A file that a power cut left empty, or somebody edited, would keep the server from starting."""
        for content in (b"", b"{", b"[]", b'{"epoch":1}', b'{"epoch":"e","run":"r","batches":"x"}'):
            self.path.write_bytes(content)
            self.assertIsNone(Watermark(reactor, str(self.path)).known)

    def test_unwritable(self) -> None:
        """A key folder that cannot be written would end the server, or be said each second."""
        watermark = Watermark(reactor, str(self.path.parent / "missing" / "file"))
        count = iter(range(1, 9))
        watermark.follow(lambda: DataMark("e", "r", next(count)))
        with capturedLogs() as logged:
            watermark._write(DataMark("e", "r", 0))
            watermark.close()
        said = [event for event in logged if event.get("event") == "watermark-not-kept"]
        self.assertEqual(len(said), 1)

    async def test_while_it_runs(self) -> None:
        """After a crash nobody would know how far the store was a second before."""
        watermark = Watermark(reactor, str(self.path))
        watermark.follow(lambda: DataMark("e", "r", 5))
        self.addCleanup(watermark.close)
        await until(self.path.exists)
        self.assertEqual(Watermark(reactor, str(self.path)).known, DataMark("e", "r", 5))


class OrderTests(OnRedis):
    """Two batches under way, and a script's cache that is flushed between them."""

    async def flushed_between(self) -> list[str]:
        """The texts in the inbox, after the first of two batches met a flushed cache, and the second did not."""
        inbox = self.store()
        await inbox.open(self.watcher)
        protocol: Any = await inbox._connection.connected()
        ask, evals = protocol.execute_command, 0

        def between(*words: Any) -> Any:
            nonlocal evals
            if words[:2] != ("EVALSHA", script.SCRIPT_HASH):
                return ask(*words)
            evals += 1
            if evals == 1:
                ask("SCRIPT", "FLUSH")
            answer = ask(*words)
            if evals == 1:
                ask("SCRIPT", "LOAD", script.SCRIPT)  # by another node
            return answer

        self.patch(protocol, "execute_command", between)
        committing = [inbox.commit([draft(text)], []) for text in ("first", "second")]
        outcomes = [(await one).outcomes for one in committing]
        self.assertEqual(len(outcomes), 2)
        return [message.text for message in await inbox.read(READER, 0, 10)]

    async def test_flush(self) -> None:
        """Two messages of one sender would be swapped."""
        self.assertEqual(await self.flushed_between(), ["first", "second"])

    async def test_it_is_the_order(self) -> None:
        """Something else would keep the order, and the rule be of no use."""
        rule = b"if args.previous and"
        unruled = script.SCRIPT.replace(rule, b"if false and")
        self.assertNotEqual(unruled, script.SCRIPT)
        self.patch(script, "SCRIPT", unruled)
        self.patch(script, "SCRIPT_HASH", hashlib.sha1(unruled).hexdigest())
        self.assertEqual(await self.flushed_between(), ["second", "first"])
