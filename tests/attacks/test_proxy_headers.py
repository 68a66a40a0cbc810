"""PROXY headers of strangers, and broken ones: only a trusted proxy says where somebody comes from."""

from __future__ import annotations

import contextlib
import socket
import struct
from functools import partial
from itertools import count

from tests.attacks.bystanders import AttackCase
from tests.attacks.floods import together
from tests.support.clients import FrameClient, TextClient
from tests.support.processes import PASSWORD, ChatServer, Stores, new_address
from tests.support.servers import free_port

PROXY = "127.0.0.9"
THERE = 3
"""Connections that one address may have."""

GREETING = "请登陆!"
TOO_MANY = "连接过多, 请稍后重试!"

HELP = b"\0\4help"

V2 = b"\r\n\r\n\0\r\nQUIT\n"
_ADDRESSES = count(1)


def v1(address: str, kind: str = "TCP4") -> bytes:
    """A header of version 1."""
    return f"PROXY {kind} {address} 192.0.2.1 5555 443\r\n".encode()


def v2(address: str) -> bytes:
    """A header of version 2, which is binary."""
    rest = socket.inet_aton(address) + socket.inet_aton("192.0.2.1") + struct.pack("!HH", 5555, 443)
    return V2 + b"\x21\x11" + struct.pack("!H", len(rest)) + rest


def elsewhere() -> str:
    """An address of documentation (RFC 5737) that no test has named before."""
    number = next(_ADDRESSES)
    return f"198.51.{100 + number // 250}.{number % 250 + 1}"


MALFORMED = (
    b"PROXY\r\n",
    b"PROXY \r\n\r\n",
    b"PROXY TCP4\r\n",
    b"PROXY TCP5 198.51.100.1 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 198.51.100.1 192.0.2.1 1\r\n",
    b"PROXY TCP4 198.51.100.1 192.0.2.1 one two\r\n",
    b"PROXY TCP4 \xff\xfe 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 nonsense 192.0.2.1 1 2\r\n",
    b"PROXY TCP4 \x1b[2J 192.0.2.1 1 2\r\n",
    b"PROXY TCP6 1::2::3 ::1 1 2\r\n",
    b"PROXY TCP4 " + b"1" * 97,
    b"PROXY TCP4 " + b"1" * 100_000,
    b"PROXY TCP4 " + b"1" * 5_000 + b" 192.0.2.1 1 2\r\n",
    b"proxy tcp4 198.51.100.1 192.0.2.1 1 2\r\n",
    b" " + v1("198.51.100.1"),
    V2[:11],
    V2 + b"\x11\x11\0\x0c" + b"\0" * 12,
    V2 + b"\x2f\x11\0\x0c" + b"\0" * 12,
    V2 + b"\x21\x41\0\x0c" + b"\0" * 12,
    V2 + b"\x21\x13\0\x0c" + b"\0" * 12,
    V2 + b"\x21\x11\0\x04" + b"\0" * 4,
    V2 + b"\x21\x21\0\x0c" + b"\0" * 12,
    V2 + b"\x21\x31\0\x0c" + b"\0" * 12,
    b"\x16\x03\x01",
    b"\0" * 1_000,
)
"""No headers, or such as no proxy sends; what follows them has no meaning."""

ENDLESS = (
    b"PROXY TCP4 198.51.100.1\n",
    b"PROXY TCP4 ",
    V2 + b"\x21\x11\xff\xff" + b"\0" * 1_000,
    v1("198.51.100.1"),
    b"",
)
"""Begin well and are not followed by what should follow."""


class ProxiedServer(ChatServer):
    """A server that has two ports for a proxy, besides its own: with TLS (``behind``), and without (``plain``)."""

    def __init__(self, *options: str) -> None:
        super().__init__(*options)
        self.behind, self.plain = free_port(), free_port()
        self.ports = (
            *self.ports,
            f"haproxy:ssl:{self.behind}:interface=127.0.0.1",
            f"haproxy:tcp:{self.plain}:interface=127.0.0.1",
        )


