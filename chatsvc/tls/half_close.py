"""
Half-closed connections: a peer sends no more, but may still read.

TCP says so with a FIN, TLS with a close_notify alert (RFC 8446, section 6.1). Twisted's TLS answers the alert by
closing both halves at once, and drops what is written from then on; :class:`HalfClosedTLS` lets the protocol above
decide when.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer


def pass_up_the_end(above: Any, transport: Any) -> None:
    """Tell the layer above that the peer sends no more; close the connection if it does not want to know."""
    if IHalfCloseableProtocol.providedBy(above):
        above.readConnectionLost()
    else:
        transport.loseConnection()


@implementer(IHalfCloseableProtocol)
class HalfClosedTLS(TLSMemoryBIOProtocol):
    """TLS whose reading half may end before the writing half, if the protocol above is half-closeable."""

    def readConnectionLost(self) -> None:
        pass_up_the_end(self.wrappedProtocol, self.transport)

    def writeConnectionLost(self) -> None:
        pass


class HalfClosableConnection(SSL.Connection):
    """OpenSSL's side of it: tells the protocol above of a close_notify alert, and not Twisted's TLS."""

    layer: TLSMemoryBIOProtocol

    def recv(self, bufsiz: int, flags: int | None = None) -> bytes:
        try:
            return super().recv(bufsiz, flags)
        except SSL.ZeroReturnError:
            above = self.layer.wrappedProtocol
            # If we have closed, this is the answer that Twisted's TLS waits for.
            if self.layer.disconnecting or not IHalfCloseableProtocol.providedBy(above):
                raise
            above.readConnectionLost()
        raise SSL.WantReadError


def half_closable(context: SSL.Context, layer: TLSMemoryBIOProtocol) -> SSL.Connection:
    """Make a connection for a TLS layer."""
    connection = HalfClosableConnection(context, None)
    connection.layer = layer
    return connection
