"""Endpoint strings to the layers of a connection."""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.protocols.tls import BufferingTLSTransport
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tls.context import ServerContext
from chatsvc.tls.half_close import HalfClosedTLS
from chatsvc.tls.key_files import BadKeys
from chatsvc.tls.key_folder import KeyFolder
from chatsvc.transport.ack_tracker import ByteMeter, meter_of
from chatsvc.transport.listeners import BadEndpoint, Listener, ListenerBuilder

PROXY = b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 443\r\n"


class Application(Protocol):
    """What listens: it notes whom it was made for, and what it received."""

    received = b""

    def dataReceived(self, data: bytes) -> None:
        self.received += data


class Applications(Factory):
    noisy = False

    def __init__(self) -> None:
        self.refuses = False
        self.built: list[Application] = []

    def buildProtocol(self, addr: Any) -> Application | None:
        if self.refuses:
            return None
        self.built.append(Application())
        return self.built[-1]


class Wire(StringTransport):
    """A transport that can be aborted."""

    aborted = False

    def abortConnection(self) -> None:
        self.aborted = True


class ListenerBuilderTests(SynchronousTestCase):
    def setUp(self) -> None:
        keys = KeyFolder(os.path.abspath(self.mktemp()))
        keys.ensure(["localhost"])
        self.key, self.certificate = keys.key_path, keys.certificate_path
        self.own = ServerContext(self.key, self.certificate)
        self.reactor = MemoryReactorClock()
        self.applications = Applications()
        self.builder = ListenerBuilder(self.reactor, lambda: self.own)

    def listen(self, text: str) -> Any:
        """The lowest factory of a listener."""
        listener = self.builder.build(text)
        self.assertIsInstance(listener, Listener)
        self.successResultOf(listener.endpoint.listen(self.applications))
        servers = self.reactor.tcpServers or self.reactor.unixServers
        return servers[-1][1]

    def connect(self, text: str, address: Any = None) -> tuple[Any, Wire]:
        """The lowest layer of a new connection, and the transport below it."""
        address = address or IPv4Address("TCP", "127.0.0.1", 5000)
        lowest = self.listen(text).buildProtocol(address)
        wire = Wire(peerAddress=address)
        if lowest is not None:
            lowest.makeConnection(wire)
        return lowest, wire

    def layers(self, lowest: Any) -> list[type]:
        """The types of all layers, from the lowest up."""
        found = []
        layer = lowest
        while layer is not None:
            found.append(type(layer))
            layer = getattr(layer, "wrappedProtocol", None)
        return found

    def test_ports(self) -> None:
        """A port or an interface would be another than the one in the string."""
        for text, port, interface in (
            *(("tcp:1234", 1234, ""), ("tcp:5:interface=127.0.0.1", 5, "127.0.0.1")),
            *(("ssl:1234", 1234, ""), ("ssl:port=5:interface=\\:\\:1", 5, "::1")),
            ("haproxy:ssl:7:interface=127.0.0.1", 7, "127.0.0.1"),
        ):
            self.listen(text)
            server = self.reactor.tcpServers[-1]
            self.assertEqual((server[0], server[3]), (port, interface), text)

    def test_unix(self) -> None:
        """A Unix socket could not be listened on."""
        self.listen("unix:/tmp/chat.sock")
        self.assertEqual(self.reactor.unixServers[-1][0], "/tmp/chat.sock")

    def test_plain(self) -> None:
        """A connection without TLS would have no meter, or none at its bottom."""
        lowest, _ = self.connect("tcp:1")
        self.assertEqual(self.layers(lowest), [ByteMeter, Application])
        self.assertIs(meter_of(self.applications.built[0].transport), lowest)

    def test_tls(self) -> None:
        """The meter would count plain bytes, or TLS would put frames together."""
        for text in ("ssl:1", f"ssl:1:privateKey={self.key}:certKey={self.certificate}"):
            lowest, wire = self.connect(text)
            layers = self.layers(lowest)
            self.assertIs(layers[0], ByteMeter)
            self.assertIn(HalfClosedTLS, layers)
            self.assertNotIn(BufferingTLSTransport, layers)
            self.assertIs(layers[-1], Application)
            self.assertIs(meter_of(self.applications.built[-1].transport), lowest)
            lowest.dataReceived(b"no TLS at all")
            self.assertEqual(self.applications.built[-1].received, b"")
            del wire

    def test_hosts(self) -> None:
        """A `tls:` endpoint would have no meter under its TLS, or would listen elsewhere."""
        folder = self.mktemp()
        os.mkdir(folder)
        with open(f"{folder}/localhost.pem", "w") as pem:
            for path in (self.key, self.certificate):
                with open(path) as part:
                    pem.write(part.read())
        for text, port, interface in (
            (f"tls:{folder}:port=1", 1, "::"),
            (f"tls:path={folder}:interface=127.0.0.1", 443, "127.0.0.1"),
            (f"tls:{folder}:5:9:127.0.0.1", 5, "127.0.0.1"),
        ):
            lowest, _ = self.connect(text)
            layers = self.layers(lowest)
            self.assertIs(layers[0], ByteMeter)
            self.assertIn(HalfClosedTLS, layers)
            server = self.reactor.tcpServers[-1]
            self.assertEqual((server[0], server[3]), (port, interface), text)

    def test_certificate_in_use(self) -> None:
        """The certificate of the key folder would not be shared, or one of its own not be used."""
        self.assertIs(self.builder.build("ssl:1").context, self.own)
        self.assertIs(self.builder.build("haproxy:ssl:1").context, self.own)
        own = self.builder.build(f"ssl:1:privateKey={self.key}:certKey={self.certificate}")
        self.assertIsNotNone(own.context)
        self.assertIsNot(own.context, self.own)
        self.assertIsNone(self.builder.build("tcp:1").context)

    def test_escaped_paths(self) -> None:
        """A path with a colon in it could not be given."""
        path = os.path.abspath(self.mktemp()) + ":1"
        with open(path, "w") as both:
            for part in (self.key, self.certificate):
                with open(part) as text:
                    both.write(text.read())
        escaped = path.replace(":", "\\:")
        self.assertIsNotNone(self.builder.build(f"ssl:1:privateKey={escaped}").context)

    def test_proxy(self) -> None:
        """Behind a proxy, limits by address would count the proxy."""
        lowest, _ = self.connect("haproxy:tcp:1")
        self.assertIs(type(lowest), ByteMeter)
        lowest.dataReceived(PROXY + b"hello")
        application = self.applications.built[0]
        transport: Any = application.transport
        self.assertEqual(transport.getPeer().host, "198.51.100.7")
        self.assertEqual(application.received, b"hello")
        self.assertIs(meter_of(application.transport), lowest)

    def test_proxy_before_tls(self) -> None:
        """The PROXY header would be expected inside TLS, where no proxy can put it."""
        lowest, wire = self.connect("haproxy:ssl:1")
        lowest.dataReceived(PROXY)
        self.assertIn(HalfClosedTLS, self.layers(lowest))
        self.assertFalse(wire.disconnecting or wire.aborted)

    def test_no_proxy_header(self) -> None:
        """A connection past the proxy would be served without an address."""
        lowest, wire = self.connect("haproxy:tcp:1")
        lowest.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        self.assertTrue(wire.disconnecting or wire.aborted)
        self.assertEqual([a.received for a in self.applications.built if a.received], [])

    def test_strangers(self) -> None:
        """Anybody could pretend to come from any address."""
        for host in ("192.0.2.9", "127.0.0.2", "10.0.0.1"):
            lowest, wire = self.connect("haproxy:tcp:1", IPv4Address("TCP", host, 5))
            if lowest is not None:
                lowest.dataReceived(PROXY + b"hello")
                self.assertTrue(wire.aborted, host)
            self.assertEqual([a.received for a in self.applications.built if a.received], [])

    def test_trusted(self) -> None:
        """A proxy that is trusted would be turned away."""
        self.builder = ListenerBuilder(self.reactor, lambda: self.own, ["192.0.2.9"])
        for address in (
            IPv4Address("TCP", "192.0.2.9", 5),
            IPv6Address("TCP", "::ffff:192.0.2.9", 5),
            UNIXAddress("/tmp/x"),
        ):
            lowest, _ = self.connect("haproxy:tcp:1", address)
            lowest.dataReceived(PROXY + b"hello")
            self.assertEqual(self.applications.built[-1].received, b"hello")
        lowest, wire = self.connect("haproxy:tcp:1")
        lowest.dataReceived(PROXY + b"hello")
        self.assertTrue(wire.aborted, "loopback is no longer trusted")

    def test_strangers_without_a_proxy(self) -> None:
        """Ordinary listeners would let in loopback only."""
        lowest, wire = self.connect("tcp:1", IPv4Address("TCP", "192.0.2.9", 5))
        lowest.dataReceived(b"hello")
        self.assertEqual((self.applications.built[-1].received, wire.aborted), (b"hello", False))

    def test_full(self) -> None:
        """A connection that the factory does not want would raise instead of being ended."""
        for text in ("tcp:1", "ssl:1", "haproxy:tcp:1"):
            self.applications.refuses = False
            factory = self.listen(text)
            self.applications.refuses = True
            lowest = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5))
            wire = Wire()
            lowest.makeConnection(wire)
            if text.startswith("haproxy:"):
                lowest.dataReceived(PROXY)
            self.assertTrue(wire.aborted, text)

    def test_bad_endpoints(self) -> None:
        """A slip in an endpoint would be a traceback, or listen elsewhere."""
        for text in (
            *(
                "",
                "nonsense:1",
                "tcp",
                "tcp:",
                "tcp:x",
                "ssl:",
                "ssl:x",
                "ssl:1:nonsense=2",
                "1234",
            ),
            *("haproxy:", "haproxy:nonsense:1", "tls:", "tls:path=", "unix"),
            f"ssl:1:certKey={self.certificate}",
        ):
            problem = self.assertRaises(BadEndpoint, self.builder.build, text)
            self.assertIn(repr(text), str(problem))
            self.assertEqual(len(str(problem).splitlines()), 1, text)

    def test_bad_keys(self) -> None:
        """A certificate that cannot be read would only show when somebody connects."""
        for text in (
            "ssl:1:privateKey=/no/such",
            f"ssl:1:privateKey={self.certificate}",
            "tls:/no/such/folder:port=1",
        ):
            self.assertRaises(BadKeys, self.builder.build, text)
