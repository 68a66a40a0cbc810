"""What is begun and never ended: frames, TLS handshakes. It must not be waited for without end."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Sequence
from itertools import cycle
from urllib.request import urlopen

from tests.attacks.bystanders import AttackCase
from tests.support.clients import FrameClient
from tests.support.processes import ChatServer, Stores, new_address
from tests.support.servers import free_port

LARGEST = b"\xff\xff" + b"x" * 65_535

BETWEEN_BYTES = 0.2
"""Seconds; a frame of ten bytes or more takes longer than the server waits."""

TIMEOUTS = ("--frame-timeout", "2", "--login-timeout", "5")


class CountingServer(ChatServer):
    """A server that can be asked what it counts."""

    def __init__(self, *options: str) -> None:
        self._http = free_port()
        super().__init__(*options, "--metrics", f"tcp:{self._http}:interface=127.0.0.1")

    def count(self, name: str) -> int:
        """The value of a metric, by name and labels."""
        with urlopen(f"http://127.0.0.1:{self._http}/metrics", timeout=10) as page:
            lines = page.read().decode().splitlines()
        (value,) = (line.split()[-1] for line in lines if line.startswith(f"{name} "))
        return int(float(value))

    def ended_by(self, limit: str) -> int:
        """How many connections a limit has ended."""
        return self.count(f'chatsvc_connections_ended_total{{limit="{limit}"}}')


def client_hello() -> bytes:
    """The first bytes of a client that means it."""
    hello = ssl.MemoryBIO()
    context = ssl.create_default_context()
    client = context.wrap_bio(ssl.MemoryBIO(), hello, server_hostname="localhost")
    try:
        client.do_handshake()
    except ssl.SSLWantReadError:
        return hello.read()
    raise AssertionError("a handshake without a server")


def _takes(one: socket.socket, byte: int) -> bool:
    try:
        one.sendall(bytes([byte]))
    except OSError:
        return False
    return True


class HalvesTests(AttackCase):
    server: CountingServer

    def make_server(self, stores: Stores) -> ChatServer:
        return CountingServer(*stores.options, *TIMEOUTS)

    def trickle(self, sockets: Sequence[socket.socket], data: bytes) -> None:
        """Send a byte now and then until the server has closed all connections; fail if it does not."""
        left = list(sockets)
        deadline = time.monotonic() + 20
        for byte in data:
            if not left or time.monotonic() > deadline:
                break
            time.sleep(BETWEEN_BYTES)
            left = [one for one in left if _takes(one, byte)]
        self.assertEqual(len(left), 0)

    def plain(self) -> socket.socket:
        """A TCP connection, from an address of its own, that has said nothing."""
        origin = (new_address(), 0)
        connection = socket.create_connection(("127.0.0.1", self.server.port), 10, origin)
        self.addCleanup(connection.close)
        return connection

    def test_frames(self) -> None:
        """Frames that never become whole would hold connections and memory, for good after a log-in."""
        with self.talk():
            clients: list[FrameClient] = [self.text(self.user()), self.structured(self.user())]
            for _ in range(5):
                clients += [self.text(), self.structured()]
            before = self.server.ended_by("frame-timeout")
            self.trickle([client.socket for client in clients], LARGEST)
            self.assertEqual(self.server.ended_by("frame-timeout") - before, len(clients))

    def test_honest(self) -> None:
        """Somebody who is slow, but sends whole frames, would be taken for an attacker."""
        uid = self.user()
        with self.talk():
            client = self.text(uid)
            for answers in range(2):
                for byte in b"\0\x04help":
                    time.sleep(BETWEEN_BYTES)
                    client.socket.sendall(bytes([byte]))
                self.assertTrue(client.read().startswith("命令使用说明"), answers)

    def test_handshakes(self) -> None:
        """Handshakes that never end would hold their connections for good."""
        hello = client_hello()
        with self.talk():
            before = self.server.ended_by("login-timeout")
            crowd = [self.plain() for _ in range(50)]
            self.trickle(crowd, hello)
            self.assertEqual(self.server.ended_by("login-timeout") - before, len(crowd))

    def test_dropped_handshakes(self) -> None:
        """Thousands of handshakes, dropped midway, would stop the others' messages or leave connections behind."""
        hello = client_hello()
        with self.talk():
            connections = self.server.count("chatsvc_connections")
            before = 0.0
            for i, read in zip(range(3_000), cycle((True, False))):
                if i == 1_000:
                    before = self.server.resident()
                connection = self.plain()
                connection.sendall(hello if i % 3 else hello[: len(hello) // 2])
                if read and i % 3:
                    self.assertTrue(connection.recv(1))
                connection.close()
            deadline = time.monotonic() + 10
            while self.server.count("chatsvc_connections") > connections:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.1)
            # A handshake takes 48 KiB: 2,000 left behind would be 94 MiB.
            self.assertLess(self.server.resident() - before, 45)
