"""Turns under siege, on a clock of the test's own: who has waited comes before who asks all the time."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.limits.login_throttle import FreeAttempts, LoginThrottle, Throttled
from chatsvc.limits.wait_list import Caller

OWNER = 1
HOME, HOTEL, ELSEWHERE = "192.0.2.1", "198.51.100.1", "203.0.113.1"
LONGEST = 60.0
TICK = 1.0
"""Seconds between two tries of one who polls."""

LATE = 4.0
"""Seconds that a person takes longer than told."""

Guesser = Callable[[], None]


class SiegeTests(SynchronousTestCase):
    """An owner among callers that keep an account throttled."""

    def setUp(self) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.throttle = LoginThrottle(FreeAttempts(), self.clock.seconds, longest=LONGEST)
        self.connections = count(1)
        self.judged = 0

    def ask(self, address: str, connection: int, *, right: bool = False, uid: int = OWNER) -> float:
        """Try once; 0.0: it was judged, else the seconds to wait."""
        caller = Caller.at(address, connection)
        asking = Deferred.fromCoroutine(self._ask(caller, uid, right))
        seconds: float = self.successResultOf(asking)
        return seconds

    async def _ask(self, caller: Caller, uid: int, right: bool) -> float:
        try:
            async with self.throttle.turn(caller, uid) as turn:
                if right:
                    turn.succeeded()
                else:
                    turn.failed()
                    self.judged += 1
        except Throttled as throttled:
            return throttled.seconds
        return 0.0

    # Guessers, each called every tick

    def polling(self, address: str, uid: int = OWNER, connection: int = 0) -> Guesser:
        """One that asks all the time, on one connection."""
        connection = connection or next(self.connections)
        return lambda: self._discard(self.ask(address, connection, uid=uid))

    def reconnecting(self, address: str) -> Guesser:
        """One that asks all the time, each time on a new connection."""
        return lambda: self._discard(self.ask(address, next(self.connections)))

    def never_the_same(self) -> Guesser:
        """One that asks all the time, each time from a new address."""
        addresses = (f"10.{n // 65536 % 256}.{n // 256 % 256}.{n % 256}" for n in count())
        return lambda: self._discard(self.ask(next(addresses), next(self.connections)))

    def waiting(self, address: str, connection: int = 0) -> Guesser:
        """One that comes to the moment when it was told to."""
        connection = connection or next(self.connections)
        due = self.clock.seconds()

        def guess() -> None:
            nonlocal due
            if self.clock.seconds() >= due:
                due = self.clock.seconds() + self.ask(address, connection)

        return guess

    def _discard(self, seconds: float) -> None:
        pass

    def besiege(self, guessers: list[Guesser], seconds: float) -> None:
        """Let guessers guess for a while."""
        for _ in range(int(seconds / TICK)):
            self._tick(guessers)

    def _tick(self, guessers: list[Guesser]) -> None:
        self.clock.advance(TICK)
        for guess in guessers:
            guess()

    def exhaust(self, address: str = ELSEWHERE) -> None:
        """Fail until each try costs the longest wait."""
        connection = next(self.connections)
        for _ in range(20):
            while seconds := self.ask(address, connection):
                self.clock.advance(seconds)

    def seconds_to_enter(
        self, address: str, guessers: list[Guesser], *, reconnects: bool = False
    ) -> float:
        """Seconds until the owner is in, who comes a little later than told; the guessers have the first say."""
        began, connection = self.clock.seconds(), next(self.connections)
        due = began
        while self.clock.seconds() < began + 1000:
            if self.clock.seconds() >= due:
                if reconnects:
                    connection = next(self.connections)
                seconds = self.ask(address, connection, right=True)
                if not seconds:
                    return self.clock.seconds() - began
                due = self.clock.seconds() + seconds + LATE
            self._tick(guessers)
        raise AssertionError("the owner never got in")

    def sieges(self) -> Iterator[tuple[str, list[Guesser]]]:
        """All kinds of guessers that gain nothing, each at its own account that has been guessed at for long."""
        some = [f"203.0.113.{n}" for n in range(2, 30)]
        kinds: dict[str, Callable[[], list[Guesser]]] = {
            "one connection": lambda: [self.polling(ELSEWHERE)],
            "many connections": lambda: [self.polling(ELSEWHERE) for _ in range(30)],
            "reconnecting": lambda: [self.reconnecting(ELSEWHERE)],
            "many addresses": lambda: [self.polling(address) for address in some],
            "ever new addresses": lambda: [self.never_the_same()],
            "one that waits": lambda: [self.waiting(ELSEWHERE)],
            "many that wait": lambda: [self.waiting(ELSEWHERE) for _ in range(20)],
        }
        for name, kind in kinds.items():
            self.setUp()
            self.exhaust()
            guessers = kind()
            self.besiege(guessers, 150)
            yield name, guessers

    def test_new_address(self) -> None:
        """Whoever guesses without end would keep an owner out who comes from where nobody has seen them."""
        for name, guessers in self.sieges():
            seconds = self.seconds_to_enter(HOTEL, guessers)
            self.assertLessEqual(seconds, 2 * LONGEST + 2 * LATE + TICK, name)

    def test_new_address_and_a_lost_connection(self) -> None:
        """An owner whose connection is lost while they wait would wait for ever."""
        for name, guessers in self.sieges():
            seconds = self.seconds_to_enter(HOTEL, guessers, reconnects=True)
            self.assertLessEqual(seconds, 2 * LONGEST + 2 * LATE + TICK, name)

    def test_guesser_behind_the_same_address(self) -> None:
        """A neighbour who guesses would keep an owner out at home."""
        self.ask(HOME, next(self.connections), right=True)
        self.exhaust(HOME)
        guessers = [
            *(self.polling(HOME) for _ in range(20)),
            self.reconnecting(HOME),
            *(self.polling(HOME, uid) for uid in range(100, 120)),
        ]
        self.besiege(guessers, 200)
        self.assertLessEqual(self.seconds_to_enter(HOME, guessers), LONGEST + LATE + TICK)

    def test_guesser_behind_the_same_new_address(self) -> None:
        """A neighbour who guesses would keep out whoever logs in there for the first time."""
        self.exhaust(HOTEL)
        guessers = [self.polling(HOTEL) for _ in range(20)] + [self.reconnecting(HOTEL)]
        self.besiege(guessers, 200)
        self.assertLessEqual(self.seconds_to_enter(HOTEL, guessers), 2 * LONGEST + 2 * LATE)

    def test_known_owner_and_an_address_without_budget(self) -> None:
        """Neighbours who guess at other accounts would keep an owner out at home."""
        self.ask(HOME, next(self.connections), right=True)
        guessers = [self.polling(HOME, uid) for uid in range(100, 150)]
        self.besiege(guessers, 100)
        self.assertGreater(self.ask(HOME, next(self.connections), uid=999), 0)
        self.assertEqual(self.ask(HOME, next(self.connections), right=True), 0.0)

    def test_hoarding(self) -> None:
        """A guesser could wait once on many connections, and then take one turn after another."""
        self.exhaust()
        hoard = [next(self.connections) for _ in range(50)]
        for connection in hoard:
            self.ask(ELSEWHERE, connection)
        self.clock.advance(3 * LONGEST)

        def one_of_the_hoard() -> None:
            hoard.append(hoard.pop(0))
            self.ask(ELSEWHERE, hoard[0])

        guessers = [one_of_the_hoard]
        self.besiege(guessers, TICK)
        self.assertLessEqual(self.seconds_to_enter(HOTEL, guessers), 2 * LONGEST + 2 * LATE + TICK)

    def test_no_more_guesses(self) -> None:
        """More guesses an hour would be judged than one a longest wait, by some mixture of waiting and asking."""
        for name, guessers in self.sieges():
            self.judged = 0
            self.besiege(guessers, 900)
            self.assertLessEqual(self.judged, 900 / LONGEST + 1, name)
        self.assertGreaterEqual(self.judged, 900 / LONGEST - 2, "who waits is judged")

    def test_quiet_again(self) -> None:
        """Long after an attack an owner would still have to come twice."""
        self.exhaust()
        self.besiege([self.polling(ELSEWHERE)], 100)
        self.clock.advance(3 * LONGEST)
        self.assertEqual(self.ask(HOTEL, next(self.connections), right=True), 0.0)

    def test_a_little_early(self) -> None:
        """A clock that is a little fast would begin the wait anew."""
        self.exhaust()
        self.polling(ELSEWHERE)()
        connection = next(self.connections)
        self.clock.advance(self.ask(HOTEL, connection) - 0.05)
        rest = self.ask(HOTEL, connection)
        self.assertAlmostEqual(rest, 0.05)
        self.clock.advance(rest)
        self.assertEqual(self.ask(HOTEL, connection, right=True), 0.0)

    def test_impatience(self) -> None:
        """Who asks too early would be told the time that is left, and so lose nothing by asking all the time."""
        self.exhaust()
        connection = next(self.connections)
        first = self.ask(HOTEL, connection)
        self.clock.advance(first / 2)
        self.assertEqual(self.ask(HOTEL, connection), LONGEST)

    def test_told_at_most(self) -> None:
        """Somebody would be told to come back in an hour."""
        for name, _ in self.sieges():
            for address in (HOTEL, ELSEWHERE):
                self.assertLessEqual(self.ask(address, next(self.connections)), 2 * LONGEST, name)

    def test_bounded(self) -> None:
        """Asking from ever new addresses would fill the memory."""
        self.throttle = LoginThrottle(FreeAttempts(), self.clock.seconds, size=50)
        self.exhaust()
        self.besiege([self.never_the_same()], 200)
        waiting = self.throttle._accounts._waiting
        for remembered in (
            *(waiting._places, waiting._failed, waiting._expected, waiting._preferred),
        ):
            self.assertLessEqual(len(remembered), 50)
