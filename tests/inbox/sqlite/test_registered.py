"""Registered devices in SQLite: what they cost, an upgraded file, an older file, and another process."""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatsvc.inbox.claim import Registration
from chatsvc.inbox.interface import NullWatcher, StoreWatcher
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Committed, Removal, Stored
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.inbox.watermark import Watermark
from chatsvc.storage.database import Database
from chatsvc.storage.url import parse_store_url
from tests.inbox.blocking import BlockingDatabase, at_once
from tests.inbox.fixtures import (
    DAY,
    DESK,
    DEVICE,
    OTHER,
    PHONE,
    READER,
    A,
    B,
    RecordingWatcher,
    draft,
    until,
)
from tests.inbox.sqlite.older import leave_older, store_as_before

CLIENT = Registration("client 1")


class CostTests(SynchronousTestCase):
    """How many statements a batch runs."""

    def setUp(self) -> None:
        """Open a store whose statements are counted."""
        self.database = BlockingDatabase(self.mktemp())
        self.addCleanup(self.database.close)
        self.inbox = SQLiteInbox(cast(Database, self.database), InboxLimits())
        at_once(self.inbox.open(RecordingWatcher()))

    def statements(self, act: Callable[[], object]) -> int:
        """How many statements something runs, the transaction's ends not counted."""
        return len(self.database.statements(act))

    def test_without_registered_devices(self) -> None:
        """Users of today would pay for devices that they have not."""
        claims = {uid: at_once(self.inbox.claim(uid, None, device=DEVICE)) for uid in (READER, A)}
        generation = claims[A].generation
        sent: dict[str, Any] = {"device": DEVICE, "sending": generation, "generation": generation}
        at_once(self.inbox.commit([draft(n=1, **sent), draft()], []))
        numbered = [draft(n=2, **sent), draft(n=3, **sent)]
        removal = Removal(READER, claims[READER].generation, 2)
        # Readers, shares, generations, two numbers; messages, two numbers, readers, shares, removals, settings: what
        # the version before registered devices ran.
        cost = self.statements(lambda: at_once(self.inbox.commit(numbered, [removal])))
        self.assertEqual(cost, 12)
        leaving = Removal(READER, claims[READER].generation, 4, leaving=True)
        self.assertEqual(self.statements(lambda: at_once(self.inbox.commit([], [leaving]))), 3)

    def test_with_registered_devices(self) -> None:
        """Each device, or each copy, would cost statements of its own."""
        devices = [f"{i:016x}" for i in range(4)]
        claims = [
            at_once(self.inbox.claim(uid, None, device=device, registration=CLIENT))
            for uid in (READER, A)
            for device in devices
        ]
        sent: dict[str, Any] = {
            "device": devices[0],
            "registered": True,
            "sending": claims[4].generation,
        }
        drafts = [draft(**sent), draft(**sent), draft(sender=B)]
        at_once(self.inbox.commit(drafts, []))
        removals = [
            Removal(READER, claim.generation, 2, device=device, shown=2)
            for device, claim in zip(devices, claims[:4], strict=True)
        ]
        cost = self.statements(lambda: at_once(self.inbox.commit(drafts, removals)))
        # Also: the senders' inboxes, all devices, the messages where they are; devices.
        self.assertEqual(cost, 12)

    def test_largest_batch(self) -> None:
        """A batch that the options allow would have more values than SQLite takes."""
        claim = at_once(self.inbox.claim(A, None, device=PHONE, registration=CLIENT))
        at_once(self.inbox.claim(A, None, device=DESK, registration=CLIENT))
        sent: dict[str, Any] = {"device": PHONE, "registered": True, "sending": claim.generation}
        drafts = [draft(to=uid, **sent) for uid in range(1, 4001)]
        committed: Committed = at_once(self.inbox.commit(drafts, []))
        self.assertEqual(committed.outcomes[-1], Stored(1, 1, copy=4000))

    def test_plain_again(self) -> None:
        """A user whose devices are gone would cost more than others for ever."""
        phone = at_once(self.inbox.claim(READER, None, device=PHONE, registration=CLIENT))
        at_once(self.inbox.commit([draft()], []))
        at_once(self.inbox.forget(READER, PHONE))
        bot = at_once(self.inbox.claim(READER, None))
        self.assertGreater(bot.generation, phone.generation)
        at_once(self.inbox.commit([], [Removal(READER, bot.generation, 1)]))
        sql = "SELECT bytes, registered, kept, unnamed_behind FROM chat_reader WHERE uid = ?"
        self.assertEqual(self.database._connection.execute(sql, (READER,)).fetchone(), (0, 0, 0, 0))


def events(logged: Any, name: str) -> list[LogEvent]:
    """What the log says of one kind of event."""
    return [one for one in logged if one.get("event") == name]


