"""The server under systemd, or whoever else supervises it: a socket that was there before, readiness, signs of life."""

from __future__ import annotations

import signal
import socket
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import TextClient
from tests.support.processes import ChatServer, run_chat
from tests.support.servers import free_port
from tests.support.supervisor import Supervising

_HAND_OVER = """
import os, sys
os.dup2(int(sys.argv[1]), 3)
os.environ.update(LISTEN_FDS="1", LISTEN_FDNAMES="chat", LISTEN_PID=str(os.getpid()))
os.execv(sys.argv[2], sys.argv[2:])
"""
"""Becomes a program that is handed a socket as sd_listen_fds(3) has it: as descriptor 3."""


class _Activated(ChatServer):
    """A server that is handed a socket that listens, on IPv6 and IPv4."""

    def __init__(self, endpoint: str, *options: str) -> None:
        super().__init__(*options, ports=(endpoint,))
        self._listening = socket.create_server(
            ("::", self.port), family=socket.AF_INET6, dualstack_ipv6=True
        )
        self.inherited: Sequence[int] = (self._listening.fileno(),)

    def command(self) -> list[str]:
        return [sys.executable, "-c", _HAND_OVER, str(self.inherited[0]), *super().command()]

    def remove(self) -> None:
        super().remove()
        self._listening.close()


class ActivationTests(SynchronousTestCase):
    def server(self, endpoint: str) -> _Activated:
        """One that has run once, so that there is a certificate to trust."""
        server = _Activated(endpoint)
        self.addCleanup(server.remove)
        server.start().stop()
        return server

    def test_tls(self) -> None:
        """Who connects while the service is down, or starts, would be refused, or be served without TLS."""
        server = self.server("ssl:systemd:domain=INET6:name=chat")
        with ThreadPoolExecutor(1) as pool:
            early = pool.submit(server.text)
            server.start()
            client = early.result(20)
        self.addCleanup(client.close)
        self.assertEqual(client.greeting, "请登陆!")
        self.assertIn("help", client.ask("help"))
        self.assertEqual(server.tracebacks(), [])

    def test_folder_of_certificates(self) -> None:
        """A socket of systemd's could not be used with certificates by name."""
        server = self.server("ssl:systemd:domain=INET6:index=0")
        names = server.folder / "names"
        names.mkdir()
        both = [
            (server.folder / "keys" / name).read_text() for name in ("server.key", "server.crt")
        ]
        (names / "localhost.pem").write_text("".join(both))
        server.ports = ("tls:names:systemd:domain=INET6:index=0",)
        client = server.start().text()
        self.addCleanup(client.close)
        self.assertEqual(client.greeting, "请登陆!")

    def test_plain(self) -> None:
        """Behind a proxy that ends TLS, on a socket of systemd's, TLS would be expected once more."""
        server = _Activated("systemd:domain=INET6:index=0")
        self.addCleanup(server.remove)
        server.start()
        client = TextClient(server.port, None)
        self.addCleanup(client.close)
        self.assertEqual(client.greeting, "请登陆!")

    def test_no_socket(self) -> None:
        """A unit without its socket would end in a traceback, or not say what is missing."""
        for place in ("name=chat", "index=0"):
            outcome = run_chat("--port", f"ssl:systemd:domain=INET6:{place}")
            self.assertEqual((outcome.status, outcome.stderr.count("\n")), (1, 1), outcome)
            self.assertIn("systemd has handed over no such socket", outcome.stderr)


class NotificationTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.systemd = Supervising()
        self.addCleanup(self.systemd.close)

    def server(self, *options: str, **env: str) -> ChatServer:
        """A server that is supervised."""
        env["NOTIFY_SOCKET"] = self.systemd.address
        server = ChatServer(*options, env=env)
        self.addCleanup(server.remove)
        return server

    def test_life(self) -> None:
        """systemd would send clients before the ports are bound, or wait for ever for a start, a reload or a stop."""
        server = self.server(WATCHDOG_USEC="400000")
        server.start()
        ready = self.systemd.heard()
        self.assertEqual(ready["READY"], "1")
        self.assertIn(str(server.port), ready["STATUS"])
        client = server.text()
        self.addCleanup(client.close)
        for _ in range(3):
            self.assertEqual(self.systemd.await_word("WATCHDOG"), {"WATCHDOG": "1"})
        server.reload()
        self.assertGreater(int(self.systemd.await_word("RELOADING")["MONOTONIC_USEC"]), 0)
        self.assertEqual(self.systemd.await_word("READY")["READY"], "1")
        server.terminate()
        stopping = self.systemd.await_word("STOPPING")
        self.assertEqual(stopping["STATUS"], "Stopping; connections: 1")
        self.assertTrue(client.closed())
        self.assertEqual(server.wait(), -signal.SIGTERM)

    def test_cannot_start(self) -> None:
        """A server that cannot use its stores would count as ready, or `systemctl status` would not say why not."""
        outcome = run_chat(
            *(
                "--port",
                "ssl:0:interface=127.0.0.1",
                "--inbox",
                f"redis://127.0.0.1:{free_port()}/0",
            ),
            env={"NOTIFY_SOCKET": self.systemd.address},
        )
        self.assertEqual(outcome.status, 1)
        heard = self.systemd.heard()
        self.assertEqual(list(heard), ["STATUS"])
        self.assertIn("redis://127.0.0.1", heard["STATUS"])
        self.assertEqual(self.systemd.heard(0), {})
