"""The states of a client's connection: what each input does in each of them, without a network."""

from __future__ import annotations

from collections.abc import Callable
from typing import cast

from automat import NoTransition
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.connection_machine import (
    WELCOME_PATIENCE,
    ConnectionObserver,
    Core,
    make_machine,
)
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.i18n.client_messages import EN
from chatsvc.client.transport.certificates import Presented
from chatsvc.client.transport.protocol import ClientProtocol
from chatsvc.client.transport.retry import LAST_DELAY, Patience, RetrySchedule
from chatsvc.client.trust_policy import TrustPolicy, UntrustedServer

SHOWN = Presented("SHA256:00", "names", "issuer", ())
LOST = Failure(ConnectionLost())


class FakeEndpoint:
    """An endpoint whose attempts the test decides."""

    def __init__(self) -> None:
        self.attempts: list[Deferred[object]] = []
        self.cancelled = 0

    def connect(self, factory: Factory) -> Deferred[object]:
        self.attempts.append(Deferred(self._cancel))
        return self.attempts[-1]

    def _cancel(self, attempt: Deferred[object]) -> None:
        self.cancelled += 1


class FakeProtocol(ClientProtocol):
    """A connection that keeps what is done to it."""

    def __init__(self) -> None:
        self.done: list[object] = []

    def set_deadline(self, seconds: float) -> None:
        self.done.append(seconds)

    def stop_deadline(self) -> None:
        self.done.append("stop deadline")

    def watch(self, patience: Callable[[], float | None], ping: Callable[[], None]) -> None:
        self.done.append("watch")

    def close(self) -> None:
        self.done.append("close")

    def drop(self) -> None:
        self.done.append("drop")


class FakeTrust:
    """A policy whose verdict the test gives, at once or later; ``withdrawn`` counts those that were cancelled."""

    def __init__(self) -> None:
        self.verdict: Exception | None = None
        self.asks = False
        self.questions: list[Deferred[None]] = []
        self.withdrawn = 0

    async def admit(self, shown: Presented, ask: object, messages: object) -> None:
        if self.asks:
            self.questions.append(Deferred(self._withdraw))
            await self.questions[-1]
        if self.verdict is not None:
            raise self.verdict

    def _withdraw(self, question: Deferred[None]) -> None:
        self.withdrawn += 1


class FakeConversation:
    """A conversation that counts its connections; ``on_lost`` is called at each loss."""

    client_messages = EN

    def __init__(self) -> None:
        self.made = self.lost = 0
        self.retry_after: float | None = None
        self.on_lost: Callable[[], object] = lambda: None

    def connection_made(self, write: Callable[[bytes], None], close: Callable[[], None]) -> None:
        self.made += 1

    def patience(self) -> float | None:
        return None

    def ping(self) -> None:
        """Nobody is there."""

    def connection_lost(self) -> float | None:
        self.lost += 1
        self.on_lost()
        return self.retry_after


