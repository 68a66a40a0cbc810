"""Tasks that are carried out again and again."""

from __future__ import annotations

import re
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.observability.periodic import PeriodicTask
from chatsvc.storage.url import StoreUnavailable

_ROOT = Path(__file__).parents[2]


class PeriodicTaskTests(SynchronousTestCase):
    """A task every ten seconds."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.calls = 0
        self.problem: Exception | None = None
        self.task = PeriodicTask(self.clock, "counting", self.call)

    def call(self) -> None:
        self.calls += 1
        if self.problem is not None:
            raise self.problem

    def test_goes_on(self) -> None:
        """One exception would end the task for good, and leave no word of it."""
        self.problem = ValueError("a secret")
        with capturedLogs() as logged:
            self.task.start(10)
            self.clock.pump([10.0] * 12)
        self.problem = None
        self.clock.pump([10.0] * 2)
        self.assertEqual(self.calls, 15)
        self.assertEqual([event["count"] for event in logged], [1, 6, 6])
        (failure, *_) = self.flushLoggedErrors()
        self.assertNotIn("secret", failure.getTraceback())

    def test_store_unavailable(self) -> None:
        """A store that is away would fill the log with tracebacks, or the line not say what is the matter."""
        self.problem = StoreUnavailable("mysql://db/chat: SELECT command denied")
        with capturedLogs() as logged:
            self.task.start(10)
            self.clock.pump([10.0] * 6)
        self.assertEqual(self.flushLoggedErrors(), [])
        self.assertEqual([event["count"] for event in logged], [1, 6])
        self.assertEqual(
            formatEvent(logged[0]),
            "counting failed, and will be tried again: mysql://db/chat: SELECT command denied"
            " (1 since this was said last)",
        )
        self.assertEqual(logged[0]["event"], "task-failed")

    def test_store_that_others_watch(self) -> None:
        """A store that is away would be said twice; or a right that it lacks never, since nobody else meets it."""
        away = False
        self.task = PeriodicTask(self.clock, "counting", self.call, lambda: away)
        self.problem = StoreUnavailable("mysql://db/chat: SELECT command denied")
        with capturedLogs() as logged:
            self.task.start(10)
            self.clock.advance(10)
            self.assertEqual(logged, [])
            self.clock.advance(10)
            self.assertEqual([event["count"] for event in logged], [1])
            away = True
            self.clock.pump([10.0] * 7)
            self.assertEqual(len(logged), 1)
            away, self.problem = False, None
            self.clock.advance(10)
            self.problem = StoreUnavailable("x")
            self.clock.pump([10.0] * 2)
            self.assertEqual(len(logged), 1)
            self.clock.advance(10)
            self.assertEqual(len(logged), 2)
        self.assertEqual(self.calls, 14)

    def test_error_beside_a_store(self) -> None:
        """An error of ours would be kept from the log where a store is away."""
        self.task = PeriodicTask(self.clock, "counting", self.call, lambda: True)
        self.problem = ValueError()
        self.task.start(10)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_coroutine(self) -> None:
        """The same where the task has to wait; and two of them would be under way at once."""
        waiting: list[Deferred[None]] = []

        async def call() -> None:
            waiting.append(Deferred())
            await waiting[-1]

        task = PeriodicTask(self.clock, "waiting", call)
        task.start(10, now=False)
        self.clock.pump([10.0] * 3)
        self.assertEqual(len(waiting), 1)
        waiting[0].errback(ValueError())
        self.clock.advance(10)
        self.assertEqual(len(waiting), 2)
        self.assertEqual(len(self.flushLoggedErrors()), 1)

    def test_stop(self) -> None:
        """The end of the server would be in disorder: after a failure, twice, or without a start."""
        self.task.stop()
        self.problem = ValueError()
        self.task.start(10)
        self.task.stop()
        self.task.stop()
        self.clock.advance(100)
        self.assertEqual((self.calls, self.task.running), (1, False))
        self.flushLoggedErrors()

    def test_stopped_meanwhile(self) -> None:
        """What a stop breaks off would be logged as an error."""
        waiting: Deferred[None] = Deferred()
        task = PeriodicTask(self.clock, "waiting", lambda: waiting)
        task.start(10)
        task.stop()
        waiting.cancel()
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_everywhere(self) -> None:
        """Another part of the server would have a task that one exception ends."""
        used = {
            str(path.relative_to(_ROOT))
            for path in (_ROOT / "chatsvc").rglob("*.py")
            if "client" not in path.parts and re.search(r"\bLoopingCall\(", path.read_text())
        }
        self.assertEqual(used, {"chatsvc/observability/periodic.py"})
