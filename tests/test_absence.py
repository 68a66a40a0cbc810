"""A store's absence, as the log hears of it."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.absence import Absence


class AbsenceTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.absence = Absence(self.clock, "Redis")

    def test_said_once(self) -> None:
        """A long absence would fill the log, its end would go unsaid, or nobody learn how long it was."""
        with capturedLogs() as said:
            self.absence.ended(0)
            for _ in range(3):
                self.clock.advance(5)
                self.absence.noticed(self.clock.seconds(), "gone")
            self.clock.advance(2)
            self.absence.ended(self.clock.seconds())
            self.absence.ended(self.clock.seconds())
        shown = [(event["event"], event["log_level"].name) for event in said]
        self.assertEqual(shown, [("store-away", "error"), ("store-back", "warn")])
        self.assertEqual((said[0]["reason"], said[1]["seconds"]), ("gone", 12))

    def test_late_news(self) -> None:
        """Commands that began before a store came back, or went, would call it away and back by turns."""
        with capturedLogs() as said:
            self.clock.advance(5)
            self.absence.noticed(1, "gone")
            self.absence.ended(4)
            self.clock.advance(1)
            self.absence.ended(6)
            self.clock.advance(3)
            self.absence.noticed(4, "gone")
        shown = [(event["event"], event.get("seconds")) for event in said]
        self.assertEqual(shown, [("store-away", None), ("store-back", 1)])
