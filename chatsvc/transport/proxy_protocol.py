"""
PROXY protocol: connections through a proxy begin with a header that says where they come from.

https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt, versions 1 (a line) and 2 (binary).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv6Address, ip_address
from struct import Struct
from typing import Any

from twisted.internet import address
from twisted.internet.interfaces import IAddress, IHalfCloseableProtocol, IProtocol, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.protocols.policies import ProtocolWrapper, WrappingFactory
from zope.interface import directlyProvides, implementer, providedBy

from chatsvc.tls.half_close import pass_up_the_end
from chatsvc.transport.turned_away import OnTurnedAway, nobody_asks

_PATIENCE = 5.0
"""Seconds in which the header must have come; section 2 of the specification asks for 3 at least."""

_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: .*)?|(TCP[46]) ([0-9A-Fa-f:.]+) \S+ ([0-9]{1,5}) [0-9]{1,5})"
)
_LONGEST_LINE = 107
"""Bytes, its end included (section 2.1)."""

_BINARY = Struct("!12sBBH")
_SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
_LOCAL, _PROXY = 0x20, 0x21
_UNSPECIFIED = 0x00
_ADDRESS_SIZES = {0x11: 4, 0x21: 16}
"""By family and protocol, in bytes: TCP over IPv4 and over IPv6."""

_BEGINNINGS = (b"PROXY ", _SIGNATURE)

Header = tuple[IAddress | None, bytes]
"""
Where a connection comes from, and the bytes after the header. None: it is the proxy's own, or the proxy does not say.
"""


def read_header(data: bytes) -> Header | None:
    """
    Read a header; None: it is not all there yet.

    :raise ValueError: it is no header.
    """
    if not any(data.startswith(b) or b.startswith(data) for b in _BEGINNINGS):
        raise ValueError("no PROXY header")
    return _read_binary(data) if data[:1] == b"\r" else _read_line(data)


def _read_line(data: bytes) -> Header | None:
    line, end, rest = data.partition(b"\r\n")
    if len(line) + 2 > _LONGEST_LINE:
        raise ValueError("too long")
    if not end:
        return None
    match = _LINE.fullmatch(line)
    if match is None:
        raise ValueError("malformed")
    kind, host, port = match.groups()
    if kind is None:
        return None, rest
    ip = ip_address(host.decode("ascii"))
    if ip.version != int(kind[3:]):
        raise ValueError("an address of another kind")
    return _peer(ip, int(port)), rest


def _read_binary(data: bytes) -> Header | None:
    if len(data) < _BINARY.size:
        return None
    _, command, kind, length = _BINARY.unpack_from(data)
    end = _BINARY.size + length
    if command not in (_LOCAL, _PROXY):
        raise ValueError("another version")
    if len(data) < end:
        return None
    if command == _LOCAL or kind == _UNSPECIFIED:
        return None, data[end:]
    size = _ADDRESS_SIZES.get(kind)
    if size is None or length < 2 * size + 4:
        raise ValueError("no pair of addresses that TCP has")
    source, ports = data[_BINARY.size :][:size], data[_BINARY.size + 2 * size :]
    return _peer(ip_address(source), int.from_bytes(ports[:2])), data[end:]


def _peer(ip: IPv4Address | IPv6Address, port: int) -> IAddress:
    kind = address.IPv4Address if ip.version == 4 else address.IPv6Address
    return kind("TCP", str(ip), port)


class HangUp(Protocol):
    """Ends a connection at once. Twisted's wrapping factories would break on None instead of a protocol."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.abortConnection()


@implementer(IHalfCloseableProtocol)
class _ProxyProtocol(ProtocolWrapper):
    """Reads the header, and only then tells the layer above of the connection."""

    wrappedProtocol: Any
    transport: Any
    factory: Any

    def __init__(self, factory: TrustedProxies) -> None:
        super().__init__(factory, None)  # type: ignore[arg-type]
        self._received = b""
        self._peer: IAddress | None = None

    def makeConnection(self, transport: Any) -> None:
        directlyProvides(self, providedBy(transport))
        Protocol.makeConnection(self, transport)
        late = f"none has come in {_PATIENCE:.0f} s"
        self._late = self.factory.clock.callLater(_PATIENCE, self._turn_away, late)

    def dataReceived(self, data: bytes) -> None:
        if self.wrappedProtocol is not None:
            self.wrappedProtocol.dataReceived(data)
            return
        self._received += data
        try:
            header = read_header(self._received)
        except ValueError as problem:
            self._turn_away(str(problem))
            return
        if header is not None:
            self._begin(*header)

    def _turn_away(self, why: str) -> None:
        self.factory.turned_away("bad-header", getattr(self.transport.getPeer(), "host", ""), why)
        self.transport.abortConnection()

    def _begin(self, source: IAddress | None, rest: bytes) -> None:
        self._late.cancel()
        self._received = b""
        self._peer = source or self.transport.getPeer()
        self.wrappedProtocol = self.factory.wrappedFactory.buildProtocol(self._peer)
        self.wrappedProtocol.makeConnection(self)
        if rest:
            self.wrappedProtocol.dataReceived(rest)

    def readConnectionLost(self) -> None:
        pass_up_the_end(self.wrappedProtocol, self.transport)

    def writeConnectionLost(self) -> None:
        pass

    def getPeer(self) -> Any:
        return self._peer or self.transport.getPeer()

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        if self._late.active():
            self._late.cancel()
        if self.wrappedProtocol is not None:
            self.wrappedProtocol.connectionLost(reason)


class TrustedProxies(WrappingFactory):
    """Accepts connections from these addresses only: anybody can write a PROXY header."""

    noisy = False

    def __init__(
        self,
        clock: IReactorTime,
        factory: Any,
        addresses: Sequence[str],
        turned_away: OnTurnedAway = nobody_asks,
    ) -> None:
        super().__init__(factory)
        self.clock = clock
        self.turned_away = turned_away
        self._addresses = frozenset(addresses)

    def buildProtocol(self, addr: IAddress | None) -> IProtocol:  # type: ignore[override]
        # A Unix socket has no address: the file system decides who may write to it.
        host = getattr(addr, "host", None)
        if host is not None and host.removeprefix("::ffff:") not in self._addresses:
            self.turned_away("untrusted-proxy", host, "")
            return HangUp()
        return _ProxyProtocol(self)
