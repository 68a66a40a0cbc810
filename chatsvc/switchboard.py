"""Who a connection works with: the factory above it, and the transport below it, which may ask it to wait."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IPushProducer
from zope.interface import implementer

from chatsvc.services import Services
from chatsvc.session import Session
from chatsvc.wire import events as e

if TYPE_CHECKING:
    from chatsvc.protocol import ChatProtocol


class ConnectionRegistry(Protocol):
    """The factory, as its connections know it."""

    chat: Services

    def admit(self, connection: ChatProtocol) -> e.Refused | None:
        """A connection is ready; None: it may stay."""

    def forget(self, connection: ChatProtocol) -> None:
        """A connection is gone."""

    def authenticated(self, connection: ChatProtocol) -> None:
        """Somebody has logged in on a connection."""

    def logged_out(self, connection: ChatProtocol) -> None:
        """Nobody is logged in on a connection any more."""

    def retry_after(self) -> float:
        """Seconds after which a program should come back."""


@implementer(IPushProducer)
class OutputProducer:
    """What the transport tells to wait when it has more than it can send."""

    def __init__(self, session: Session) -> None:
        self._session = session

    def pauseProducing(self) -> None:
        self._session.pause()

    def resumeProducing(self) -> None:
        self._session.resume()

    def stopProducing(self) -> None:
        pass
