"""Several that wait for the same thing."""

from __future__ import annotations

from twisted.internet.defer import CancelledError
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.waiters import Waiters


class WaitersTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.waiters = Waiters[int]()

    def test_fire(self) -> None:
        """Somebody would wait for ever, be released twice, or not in turn."""
        order: list[tuple[str, int]] = []

        def released(result: int, name: str) -> None:
            order.append((name, result))

        for name in "ab":
            self.waiters.wait().addCallback(released, name)
        self.waiters.fire(1)
        self.waiters.fire(2)
        self.assertEqual(order, [("a", 1), ("b", 1)])

    def test_wait_again(self) -> None:
        """Somebody who waits anew as soon as it is released would be released for ever."""
        again = self.waiters.wait().addCallback(lambda _: self.waiters.wait())
        self.waiters.fire(1)
        self.assertNoResult(again)
        self.waiters.fire(2)
        self.assertEqual(self.successResultOf(again), 2)

    def test_cancelled(self) -> None:
        """A time-out would leave somebody in the list, or take another one out of it."""
        first, second = self.waiters.wait(), self.waiters.wait()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.waiters.fire(1)
        self.assertEqual(self.successResultOf(second), 1)

    def test_cancelled_meanwhile(self) -> None:
        """One that is cancelled by another's release would be released all the same."""
        first, second = self.waiters.wait(), self.waiters.wait()
        first.addCallback(lambda _: second.cancel())
        self.waiters.fire(1)
        self.failureResultOf(second, CancelledError)
