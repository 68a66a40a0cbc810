"""
The end of one half of a connection: a peer that will send no more, but may still read.

TCP says so with a FIN, TLS with a close_notify alert (RFC 8446, section 6.1). Twisted's TLS answers the alert by
closing both halves at once, and drops what is written from then on; :class:`HalfClosedTLS` lets the protocol above say
when.
"""

from __future__ import annotations

from typing import Any

from OpenSSL import SSL
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer


def pass_up_the_end(above: Any, transport: Any) -> None:
    """Tell the layer above that the peer sends no more; close the connection if that is nothing to it."""
    if IHalfCloseableProtocol.providedBy(above):
        above.readConnectionLost()
    else:
        transport.loseConnection()


@implementer(IHalfCloseableProtocol)
class HalfClosedTLS(TLSMemoryBIOProtocol):
    """TLS whose reading half may end before the writing half, if the protocol above knows of such a thing."""

    def readConnectionLost(self) -> None:
        pass_up_the_end(self.wrappedProtocol, self.transport)

    def writeConnectionLost(self) -> None:
        pass


class HalfClosableConnection(SSL.Connection):
    """OpenSSL's side of it: a close_notify alert is told to the protocol above, rather than to Twisted's TLS."""

    layer: TLSMemoryBIOProtocol

    def recv(self, bufsiz: int, flags: int | None = None) -> bytes:
        try:
            return super().recv(bufsiz, flags)
        except SSL.ZeroReturnError:
            above = self.layer.wrappedProtocol
            # Where we have closed, this is the answer that TLS waits for.
            if self.layer.disconnecting or not IHalfCloseableProtocol.providedBy(above):
                raise
            above.readConnectionLost()
        raise SSL.WantReadError


def half_closable(context: SSL.Context, layer: TLSMemoryBIOProtocol) -> SSL.Connection:
    """A new connection for a TLS layer."""
    connection = HalfClosableConnection(context, None)
    connection.layer = layer
    return connection