class ProxyHeaderTests(AttackCase):
    options = (
        *("--trusted-proxy", PROXY),
        *("--max-per-ip", str(THERE)),
        *("--login-timeout", "5", "--login-tries", "5/5"),
    )
    server: ProxiedServer

    def make_server(self, stores: Stores) -> ChatServer:
        return ProxiedServer(*stores.options, *self.options)

    def through(self, header: bytes, *, tls: bool) -> TextClient:
        """A client that comes through the proxy."""
        port, ca = (self.server.behind, self.server.ca) if tls else (self.server.plain, None)
        client = TextClient(port, ca, source=PROXY, preface=header)
        self.addCleanup(client.close)
        return client

    def answer(self, port: int, data: bytes, source: str) -> bytes:
        """All that comes back when these bytes are sent, until the server closes."""
        received = b""
        with contextlib.suppress(ConnectionError), self.connection(port, source) as connection:
            connection.sendall(data)
            while more := connection.recv(65_536):
                received += more
        return received

    def connection(self, port: int, source: str) -> socket.socket:
        return socket.create_connection(("127.0.0.1", port), 20, (source, 0))

    def test_strangers(self) -> None:
        """Anybody could claim to come from anywhere, or use up what another address may have."""
        victim = elsewhere()
        uid = self.user()
        with self.talk():
            for header in (v1(victim), v2(victim), b""):
                for port in (self.server.behind, self.server.port)[: 1 + bool(header)]:
                    for _ in range(10):
                        with self.assertRaises(OSError):
                            FrameClient(port, self.server.ca, source=new_address(), preface=header)
                self.assertEqual(self.answer(self.server.plain, header + HELP, new_address()), b"")
            self.through(v1(victim), tls=True).log_in(uid, PASSWORD)

    def test_connections(self) -> None:
        """All would count as one address behind a proxy, or nobody would be counted there."""
        with self.talk():
            for header in (v1, v2):
                for tls in (True, False):
                    address = elsewhere()
                    for _ in range(THERE):
                        self.assertEqual(self.through(header(address), tls=tls).greeting, GREETING)
                    refused = self.through(header(address), tls=tls)
                    self.assertEqual(refused.greeting, TOO_MANY, (header, tls))
                    other = self.through(header(elsewhere()), tls=tls)
                    self.assertEqual(other.greeting, GREETING, (header, tls))

    def test_network(self) -> None:
        """Somebody who has a network of IPv6 addresses, as everybody has, could have any number of connections."""
        with self.talk():
            for number in range(THERE):
                client = self.through(v1(f"2001:db8::{number}", "TCP6"), tls=True)
                self.assertEqual(client.greeting, GREETING)
            client = self.through(v1("2001:db8::abcd", "TCP6"), tls=True)
            self.assertEqual(client.greeting, TOO_MANY)
            client = self.through(v1("2001:db8:0:1::1", "TCP6"), tls=True)
            self.assertEqual(client.greeting, GREETING)

    def test_guessing(self) -> None:
        """Somebody who guesses passwords through a proxy would lock out all who come through it."""
        uid = self.user()
        with self.talk():
            for tls in (True, False):
                guesser, other = v1(elsewhere()), v1(elsewhere())
                client = self.through(guesser, tls=tls)
                for nobody in range(900_000, 900_006):
                    self.assertEqual(client.ask(f"auth {nobody} x"), "认证失败!")
                    self.assertEqual(client.read(), GREETING)
                self.assertTrue(client.ask(f"auth {uid} {PASSWORD}").startswith("尝试太频繁"))
                self.through(other, tls=tls).log_in(uid, PASSWORD)

    def test_malformed(self) -> None:
        """A header that makes no sense would be served, or disturb the others."""
        with self.talk():
            for port in (self.server.behind, self.server.plain):
                for header in MALFORMED:
                    self.assertEqual(self.answer(port, header + HELP, PROXY), b"", header[:40])

    def test_endless(self) -> None:
        """A header that never ends, or that nothing follows, would be waited for without end."""
        with self.talk():
            attacks = [partial(self.answer, self.server.behind, start, PROXY) for start in ENDLESS]
            self.assertEqual(set(together(attacks)), {b""})
