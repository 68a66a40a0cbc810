"""When rooms' logs let go of what is too old, and how much of it, by a clock of the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.archive.changes import write
from chatsvc.history.archiver import Archiver
from chatsvc.history.backlog import Backlog
from chatsvc.history.limits import HistoryLimits
from chatsvc.history.room_retention import RoomRetention
from chatsvc.history.upkeep import Upkeep
from chatsvc.inbox.room_log import RoomLogs
from chatsvc.storage.database import Database
from chatsvc.storage.schema import apply
from chatsvc.storage.url import StoreUnavailable
from tests.inbox.blocking import at_once
from tests.support.archive_queues import MemoryDatabase, MemoryQueue, SharedQueue
from tests.support.archive_stores import said

NOW = 1_800_000_000
HOUR, DAY = 3600, 86_400


class OldLogs:
    """Logs of which rooms have so many steps' ``work``; ``asked`` has rooms and bound of each call."""

    def __init__(self) -> None:
        self.asked: list[tuple[list[int], int]] = []
        self.work: dict[int, int] = {}
        self.away = False
        self.held: Deferred[None] | None = None
        """What a call waits for."""

    async def expire(self, rooms: Sequence[int], before: int, limit: int) -> list[int]:
        self.asked.append((list(rooms), before))
        if self.held is not None:
            await self.held
        if self.away:
            raise StoreUnavailable("away")
        for room in rooms:
            self.work[room] = self.work.get(room, 0) - 1
        return [room for room in rooms if self.work[room] > 0]

    @property
    def rooms(self) -> list[list[int]]:
        """The rooms of each call."""
        return [rooms for rooms, _ in self.asked]


class RetentionCase(SynchronousTestCase):
    """A test with a database that has 120 rooms, each tenth of them closed."""

    def setUp(self) -> None:
        self.clock, self.logs = Clock(), OldLogs()
        self.database = MemoryDatabase()
        self.addCleanup(self.database.close)
        at_once(apply(cast(Database, self.database)))
        for room in range(1, 121):
            self.database.sql(
                "INSERT INTO chat_room (room, name, topic, kind, history, version, members, created, closed)"
                " VALUES (?, '', '', 'public', 'all', 1, 0, 0, ?)",
                (room, None if room % 10 else 5),
            )


class RoundTests(RetentionCase):
    """A round through all rooms."""

    def setUp(self) -> None:
        super().setUp()
        logs = cast(RoomLogs, self.logs)
        self.retention = RoomRetention(cast(Database, self.database), logs, self.clock.seconds)

    def go_on(self) -> bool:
        """One step."""
        return at_once(self.retention.go_on(7))

    def test_all_rooms(self) -> None:
        """A room, or a closed one, would keep what is too old; or thousands of rooms be asked about at once (P6)."""
        while self.go_on():
            pass
        self.assertEqual(self.logs.rooms, [[*range(1, 51)], [*range(51, 101)], [*range(101, 121)]])
        self.assertEqual({before for _, before in self.logs.asked}, {7})

    def test_once_an_hour(self) -> None:
        """Thousands of rooms would be looked at all the time, or once and never again."""
        for _ in range(3):
            self.assertTrue(self.retention.is_due)
            while self.go_on():
                self.assertTrue(self.retention.is_due)
            self.assertFalse(self.retention.is_due)
            self.clock.advance(HOUR - 1)
            self.assertFalse(self.retention.is_due)
            self.clock.advance(1)
        self.assertEqual(len(self.logs.asked), 9)
        self.assertEqual(self.logs.rooms[3][0], 1)

    def test_more(self) -> None:
        """Of a long log a part would stay, or all rooms be asked about again for it."""
        self.logs.work = {3: 2, 50: 4, 51: 2}
        while self.go_on():
            pass
        self.assertEqual(self.logs.rooms[1:4], [[3, 50], [50], [50]][:3])
        self.assertEqual([rooms[0] for rooms in self.logs.rooms[4:]], [51, 51, 101])

    def test_away(self) -> None:
        """A store that was away for a moment would have a part of the rooms left out, or the round begin anew."""
        self.go_on()
        self.logs.away = True
        for _ in range(2):
            with self.assertRaises(StoreUnavailable):
                self.go_on()
        self.logs.away = False
        self.database.away = True
        with self.assertRaises(StoreUnavailable):
            self.go_on()
        self.database.away = False
        while self.go_on():
            pass
        self.assertEqual([rooms[0] for rooms in self.logs.rooms], [1, 51, 51, 51, 101])


