"""Clients of a real server that say all in one go and close their half: ``printf … | ncat``."""

from __future__ import annotations

import contextlib
import socket
import ssl
import struct

from twisted.trial.unittest import SynchronousTestCase

from tests.support.processes import (
    PASSWORD,
    ChatServer,
    SQLiteStores,
    new_address,
    shared,
    timeless,
)
from tests.support.servers import free_port

HEADER = b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 443\r\n"


class Service:
    """One server with a port of each kind."""

    def __init__(self) -> None:
        self.stores = SQLiteStores()
        self.ports = {kind: free_port() for kind in ("ordinary", "proxied", "legacy", "bare")}
        self.server = ChatServer(
            *self.stores.options,
            *("--legacy-port", self._place("ssl", "legacy")),
            ports=(
                self._place("ssl", "ordinary"),
                self._place("haproxy:ssl", "proxied"),
                self._place("tcp", "bare"),
            ),
        ).start()

    def _place(self, kind: str, port: str) -> str:
        return f"{kind}:{self.ports[port]}:interface=127.0.0.1"


class Pipe:
    """Says its lines, ends its half by ``alert`` (close_notify) or TCP's FIN, and then reads to the end."""

    def __init__(self, service: Service, kind: str, alert: bool) -> None:
        self._length = struct.Struct("<H" if kind == "legacy" else "!H")
        self._alert = alert
        # A proxy is trusted by its address.
        source = "127.0.0.1" if kind == "proxied" else new_address()
        self._socket = socket.create_connection(("127.0.0.1", service.ports[kind]), 10, (source, 0))
        if kind == "proxied":
            self._socket.sendall(HEADER)
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls: ssl.SSLObject | None = None
        if kind != "bare":
            context = ssl.create_default_context(cafile=service.server.ca)
            self._tls = context.wrap_bio(self._in, self._out, server_hostname="localhost")
            self._shake_hands(self._tls)

    def _shake_hands(self, tls: ssl.SSLObject) -> None:
        for _ in range(10):
            try:
                tls.do_handshake()
            except ssl.SSLWantReadError:
                self._socket.sendall(self._out.read())
                self._in.write(self._socket.recv(65_536))
            else:
                break
        self._socket.sendall(self._out.read())

    def talk(self, *lines: str) -> list[str]:
        """Say the lines, and what came back until the server closed."""
        datas = [line.encode() for line in lines]
        said = b"".join(self._length.pack(len(data)) + data for data in datas)
        if self._tls is None:
            self._socket.sendall(said)
            self._socket.shutdown(socket.SHUT_WR)
        else:
            self._tls.write(said)
            if self._alert:
                with contextlib.suppress(ssl.SSLError):
                    self._tls.unwrap()
            self._socket.sendall(self._out.read())
            if not self._alert:
                self._socket.shutdown(socket.SHUT_WR)
        return self._frames(self._read_all())

    def _read_all(self) -> bytes:
        got = b""
        with self._socket:
            while data := self._socket.recv(65_536):
                if self._tls is None:
                    got += data
                    continue
                self._in.write(data)
                with contextlib.suppress(ssl.SSLError):
                    while piece := self._tls.read(65_536):
                        got += piece
        return got

    def _frames(self, data: bytes) -> list[str]:
        frames = []
        while data:
            (size,) = self._length.unpack(data[:2])
            frames.append(data[2 : 2 + size].decode())
            data = data[2 + size :]
        return frames


class LastWordsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.service = shared(type(self), Service, lambda service: service.server.remove())
        self.me = self.service.stores.add_user("me")
        self.other = self.service.stores.add_user("other")

    def test_answers(self) -> None:
        """A client that says all in one go and closes its half would not be answered, or never be let go."""
        for kind in self.service.ports:
            for alert in (True, False):
                said = Pipe(self.service, kind, alert).talk(
                    *(f"auth {self.me} {PASSWORD}", f"msg {self.other} hi", "find other", "lang en")
                )
                greeting, logged_in, message, found, lang = said
                self.assertEqual((greeting, logged_in), ("请登陆!", "认证成功!"), (kind, alert))
                expected = f"[离线消息]\nTIME\n[ me|UID:{self.me} ]:hi"
                self.assertEqual(timeless(message), expected)
                self.assertIn(f"{self.other} (离线)", found)
                self.assertEqual(lang, "English it is!")

    def test_gone(self) -> None:
        """A program whose TLS has ended would stay online."""
        auth = f'{{"type":"auth","n":1,"uid":{self.other},"password":"{PASSWORD}"}}'
        for kind in self.service.ports:
            for alert in (True, False):
                _, answer = Pipe(self.service, kind, alert).talk(auth)
                self.assertIn('"ok"', answer)
                said = Pipe(self.service, kind, alert).talk(
                    f"auth {self.me} {PASSWORD}", "find other", f"msg {self.other} hi"
                )
                self.assertTrue(said[-1].startswith("[离线消息]"), (kind, alert))