class OnAFile(TestCase):
    """A test of several stores at one file, one after the other or at once."""

    now = 1_700_000_000.0

    def setUp(self) -> None:
        """Name a file that is not there yet."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "chat.db"
        self.watcher = RecordingWatcher()

    async def open(self, watcher: StoreWatcher | None = None, **more: Any) -> SQLiteInbox:
        """Open the store."""
        database = Database(parse_store_url(f"sqlite:{self.file}", ("sqlite",)), reactor)
        await database.open()
        inbox = SQLiteInbox(database, InboxLimits(), lambda: self.now, **more)
        self.addCleanup(inbox.close)
        await inbox.open(watcher or self.watcher)
        return inbox


class AnotherProcessTests(OnAFile):
    """An administrator's command that works on the file while the server runs."""

    async def test_forgotten_by_another_process(self) -> None:
        """A device that the admin had forgotten would stay logged in."""
        server = await self.open(clock=reactor)
        admin = await self.open(NullWatcher())
        for device in (PHONE, DESK):
            await server.claim(READER, None, device=device, registration=CLIENT)
        self.assertEqual([one.online for one in await admin.devices(READER)], [True, True])
        await deferLater(reactor, 0.6)  # type: ignore[arg-type]
        self.assertTrue(await admin.forget(READER, PHONE))
        began = reactor.seconds()  # type: ignore[attr-defined]
        await until(lambda: self.watcher.gone)
        self.assertLess(reactor.seconds() - began, 1.5)  # type: ignore[attr-defined]
        self.assertEqual(self.watcher.gone, [(READER, PHONE)])
        await admin.forget(READER, DESK)
        await until(lambda: len(self.watcher.gone) == 2)
        self.assertEqual(self.watcher.on_request, self.watcher.gone, "they stay out")
        assert server._here._looking is not None
        self.assertFalse(server._here._looking.running, "nobody is logged in")

    async def test_another_process_changes_nothing_else(self) -> None:
        """A session would be ended by any command that an admin gives."""
        server = await self.open(clock=reactor)
        admin = await self.open(NullWatcher())
        await server.claim(READER, None, device=PHONE, registration=CLIENT)
        await server.commit([draft()], [])
        await admin.purge(READER, 1)
        await deferLater(reactor, 1.2)  # type: ignore[arg-type]
        self.assertEqual(self.watcher.gone, [])
        self.assertTrue((await server.devices(READER))[0].online, "also to whoever asks")

    async def test_forgotten_here(self) -> None:
        """A device that its user had forgotten would stay logged in, or one that is not logged in be ended."""
        server = await self.open()
        phone = await server.claim(READER, None, device=PHONE, registration=CLIENT)
        await server.claim(OTHER, None, device=DESK, registration=CLIENT)
        await server.commit([], [Removal(READER, phone.generation, 0, True, PHONE)])
        await server.forget(READER, PHONE)
        await server.forget(OTHER, DESK)
        self.assertEqual((self.watcher.gone, self.watcher.on_request), ([(OTHER, DESK)],) * 2)

    async def test_forgotten_here_after_an_older_session(self) -> None:
        """A device that its user had forgotten would stay logged in, because an older session's end came late."""
        server = await self.open()
        older = await server.claim(READER, None, device=PHONE, registration=CLIENT)
        await server.claim(READER, None, device=PHONE, registration=CLIENT)
        late = Removal(READER, older.generation, 0, True, PHONE)
        self.assertEqual((await server.commit([], [late])).refused, [late])
        await server.forget(READER, PHONE)
        self.assertEqual(self.watcher.gone, [(READER, PHONE)])

    async def test_killed_server(self) -> None:
        """Devices would seem to be logged in, and never be forgotten, because a server was killed."""
        server = await self.open()
        await server.claim(READER, None, device=PHONE, registration=CLIENT)
        await server.close()
        self.now += 29 * DAY
        admin = await self.open(NullWatcher())
        self.assertTrue((await admin.devices(READER))[0].online, "the admin cannot know")
        server = await self.open()
        (phone,) = await server.devices(READER)
        self.assertEqual((phone.online, phone.last), (False, int(self.now * 1000)))


