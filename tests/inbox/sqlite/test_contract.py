"""What every store does, on a real SQLite file."""

from __future__ import annotations

from collections.abc import Sequence

from twisted.internet import reactor

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.storage.database import Database
from chatsvc.storage.url import parse_store_url
from tests.inbox.contract import every
from tests.inbox.fixtures import DAY, READER, RecordingWatcher, draft
from tests.inbox.sqlite.older import leave_older, store_as_before


class SQLiteContractTests(every.InboxContract):
    """Inboxes in a real SQLite file."""

    def setUp(self) -> None:
        """Name a file that is not there yet."""
        self.url = parse_store_url(f"sqlite:{self.mktemp()}", ("sqlite",))
        self.watcher = RecordingWatcher()

    believes_nodes = True
    now = 1_700_000_000.0
    leap = 0.0

    def time(self) -> int:
        """The store's time in ms."""
        return int(self.now * 1000)

    async def pass_days(self, days: float) -> None:
        """Make all that waits for READER so much older."""
        self.now += days * DAY

    pass_days_for_devices = pass_days
    pass_days_for_registered = pass_days

    async def leave_older(self, acknowledged: int, texts: Sequence[str]) -> None:
        """Leave READER's inbox as the version before did."""
        leave_older(self.url.path, acknowledged, texts)

    async def store_as_before(self, text: str) -> None:
        """Store a text of A for READER as a server of the version before does."""
        store_as_before(self.url.path, text)

    async def test_leap(self) -> None:
        """A clock that is set forward while the server runs would delete what was stored a second ago."""
        await self.begin(InboxLimits(days=7))
        await self.commit(draft(at=self.time()))
        self.leap = 100 * DAY
        self.assertEqual((await self.inbox.claim(READER, None)).expired, 0)
        await self.pass_days(8)
        self.assertEqual((await self.inbox.claim(READER, None)).expired, 1)

    async def make(self, limits: InboxLimits) -> SQLiteInbox:
        """A store that is open."""
        database = Database(self.url, reactor)
        self.addCleanup(database.close)
        await database.open()
        inbox = SQLiteInbox(
            *(database, limits, lambda: self.now + self.leap, lambda: self.now),
            room_limits=self.room_limits,
        )
        self.assertEqual(await inbox.open(self.watcher), [])
        return inbox
