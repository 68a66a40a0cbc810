"""Log-in throttling, on a clock of the test's own."""

from __future__ import annotations

from itertools import count
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.limits.login_throttle import (
    FreeAttempts,
    LoginThrottle,
    Throttled,
    parse_free_attempts,
)
from chatsvc.limits.wait_list import Caller

HERE = "192.0.2.1"
THERE = "192.0.2.2"
OWNER = 1
_CONNECTIONS = count(1)


class ParseFreeAttemptsTests(SynchronousTestCase):
    """The option `--login-tries`."""

    def test_tries(self) -> None:
        """The option would not mean what it says."""
        self.assertEqual(parse_free_attempts("3/40"), FreeAttempts(account=3, address=40))

    def test_nonsense(self) -> None:
        """A slip of the pen would start a server that throttles nobody, or everybody."""
        for text in ("", "5", "5/", "/20", "5/20/1", "-1/2", "a/b", "1.5/2", "５/20", "1/9999999"):
            self.assertRaises(ValueError, parse_free_attempts, text)


class Try:
    """A try whose end the test decides; ``state`` is begun, waiting or refused."""

    def __init__(
        self, throttle: LoginThrottle, address: str, uid: int | None, connection: int = 0
    ) -> None:
        self._end: Deferred[bool | None] = Deferred()
        self.seconds = 0.0
        self.state = "waiting"
        self.going = Deferred.fromCoroutine(
            self._go(throttle, Caller.at(address, connection or next(_CONNECTIONS)), uid)
        )

    async def _go(self, throttle: LoginThrottle, caller: Caller, uid: int | None) -> None:
        try:
            async with throttle.turn(caller, uid) as turn:
                self.state = "begun"
                right = await self._end
                if right:
                    turn.succeeded()
                elif right is False:
                    turn.failed()
                self.state = "ended"
        except Throttled as throttled:
            self.state = "refused"
            self.seconds = throttled.seconds

    def end(self, right: bool | None) -> None:
        """The try turns out to be right or wrong, or, with None, was not judged."""
        self._end.callback(right)