class FakeObserver:
    """An observer that keeps what it is told, with reasons or delays; ``on_end`` is called at the end."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.delay = 0.0
        self.line = ""
        self.on_end: Callable[[], object] = lambda: None

    def found(self) -> None:
        self.events.append("found")

    def lost(self, reason: str, delay: float) -> None:
        self.events.append("lost")
        self.delay = delay

    def not_found(self, reason: str) -> None:
        self.events.append("not found")

    def given_up(self, line: str) -> None:
        self.events.append("given up")
        self.line = line
        self.on_end()

    def ask(self, text: str, choices: str) -> Deferred[str]:
        raise NotImplementedError  # it is the policy that asks


class MachineCase(SynchronousTestCase):
    patience = Patience()

    def setUp(self) -> None:
        self.clock = Clock()
        self.endpoint, self.trust = FakeEndpoint(), FakeTrust()
        self.conversation, self.observer = FakeConversation(), FakeObserver()
        self.schedule = RetrySchedule(self.clock, self.patience)
        self.core = Core(
            cast(IStreamClientEndpoint, self.endpoint),
            Factory(),
            "server:1",
            cast(TrustPolicy, self.trust),
            cast(Conversation, self.conversation),
            cast(ConnectionObserver, self.observer),
            self.clock,
            self.schedule,
        )
        self.machine = make_machine(self.core)
        self.protocol = FakeProtocol()

    # Ways into each state

    def connecting(self) -> None:
        self.machine.start()

    def securing(self) -> None:
        self.connecting()
        self.make()

    def make(self) -> None:
        """The attempt succeeds, as an endpoint has it: first the protocol hears of it."""
        self.machine.made(self.protocol)
        self.endpoint.attempts[-1].callback(self.protocol)

    def asking(self) -> None:
        self.trust.asks = True
        self.securing()
        self.machine.secured(SHOWN)

    def welcoming(self) -> None:
        self.securing()
        self.machine.secured(SHOWN)

    def connected(self) -> None:
        self.welcoming()
        self.machine.welcomed(self.protocol)

    def waiting(self) -> None:
        self.connecting()
        self.endpoint.attempts[-1].errback(LOST)

    def given_up(self) -> None:
        self.trust.verdict = UntrustedServer("no")
        self.securing()
        self.machine.secured(SHOWN)

    def stop(self) -> Deferred[None]:
        stopped = self.core.stopped.wait()
        self.machine.stop()
        return stopped

    def assert_still(self) -> None:
        """Nothing more happens, however long one waits."""
        attempts, events = len(self.endpoint.attempts), list(self.observer.events)
        self.clock.advance(2 * LAST_DELAY)
        self.assertEqual((len(self.endpoint.attempts), self.observer.events), (attempts, events))
        self.assertEqual(self.clock.getDelayedCalls(), [])


class Stopping(MachineCase):
    """In each state the service may be stopped, and then nothing is left."""

    def test_before_the_start(self) -> None:
        """A command that has nothing to do would never end."""
        self.successResultOf(self.stop())
        self.assert_still()

    def test_connecting(self) -> None:
        """A client that leaves while its server is looked for would look on, or say that there is none."""
        self.connecting()
        self.successResultOf(self.stop())
        self.assertEqual((self.endpoint.cancelled, self.observer.events), (1, []))
        self.assert_still()

    def test_made_after_the_stop(self) -> None:
        """A connection that stands just as the client leaves would be left open."""
        self.connecting()
        self.successResultOf(self.stop())
        self.machine.made(self.protocol)
        self.assertEqual(self.protocol.done, ["drop"])
        self.assert_still()

    def test_securing(self) -> None:
        """A client that leaves during the handshake would not close, or talk to a server that nobody has judged."""
        self.securing()
        stopped = self.stop()
        self.machine.secured(SHOWN)
        self.assertNoResult(stopped)
        self.assertEqual(self.protocol.done, [WELCOME_PATIENCE, "close"])
        self.machine.lost(LOST)
        self.successResultOf(stopped)
        self.assertEqual((self.conversation.made, self.conversation.lost), (0, 0))
        self.assert_still()

    def test_asking(self) -> None:
        """A question would stay on the screen, or its withdrawal be taken for a refusal."""
        self.asking()
        self.successResultOf(self.stop())
        self.assertEqual((self.trust.withdrawn, self.observer.events), (1, []))
        self.assert_still()

    def test_in_use(self) -> None:
        """The state would be closed before the last words of the server are recorded, or the loss be reported."""
        for enter in (self.welcoming, self.connected):
            self.setUp()
            enter()
            events = list(self.observer.events)
            stopped = self.stop()
            self.machine.welcomed(self.protocol)  # by a last frame
            self.assertNoResult(stopped)
            self.assertEqual((self.protocol.done[-1], self.conversation.lost), ("close", 0))
            self.machine.lost(LOST)
            self.successResultOf(stopped)
            self.assertEqual((self.conversation.lost, self.observer.events), (1, events))
            self.assert_still()

    def test_waiting(self) -> None:
        """A client that has left would connect again."""
        self.waiting()
        self.successResultOf(self.stop())
        self.assert_still()

    def test_given_up(self) -> None:
        """A client that has given up could not end."""
        self.given_up()
        self.successResultOf(self.stop())
        self.assert_still()

    def test_twice(self) -> None:
        """A second Ctrl-C would be a traceback, or wait for ever."""
        self.connected()
        both = [self.stop(), self.stop()]
        self.machine.lost(LOST)
        both.append(self.stop())
        for stopped in both:
            self.successResultOf(stopped)

    def test_upon_the_loss(self) -> None:
        """A command that ends because its connection is lost would still warn of it, and connect again."""
        self.connected()
        stopped: list[Deferred[None]] = []
        self.conversation.on_lost = lambda: stopped.append(self.stop())
        self.machine.lost(LOST)
        self.successResultOf(stopped[0])
        self.assertEqual(self.observer.events, ["found"])
        self.assert_still()

    def test_upon_giving_up(self) -> None:
        """A command that ends because the server is not trusted would never have ended."""
        stopped: list[Deferred[None]] = []
        self.observer.on_end = lambda: stopped.append(self.stop())
        self.given_up()
        self.successResultOf(stopped[0])
        self.assert_still()

    def test_started_again(self) -> None:
        """A service that is started once more would do nothing."""
        self.connecting()
        self.successResultOf(self.stop())
        self.machine.start()
        self.assertEqual(len(self.endpoint.attempts), 2)


class Losing(MachineCase):
    """In each state the connection may be lost."""

    def test_before_it_is_trusted(self) -> None:
        """A conversation would be told of the end of a connection that it never had."""
        self.securing()
        self.machine.lost(LOST)
        self.assertEqual(self.observer.events, ["not found"])
        self.assertEqual((self.conversation.made, self.conversation.lost), (0, 0))

    def test_before_the_welcome(self) -> None:
        """What was asked on a connection that is gone would never be answered."""
        self.welcoming()
        self.machine.lost(LOST)
        self.assertEqual((self.observer.events, self.conversation.lost), (["not found"], 1))

    def test_connected(self) -> None:
        """A user would not be told that the connection is lost, and the client not come back."""
        self.connected()
        self.machine.lost(LOST)
        self.assertEqual((self.observer.events, self.conversation.lost), (["found", "lost"], 1))
        self.clock.advance(self.observer.delay)
        self.assertEqual(len(self.endpoint.attempts), 2)

    def test_as_the_server_wished(self) -> None:
        """All clients of a server that restarts would come back at once."""
        self.connected()
        self.conversation.retry_after = 7.0
        self.machine.lost(LOST)
        self.assertEqual((self.observer.events, self.observer.delay), (["found", "lost"], 7.0))
        self.clock.advance(6.9)
        self.assertEqual(len(self.endpoint.attempts), 1)
        self.clock.advance(0.1)
        self.assertEqual(len(self.endpoint.attempts), 2)

    def test_not_while_the_user_is_asked(self) -> None:
        """A server that hangs up while the user decides would be reported, and the answer be lost."""
        self.asking()
        self.assertEqual(self.protocol.done[-1], "drop")
        self.trust.asks = False
        self.trust.questions[0].callback(None)
        self.assertEqual((self.observer.events, len(self.endpoint.attempts)), ([], 2))

    def test_observer_that_raises(self) -> None:
        """A front end that cannot say that the connection is lost would keep the client from coming back."""
        self.connecting()

        def explode(reason: str) -> None:
            raise ValueError("a bug")

        self.observer.not_found = explode  # type: ignore[method-assign]
        attempt = self.endpoint.attempts[-1]
        attempt.errback(LOST)
        self.failureResultOf(attempt, ValueError)
        self.clock.advance(LAST_DELAY)
        self.assertEqual(len(self.endpoint.attempts), 2)

    def test_impossible(self) -> None:
        """A mistake in who reports what would be passed over in silence, and show much later."""
        for enter in (lambda: None, self.connecting, self.asking, self.waiting, self.given_up):
            self.setUp()
            enter()
            for wrong in (
                lambda: self.machine.lost(LOST),
                lambda: self.machine.welcomed(self.protocol),
                lambda: self.machine.secured(SHOWN),
            ):
                with self.assertRaises(NoTransition):
                    wrong()


class Judging(MachineCase):
    def test_refused(self) -> None:
        """A server that is not trusted would be talked to, or tried again and again."""
        self.given_up()
        self.assertEqual((self.observer.events, self.observer.line), (["given up"], "no"))
        self.assertEqual((self.protocol.done[-1], self.conversation.made), ("drop", 0))
        self.assert_still()

    def test_refused_by_the_user(self) -> None:
        """A user's refusal would be no end."""
        self.asking()
        self.trust.verdict = UntrustedServer("not accepted")
        self.trust.questions[0].callback(None)
        self.assertEqual((self.observer.events, self.observer.line), (["given up"], "not accepted"))
        self.assert_still()

    def test_trusted(self) -> None:
        """A server that is trusted would not be talked to, or be waited for without an end."""
        self.welcoming()
        self.assertEqual((self.conversation.made, self.protocol.done), (1, [WELCOME_PATIENCE]))
        self.machine.welcomed(self.protocol)
        self.machine.welcomed(self.protocol)  # by every frame
        self.assertEqual(self.observer.events, ["found"])
        self.assertEqual(self.protocol.done[1:], ["stop deadline", "watch"])