class UpgradeTests(OnAFile):
    """A file of the version before."""

    async def test_line(self) -> None:
        """An admin would not see that an upgrade took place, or see it at each start."""
        leave_older(str(self.file), 2, ["3", "4"])
        with capturedLogs() as logged:
            await (await self.open(NullWatcher())).close()
        self.assertEqual(events(logged, "store-upgraded"), [], "an admin's command is no start")
        with capturedLogs() as logged:
            await (await self.open()).close()
        (event,) = events(logged, "store-upgraded")
        self.assertIn("1 inboxes, 2 messages wait", formatEvent(event))
        with capturedLogs() as logged:
            await (await self.open()).close()
        self.assertEqual(events(logged, "store-upgraded"), [])

    async def test_new_file(self) -> None:
        """An admin would be told of an upgrade of nothing."""
        with capturedLogs() as logged:
            await self.open()
        self.assertEqual(events(logged, "store-upgraded"), [])

    async def test_days_of_upgraded_programs(self) -> None:
        """Programs of before the upgrade would be forgotten at once, because nobody knows when they were used."""
        leave_older(str(self.file), 2, ["3", "4"])
        server = await self.open()
        phone = await server.claim(READER, None, device=PHONE, registration=CLIENT)
        self.now += 29 * DAY
        await server.commit([], [Removal(READER, phone.generation, 4, device=PHONE, shown=4)])
        self.assertEqual((await server.claim(READER, None)).acknowledged, 2)

    async def test_generations(self) -> None:
        """What a session of before the upgrade says late would pass for something of now."""
        leave_older(str(self.file), 2, ["3"])
        with closing(sqlite3.connect(self.file)) as there, there:
            for uid, generation in ((READER, 9), (OTHER, 5)):
                there.execute(
                    "INSERT INTO chat_generation (uid, device, generation, used) VALUES (?, ?, ?, 1)",
                    (uid, DEVICE, generation),
                )
        server = await self.open()
        phone = await server.claim(READER, None, device=PHONE, registration=CLIENT)
        self.assertEqual(phone.generation, 10)
        self.assertEqual((await server.claim_device(OTHER, PHONE)).generation, 6)

    async def test_older_server_on_upgraded_tables(self) -> None:
        """A bot would lose what it has not acknowledged, because the tables were upgraded before the server (P2)."""
        await (await self.open(NullWatcher())).close()
        for uid in (READER, OTHER):
            for text in ("1", "2"):
                store_as_before(str(self.file), text, uid)
        with closing(sqlite3.connect(self.file)) as there, there:
            there.execute("UPDATE chat_reader SET generation = 3 WHERE uid = ?", (READER,))
        server = await self.open()
        for uid, newest in ((READER, 3), (OTHER, 0)):
            phone = await server.claim(uid, None, device=PHONE, registration=CLIENT)
            self.assertEqual((phone.waiting, phone.generation), (2, newest + 1))
            await server.commit([], [Removal(uid, phone.generation, 2, device=PHONE, shown=2)])
            self.assertEqual((await server.claim(uid, None)).acknowledged, 0)
            self.assertEqual(len(await server.read(uid, 0, 9)), 2)


class SerialTests(OnAFile):
    """Serials where the clock or the file goes back."""

    async def store(self, inbox: SQLiteInbox) -> int:
        """Store a message; its serial."""
        (stored,) = (await inbox.commit([draft()], [])).outcomes
        assert isinstance(stored, Stored)
        return stored.serial

    async def test_clock_that_is_set_back(self) -> None:
        """Clients would drop new messages, because their serials are older."""
        inbox = await self.open()
        first = await self.store(inbox)
        self.assertEqual(first, int(self.now) * 1_000_000)
        self.now -= DAY
        self.assertEqual(
            [await self.store(inbox), await self.store(inbox)], [first + 10, first + 20]
        )
        self.now += 2 * DAY
        self.assertEqual(await self.store(inbox), first + DAY * 1_000_000)

    async def test_older_file(self) -> None:
        """Clients would drop new messages, because the lost ones that they have seen had greater serials."""
        for ahead in (0, 3600):
            watermark = Watermark(reactor, str(self.folder / f"{ahead}.watermark"))
            inbox = await self.open(watermark=watermark)
            await self.store(inbox)
            with closing(sqlite3.connect(self.file)) as here:
                here.execute("VACUUM INTO ?", (str(self.folder / "copy.db"),))
            self.now += ahead
            seen = await self.store(inbox)
            self.now -= ahead
            await inbox.close()
            self.assertIsNotNone(watermark.known)
            for file in self.folder.glob("chat.db*"):
                file.unlink()
            shutil.move(self.folder / "copy.db", self.file)
            inbox = await self.open(
                watermark=Watermark(reactor, str(self.folder / f"{ahead}.watermark"))
            )
            least = max(seen, int(self.now + 60) * 1_000_000)
            self.assertGreater(await self.store(inbox), least)
            await inbox.close()
            self.flushLoggedErrors()

    async def test_file_that_the_watermark_knows_better(self) -> None:
        """Serials that were seen would be given out again, though ids would not."""
        inbox = await self.open(watermark=Watermark(reactor, str(self.folder / "mark")))
        seen = await self.store(inbox)
        await inbox.close()
        with closing(sqlite3.connect(self.file)) as here, here:
            here.execute("UPDATE chat_setting SET value = '5' WHERE name = 'serial'")
        self.now -= DAY
        inbox = await self.open(watermark=Watermark(reactor, str(self.folder / "mark")))
        self.assertEqual(await self.store(inbox), seen + 10)

    async def test_restored(self) -> None:
        """Clients would drop new messages after a back-up, whose key folder was restored along with it."""
        inbox = await self.open()
        await self.store(inbox)
        await inbox.renew_epoch()
        self.assertEqual(await self.store(inbox), int(self.now + 60) * 1_000_000 + 10)


class LeapTests(OnAFile):
    """A clock that is set forward while the server runs."""

    async def test_leap(self) -> None:
        """All devices would be forgotten because the clock leapt."""
        inbox = await self.open(seconds=lambda: 0.0)
        phone = await inbox.claim(READER, None, device=PHONE, registration=CLIENT)
        await inbox.commit([], [Removal(READER, phone.generation, 0, True, PHONE)])
        self.now += 100 * DAY
        await inbox.commit([draft()], [])
        self.assertEqual(len(await inbox.devices(READER)), 1)
