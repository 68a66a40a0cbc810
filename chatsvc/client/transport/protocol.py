"""One connection to a server: frames over TLS, closed when the other end is silent for too long."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.error import ConnectionClosed
from twisted.internet.interfaces import IAddress, IDelayedCall, IHandshakeListener, IReactorTime
from twisted.internet.protocol import Factory
from twisted.protocols.basic import Int16StringReceiver
from twisted.python.failure import Failure
from zope.interface import implementer

from chatsvc.client.transport.certificates import Presented, presented
from chatsvc.client.transport.failures import ClosedEarly, NoAnswer
from chatsvc.client.transport.heartbeat import Heartbeat
from chatsvc.transport.sockets import set_keepalive
from chatsvc.wire.client_codec import NotUnderstood
from chatsvc.wire.commands import MAX_FRAME

CLOSE_PATIENCE = 2.0
"""Seconds for the goodbye of TLS: a peer that is gone never answers it."""


class ConnectionOwner(Protocol):
    """Follows a connection."""

    def made(self, protocol: ClientProtocol) -> None:
        """There is a connection; its TLS handshake is still to come."""

    def secured(self, protocol: ClientProtocol, shown: Presented) -> None:
        """The TLS handshake is done, and the server has shown its certificate."""

    def frame_received(self, protocol: ClientProtocol, frame: bytes) -> None:
        """
        A frame has come.

        :raise NotUnderstood: it breaks the dialect
        """

    def lost(self, reason: Failure) -> None:
        """The connection is gone; the last call, which does not come after :meth:`ClientProtocol.drop`."""


@implementer(IHandshakeListener)
class ClientProtocol(Int16StringReceiver):
    """A connection, for an owner who decides whether the server is trusted."""

    MAX_LENGTH = MAX_FRAME
    transport: Any  # ITCPTransport, and Twisted's TLS

    def __init__(self, clock: IReactorTime, owner: ConnectionOwner) -> None:
        self._clock = clock
        self._owner = owner
        self._deadline: IDelayedCall | None = None
        self._heartbeat: Heartbeat | None = None
        self._aborted = False
        self._dropped = False
        self._secured = False
        self._reason: Failure | None = None

    def connectionMade(self) -> None:
        set_keepalive(self.transport)
        self._owner.made(self)

    def handshakeCompleted(self) -> None:
        self._secured = True
        self._owner.secured(self, presented(self.transport.getHandle()))

    def dataReceived(self, data: bytes) -> None:
        if self._heartbeat is not None:
            self._heartbeat.heard()
        super().dataReceived(data)

    def stringReceived(self, frame: bytes) -> None:
        if self._aborted:
            return
        try:
            self._owner.frame_received(self, frame)
        except NotUnderstood:
            self._abort(Failure())

    def connectionLost(self, reason: Failure) -> None:  # type: ignore[override]
        self._aborted = True
        self.stop_deadline()
        self._stop_watching()
        if not self._secured and reason.check(ConnectionClosed):
            reason = Failure(ClosedEarly())
        if not self._dropped:
            self._owner.lost(self._reason or reason)

    def set_deadline(self, seconds: float) -> None:
        """Close after so many seconds, for want of an answer, unless :meth:`stop_deadline` is called before."""
        self.stop_deadline()
        self._deadline = self._clock.callLater(seconds, self._no_answer)

    def stop_deadline(self) -> None:
        """The other end has answered."""
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def watch(self, patience: Callable[[], float | None], ping: Callable[[], None]) -> None:
        """Close when the server hangs; the parameters are those of :class:`Heartbeat`."""
        self._heartbeat = Heartbeat(self._clock, patience, ping, self._no_answer)

    def close(self) -> None:
        """Say goodbye, and close."""
        self._stop_watching()
        self.transport.loseConnection()
        self.set_deadline(CLOSE_PATIENCE)

    def drop(self) -> None:
        """Close at once; the owner hears nothing more."""
        self._dropped = True
        self.stop_deadline()
        self._stop_watching()
        self._abort(None)

    def _stop_watching(self) -> None:
        if self._heartbeat is not None:
            self._heartbeat.stop()
            self._heartbeat = None

    def _no_answer(self) -> None:
        self._deadline = None
        self._stop_watching()
        self._abort(Failure(NoAnswer()))

    def _abort(self, reason: Failure | None) -> None:
        self._aborted = True
        self._reason = reason
        self.transport.abortConnection()


class ClientFactory(Factory):
    """Makes the protocol of each connection, all for one owner."""

    noisy = False

    def __init__(self, clock: IReactorTime, owner: ConnectionOwner) -> None:
        self._clock = clock
        self._owner = owner

    def buildProtocol(self, addr: IAddress | None) -> ClientProtocol:
        return ClientProtocol(self._clock, self._owner)
