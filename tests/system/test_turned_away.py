"""Real servers that turn connections away before anybody serves them."""

from __future__ import annotations

import socket
import time
from contextlib import closing

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import TextClient
from tests.support.processes import ChatServer
from tests.support.servers import free_port
from tests.support.watching import Watch

_FILES = 100
_COUNTER = 'chatsvc_connections_turned_away_total{reason="%s"}'


class _WithFewFiles(ChatServer):
    """A server that may open few files."""

    def command(self) -> list[str]:
        return ["prlimit", f"--nofile={_FILES}:{_FILES}", *super().command()]


class OpenFilesTests(SynchronousTestCase):
    def test_used_up(self) -> None:
        """Connections would vanish without a word, and metrics, health and stores be out of reach with them."""
        watch = Watch()
        server = _WithFewFiles(*watch.options).start()
        self.addCleanup(server.remove)
        for _ in range(_FILES + 20):
            one = socket.create_connection(("127.0.0.1", server.port), 5)
            self.addCleanup(one.close)
        self.assertTrue(server.wait_for("are turned away: the process may open no more files"))
        self.assertIn("Connections from 127.0.0.1 are turned away", server.log())
        self.assertGreater(watch.value(_COUNTER % "open-files"), 20)
        self.assertGreater(watch.value("process_open_fds"), _FILES // 2)
        self.assertEqual(watch.get("health"), (200, "ok\n"))
        time.sleep(1.5)  # the watermark is written each second
        self.assertNotIn("Too many open files", server.log())
        self.assertEqual(server.tracebacks(), [])


class ProxyTests(SynchronousTestCase):
    """A port for a proxy."""

    def setUp(self) -> None:
        self.watch = Watch()
        self.behind = free_port()
        port = f"haproxy:ssl:{self.behind}:interface=127.0.0.1"
        trust = ("--trusted-proxy", "127.0.0.9")
        self.server = ChatServer(*self.watch.options, *trust, ports=(port,)).start()
        self.addCleanup(self.server.remove)

    def turned_away(self, source: str, header: bytes) -> bool:
        """Whether a connection from there, with this header, is ended before it is served."""
        place = ("127.0.0.1", self.behind)
        with closing(socket.create_connection(place, 5, (source, 0))) as one:
            one.settimeout(7)
            one.sendall(header)
            try:
                return one.recv(1) == b""
            except ConnectionError:
                return True

    def test_stranger(self) -> None:
        """Somebody who has forgotten --trusted-proxy would see connections end, and nothing else."""
        self.assertTrue(self.turned_away("127.0.0.1", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"))
        self.assertTrue(self.server.wait_for("Connections from 127.0.0.1 are turned away: only"))
        self.assertEqual(self.watch.value(_COUNTER % "untrusted-proxy"), 1)

    def test_header(self) -> None:
        """The same for a proxy that sends no header, or none that can be read."""
        self.assertTrue(self.turned_away("127.0.0.9", b"\x16\x03\x01 a handshake"))
        said = "Connections from 127.0.0.9 are turned away: they bring no PROXY header"
        self.assertTrue(self.server.wait_for(said))
        self.assertTrue(self.turned_away("127.0.0.9", b"PROXY TCP4 nowhere"))
        self.assertTrue(self.turned_away("127.0.0.9", b""))
        self.assertEqual(self.watch.value(_COUNTER % "bad-header"), 3)

    def test_looking_whether_the_port_is_there(self) -> None:
        """A balancer that only looks whether it can connect would be a line a minute."""
        with closing(socket.create_connection(("127.0.0.1", self.behind), 5, ("127.0.0.9", 0))):
            pass
        header = b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n"
        client = TextClient(self.behind, self.server.ca, source="127.0.0.9", preface=header)
        self.addCleanup(client.close)
        self.assertEqual(self.watch.value(_COUNTER % "bad-header"), 0)
        self.assertNotIn("turned away", self.server.log())
