"""Limits on a clock of the test's own."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.limits import LoginThrottle, MessageRate, Rate, RegistrationLimit, parse_rate

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


class MessageRateTests(SynchronousTestCase):
    """Messages of an account."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.limit = MessageRate(Rate(2, 10), self.clock.seconds, size=3)

    def spend(self, uid: int, messages: int) -> list[float]:
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
        self.limit = MessageRate(Rate(0, 0), self.clock.seconds)
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
        limit = MessageRate(Rate(2, 10), clock.seconds)
        for sent, pause in enumerate(pauses, 1):
            clock.advance(pause)
            clock.advance(limit.delay(1))
            self.assertLessEqual(sent, 10 + 2 * clock.seconds() + 1e-6)


class LoginThrottleTests(SynchronousTestCase):
    """Failed log-ins of an account and of an address."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.throttle = LoginThrottle(self.clock.seconds)

    def failures(self, address: str, uid: int | None, times: int) -> None:
        for _ in range(times):
            self.throttle.failed(address, uid)

    def test_first_failures_are_free(self) -> None:
        """Mistyping a password a few times would make a user wait."""
        self.failures(HERE, 1, 5)
        self.assertEqual(self.throttle.wait(HERE, 1), 0.0)

    def test_growing_delays(self) -> None:
        """A password could be guessed as fast as the server can hash."""
        self.failures(HERE, 1, 5)
        delays = []
        for _ in range(9):
            self.throttle.failed(HERE, 1)
            delays.append(self.throttle.wait(HERE, 1))
            self.clock.advance(delays[-1])
        self.assertEqual(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60])

    def test_never_locked_out(self) -> None:
        """A million failures would lock an account's owner out for good, or overflow."""
        self.failures(HERE, 1, 5000)
        self.assertEqual(self.throttle.wait(THERE, 1), 60)
        self.clock.advance(60)
        self.assertEqual(self.throttle.wait(THERE, 1), 0.0)

    def test_side_by_side(self) -> None:
        """Guesses on many connections at once would all pass before the first one fails."""
        self.failures(HERE, 1, 8)
        self.clock.advance(4)
        self.assertEqual(self.throttle.wait(HERE, 1), 0.0)
        self.assertEqual(self.throttle.wait(THERE, 1), 4)

    def test_refused_by_address_takes_no_turn(self) -> None:
        """An address that must wait could keep an account's owner waiting as well."""
        self.failures(THERE, 1, 8)
        self.failures(HERE, None, 25)
        self.clock.advance(4)
        self.assertGreater(self.throttle.wait(HERE, 1), 0)
        self.assertEqual(self.throttle.wait(THERE, 1), 0.0)

    def test_success_forgives_the_account(self) -> None:
        """An owner who got in would still pay for failures at the next log-in."""
        self.failures(HERE, 1, 8)
        self.throttle.succeeded(HERE, 1)
        self.assertEqual(self.throttle.wait(HERE, 1), 0.0)
        self.failures(HERE, 1, 5)
        self.assertEqual(self.throttle.wait(HERE, 1), 0.0)

    def test_address_budget(self) -> None:
        """One address could try a common password on every account."""
        for uid in range(20):
            self.throttle.failed(HERE, uid)
        self.assertEqual(self.throttle.wait(HERE, 100), 0.0)
        self.throttle.failed(HERE, 100)
        self.assertEqual(self.throttle.wait(HERE, 101), 1.0)
        self.assertEqual(self.throttle.wait(THERE, 101), 0.0)

    def test_success_does_not_forgive_the_address(self) -> None:
        """Who has one account could go on guessing at all others."""
        self.failures(HERE, None, 21)
        self.throttle.succeeded(HERE, 1)
        self.assertEqual(self.throttle.wait(HERE, 1), 1.0)

    def test_tokens_are_exempt(self) -> None:
        """Somebody else's failures would keep a client with a token from coming back."""
        self.failures(HERE, 1, 20)
        self.assertEqual(self.throttle.wait(HERE, None), 0.0)
        self.failures(THERE, None, 20)
        self.assertEqual(self.throttle.wait(THERE, 2), 0.0)

    def test_forgotten(self) -> None:
        """Failures of last week would still count."""
        self.failures(HERE, 1, 100)
        self.clock.advance(901)
        self.assertEqual(self.throttle.wait(HERE, 1), 0.0)
        self.failures(HERE, 1, 5)
        self.assertEqual(self.throttle.wait(HERE, 1), 0.0)

    def test_bounded(self) -> None:
        """Failures for made-up accounts would fill the memory, or forget the one under attack."""
        self.throttle = LoginThrottle(self.clock.seconds, size=3)
        self.failures(HERE, 1, 10)
        for uid in range(100, 150):
            self.throttle.failed(f"198.51.100.{uid}", uid)
            self.assertGreater(self.throttle.wait(THERE, 1), 0)

    def test_ipv6_network(self) -> None:
        """A customer's 2**64 addresses would have as many budgets."""
        for host in range(25):
            self.throttle.failed(f"2001:db8::{host}", None)
        self.assertGreater(self.throttle.wait("2001:db8::ffff:1", None), 0)
        self.assertEqual(self.throttle.wait("2001:db8:0:1::1", None), 0.0)

    def test_ipv4_inside_ipv6(self) -> None:
        """All IPv4 peers of a dual-stack socket would share one budget, or each have two."""
        self.failures("::ffff:192.0.2.1", None, 25)
        self.assertGreater(self.throttle.wait(HERE, None), 0)
        self.assertEqual(self.throttle.wait("::ffff:192.0.2.2", None), 0.0)

    def test_other_addresses(self) -> None:
        """A peer of a UNIX socket or of a link-local address would end in a traceback."""
        for address in ("", "unix", "fe80::1%eth0", "not an address"):
            self.failures(address, None, 25)
            self.assertGreater(self.throttle.wait(address, None), 0)


class RegistrationLimitTests(SynchronousTestCase):
    """Registrations from an address."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.limit = RegistrationLimit(self.clock.seconds)

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
