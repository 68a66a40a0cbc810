"""What only rooms' logs in SQLite do: how much a batch costs, a file of the version before, rows of other programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.inbox.claim import Registration
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Committed, Removal, RoomAcknowledgement, RoomDraft, Stored
from chatsvc.inbox.room_log import RoomLogLimits, RoomStart
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.storage.database import Database
from tests.inbox.blocking import BlockingDatabase, at_once
from tests.inbox.contract.room_case import created, invitation, joined, says
from tests.inbox.fixtures import DEVICE, PHONE, READER, A, RecordingWatcher, draft

ROOMS = range(1, 51)


class RoomsInSQLiteCase(SynchronousTestCase):
    """A test with a store whose statements are counted."""

    def setUp(self) -> None:
        """Open the store."""
        self.database = BlockingDatabase(self.mktemp())
        self.addCleanup(self.database.close)
        self.open()

    def open(self, window: int = 2000) -> None:
        """(Re)open the store."""
        limits = RoomLogLimits(window)
        database = cast(Database, self.database)
        self.inbox = SQLiteInbox(database, InboxLimits(), room_limits=limits)
        at_once(self.inbox.open(RecordingWatcher()))

    def commit(
        self, drafts: Sequence[RoomDraft], acknowledgements: Sequence[RoomAcknowledgement] = ()
    ) -> Committed:
        """Carry out a batch for rooms."""
        return at_once(self.inbox.commit(drafts, [], acknowledgements))

    def said(self, act: Callable[[], object]) -> list[str]:
        """The statements that something runs, the transaction's ends left out."""
        return self.database.statements(act)

    def make_rooms(self) -> None:
        """A makes many rooms."""
        for room in ROOMS:
            at_once(self.inbox.rooms.apply(room, [created(room)]))


class CostTests(RoomsInSQLiteCase):
    """How many statements a batch runs."""

    def test_members_cost_nothing(self) -> None:
        """A message would cost the more, the more members its room has."""
        few, many = {A: "owner"}, dict.fromkeys(range(A, A + 1000), "member")
        costs = []
        for room, members in ((1, few), (2, many)):
            at_once(self.inbox.rooms.load(room, 1, members, 0))
            drafts = [says(room=room, device=DEVICE, n=n) for n in range(1, 5)]
            self.commit(drafts[:2])
            costs.append(len(self.said(lambda some=drafts[2:]: self.commit(some))))  # type: ignore[misc]
        # Readers, room, member, two numbers; entries, two numbers, room, settings.
        self.assertEqual(costs, [10, 10])

    def test_rooms_of_a_batch(self) -> None:
        """Each room of a batch, or each acknowledgement, would cost statements of its own."""
        self.make_rooms()
        drafts = [says(room=room) for room in ROOMS]
        acknowledgements = [RoomAcknowledgement(A, room, 1) for room in ROOMS]
        # Readers, rooms, members; entries, rooms, settings. Positions and entries that are acknowledged; positions.
        cost = self.said(lambda: self.commit(drafts, acknowledgements))
        self.assertEqual(len(cost), 9)

    def test_full_log(self) -> None:
        """A log whose window is full would have all of it read with each message."""
        self.open(window=100)
        at_once(self.inbox.rooms.apply(1, [created(1)]))
        self.commit([says(room=1) for _ in range(200)])
        cost = self.said(lambda: self.commit([says(room=1)]))
        # Also: where to cut, and the cut.
        self.assertEqual(len(cost), 8)

    def test_log_in(self) -> None:
        """A log-in would take the longer, the more rooms its user is in."""
        self.make_rooms()
        starts = [RoomStart(room, 1, 5, 7) for room in ROOMS]
        cost = self.said(lambda: at_once(self.inbox.rooms.open(A, starts)))
        self.assertEqual(len(cost), 2)

    def test_nothing_too_old(self) -> None:
        """Looking for what is too old would write to the file, or read all of a log, where there is nothing."""
        self.make_rooms()
        cost = self.said(lambda: at_once(self.inbox.rooms.expire(ROOMS, 5, 99)))
        self.assertEqual(len(cost), 1)
        plan = self.database._connection.execute(f"EXPLAIN QUERY PLAN {cost[0]}").fetchall()
        scans = [step for *_, step in plan if "SCAN" in step and "VIRTUAL TABLE" not in step]
        self.assertEqual(scans, [])

    def test_too_old(self) -> None:
        """Each old message would cost statements of its own."""
        costs = []
        for room, count in ((1, 3), (2, 90)):
            at_once(self.inbox.rooms.apply(room, [created(room)]))
            self.commit([says(room=room) for _ in range(count)])
            cost = self.said(lambda room=room: at_once(self.inbox.rooms.expire([room], 2**53, 99)))  # type: ignore[misc]
            costs.append(len(cost))
        self.assertEqual(costs[0], costs[1])

    def test_without_reading_all(self) -> None:
        """A log-in, or an event that is finished twice, would have a table of all rooms read."""
        self.make_rooms()
        rooms = self.inbox.rooms
        page = [RoomStart(1, 1, 5, 7)]
        asked = [
            *self.said(lambda: at_once(rooms.open(A, page))),
            *self.said(lambda: at_once(rooms.apply(1, [created(1)]))),
            *self.said(lambda: at_once(rooms.read(1, 0, 9))),
            *self.said(lambda: self.commit([says(room=1)], [RoomAcknowledgement(A, 1, 1)])),
        ]
        plans = [
            (step, sql)
            for sql in asked
            for *_, step in self.database._connection.execute(f"EXPLAIN QUERY PLAN {sql}")
        ]
        self.assertTrue(plans)
        # What was asked about, settings, and the page itself.
        harmless = ("VIRTUAL TABLE", "CONSTANT ROW", "chat_setting", "SCAN log LEFT-JOIN")
        scans = [
            one
            for one in plans
            if "SCAN" in one[0] and not any(word in one[0] for word in harmless)
        ]
        self.assertEqual(scans, [])

    def test_plain_again(self) -> None:
        """A user who has joined a room would cost more than others for ever."""
        bot = at_once(self.inbox.claim(READER, None))
        at_once(self.inbox.rooms.apply(1, [created(1), joined(2, READER, 1)]))
        at_once(self.inbox.commit([draft()], []))
        at_once(self.inbox.commit([], [Removal(READER, bot.generation, 2)]))
        sql = "SELECT copies, bytes, registered, kept FROM chat_reader WHERE uid = ?"
        self.assertEqual(self.database._connection.execute(sql, (READER,)).fetchone(), (0, 0, 0, 0))


