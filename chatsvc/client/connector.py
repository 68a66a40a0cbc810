"""The connection: frames over TLS, made again when it is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol

from twisted.application.service import Service
from twisted.internet.defer import CancelledError, Deferred, maybeDeferred
from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IHandshakeListener,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.transport.certificates import Presented, presented
from chatsvc.client.transport.failures import ClosedEarly, NoAnswer
from chatsvc.client.trust_policy import TrustPolicy
from chatsvc.transport.backoff import Backoff
from chatsvc.transport.sockets import set_keepalive
from chatsvc.wire.client_codec import NotUnderstood
from chatsvc.wire.commands import MAX_FRAME

FIRST_DELAY, LAST_DELAY = 0.2, 30.0
"""Seconds between tries to connect."""

WELCOME_PATIENCE = 10.0
"""Seconds that a server may take to welcome us."""

_CLOSE_PATIENCE = 2.0


class ConnectionObserver(Protocol):
    """Who hears what becomes of the connection."""

    def found(self) -> None:
        """The server has welcomed us."""

    def lost(self, reason: str, delay: float) -> None:
        """It was lost; the next try follows after ``delay`` seconds."""

    def not_found(self, reason: str) -> None:
        """There is none yet; tries go on."""

    def given_up(self, line: str) -> None:
        """There will be none."""

    def ask(self, text: str, choices: str) -> Deferred[str]:
        """
        The user's answer, one of these letters; the last one if there is nobody to ask, or for want of an answer.
        Cancelled, it is not wanted any more.
        """


@dataclass(frozen=True)
class Patience:
    """
    How long to do without a connection, in seconds; None: for ever. ``first``: until the server welcomes us for the
    first time; ``later``: after a loss.
    """

    first: float | None = None
    later: float | None = None


@implementer(IHandshakeListener)
class ClientProtocol(Int16StringReceiver):
    """Frames in and out, over TLS. It is for ``connector`` to close it when the server is not to be heard."""

    MAX_LENGTH = MAX_FRAME
    transport: Any  # ITCPTransport, and Twisted's TLS

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._gone = False
        self._secured = False
        self._broken: Failure | None = None

    def connectionMade(self) -> None:
        set_keepalive(self.transport)
        self._connector.made(self)

    def handshakeCompleted(self) -> None:
        self._secured = True
        self._connector.secured(self, presented(self.transport.getHandle()))

    def stringReceived(self, frame: bytes) -> None:
        if self._gone:
            return
        try:
            self._connector.conversation.frame(frame)
        except NotUnderstood:
            self._broken = Failure()
            self.abort()
        else:
            self._connector.heard()

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._gone = True
        if not self._secured and reason.check(ConnectionClosed):
            reason = Failure(ClosedEarly())
        self._connector.ended(self, self._broken or reason)

    def no_answer(self) -> None:
        """The other end has said nothing for too long."""
        self._broken = Failure(NoAnswer())
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._gone = True
        self.transport.abortConnection()


class Connector(Service):
    """
    Keeps a conversation connected through ``endpoint``; ``server`` names it to people. Nothing is said to a server and
    nothing heard of it before ``trust`` has let it in, and one that it refuses is not tried again.
    """

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        server: str,
        trust: TrustPolicy,
        conversation: Conversation,
        observer: ConnectionObserver,
        patience: Patience,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._server = server
        self._trust = trust
        self.conversation = conversation
        self._observer = observer
        self._patience = patience
        self._backoff = Backoff(FIRST_DELAY, LAST_DELAY)
        self._factory = _Factory(self)
        self._talking = False
        self._welcomed = False
        self._deadline: float | None = None
        self._seconds = 0.0
        self._protocol: ClientProtocol | None = None
        self._trying: Deferred[object] | None = None
        self._deciding: Deferred[None] | None = None
        self._retry: IDelayedCall | None = None
        self._watch: IDelayedCall | None = None
        self._all_over: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._allow(self._patience.first)
        self._connect()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        if self._retry is not None:
            self._retry.cancel()
        self._stop_watching()
        if self._trying is not None:
            self._trying.cancel()
        if self._deciding is not None:
            self._deciding.cancel()
        over: Deferred[None] = Deferred()
        if self._protocol is None:
            over.callback(None)
            return over
        self._all_over = over
        self._protocol.transport.loseConnection()
        # A peer that is gone never answers our goodbye.
        self._watch_for(_CLOSE_PATIENCE)
        return over

    # The life of a connection

    def _connect(self) -> None:
        self._retry = None
        self._trying = maybeDeferred(self._endpoint.connect, self._factory)
        self._trying.addErrback(self._failed)

    def _failed(self, reason: Failure) -> None:
        self._trying = None
        if self._protocol is None and self.running:
            self._missing(reason, welcomed=False)

    def made(self, protocol: ClientProtocol) -> None:
        """There is a connection, whose TLS handshake is still to come."""
        self._trying = None
        self._protocol = protocol
        if self.running:
            self._watch_for(WELCOME_PATIENCE)
        else:
            protocol.abort()

    def secured(self, protocol: ClientProtocol, shown: Presented) -> None:
        """
        The handshake is done. Where the user must be asked, it takes time, and what is asked is not about this
        connection: it is closed, and there will be another one for the answer.
        """
        deciding = Deferred.fromCoroutine(
            self._trust.admit(shown, self._observer.ask, self.conversation.client_messages)
        )
        if not deciding.called:
            self._deciding = deciding
            self._drop()
        deciding.addCallbacks(self._admitted, self._refused)

    def _admitted(self, _: object) -> None:
        self._deciding = None
        if self._protocol is None:
            self._connect()
        else:
            self._talking = True
            self.conversation.connection_made(self._protocol.sendString)

    def _refused(self, reason: Failure) -> None:
        self._deciding = None
        if self.running or not reason.check(CancelledError):
            self._drop()
            self._observer.given_up(reason.getErrorMessage())

    def _drop(self) -> None:
        """Have no more to do with a server that is not trusted."""
        self._stop_watching()
        protocol, self._protocol = self._protocol, None
        if protocol is not None:
            protocol.abort()

    def _cut_off(self) -> None:
        self._watch = None
        if self._protocol is not None:
            self._protocol.no_answer()

    def heard(self) -> None:
        """A frame came."""
        if self._watch is not None and self.running and self.conversation.welcomed:
            self._stop_watching()
            self._welcomed = True
            self._observer.found()
            self._deadline = None
            self._backoff.reset()

    def ended(self, protocol: ClientProtocol, reason: Failure) -> None:
        """The connection is gone."""
        if protocol is not self._protocol:
            return  # it was dropped
        self._protocol = None
        self._stop_watching()
        welcomed, retry_after = self.conversation.welcomed, None
        if self._talking:
            self._talking = False
            retry_after = self.conversation.connection_lost()
        if self._all_over is not None:
            self._all_over.callback(None)
        elif self.running:
            self._missing(reason, welcomed=welcomed, retry_after=retry_after)

    def _missing(
        self, reason: Failure, *, welcomed: bool, retry_after: float | None = None
    ) -> None:
        """There is no connection: one that had ``welcomed`` us is gone, or none came about."""
        messages = self.conversation.client_messages
        if self._welcomed and self._deadline is None:
            self._allow(self._patience.later)
        delay = self._backoff.delay() if retry_after is None else max(FIRST_DELAY, retry_after)
        why = messages.reason(reason.value)
        if self._deadline is None or self._clock.seconds() + delay <= self._deadline:
            self._retry = self._clock.callLater(delay, self._connect)
            if welcomed:
                self._observer.lost(why, delay)
            else:
                self._observer.not_found(why)
        elif self._welcomed:
            self._observer.given_up(
                messages.given_up.format(server=self._server, seconds=self._seconds, reason=why)
            )
        else:
            self._observer.given_up(messages.unreachable.format(server=self._server, reason=why))

    # Waiting

    def _allow(self, seconds: float | None) -> None:
        self._seconds = seconds or 0.0
        self._deadline = None if seconds is None else self._clock.seconds() + seconds

    def _watch_for(self, seconds: float) -> None:
        self._watch = self._clock.callLater(seconds, self._cut_off)

    def _stop_watching(self) -> None:
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None


class _Factory(Factory):
    noisy = False

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    def buildProtocol(self, addr: IAddress | None) -> ClientProtocol:
        return ClientProtocol(self._connector)
