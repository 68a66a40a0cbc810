"""PROXY headers, as a proxy writes them and as nobody should."""

from __future__ import annotations

from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.transport.proxy_protocol import TrustedProxies, read_header

BINARY = b"\r\n\r\n\0\r\nQUIT\n"
ADDRESSES = bytes([198, 51, 100, 7, 192, 0, 2, 1]) + b"\x15\xb3\x01\xbb"
IPV6 = bytes.fromhex("20010db8") + bytes(11) + b"\1" + bytes(16) + b"\x15\xb3\x01\xbb"

SOURCES = {
    b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 443\r\n": IPv4Address("TCP", "198.51.100.7", 5555),
    b"PROXY TCP6 2001:db8::1 ::1 5555 443\r\n": IPv6Address("TCP", "2001:db8::1", 5555),
    b"PROXY UNKNOWN\r\n": None,
    b"PROXY UNKNOWN ffff::1 ffff::2 1 2\r\n": None,
    BINARY + b"\x21\x11\0\x0c" + ADDRESSES: IPv4Address("TCP", "198.51.100.7", 5555),
    BINARY + b"\x21\x11\0\x0f" + ADDRESSES + b"\4\0\0": IPv4Address("TCP", "198.51.100.7", 5555),
    BINARY + b"\x21\x21\0\x24" + IPV6: IPv6Address("TCP", "2001:db8::1", 5555),
    BINARY + b"\x20\0\0\0": None,
    BINARY + b"\x20\x11\0\x0c" + ADDRESSES: None,
    BINARY + b"\x21\0\0\0": None,
}

MALFORMED = (
    *(b"GET / HTTP/1.1\r\n", b"proxy TCP4", b"\x16\x03\x01", b"PROXY\r\n", b"PROXY \r\n"),
    b"PROXY TCP4 2001:db8::1 ::1 1 2\r\n",
    b"PROXY TCP6 198.51.100.7 192.0.2.1 1 2\r\n",
    b"PROXY TCP6 fe80::1%\x1b[2J ::1 1 2\r\n",
    b"PROXY TCP4 198.51.100.700 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 198.51.100.7 192.0.2.1 1\r\n",
    b"PROXY TCP4 " + b"1" * 97,
    b"PROXY UNKNOWN " + b"x" * 93 + b"\r\n",
    BINARY + b"\x11\x11\0\x0c",
    BINARY + b"\x22\x11\0\x0c",
    BINARY + b"\x21\x12\0\x0c" + ADDRESSES,
    BINARY + b"\x21\x11\0\x04" + ADDRESSES[:4],
)


class HeaderTests(SynchronousTestCase):
    def test_sources(self) -> None:
        """Somebody would be taken for another, or what follows a header for a part of it."""
        for header, source in SOURCES.items():
            self.assertEqual(read_header(header + b"more"), (source, b"more"), header)
            for end in range(len(header)):
                self.assertIsNone(read_header(header[:end]), header[:end])

    def test_malformed(self) -> None:
        """What is no header would be waited for, or believed."""
        for data in MALFORMED:
            self.assertRaises(ValueError, read_header, data)


class Upper(Protocol):
    received = b""
    lost = False

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Any = None) -> None:
        self.lost = True


class Wire(StringTransport):
    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class ConnectionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.built: list[Upper] = []
        self.told: list[Any] = []
        upper = Factory()
        upper.buildProtocol = self.build  # type: ignore[method-assign,assignment]
        proxy = IPv4Address("TCP", "127.0.0.1", 5)
        self.wire = Wire(peerAddress=proxy)
        factory = TrustedProxies(self.clock, upper, ["127.0.0.1"])
        self.connection: Any = factory.buildProtocol(proxy)
        self.connection.makeConnection(self.wire)

    def build(self, address: Any) -> Upper:
        self.told.append(address)
        self.built.append(Upper())
        return self.built[-1]

    def test_nobody_before_the_header(self) -> None:
        """A connection would be greeted, and counted as the proxy's, before it is known where it comes from."""
        header = b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 443\r\n"
        for byte in header[:-1]:
            self.connection.dataReceived(bytes([byte]))
            self.assertEqual(self.built, [])
        self.connection.dataReceived(header[-1:] + b"hel")
        self.connection.dataReceived(b"lo")
        (upper,) = self.built
        self.assertEqual([address.host for address in self.told], ["198.51.100.7"])
        transport: Any = upper.transport
        self.assertEqual((transport.getPeer().host, upper.received), ("198.51.100.7", b"hello"))
        self.clock.advance(10)
        self.assertFalse(self.wire.aborted)
        self.connection.connectionLost(None)
        self.assertTrue(upper.lost)

    def test_from_the_proxy_itself(self) -> None:
        """A proxy that asks whether the server lives would have no address."""
        self.connection.dataReceived(b"PROXY UNKNOWN\r\n")
        self.assertEqual([address.host for address in self.told], ["127.0.0.1"])

    def test_too_late(self) -> None:
        """A connection without a header would stay for ever."""
        self.connection.dataReceived(b"PROXY TCP4 ")
        self.clock.advance(5)
        self.assertTrue(self.wire.aborted)

    def test_gone_before_the_header(self) -> None:
        """A connection that is lost before its header came would leave an error or a timer behind."""
        self.connection.connectionLost(None)
        self.assertEqual((self.clock.getDelayedCalls(), self.built), ([], []))