class Impatient(MachineCase):
    patience = Patience(first=1.0, later=5.0)

    def fail_until_the_end(self) -> str:
        """Let all attempts fail; what is said at the end."""
        for _ in range(100):
            attempt = self.endpoint.attempts[-1]
            if not attempt.called:
                attempt.errback(LOST)
            if self.observer.events[-1] == "given up":
                return self.observer.line
            self.clock.advance(0.05)
        raise AssertionError("there was no end")

    def test_first(self) -> None:
        """A script without a server would hang."""
        self.connecting()
        line = self.fail_until_the_end()
        self.assertLess(self.clock.seconds(), 1.01)  # the clock adds up fractions
        self.assertIn("Cannot connect to server:1", line)
        self.assert_still()

    def test_later(self) -> None:
        """A pipe whose server does not come back would hang, or give up as fast as one that never had a server."""
        self.connected()
        self.clock.advance(3600)
        self.machine.lost(LOST)
        began = self.clock.seconds()
        line = self.fail_until_the_end()
        self.assertGreater(self.clock.seconds() - began, 1.0)
        self.assertLess(self.clock.seconds() - began, 5.01)
        self.assertIn("did not come back within 5 s", line)

    def test_found_again(self) -> None:
        """What was waited for one connection would be counted against the next."""
        self.connected()
        self.machine.lost(LOST)
        self.clock.advance(4)
        self.make()
        self.machine.secured(SHOWN)
        self.machine.welcomed(self.protocol)
        self.machine.lost(LOST)
        self.assertEqual(self.observer.events[-1], "lost")
        self.clock.advance(4)
        self.assertEqual(len(self.endpoint.attempts), 3)
