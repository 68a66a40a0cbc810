"""A server that hangs, or only seems to."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.transport.heartbeat import IDLE, Heartbeat

PATIENCE = 15.0


class Heartbeats(SynchronousTestCase):
    """A connection whose time is the test's."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.owed: float | None = None
        self.pings = self.hangs = 0
        self.heartbeat = Heartbeat(self.clock, lambda: self.owed, self.ping, self.hung)

    def ping(self) -> None:
        self.pings += 1
        self.owed = PATIENCE

    def hung(self) -> None:
        self.hangs += 1

    def answer(self) -> None:
        """The server answers all that it owes."""
        self.owed = None
        self.heartbeat.heard()

    def pass_time(self, seconds: float) -> None:
        self.clock.pump([0.5] * int(2 * seconds))

    def test_nothing_to_say(self) -> None:
        """A server to which nobody has anything to say would never be found to hang, or be taken to."""
        self.pass_time(IDLE - 1)
        self.assertEqual(self.pings, 0)
        self.pass_time(2)
        self.assertEqual(self.pings, 1)
        self.answer()
        self.pass_time(IDLE - 1)
        self.assertEqual(self.pings, 1)
        self.pass_time(2)
        self.assertEqual((self.pings, self.hangs), (2, 0))
        self.pass_time(PATIENCE + 2)
        self.assertEqual((self.pings, self.hangs), (2, 1))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_answer_is_owed(self) -> None:
        """Who asks after a long silence would be cut off before the answer could come, or wait for ever."""
        self.pass_time(IDLE - 2)
        self.owed = PATIENCE
        self.pass_time(PATIENCE - 1)
        self.assertEqual((self.pings, self.hangs), (0, 0))
        self.pass_time(3)
        self.assertEqual(self.hangs, 1)

    def test_signs_of_life(self) -> None:
        """A server that has much to hand over first would be taken to hang."""
        self.owed = PATIENCE
        for _ in range(20):
            self.pass_time(PATIENCE - 2)
            self.heartbeat.heard()
        self.assertEqual((self.pings, self.hangs), (0, 0))

    def test_longer(self) -> None:
        """A log-in that stands in line would be given up, and begin again at the end of the line."""
        self.owed = 60.0
        self.pass_time(59)
        self.assertEqual(self.hangs, 0)
        self.pass_time(3)
        self.assertEqual(self.hangs, 1)

    def test_over(self) -> None:
        """A connection that is gone would be given up once more."""
        self.ping()
        self.heartbeat.stop()
        self.pass_time(100)
        self.assertEqual((self.hangs, self.clock.getDelayedCalls()), (0, []))
