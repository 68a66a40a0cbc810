"""
The states of a client's connection, from the first attempt to the end, and all transitions between them.

The table at the end of this file is the whole of it: ``state.upon(input).to(next state)(what is done)``. An input that
a state does not name is a mistake in this code, and raises ``automat.NoTransition``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from automat import TypeMachineBuilder
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.transport.certificates import Presented
from chatsvc.client.transport.protocol import ClientProtocol
from chatsvc.client.transport.retry import RetrySchedule
from chatsvc.client.trust_policy import TrustPolicy
from chatsvc.waiters import Waiters

WELCOME_PATIENCE = 10.0
"""Seconds that a server may take to welcome us, from the connection on."""


class ConnectionObserver(Protocol):
    """Follows what becomes of the connection, and asks the user."""

    def found(self) -> None:
        """The server has welcomed us."""

    def lost(self, reason: str, delay: float) -> None:
        """The connection was lost; the next attempt follows after ``delay`` seconds."""

    def not_found(self, reason: str) -> None:
        """There is no connection yet; attempts go on."""

    def given_up(self, line: str) -> None:
        """There will be no connection."""

    def ask(self, text: str, choices: str) -> Deferred[str]:
        """
        Ask the user for one letter of ``choices``.

        :return: fires with that letter, or with the last one if there is nobody to ask or for want of an answer. When
            it is cancelled, the answer is not wanted any more
        """


@dataclass
class Core:
    """What all states work with; ``stopped`` holds those who wait for the end."""

    endpoint: IStreamClientEndpoint
    factory: Factory
    server: str
    trust: TrustPolicy
    conversation: Conversation
    observer: ConnectionObserver
    clock: IReactorTime
    schedule: RetrySchedule
    stopped: Waiters[None] = field(default_factory=Waiters)

    def why_given_up(self, reason: str) -> str:
        """What to tell the user when patience is over."""
        messages = self.conversation.client_messages
        if self.schedule.ever_connected:
            seconds = self.schedule.allowed
            return messages.given_up.format(server=self.server, seconds=seconds, reason=reason)
        return messages.unreachable.format(server=self.server, reason=reason)


class Inputs(Protocol):
    """What can happen. An input that comes while another one is handled waits until that is done."""

    def start(self) -> None:
        """The service starts."""

    def stop(self) -> None:
        """The service stops."""

    def connect(self) -> None:
        """It is time for an attempt to connect."""

    def failed(self, reason: Failure) -> None:
        """The attempt failed, or was cancelled."""

    def made(self, protocol: ClientProtocol) -> None:
        """There is a connection."""

    def secured(self, shown: Presented) -> None:
        """Its TLS handshake is done."""

    def asked(self, decision: Deferred[None]) -> None:
        """The user is asked whether the server is trusted."""

    def trusted(self, protocol: ClientProtocol) -> None:
        """The server is trusted."""

    def refused(self, reason: Failure) -> None:
        """The server is not trusted."""

    def welcomed(self, protocol: ClientProtocol) -> None:
        """A frame came, and the server has welcomed us."""

    def lost(self, reason: Failure) -> None:
        """The connection is gone."""

    def missing(self, loss: _Loss) -> None:
        """There is no connection: try again or give up."""

    def retry(self, again: _Retry) -> None:
        """Try again after a while."""

    def give_up(self, line: str) -> None:
        """Patience is over."""


@dataclass(frozen=True)
class _Loss:
    """Why there is no connection; ``welcomed``: there was one, ``retry_after``: as the server wished."""

    reason: Failure
    welcomed: bool = False
    retry_after: float | None = None


@dataclass(frozen=True)
class _Retry:
    """Try again after ``delay`` seconds; ``why``: in the user's words, ``welcomed``: there was a connection."""

    delay: float
    why: str
    welcomed: bool


# What states keep: made when a state is entered, and given to what is done on the way to the next one, except where
# a row of the table says ``nodata``


def _attempt(inputs: Inputs, core: Core) -> Deferred[object]:
    attempt: Deferred[object] = maybeDeferred(core.endpoint.connect, core.factory)
    attempt.addErrback(inputs.failed)
    return attempt