class OtherRowsTests(RoomsInSQLiteCase):
    """Files of the version before, and rows of other programs."""

    def change(self, *statements: str) -> None:
        """Change the file behind the store's back."""
        for one in statements:
            self.database._connection.execute(one)

    def test_file_of_the_version_before(self) -> None:
        """After an upgrade, what waits would be no message, or a device be shown nothing of its rooms."""
        phone = at_once(
            self.inbox.claim(READER, None, device=PHONE, registration=Registration("client 1"))
        )
        at_once(self.inbox.commit([draft("waits")], []))
        self.change(
            "ALTER TABLE chat_inbox DROP COLUMN mark",
            "ALTER TABLE chat_registered DROP COLUMN registered_at",
            "DROP TABLE chat_room_log",
            "DROP TABLE chat_room_log_state",
            "DELETE FROM chat_schema WHERE version >= 9",
        )
        self.open()
        again = at_once(
            self.inbox.claim(READER, None, device=PHONE, registration=Registration("client 2"))
        )
        self.assertEqual((again.waiting, again.registered_at), (1, 0))
        self.assertGreater(again.generation, phone.generation)
        (message,) = at_once(self.inbox.read(READER, 0, 9))
        self.assertEqual((message.text, message.mark), ("waits", None))
        at_once(self.inbox.rooms.apply(1, [created(1)]))
        self.assertEqual(self.commit([says(room=1)]).outcomes, [Stored(2, 0)])

    def test_mark_that_is_none(self) -> None:
        """A row with something else than a mark would make the inbox unreadable."""
        at_once(self.inbox.rooms.apply(1, [created(1), invitation(2, READER, 1)]))
        at_once(self.inbox.commit([draft("1"), draft("2")], []))
        marks = ("'x'", "x'ff'", "'j1:2'", "7", "'i:dev'")
        for mark in marks:
            self.change(f"UPDATE chat_inbox SET mark = {mark} WHERE uid = {READER}")  # noqa: S608
            page = at_once(self.inbox.read(READER, 0, 9))
            self.assertEqual([(one.text, one.mark) for one in page][1:], [("1", None), ("2", None)])
