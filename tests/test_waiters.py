"""Several that wait for the same thing."""

from __future__ import annotations

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.waiters import Turns, Waiters


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


class TurnsTests(SynchronousTestCase):
    """Turns."""

    def setUp(self) -> None:
        self.turns = Turns[str]()
        self.inside: list[str] = []

    async def hold(self, name: str, until: Deferred[None]) -> None:
        """Have a turn until a Deferred fires."""
        async with self.turns.turn("key"):
            self.inside.append(name)
            await until
            self.inside.remove(name)

    def begin(self, name: str, until: Deferred[None]) -> Deferred[None]:
        """Ask for a turn."""
        return Deferred.fromCoroutine(self.hold(name, until))

    def test_one_after_another(self) -> None:
        """Two would do something with one message at the same time, or the last of them wait for ever."""
        gates: list[Deferred[None]] = [Deferred() for _ in range(3)]
        asked = [self.begin(str(n), gate) for n, gate in enumerate(gates)]
        for n, gate in enumerate(gates):
            self.assertEqual(self.inside, [str(n)])
            gate.callback(None)
            self.successResultOf(asked[n])
        self.assertEqual((self.inside, self.turns._locks), ([], {}))

    def test_one_that_ends_at_once(self) -> None:
        """Two could be inside, where one that waited has ended its turn before the one before it is out."""
        first: Deferred[None] = Deferred()
        third: Deferred[None] = Deferred()
        firsts = self.begin("first", first)
        second = self.begin("second", succeed(None))
        thirds: list[Deferred[None]] = []
        second.addCallback(lambda _: thirds.append(self.begin("third", third)))
        first.callback(None)
        self.assertEqual(self.inside, ["third"])
        fourth = self.begin("fourth", succeed(None))
        self.assertEqual(self.inside, ["third"])
        third.callback(None)
        for done in (firsts, *thirds, fourth):
            self.successResultOf(done)
        self.assertEqual((self.inside, self.turns._locks), ([], {}))