def _connection(inputs: Inputs, core: Core, protocol: ClientProtocol) -> ClientProtocol:
    return protocol


def _decision(inputs: Inputs, core: Core, decision: Deferred[None]) -> Deferred[None]:
    return decision


def _delay(inputs: Inputs, core: Core, again: _Retry) -> IDelayedCall:
    return core.clock.callLater(again.delay, inputs.connect)


# What transitions do


def _start(inputs: Inputs, core: Core) -> None:
    core.schedule.start()


def _await_welcome(inputs: Inputs, core: Core, protocol: ClientProtocol) -> None:
    protocol.set_deadline(WELCOME_PATIENCE)


def _judge(inputs: Inputs, core: Core, protocol: ClientProtocol, shown: Presented) -> None:
    messages = core.conversation.client_messages
    decision = Deferred.fromCoroutine(core.trust.admit(shown, core.observer.ask, messages))
    if decision.called:
        decision.addCallbacks(lambda _: inputs.trusted(protocol), inputs.refused)
    else:
        inputs.asked(decision)
        decision.addCallbacks(lambda _: inputs.connect(), inputs.refused)


def _hang_up(
    inputs: Inputs, core: Core, protocol: ClientProtocol, decision: Deferred[None]
) -> None:
    """An answer takes time, and is not about this connection: there will be another one."""
    protocol.drop()


def _begin(inputs: Inputs, core: Core, protocol: ClientProtocol) -> None:
    core.conversation.connection_made(protocol.sendString, protocol.close)


def _found(inputs: Inputs, core: Core, protocol: ClientProtocol) -> None:
    protocol.stop_deadline()
    protocol.watch(core.conversation.patience, core.conversation.ping)
    core.schedule.succeeded()
    core.observer.found()


def _refuse(inputs: Inputs, core: Core, protocol: ClientProtocol, reason: Failure) -> None:
    protocol.drop()
    core.observer.given_up(reason.getErrorMessage())


def _refuse_after_question(
    inputs: Inputs, core: Core, decision: Deferred[None], reason: Failure
) -> None:
    core.observer.given_up(reason.getErrorMessage())


def _attempt_failed(inputs: Inputs, core: Core, attempt: Deferred[object], reason: Failure) -> None:
    inputs.missing(_Loss(reason))


def _lost_unused(inputs: Inputs, core: Core, protocol: ClientProtocol, reason: Failure) -> None:
    inputs.missing(_Loss(reason))


def _lost_before_welcome(
    inputs: Inputs, core: Core, protocol: ClientProtocol, reason: Failure
) -> None:
    retry_after = core.conversation.connection_lost()
    inputs.missing(_Loss(reason, retry_after=retry_after))


def _lost(inputs: Inputs, core: Core, protocol: ClientProtocol, reason: Failure) -> None:
    retry_after = core.conversation.connection_lost()
    inputs.missing(_Loss(reason, welcomed=True, retry_after=retry_after))


def _plan(inputs: Inputs, core: Core, loss: _Loss) -> None:
    delay = core.schedule.next_delay(loss.retry_after)
    why = core.conversation.client_messages.reason(loss.reason.value)
    if delay is None:
        inputs.give_up(core.why_given_up(why))
        return
    inputs.retry(_Retry(delay, why, loss.welcomed))


def _report(inputs: Inputs, core: Core, again: _Retry) -> None:
    """Tell the observer once the next attempt is set: should it raise, inputs that wait would be dropped."""
    if again.welcomed:
        core.observer.lost(again.why, again.delay)
    else:
        core.observer.not_found(again.why)


def _give_up(inputs: Inputs, core: Core, line: str) -> None:
    core.observer.given_up(line)


# How to stop


def _stopped(inputs: Inputs, core: Core) -> None:
    core.stopped.fire(None)


def _cancel_attempt(inputs: Inputs, core: Core, attempt: Deferred[object]) -> None:
    attempt.cancel()
    core.stopped.fire(None)


def _cancel_question(inputs: Inputs, core: Core, decision: Deferred[None]) -> None:
    decision.cancel()
    core.stopped.fire(None)


def _cancel_retry(inputs: Inputs, core: Core, retry: IDelayedCall) -> None:
    retry.cancel()
    core.stopped.fire(None)


