"""The clock of programs that may be stopped."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.transport.awake_clock import AwakeClock


class AwakeClocks(SynchronousTestCase):
    """On seconds of the test's own."""

    def setUp(self) -> None:
        self.now = 1000.0
        self.clock = AwakeClock(lambda: self.now)
        self.began = self.clock()

    def passed(self, *steps: float) -> float:
        """Seconds that have passed by the clock, which is asked after each step."""
        for step in steps:
            self.now += step
            self.clock()
        return self.clock() - self.began

    def test_awake(self) -> None:
        """A program would wait longer than it says."""
        self.assertAlmostEqual(self.passed(*[1.0] * 30, 1.7), 31.7)

    def test_stopped(self) -> None:
        """A program that was stopped would find its time over before it reads what came in time."""
        self.assertAlmostEqual(self.passed(1.0, 3600.0, 1.0, 5.0, 1.0), 3.0)