class LoginThrottleTests(SynchronousTestCase):
    """Attempts that fail, and what they cost whom."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.make()

    def make(self, **more: Any) -> None:
        """Make a throttle."""
        self.throttle = LoginThrottle(FreeAttempts(), self.clock.seconds, **more)

    def begin(self, address: str = HERE, uid: int | None = OWNER) -> Try:
        """Begin a try."""
        return Try(self.throttle, address, uid)

    def fail_often(self, times: int, address: str = HERE, uid: int | None = OWNER) -> None:
        """Fail so often, however long that takes."""
        for _ in range(times):
            attempt = self.begin(address, uid)
            while attempt.state == "refused":
                self.clock.advance(attempt.seconds)
                attempt = self.begin(address, uid)
            attempt.end(False)

    def wait(self, address: str = HERE, uid: int | None = OWNER) -> float:
        """Seconds until a try is allowed."""
        attempt = self.begin(address, uid)
        if attempt.state == "begun":
            attempt.end(None)
        return attempt.seconds

    # One after another

    def test_first_failures_are_free(self) -> None:
        """Mistyping a password a few times would make a user wait."""
        self.fail_often(5)
        self.assertEqual(self.wait(), 0.0)

    def test_growing_delays(self) -> None:
        """A password could be guessed as fast as the server can hash."""
        delays = []
        self.fail_often(5)
        for address in range(9):
            self.fail_often(1, f"198.51.100.{address}")
            delays.append(self.wait(THERE))
        self.assertEqual(delays, [1, 2, 4, 8, 16, 32, 60, 60, 60])

    def test_never_locked_out(self) -> None:
        """A thousand failures would lock an account's owner out for good, or overflow."""
        self.fail_often(1000)
        self.assertEqual(self.wait(THERE), 60)
        self.clock.advance(60)
        self.assertEqual(self.wait(THERE), 0.0)

    def test_success_forgives_the_account(self) -> None:
        """An owner who got in would still pay for failures at the next log-in."""
        self.fail_often(5)
        self.begin().end(True)
        self.fail_often(5)
        self.assertEqual(self.wait(), 0.0)

    def test_address_budget(self) -> None:
        """One address could try a common password on every account."""
        for uid in range(20):
            self.fail_often(1, uid=uid)
        self.assertEqual(self.wait(uid=100), 0.0)
        self.fail_often(1, uid=100)
        self.assertEqual(self.wait(uid=101), 1.0)
        self.assertEqual(self.wait(THERE, 101), 0.0)

    def test_success_does_not_forgive_the_address(self) -> None:
        """Who has one account could go on guessing at all others."""
        self.fail_often(20, uid=None)
        self.begin().end(True)
        self.fail_often(1, uid=None)
        self.assertEqual(self.wait(uid=2), 1.0)

    def test_what_was_not_judged(self) -> None:
        """A store that is away would use up the tries of those who come meanwhile."""
        for _ in range(30):
            self.begin().end(None)
        self.assertEqual(self.wait(), 0.0)

    def test_forgotten(self) -> None:
        """Failures of last week would still count."""
        self.fail_often(12)
        self.clock.advance(901)
        self.fail_often(5)
        self.assertEqual(self.wait(), 0.0)

    def test_owner_is_known(self) -> None:
        """Strangers who guess without end would keep an owner out at home."""
        self.begin(THERE).end(True)
        self.fail_often(20, HERE)
        self.assertGreater(self.wait(HERE), 0)
        self.assertEqual(self.wait(THERE), 0.0)

    def test_owner_who_fails(self) -> None:
        """Who knows where an owner lives could guess from there without end."""
        self.begin(THERE).end(True)
        self.fail_often(6, THERE)
        self.assertEqual(self.wait(THERE), 1.0)
        self.assertEqual(self.wait("198.51.100.1"), 0.0)

    def test_bounded(self) -> None:
        """Failures for made-up accounts would fill the memory, or forget the one under attack."""
        self.make(size=3, longest=10_000)
        self.fail_often(15)
        for uid in range(100, 150):
            self.fail_often(1, f"198.51.100.{uid}", uid)
            self.assertGreater(self.wait(THERE), 0)

    def test_ipv6_network(self) -> None:
        """A customer's 2**64 addresses would have as many budgets."""
        for host in range(21):
            self.fail_often(1, f"2001:db8::{host:x}", None)
        self.assertGreater(self.wait("2001:db8::ffff:1", None), 0)
        self.assertEqual(self.wait("2001:db8:0:1::1", None), 0.0)

    def test_ipv4_inside_ipv6(self) -> None:
        """All IPv4 peers of a dual-stack socket would share one budget, or each have two."""
        self.fail_often(21, "::ffff:192.0.2.1", None)
        self.assertGreater(self.wait(HERE, None), 0)
        self.assertEqual(self.wait("::ffff:192.0.2.2", None), 0.0)

    def test_other_addresses(self) -> None:
        """A peer of a UNIX socket or of a link-local address would end in a traceback."""
        for address in ("", "unix", "fe80::1%eth0", "not an address"):
            self.fail_often(21, address, None)
            self.assertGreater(self.wait(address, None), 0)

    # Side by side

    def test_side_by_side(self) -> None:
        """Guesses on many connections at once would all be judged before the first one has failed."""
        tries = [self.begin(f"198.51.100.{i}") for i in range(100)]
        self.assertEqual([t.state for t in tries].count("begun"), 6)
        judged = 0
        for attempt in tries:
            if attempt.state == "begun":
                judged += 1
                attempt.end(False)
        self.assertEqual(judged, 6)
        self.assertEqual({t.state for t in tries[6:]}, {"refused"})

    def test_one_at_a_time_past_the_budget(self) -> None:
        """After the delay, guesses that wait for it together would all be judged."""
        self.fail_often(8)
        self.clock.advance(60)
        first, second = self.begin(), self.begin(THERE)
        self.assertEqual((first.state, second.state), ("begun", "waiting"))
        first.end(False)
        self.assertEqual((second.state, second.seconds), ("refused", 8.0))

    def test_office(self) -> None:
        """Forty colleagues behind one address who come back together would be refused."""
        tries = [self.begin(HERE, uid) for uid in range(40)]
        self.assertEqual([t.state for t in tries], ["begun"] * 21 + ["waiting"] * 19)
        for attempt in tries:
            attempt.end(True)
        self.assertEqual({t.state for t in tries}, {"ended"})

    def test_in_order(self) -> None:
        """Who came first would be let in last."""
        self.fail_often(20, uid=None)
        tries = [self.begin(HERE, uid) for uid in range(5)]
        for done, attempt in enumerate(tries):
            expected = ["ended"] * done + ["begun"] + ["waiting"] * (4 - done)
            self.assertEqual([t.state for t in tries], expected)
            attempt.end(True)

    def test_waits_in_two_lines(self) -> None:
        """A try that waits for its address and its account would begin when only one has room, or never."""
        self.fail_often(20, uid=None)
        self.fail_often(5, THERE)
        other = self.begin(HERE, 2)
        elsewhere = self.begin(THERE)
        both = self.begin(HERE)
        self.assertEqual((elsewhere.state, both.state), ("begun", "waiting"))
        other.end(True)
        self.assertEqual(both.state, "waiting")
        elsewhere.end(True)
        self.assertEqual(both.state, "begun")
        both.end(True)

    def test_gone_while_waiting(self) -> None:
        """A client that hangs up in line would hold up all behind it, or take a turn."""
        self.fail_often(20, uid=None)
        first, second, third = (self.begin(HERE, uid) for uid in (2, 3, 4))
        second.going.cancel()
        self.failureResultOf(second.going, CancelledError)
        first.end(True)
        self.assertEqual(third.state, "begun")
        third.going.cancel()
        self.failureResultOf(third.going, CancelledError)
        self.assertEqual(self.wait(HERE, 5), 0.0)

    def test_nothing_is_left(self) -> None:
        """Each address that was ever tried from would stay in memory."""
        tries = [self.begin(HERE, uid) for uid in range(30)]
        for attempt in tries:
            attempt.end(True)
        for budget in (self.throttle._accounts, self.throttle._addresses):
            self.assertEqual((budget._under_way, budget._queues), ({}, {}))
