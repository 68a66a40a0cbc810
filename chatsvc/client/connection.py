"""The connection: frames over TLS, made again when it is lost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import ConnectionClosed, ConnectionDone
from twisted.internet.interfaces import (
    IAddress,
    IDelayedCall,
    IReactorTime,
    IStreamClientEndpoint,
    ITCPTransport,
)
from twisted.internet.protocol import Factory
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure

from chatsvc.client.backoff import Backoff
from chatsvc.client.conversation import Conversation
from chatsvc.client.trust import distrust
from chatsvc.sockets import watch_peer
from chatsvc.wire.commands import MAX_FRAME
from chatsvc.wire.structured_client import NotUnderstood

FIRST_DELAY, LAST_DELAY = 0.2, 30.0
"""Seconds between tries to connect."""

WELCOME_PATIENCE = 10.0
"""Seconds that a server may take to welcome us."""

_CLOSE_PATIENCE = 2.0


class Observer(Protocol):
    """Who hears what becomes of the connection."""

    def found(self) -> None:
        """The server has welcomed us."""

    def lost(self, reason: str, delay: float) -> None:
        """It was lost; the next try follows after ``delay`` seconds."""

    def not_found(self, reason: str) -> None:
        """There is none yet; tries go on."""

    def given_up(self, line: str) -> None:
        """There will be none."""


@dataclass(frozen=True)
class Patience:
    """
    How long to do without a connection, in seconds; None: for ever. ``first``: until the server welcomes us for the
    first time; ``later``: after a loss.
    """

    first: float | None = None
    later: float | None = None


class ClientProtocol(Int16StringReceiver):
    """Frames in and out."""

    MAX_LENGTH = MAX_FRAME
    transport: ITCPTransport

    def __init__(self, connector: Connector) -> None:
        self._connector = connector
        self._gone = False
        self._broken: Failure | None = None

    def connectionMade(self) -> None:
        watch_peer(self.transport)
        self._connector.made(self)

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
        self._connector.ended(self._broken or reason)

    def no_answer(self) -> None:
        """The other end has said nothing for too long."""
        self._broken = Failure(ConnectionClosed("no answer"))
        self.abort()

    def abort(self) -> None:
        """Close at once."""
        self._gone = True
        self.transport.abortConnection()


class Connector(Service):
    """
    Keeps a conversation connected through ``endpoint``; ``server`` names it to people. A server that is not trusted is
    not tried again.
    """

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        server: str,
        conversation: Conversation,
        observer: Observer,
        patience: Patience,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._server = server
        self.conversation = conversation
        self._observer = observer
        self._patience = patience
        self._backoff = Backoff(FIRST_DELAY, LAST_DELAY)
        self._factory = _Factory(self)
        self._welcomed = False
        self._deadline: float | None = None
        self._seconds = 0.0
        self._protocol: ClientProtocol | None = None
        self._trying: Deferred[object] | None = None
        self._retry: IDelayedCall | None = None
        self._watch: IDelayedCall | None = None
        self._all_over: Deferred[None] | None = None

    def startService(self) -> None:
        super().startService()
        self._allow(self._patience.first)
        self._connect()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        for call in (self._retry, self._watch):
            if call is not None:
                call.cancel()
        self._retry = self._watch = None
        if self._trying is not None:
            self._trying.cancel()
        over: Deferred[None] = Deferred()
        if self._protocol is None:
            over.callback(None)
            return over
        self._all_over = over
        self._protocol.transport.loseConnection()
        # A peer that is gone never answers our goodbye.
        self._watch = self._clock.callLater(_CLOSE_PATIENCE, self._cut_off, self._protocol)
        return over

    # The life of a connection

    def _connect(self) -> None:
        self._retry = None
        self._trying = maybeDeferred(self._endpoint.connect, self._factory)
        self._trying.addErrback(self._failed)

    def _failed(self, reason: Failure) -> None:
        if self._protocol is None and self.running:
            self._missing(reason, made=False)

    def made(self, protocol: ClientProtocol) -> None:
        """There is a connection, whose TLS handshake is still to come."""
        self._trying = None
        self._protocol = protocol
        if not self.running:
            protocol.abort()
            return
        self._watch = self._clock.callLater(WELCOME_PATIENCE, self._cut_off, protocol)
        self.conversation.connection_made(protocol.sendString)

    def _cut_off(self, protocol: ClientProtocol) -> None:
        self._watch = None
        protocol.no_answer()

    def heard(self) -> None:
        """A frame came."""
        if self._watch is not None and self.running and self.conversation.welcomed:
            self._watch.cancel()
            self._watch = None
            self._welcomed = True
            self._observer.found()
            self._deadline = None
            self._backoff.reset()

    def ended(self, reason: Failure) -> None:
        """The connection is gone."""
        self._protocol = None
        if self._watch is not None:
            self._watch.cancel()
            self._watch = None
        retry_after = self.conversation.connection_lost()
        if self._all_over is not None:
            self._all_over.callback(None)
        elif self.running:
            self._missing(reason, made=True, retry_after=retry_after)

    def _missing(self, reason: Failure, *, made: bool, retry_after: float | None = None) -> None:
        words = self.conversation.words
        why = distrust(reason)
        if why is not None:
            self._observer.given_up(words.not_trusted.format(server=self._server, reason=why))
            return
        if self._welcomed and self._deadline is None:
            self._allow(self._patience.later)
        delay = self._backoff.delay() if retry_after is None else max(FIRST_DELAY, retry_after)
        why = _in_words(reason)
        if self._deadline is None or self._clock.seconds() + delay <= self._deadline:
            if made:
                self._observer.lost(why, delay)
            else:
                self._observer.not_found(why)
            self._retry = self._clock.callLater(delay, self._connect)
        elif self._welcomed:
            self._observer.given_up(
                words.given_up.format(server=self._server, seconds=self._seconds, reason=why)
            )
        else:
            self._observer.given_up(words.unreachable.format(server=self._server, reason=why))

    def _allow(self, seconds: float | None) -> None:
        self._seconds = seconds or 0.0
        self._deadline = None if seconds is None else self._clock.seconds() + seconds


class _Factory(Factory):
    noisy = False

    def __init__(self, connector: Connector) -> None:
        self._connector = connector

    def buildProtocol(self, addr: IAddress | None) -> ClientProtocol:
        return ClientProtocol(self._connector)


def _in_words(reason: Failure) -> str:
    if reason.check(ConnectionDone):
        return "closed by the server"
    if reason.check(ConnectionClosed) and not str(reason.value):
        return "connection lost"
    return reason.getErrorMessage().strip().rstrip(".").replace("\n", " ")
