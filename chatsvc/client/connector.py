"""Keeps a conversation connected: frames over TLS, made again when the connection is lost."""

from __future__ import annotations

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamClientEndpoint
from twisted.python.failure import Failure

from chatsvc.client.connection_machine import ConnectionObserver, Core, make_machine
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.transport.certificates import Presented
from chatsvc.client.transport.protocol import ClientFactory, ClientProtocol
from chatsvc.client.transport.retry import Patience, RetrySchedule
from chatsvc.client.trust_policy import TrustPolicy


class Connector(Service):
    """
    Keeps a conversation connected through ``endpoint``.

    Nothing is said to a server and nothing heard of it before ``trust`` has let it in, and a server that it refuses is
    not tried again.

    :param server: the server's name for people, ``HOST:PORT``
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
        self._conversation = conversation
        self._core = Core(
            endpoint,
            ClientFactory(clock, self),
            server,
            trust,
            conversation,
            observer,
            clock,
            RetrySchedule(clock, patience),
        )
        self._machine = make_machine(self._core)

    def startService(self) -> None:
        super().startService()
        self._machine.start()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        stopped = self._core.stopped.wait()
        self._machine.stop()
        return stopped

    # What the connection does: see ConnectionOwner

    def made(self, protocol: ClientProtocol) -> None:
        """There is a connection; its TLS handshake is still to come."""
        self._machine.made(protocol)

    def secured(self, protocol: ClientProtocol, shown: Presented) -> None:
        """The TLS handshake is done, and the server has shown its certificate."""
        self._machine.secured(shown)

    def frame_received(self, protocol: ClientProtocol, frame: bytes) -> None:
        """
        A frame has come.

        :raise NotUnderstood: it breaks the dialect
        """
        self._conversation.frame(frame)
        if self._conversation.welcomed:
            self._machine.welcomed(protocol)

    def lost(self, reason: Failure) -> None:
        """The connection is gone."""
        self._machine.lost(reason)
