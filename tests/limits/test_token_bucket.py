"""Limits on a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.limits.token_bucket import Rate, RateLimiter, RegistrationLimit, parse_rate

HERE = "192.0.2.1"
THERE = "192.0.2.2"


class ParseRateTests(SynchronousTestCase):
    """The option `--rate`."""

    def test_rates(self) -> None:
        """The documented forms of the option would not mean what they say."""
        for text, rate in {
            "20/100": Rate(20, 100),
            "20": Rate(20, 100),
            "2.5": Rate(2.5, 12.5),
            "0.1": Rate(0.1, 1),
            "0.5/1.5": Rate(0.5, 1.5),
        }.items():
            self.assertEqual(parse_rate(text), rate)

    def test_no_limit(self) -> None:
        """The limit could not be switched off."""
        for text in ("0", "0.0", "0/0", "0/100"):
            self.assertEqual(parse_rate(text).per_second, 0)

    def test_nonsense(self) -> None:
        """A slip of the pen would start a server without, or with an impossible, limit."""
        for text in (
            *("", "/", "20/", "/5", "a", "-1", "5/-1", "nan", "inf", "1e3", "1_0", "20 /100"),
            *("5/0", "5/0.5", "1/2/3", "２０", ".5", "5.", "9" * 400, "1/" + "9" * 400, "5\n"),
        ):
            problem = self.assertRaises(ValueError, parse_rate, text)
            self.assertEqual(len(str(problem).splitlines()), 1)

    @given(st.text("0123456789./-einfa ", max_size=8))
    def test_all_or_nothing(self, text: str) -> None:
        """Some text would end in another exception, or in a rate that lets nothing pass."""
        try:
            rate = parse_rate(text)
        except ValueError:
            return
        self.assertTrue(rate.per_second == 0 or rate.burst >= 1)


class RateLimiterTests(SynchronousTestCase):
    """Messages of an account."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.limit: RateLimiter[int] = RateLimiter(Rate(2, 10), self.clock.seconds, size=3)

    def spend(self, uid: int, messages: int) -> list[float]:
        """Count messages of an account; return the delays."""
        return [self.limit.delay(uid) for _ in range(messages)]

    def test_burst(self) -> None:
        """Pasting a few lines would already slow a user down."""
        self.assertEqual(self.spend(1, 10), [0.0] * 10)

    def test_past_the_burst(self) -> None:
        """One account could take the server from all others."""
        self.spend(1, 10)
        self.assertEqual(self.spend(1, 3), [0.5, 1.0, 1.5])

    def test_refill(self) -> None:
        """A user once too fast would stay slow, or could save up a larger burst."""
        self.spend(1, 12)
        self.clock.advance(1)
        self.assertEqual(self.spend(1, 1), [0.5])
        self.clock.advance(1000)
        self.assertEqual(self.spend(1, 11), [0.0] * 10 + [0.5])

    def test_accounts_are_apart(self) -> None:
        """One user's flood would slow down another."""
        self.spend(1, 20)
        self.assertEqual(self.spend(2, 1), [0.0])

    def test_no_limit(self) -> None:
        """`--rate 0` would limit."""
        self.limit = RateLimiter(Rate(0, 0), self.clock.seconds)
        self.assertEqual(self.spend(1, 1000), [0.0] * 1000)

    def test_busy_accounts_are_remembered(self) -> None:
        """A flood from many accounts would refill the bucket of one that keeps sending."""
        self.spend(1, 20)
        for other in range(100, 150):
            self.spend(other, 1)
            self.assertGreater(self.limit.delay(1), 0)

    def test_bounded(self) -> None:
        """Accounts that come once would fill the memory."""
        self.spend(1, 20)
        for other in (2, 3, 4):
            self.spend(other, 1)
        self.assertEqual(self.limit.delay(1), 0.0)

    @given(st.lists(st.floats(0, 2), max_size=60))
    def test_long_run(self, pauses: list[float]) -> None:
        """Who obeys the delays could still send more than the burst and the rate allow."""
        clock = Clock()
        limit: RateLimiter[int] = RateLimiter(Rate(2, 10), clock.seconds)
        for sent, pause in enumerate(pauses, 1):
            clock.advance(pause)
            clock.advance(limit.delay(1))
            self.assertLessEqual(sent, 10 + 2 * clock.seconds() + 1e-6)


class RegistrationLimitTests(SynchronousTestCase):
    """Registrations from an address."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.limit = RegistrationLimit(Rate(1 / 30, 20), self.clock.seconds)

    def test_a_class_room(self) -> None:
        """A team behind one address could not register together."""
        for _ in range(20):
            self.assertEqual(self.limit.wait(HERE), 0.0)
            self.limit.registered(HERE)

    def test_then_one_by_one(self) -> None:
        """One address could fill the table of accounts."""
        for _ in range(20):
            self.limit.registered(HERE)
        self.assertAlmostEqual(self.limit.wait(HERE), 30)
        self.assertEqual(self.limit.wait(THERE), 0.0)
        self.clock.advance(30.001)
        self.assertEqual(self.limit.wait(HERE), 0.0)
        self.limit.registered(HERE)
        self.assertGreater(self.limit.wait(HERE), 29)

    def test_ipv6_network(self) -> None:
        """A customer's 2**64 addresses would have as many budgets."""
        for host in range(20):
            self.limit.registered(f"2001:db8::{host}")
        self.assertGreater(self.limit.wait("2001:db8::ffff"), 0)