def _close(inputs: Inputs, core: Core, protocol: ClientProtocol) -> None:
    protocol.close()


def _closed_unused(inputs: Inputs, core: Core, reason: Failure) -> None:
    core.stopped.fire(None)


def _closed(inputs: Inputs, core: Core, reason: Failure) -> None:
    core.conversation.connection_lost()
    core.stopped.fire(None)


def _drop_late(inputs: Inputs, core: Core, protocol: ClientProtocol) -> None:
    protocol.drop()


def _build() -> Callable[[Core], Inputs]:
    builder = TypeMachineBuilder(Inputs, Core)
    idle = builder.state("idle")
    connecting = builder.state("connecting", _attempt)
    securing = builder.state("securing", _connection)
    asking = builder.state("asking the user", _decision)
    welcoming = builder.state("awaiting the welcome", _connection)
    connected = builder.state("connected", _connection)
    disconnected = builder.state("disconnected")
    waiting = builder.state("waiting to retry", _delay)
    given_up = builder.state("given up")
    closing_unused = builder.state("closing before use")
    closing = builder.state("closing")
    stopped = builder.state("stopped")

    # state.upon(input).to(next state)(what is done)

    idle.upon(Inputs.start).to(connecting)(_start)
    idle.upon(Inputs.stop).to(stopped)(_stopped)

    connecting.upon(Inputs.made, nodata=True).to(securing)(_await_welcome)
    connecting.upon(Inputs.failed).to(disconnected)(_attempt_failed)
    connecting.upon(Inputs.stop).to(stopped)(_cancel_attempt)

    securing.upon(Inputs.secured).loop()(_judge)
    securing.upon(Inputs.trusted, nodata=True).to(welcoming)(_begin)
    securing.upon(Inputs.asked).to(asking)(_hang_up)
    securing.upon(Inputs.refused).to(given_up)(_refuse)
    securing.upon(Inputs.lost).to(disconnected)(_lost_unused)
    securing.upon(Inputs.stop).to(closing_unused)(_close)

    asking.upon(Inputs.connect, nodata=True).to(connecting).returns(None)
    asking.upon(Inputs.refused).to(given_up)(_refuse_after_question)
    asking.upon(Inputs.stop).to(stopped)(_cancel_question)

    welcoming.upon(Inputs.welcomed, nodata=True).to(connected)(_found)
    welcoming.upon(Inputs.lost).to(disconnected)(_lost_before_welcome)
    welcoming.upon(Inputs.stop).to(closing)(_close)

    connected.upon(Inputs.welcomed).loop().returns(None)
    connected.upon(Inputs.lost).to(disconnected)(_lost)
    connected.upon(Inputs.stop).to(closing)(_close)

    disconnected.upon(Inputs.missing).loop()(_plan)
    disconnected.upon(Inputs.retry).to(waiting)(_report)
    disconnected.upon(Inputs.give_up).to(given_up)(_give_up)
    disconnected.upon(Inputs.stop).to(stopped)(_stopped)

    waiting.upon(Inputs.connect, nodata=True).to(connecting).returns(None)
    waiting.upon(Inputs.stop).to(stopped)(_cancel_retry)

    given_up.upon(Inputs.stop).to(stopped)(_stopped)

    closing_unused.upon(Inputs.secured).loop().returns(None)
    closing_unused.upon(Inputs.lost).to(stopped)(_closed_unused)
    closing_unused.upon(Inputs.stop).loop().returns(None)

    closing.upon(Inputs.welcomed).loop().returns(None)
    closing.upon(Inputs.lost).to(stopped)(_closed)
    closing.upon(Inputs.stop).loop().returns(None)

    stopped.upon(Inputs.start).to(connecting)(_start)
    stopped.upon(Inputs.stop).loop()(_stopped)
    # What was cancelled, or lost while we stopped, is over.
    stopped.upon(Inputs.failed).loop().returns(None)
    stopped.upon(Inputs.refused).loop().returns(None)
    stopped.upon(Inputs.missing).loop().returns(None)
    stopped.upon(Inputs.made).loop()(_drop_late)

    return builder.build()


make_machine = _build()
"""Makes a machine, in its first state, around a core."""
