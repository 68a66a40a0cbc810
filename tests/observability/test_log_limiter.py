"""Limits of log lines."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.limits.token_bucket import Rate
from chatsvc.observability.log_limiter import Allowed, KeyedLogLimiter, LogLimiter


class LogLimiterTests(SynchronousTestCase):
    """One line in some seconds."""

    def test_counts(self) -> None:
        """The log would have a line for each message, or not say how many it leaves out."""
        clock = Clock()
        limiter = LogLimiter(clock.seconds, 10)
        self.assertEqual([limiter.hit() for _ in range(4)], [1, 0, 0, 0])
        clock.advance(9.9)
        self.assertEqual(limiter.hit(), 0)
        clock.advance(0.1)
        self.assertEqual([limiter.hit(), limiter.hit()], [5, 0])


class KeyedLogLimiterTests(SynchronousTestCase):
    """What is said now and then of each."""

    def setUp(self) -> None:
        self.clock = Clock()

    def limiter(self, total: Rate | None = None, size: int = 100) -> KeyedLogLimiter[str]:
        """Make a limiter that passes one hit a minute for each key."""
        return KeyedLogLimiter(self.clock.seconds, Rate(1 / 60, 1), total, size)

    def test_each(self) -> None:
        """One who does something all the time would fill the log, or keep others out of it."""
        limiter = self.limiter()
        self.assertEqual([limiter.hit("a") for _ in range(3)], [Allowed(1, 0), None, None])
        self.assertEqual(limiter.hit("b"), Allowed(1, 0))
        self.clock.advance(59.9)
        self.assertIsNone(limiter.hit("a"))
        self.clock.advance(0.2)
        self.assertEqual([limiter.hit("a"), limiter.hit("a")], [Allowed(4, 0), None])

    def test_graver(self) -> None:
        """What an admin should look at would not be said because something harmless was said before it."""
        limiter = self.limiter()
        self.assertEqual(limiter.hit("a"), Allowed(1, 0))
        self.assertEqual(limiter.hit("a", severity=1), Allowed(1, 0))
        self.assertEqual([limiter.hit("a", severity=n) for n in (1, 0, 1)], [None] * 3)
        self.clock.advance(60.1)
        self.assertIsNone(limiter.hit("a"), "a second line has used up this minute's")
        self.clock.advance(60.1)
        self.assertEqual(limiter.hit("a"), Allowed(5, 0))

    def test_total(self) -> None:
        """A net of machines would fill the log, each with its first line, or nobody would know how many there are."""
        limiter = self.limiter(Rate(1, 5))
        said = [limiter.hit(f"{n}") for n in range(100)]
        self.assertEqual(said, [Allowed(1, 0)] * 5 + [None] * 95)
        self.clock.advance(1.1)
        self.assertEqual([limiter.hit("x"), limiter.hit("y")], [Allowed(1, 95), None])

    def test_bounded(self) -> None:
        """Ever new addresses would fill the memory, or what they did be forgotten."""
        limiter = self.limiter(Rate(1e6, 1e6), size=10)
        for _ in range(2):
            for n in range(10):
                limiter.hit(f"{n}")
        for _ in range(2):
            for n in range(10, 15):
                limiter.hit(f"{n}")
        for kept in (limiter._suppressed, limiter._highest, limiter._each._empty_at):
            self.assertLessEqual(len(kept), 10)
        said = limiter.hit("new")
        assert said is not None
        self.assertEqual(said.others + sum(limiter._suppressed.values()), 15)
