"""What is said now and then."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.seldom import Seldom


class SeldomTests(SynchronousTestCase):
    def test_counts(self) -> None:
        """The log would have a line for each message, or not say how many it leaves out."""
        clock = Clock()
        seldom = Seldom(clock.seconds, 10)
        self.assertEqual([seldom.count() for _ in range(4)], [1, 0, 0, 0])
        clock.advance(9.9)
        self.assertEqual(seldom.count(), 0)
        clock.advance(0.1)
        self.assertEqual([seldom.count(), seldom.count()], [5, 0])