class UpkeepTests(RetentionCase):
    """What a node does of it, and when."""

    def upkeep(self, archiver: Archiver | None = None, **limits: int) -> Upkeep:
        """The tasks of a node, begun."""
        its = HistoryLimits(**limits)
        database = cast(Database, self.database)
        upkeep = Upkeep(
            *(self.clock, database, archiver, cast(RoomLogs, self.logs), its),
            *(lambda: False, lambda: NOW + self.clock.seconds(), Backlog(None, database, its)),
        )
        upkeep.start()
        self.addCleanup(lambda: at_once(upkeep.stop()))
        self.pass_seconds(0)
        return upkeep

    def pass_seconds(self, seconds: float) -> None:
        """Let time pass, and what begins then come to its end."""
        self.clock.pump([seconds, *[0] * 20])

    def bounds(self) -> set[float]:
        """How old, in hours before now, is what logs were to let go of."""
        now = (NOW + self.clock.seconds()) * 1_000_000
        return {round((now - before) / 1_000_000 / HOUR, 3) for _, before in self.logs.asked}

    def test_as_old_as_the_history(self) -> None:
        """Logs would hand out what the history has not any more, or little of what it has (P6)."""
        self.upkeep(days=10)
        self.assertEqual(len(self.logs.asked), 3)
        (age,) = self.bounds()
        # A log that is cut once an hour must not have what the archive lets go of meanwhile, nor its edits.
        self.assertLessEqual(age, 240 - 1 - 1)
        self.assertGreater(age, 240 - 3)

    def test_edits_at_any_time(self) -> None:
        """Where messages can be edited for long, logs would let go of everything at once (P3)."""
        self.upkeep(days=2, edit_minutes=10**6)
        self.assertEqual(self.bounds(), {24.0})

    def test_again(self) -> None:
        """What grows old later would stay in the logs, or the logs be cut by an old bound."""
        self.upkeep(days=10)
        self.logs.asked.clear()
        self.pass_seconds(HOUR - 61)
        self.assertEqual(self.logs.asked, [])
        self.pass_seconds(60)
        self.pass_seconds(60)
        self.assertEqual(len(self.logs.asked), 3)
        (age,) = self.bounds()
        self.assertGreater(age, 240 - 3)

    def test_clock_that_leaps(self) -> None:
        """A clock that is set forward would empty all logs."""
        leap = 0.0
        its = HistoryLimits(days=10)
        database = cast(Database, self.database)
        upkeep = Upkeep(
            *(self.clock, database, None, cast(RoomLogs, self.logs), its),
            *(lambda: False, lambda: NOW + leap, Backlog(None, database, its)),
        )
        leap = 400.0 * DAY
        upkeep.start()
        self.addCleanup(lambda: at_once(upkeep.stop()))
        self.pass_seconds(0)
        (age,) = self.bounds()
        self.assertGreater(age, 240 - 4)

    def test_stopped_meanwhile(self) -> None:
        """A step that ends behind the stop would begin a pause, or another step, that nobody ends any more."""
        self.logs.held = held = Deferred[None]()
        upkeep = self.upkeep(days=10)
        self.assertEqual(len(self.logs.asked), 1)
        at_once(upkeep.stop())
        held.callback(None)
        self.assertEqual((self.clock.getDelayedCalls(), len(self.logs.asked)), ([], 1))

    def test_other_node(self) -> None:
        """Each node would go through all rooms, or none, or a new archiver wait for an hour."""
        shared = SharedQueue()
        other = MemoryQueue(shared, "there")
        at_once(other.take(None, 1))
        database = cast(Database, self.database)
        archiver = Archiver(MemoryQueue(shared, "here"), database)
        self.upkeep(archiver, days=10)
        self.pass_seconds(120)
        self.assertEqual((archiver.is_here, self.logs.asked), (False, []))
        at_once(other.leave())
        shared.put(said(10))
        self.clock.pump([0.05] * 100)
        self.assertTrue(archiver.is_here)
        self.pass_seconds(60)
        self.assertEqual(len(self.logs.asked), 3)

    def test_stores_away(self) -> None:
        """A log that is away would keep the archive from letting go of what is old, or be left out (P6)."""
        at_once(self.database.run(lambda transaction: write(transaction, [said(5)])))
        self.logs.away = True
        self.upkeep(days=10)
        self.pass_seconds(60)
        self.assertEqual(self.database.sql("SELECT serial FROM chat_message"), [])
        self.logs.away = False
        self.logs.asked.clear()
        self.pass_seconds(60)
        self.assertEqual(len(self.logs.asked), 3)

    def test_stopped(self) -> None:
        """A server that stops would go on to ask its stores."""
        upkeep: Any = self.upkeep(days=10)
        at_once(upkeep.stop())
        self.logs.asked.clear()
        self.pass_seconds(2 * HOUR)
        self.assertEqual(self.logs.asked, [])
