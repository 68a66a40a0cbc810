"""What is said now and then."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.limits.token_bucket import Rate
from chatsvc.observability.log_limiter import Allowed, KeyedLogLimiter, LogLimiter


class SeldomTests(SynchronousTestCase):
    def test_counts(self) -> None:
        """The log would have a line for each message, or not say how many it leaves out."""
        clock = Clock()
        seldom = LogLimiter(clock.seconds, 10)
        self.assertEqual([seldom.hit() for _ in range(4)], [1, 0, 0, 0])
        clock.advance(9.9)
        self.assertEqual(seldom.hit(), 0)
        clock.advance(0.1)
        self.assertEqual([seldom.hit(), seldom.hit()], [5, 0])


class SeldomEachTests(SynchronousTestCase):
    """What is said now and then of each."""

    def setUp(self) -> None:
        self.clock = Clock()

    def seldom(self, total: Rate | None = None, size: int = 100) -> KeyedLogLimiter[str]:
        return KeyedLogLimiter(self.clock.seconds, Rate(1 / 60, 1), total, size)

    def test_each(self) -> None:
        """One who does something all the time would fill the log, or keep others out of it."""
        seldom = self.seldom()
        self.assertEqual([seldom.hit("a") for _ in range(3)], [Allowed(1, 0), None, None])
        self.assertEqual(seldom.hit("b"), Allowed(1, 0))
        self.clock.advance(59.9)
        self.assertIsNone(seldom.hit("a"))
        self.clock.advance(0.2)
        self.assertEqual([seldom.hit("a"), seldom.hit("a")], [Allowed(4, 0), None])

    def test_graver(self) -> None:
        """What an admin should look at would not be said because something harmless was said before it."""
        seldom = self.seldom()
        self.assertEqual(seldom.hit("a"), Allowed(1, 0))
        self.assertEqual(seldom.hit("a", gravity=1), Allowed(1, 0))
        self.assertEqual([seldom.hit("a", gravity=n) for n in (1, 0, 1)], [None] * 3)
        self.clock.advance(60.1)
        self.assertIsNone(seldom.hit("a"), "a second line has used up this minute's")
        self.clock.advance(60.1)
        self.assertEqual(seldom.hit("a"), Allowed(5, 0))

    def test_total(self) -> None:
        """A net of machines would fill the log, each with its first line, or nobody would know how many there are."""
        seldom = self.seldom(Rate(1, 5))
        said = [seldom.hit(f"{n}") for n in range(100)]
        self.assertEqual(said, [Allowed(1, 0)] * 5 + [None] * 95)
        self.clock.advance(1.1)
        self.assertEqual([seldom.hit("x"), seldom.hit("y")], [Allowed(1, 95), None])

    def test_bounded(self) -> None:
        """Ever new addresses would fill the memory, or what they did be forgotten."""
        seldom = self.seldom(Rate(1e6, 1e6), size=10)
        for _ in range(2):
            for n in range(10):
                seldom.hit(f"{n}")
        for _ in range(2):
            for n in range(10, 15):
                seldom.hit(f"{n}")
        for kept in (seldom._unsaid, seldom._gravest, seldom._each._empty_at):
            self.assertLessEqual(len(kept), 10)
        said = seldom.hit("new")
        assert said is not None
        self.assertEqual(said.others + sum(seldom._unsaid.values()), 15)
