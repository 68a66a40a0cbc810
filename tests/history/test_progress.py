"""Waiting until the archive has what was confirmed."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.archive.queue import Ends
from chatsvc.history.progress import PATIENCE, AlwaysLevel, QueueProgress
from chatsvc.storage.url import StoreUnavailable
from tests.inbox.blocking import at_once
from tests.support.archive_queues import MemoryQueue, SharedQueue
from tests.support.archive_stores import said

MOMENT = 0.1
"""Longer than from one look at the queue to the next."""


class EndsTests(SynchronousTestCase):
    """The ends of the queue."""

    def test_has_passed(self) -> None:
        """Somebody would be told that the archive is level while it is not, or wait for what is there already."""
        ends = Ends("10-2", "12-0", 5, 100)
        for id, passed in (
            ("10-1", True),
            ("9-99", True),
            ("10-2", False),
            ("10-10", False),
            ("11-0", False),
            ("100-0", False),
        ):
            self.assertEqual(ends.has_passed(id), passed, id)
        self.assertTrue(Ends("", "", 0, 0).has_passed("10-1"))


class ProgressTests(SynchronousTestCase):
    """How long a question waits."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.shared = SharedQueue()
        self.queue = MemoryQueue(self.shared)
        self.progress = QueueProgress(self.queue, self.clock)

    def ask(self) -> Deferred[None]:
        """Ask, and wait until all that is confirmed now is archived."""
        return Deferred.fromCoroutine(self.progress.reached())

    def archived(self, up_to: int) -> None:
        """Have all up to an entry let go of."""
        self.shared.entries = [one for one in self.shared.entries if int(one.id[2:]) > up_to]

    def test_always_level(self) -> None:
        """With SQLite, where the message's transaction archives it, somebody would wait."""
        at_once(AlwaysLevel().reached())

    def test_nothing_waits(self) -> None:
        """Every question would wait, though all is archived."""
        self.successResultOf(self.ask())
        self.assertEqual(self.queue.calls, ["ends"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_until_the_front_has_passed(self) -> None:
        """Somebody would not be shown what was confirmed before they asked (P6)."""
        self.shared.put(said(1), said(2), said(3))
        asked = self.ask()
        for archived in (0, 1, 2):
            self.archived(archived)
            self.clock.advance(MOMENT)
            self.assertNoResult(asked)
        self.archived(3)
        self.clock.advance(MOMENT)
        self.successResultOf(asked)

    def test_what_comes_later(self) -> None:
        """Somebody would wait for what was confirmed since they asked, and so for ever in a busy service."""
        self.shared.put(said(1), said(2))
        asked = self.ask()
        self.shared.put(said(3), said(4))
        self.archived(1)
        self.clock.advance(MOMENT)
        self.assertNoResult(asked)
        self.archived(2)
        self.clock.advance(MOMENT)
        self.successResultOf(asked)

    def test_gives_up(self) -> None:
        """Somebody would wait for ever while nobody archives, or give up too early."""
        self.shared.put(said(1))
        asked = self.ask()
        for _ in range(19):
            self.clock.advance(MOMENT)
        self.assertNoResult(asked)
        self.assertEqual(PATIENCE, 2.0)
        for _ in range(2):
            self.clock.advance(MOMENT)
        self.failureResultOf(asked, StoreUnavailable)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_patience_of_each(self) -> None:
        """Who asks later would give up with those who asked before."""
        self.shared.put(said(1))
        first = self.ask()
        self.clock.pump([MOMENT] * 10)
        second = self.ask()
        self.clock.pump([MOMENT] * 12)
        self.failureResultOf(first, StoreUnavailable)
        self.assertNoResult(second)
        self.archived(1)
        self.clock.advance(MOMENT)
        self.successResultOf(second)

    def test_one_look_for_all(self) -> None:
        """Everybody who waits would ask the store by themselves, the more often the busier it is."""
        self.shared.put(said(1))
        asked = [self.ask() for _ in range(50)]
        self.shared.put(said(2))
        later = self.ask()
        self.queue.calls.clear()
        self.clock.advance(MOMENT)
        self.assertEqual(self.queue.calls, ["ends"])
        self.archived(1)
        self.clock.advance(MOMENT)
        self.assertEqual(self.queue.calls, ["ends"] * 2)
        for one in asked:
            self.successResultOf(one)
        self.assertNoResult(later)
        self.archived(2)
        self.clock.advance(MOMENT)
        self.successResultOf(later)
        self.clock.pump([MOMENT] * 5)
        self.assertEqual(self.queue.calls, ["ends"] * 3, "nobody waits")

    def test_first_is_cancelled(self) -> None:
        """All would wait for ever once the one who asked first has gone."""
        self.shared.put(said(1))
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.archived(1)
        self.clock.advance(MOMENT)
        self.successResultOf(second)

    def test_cancelled_while_it_is_looked(self) -> None:
        """The same, while the store is being asked."""
        self.shared.put(said(1))
        first, second = self.ask(), self.ask()
        self.queue.hold = {"ends"}
        self.clock.advance(MOMENT)
        first.cancel()
        self.failureResultOf(first, CancelledError)
        third = self.ask()
        self.archived(1)
        self.queue.hold = set()
        self.queue.let_all()
        self.clock.advance(MOMENT)
        for one in (second, third):
            self.successResultOf(one)

    def test_all_are_cancelled(self) -> None:
        """Who asks once all others have gone would wait for ever."""
        self.shared.put(said(1))
        for one in [self.ask(), self.ask()]:
            one.cancel()
            self.failureResultOf(one, CancelledError)
        again = self.ask()
        self.archived(1)
        self.clock.advance(MOMENT)
        self.successResultOf(again)
        self.clock.advance(MOMENT)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_store_away(self) -> None:
        """All would wait for ever, or be told that the archive is level, while the store is away."""
        self.shared.put(said(1))
        asked = [self.ask(), self.ask()]
        self.queue.away = True
        self.failureResultOf(self.ask(), StoreUnavailable)
        self.clock.advance(MOMENT)
        for one in asked:
            self.failureResultOf(one, StoreUnavailable)
        self.queue.away = False
        again = self.ask()
        self.archived(1)
        self.clock.advance(MOMENT)
        self.successResultOf(again)

    def test_who_asks_again_at_once(self) -> None:
        """Somebody who asks as soon as they were answered would be left out of the next look."""
        self.shared.put(said(1))
        again: list[Deferred[None]] = []

        def ask(_: object) -> None:
            again.append(self.ask())

        asked = self.ask().addCallback(ask)
        self.archived(1)
        self.shared.put(said(2))
        self.clock.advance(MOMENT)
        self.successResultOf(asked)
        self.archived(2)
        self.clock.advance(MOMENT)
        self.successResultOf(again[0])
