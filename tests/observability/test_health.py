"""A server's health, with stores that answer when the test lets them."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.observability.health import Health
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.url import StoreUnavailable, StoreURL


class HealthTests(SynchronousTestCase):
    """Checks of two stores, on a clock of the test's own."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.asked: dict[str, list[Deferred[None]]] = {"accounts": [], "inbox": []}
        self.monitors = {
            store: StoreMonitor(StoreURL("x", "", redacted="x:"), store, self.clock.seconds)
            for store in self.asked
        }
        self.health = Health(
            self.clock,
            {
                self.monitors["accounts"]: lambda: self.question("accounts"),
                self.monitors["inbox"]: lambda: self.question("inbox"),
            },
        )
        self.addCleanup(self.health.stop)

    def question(self, store: str) -> Deferred[None]:
        """Probe a store; the test answers."""
        answer: Deferred[None] = Deferred()
        self.asked[store].append(answer)
        return answer

    def counts(self) -> list[int]:
        """How often each store was asked."""
        return [len(asked) for asked in self.asked.values()]

    def let(self, store: str, problem: Exception | None = None) -> None:
        """Have a store answer what it was asked last."""
        answer = self.asked[store][-1]
        answer.errback(problem) if problem else answer.callback(None)

    def look(self) -> Deferred[list[str]]:
        """What somebody is told who asks now."""
        return Deferred.fromCoroutine(self.health.problems())

    def test_well(self) -> None:
        """A server that is well would be taken out of service, or be called well before it is known."""
        looks = [self.look(), self.look()]
        self.let("accounts")
        self.assertNoResult(looks[0])
        self.let("inbox")
        self.assertEqual([self.successResultOf(look) for look in looks], [[], []])

    def test_frozen(self) -> None:
        """Who asks for the health would wait as long as a frozen store, or make it work more each time."""
        self.health.start()
        self.let("accounts")
        looks = [self.look() for _ in range(100)]
        self.let("accounts")
        self.assertEqual(self.counts(), [2, 1])
        self.clock.advance(1.5)
        for look in looks:
            self.assertEqual(self.successResultOf(look), ["inbox store x: does not answer"])
        self.clock.pump([1.0] * 10)
        late = self.look()
        self.clock.advance(0)
        self.assertEqual(len(self.successResultOf(late)), 2, "at once: it is known by now")
        self.assertEqual(self.counts(), [3, 1])

    def test_both_frozen(self) -> None:
        """Who asks for the health would wait for one store after the other."""
        look = self.look()
        self.clock.advance(1.5)
        self.assertEqual(len(self.successResultOf(look)), 2)

    def test_away(self) -> None:
        """A store that is away would pass for one that is there, or never be found again."""
        look = self.look()
        self.let("accounts")
        self.let("inbox", StoreUnavailable("refused"))
        self.assertEqual(self.successResultOf(look), ["inbox store x: is away: refused"])
        look = self.look()
        self.let("accounts")
        self.let("inbox")
        self.assertEqual(self.successResultOf(look), [])

    def test_broken(self) -> None:
        """A table that somebody dropped would pass for a store that is well, or fill the log."""
        for _ in range(2):
            look = self.look()
            self.let("inbox")
            self.let("accounts", KeyError("words"))
            (line,) = self.successResultOf(look)
            self.assertEqual(line, "accounts store x: is away: KeyError")
        (failure,) = self.flushLoggedErrors()
        self.assertNotIn("words", failure.getErrorMessage())

    def test_rounds(self) -> None:
        """Nobody would learn that a store went away while nobody needs it, or that it is back."""
        self.health.start()
        self.let("inbox", StoreUnavailable("away"))
        self.assertTrue(self.monitors["inbox"].problem)
        self.clock.advance(2)
        self.assertEqual(self.counts(), [1, 2])
        self.let("inbox")
        self.assertFalse(self.monitors["inbox"].problem)

    def test_suspicion(self) -> None:
        """A store that fails would be examined only when its turn comes."""
        self.health.start()
        self.let("inbox")
        self.monitors["inbox"].failed("x")
        self.monitors["inbox"].failed("x")
        self.assertEqual(self.counts(), [1, 2])

    def test_draining(self) -> None:
        """A balancer would send people to a server that is stopping."""
        self.health.drain()
        self.assertEqual(self.successResultOf(self.look()), ["draining"])
        self.assertEqual(self.counts(), [0, 0])

    def test_stopped(self) -> None:
        """A store would be asked after it was closed, or its closing be taken for its absence."""
        self.health.start()
        look = self.look()
        self.health.stop()
        self.assertEqual(self.successResultOf(look), [])
        self.monitors["inbox"].failed("closed")
        self.clock.advance(10)
        self.assertEqual(self.counts(), [1, 1])
        self.assertFalse(self.monitors["inbox"].problem)
        self.assertEqual(self.clock.getDelayedCalls(), [])
