"""A store's monitor, with a clock of the test's own."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.observability.metrics import Metrics
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.url import StoreUnavailable, StoreURL

URL = StoreURL("redis", "0", redacted="redis://x/0")


class MonitorTests(SynchronousTestCase):
    """Metrics and log lines of a store that comes and goes."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        counts = self.metrics.stores["inbox"]
        self.monitor = StoreMonitor(URL, "inbox", self.clock.seconds, counts)
        self.suspected = 0
        self.monitor.suspected = self.suspect
        capturing = capturedLogs()
        self.events = capturing.__enter__()
        self.read = 0
        self.addCleanup(capturing.__exit__, None, None, None)

    def suspect(self) -> None:
        """Count a call for a check."""
        self.suspected += 1

    def said(self) -> list[tuple[Any, str]]:
        """The lines that were logged since this was asked last, with their levels."""
        before, self.read = self.read, len(self.events)
        return [(event["log_level"], formatEvent(event)) for event in self.events[before:]]

    def value(self, name: str, **labels: str) -> float | None:
        """Return the value of one of the store's metrics."""
        return self.metrics.registry.get_sample_value(
            f"chatsvc_store_{name}", {"store": "inbox", **labels}
        )

    def ask(self, answer: Deferred[Any]) -> Deferred[Any]:
        """Track a request."""
        return Deferred.fromCoroutine(self.monitor.track(answer))

    def test_goes_and_comes(self) -> None:
        """An admin would not read when a store went and when it was back, or read it again and again."""
        self.monitor.found()
        self.assertEqual((self.said(), self.value("up"), self.monitor.problem), ([], 1, ""))
        self.clock.advance(7)
        for _ in range(5):
            self.monitor.lost("redis://x/0: connection refused", since=5.0)
            self.monitor.lost("no answer in time")
        away = "inbox store redis://x/0 is away: connection refused"
        self.assertEqual(self.said(), [(LogLevel.error, away)])
        self.assertEqual((self.monitor.problem, self.value("up")), (away, 0))
        self.clock.advance(58)
        for _ in range(5):
            self.monitor.found()
        back = (LogLevel.warn, "inbox store redis://x/0 is back after 60 s")
        self.assertEqual((self.said(), self.value("up"), self.monitor.problem), ([back], 1, ""))

    def test_up_is_found_out(self) -> None:
        """A store that was never asked would pass for one that is there."""
        self.assertEqual(self.value("up"), 0)

    def test_answers_are_counted(self) -> None:
        """A slow store could not be told from a fast one."""
        answer: Deferred[str] = Deferred()
        asked = self.ask(answer)
        self.clock.advance(0.04)
        answer.callback("answer")
        self.assertEqual(self.successResultOf(asked), "answer")
        self.assertEqual(self.value("seconds_bucket", le="0.02"), 0)
        self.assertEqual(self.value("seconds_bucket", le="0.05"), 1)
        self.assertEqual((self.value("failures_total"), self.suspected), (0, 0))

    def test_failures_are_counted(self) -> None:
        """A store that fails would look fast, or not be examined."""
        asked = self.ask(fail(StoreUnavailable("away")))
        self.failureResultOf(asked, StoreUnavailable)
        self.assertEqual((self.value("failures_total"), self.suspected), (1, 1))
        self.assertEqual(self.value("seconds_count"), 0)

    def test_errors_of_the_question(self) -> None:
        """A name that is taken would count as a failure of the store."""
        self.failureResultOf(self.ask(fail(KeyError())), KeyError)
        self.assertEqual((self.value("failures_total"), self.suspected), (0, 0))

    def test_fails_though_it_is_there(self) -> None:
        """A full disk would leave no line in the log, or one for each command."""
        for _ in range(3):
            for _ in range(10):
                self.monitor.failed("redis://x/0: the disk is full")
            self.monitor.found()
            self.clock.advance(29)
        line = (LogLevel.warn, "inbox store redis://x/0 failed: the disk is full")
        self.assertEqual(self.said(), [line])
        self.monitor.failed("it still is")
        self.monitor.found()
        self.assertEqual(len(self.said()), 1)

    def test_failures_of_an_absence(self) -> None:
        """An absence would be followed by a line about commands that it made fail."""
        self.monitor.failed("connection lost")
        self.monitor.lost("connection lost")
        self.monitor.failed("no answer in time")
        self.monitor.found()
        self.assertEqual(len(self.said()), 2)

    def test_uncounted(self) -> None:
        """An admin's command could not use a store."""
        monitor = StoreMonitor(URL)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(monitor.track(succeed(1)))), 1)
        monitor.failed("x")
        monitor.lost("x")
        self.assertEqual(monitor.problem, "store redis://x/0 is away: x")
        monitor.found()
