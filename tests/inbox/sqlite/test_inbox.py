"""What only the inbox in SQLite does: rows of other programs and versions, and an older file in its place."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from functools import partial
from pathlib import Path

from twisted.internet import reactor
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from chatsvc.inbox.claim import InboxClaim
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Duplicate, Gap, Removal, Stored
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.inbox.watermark import Watermark
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import parse_store_url
from tests.inbox.fixtures import DEVICE, READER, A, RecordingWatcher, draft, losses


async def open_inbox(case: TestCase) -> tuple[SQLiteInbox, Database]:
    """A store in a new file until the end of a test, and its database."""
    database = Database(parse_store_url(f"sqlite:{case.mktemp()}", ("sqlite",)), reactor)
    case.addCleanup(database.close)
    await database.open()
    inbox = SQLiteInbox(database, InboxLimits())
    await inbox.open(RecordingWatcher())
    return inbox, database


class ForeignTests(TestCase):
    """Rows that another program put into an inbox in SQLite."""

    async def test_what_is_no_message(self) -> None:
        """A row with something else than a number or a text would make the inbox unreadable."""
        inbox, database = await open_inbox(self)
        await inbox.commit([draft("1"), draft("2"), draft("3"), draft("4")], [])
        for id, column, value in ((2, "at", 1e300), (3, "text", b"\xff"), (4, "sender", "who")):
            change = f"UPDATE chat_inbox SET {column} = ? WHERE id = ?"  # noqa: S608
            await database.run(partial(Transaction.execute, sql=change, args=(value, id)))
        page = await inbox.read(READER, 0, 9)
        self.assertEqual([(m.id, m.text) for m in page], [(1, "1"), (2, ""), (3, ""), (4, "")])


class UpgradeTests(TestCase):
    """A file of the version before."""

    async def test_devices_of_the_version_before(self) -> None:
        """After an upgrade, what was stored before it would be stored once more when it is sent again."""
        inbox, database = await open_inbox(self)
        before = f"INSERT INTO chat_device VALUES ({READER}, {A}, '{DEVICE}', 7, 2, 1)"  # noqa: S608
        for change in (before, "DROP TABLE chat_sending", "DELETE FROM chat_schema"):
            await database.run(partial(Transaction.execute, sql=change))
        await inbox.open(RecordingWatcher())
        committed = await inbox.commit([draft(device=DEVICE, n=n) for n in (7, 6, 9, 8)], [])
        kinds = [type(outcome) for outcome in committed.outcomes]
        self.assertEqual(kinds, [Duplicate, Duplicate, Gap, Stored])


class OlderFileTests(TestCase):
    """A file that somebody puts an older one in the place of, while no server runs."""

    def setUp(self) -> None:
        """Make a folder for the file and its copy."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "chat.db"

    async def open(self) -> SQLiteInbox:
        """Open the store, as a server does."""
        database = Database(parse_store_url(f"sqlite:{self.file}", ("sqlite",)), reactor)
        await database.open()
        watermark = Watermark(reactor, str(self.folder / "inbox.watermark"))
        inbox = SQLiteInbox(database, InboxLimits(), watermark=watermark)
        self.addCleanup(inbox.close)
        await inbox.open(RecordingWatcher())
        return inbox

    async def read_up_to_ten(self) -> InboxClaim:
        """READER reads eight of ten messages; the copy is of when there were eight."""
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
