"""The client as its users run it: ``twistd chatclient`` in a process, in a pipe or at a terminal."""

from __future__ import annotations

import os
import select
import shutil
import socket
import ssl
import struct
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import pexpect
from twisted.trial.unittest import TestCase

from tests.support.forked import ForkedProgram
from tests.support.processes import ChatServer, shared, timeless

PATIENCE = 30
PASSWORD = "pw"
COMMAND = [str(Path(sys.executable).with_name("twistd")), "-n", "chatclient"]


class Outcome(NamedTuple):
    """How a client ended, and what it printed, times replaced."""

    status: int
    output: str
    errors: str


class ProgramCase(TestCase):
    """
    One server for all tests of a class, and for each test a folder and two accounts: ``uid`` and ``other``. Its methods
    block.
    """

    server: ChatServer

    def setUp(self) -> None:
        self.server = shared(type(self), lambda: ChatServer().start(), ChatServer.remove).start()
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.uid, self.other = self.register(), self.register()

    def register(self) -> int:
        """A new account."""
        client = self.server.structured()
        self.addCleanup(client.close)
        name = f"n{os.urandom(6).hex()}"
        answer = client.ask(type="register", n=1, name=name, password=PASSWORD)
        return int(answer["uid"])

    def environment(self, **more: str) -> dict[str, str]:
        """Nothing of the developer's own settings."""
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("CHATSVC_", "LC_"))}
        return {**kept, "LANG": "zh_CN.UTF-8", "HOME": str(self.folder), **more}

    def options(self, port: int | None = None) -> list[str]:
        """Connect to the server and trust it."""
        address = f"localhost:{port or self.server.port}"
        return ["--connect", address, "--ca", self.server.ca, "--state", str(self.folder / "state")]

    def start(self, *options: str, **env: str) -> ForkedProgram:
        """A client in a pipe."""
        return self.program([*COMMAND, *(options or self.options())], **env)

    def program(self, command: Sequence[str], **env: str) -> ForkedProgram:
        """A program, whose streams are pipes."""
        process = ForkedProgram(
            *command,
            environment=self.environment(**env),
            folder=self.folder,
        )
        self.addCleanup(self.end, process)
        return process

    def end(self, process: ForkedProgram) -> None:
        """End a client that a test has left."""
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with suppress(OSError):
                    stream.close()

    def run_client(self, *lines: str, options: list[str] | None = None, **env: str) -> Outcome:
        """Run a client in a pipe to its end."""
        process = self.start(*(options or self.options()), **env)
        output, errors = process.communicate("".join(f"{line}\n" for line in lines), PATIENCE)
        return Outcome(process.returncode, timeless(output), errors)

    def terminal(self, *options: str, **env: str) -> Any:
        """A client at a terminal."""
        child = pexpect.spawn(
            COMMAND[0],
            [*COMMAND[1:], *(options or self.options())],
            cwd=str(self.folder),
            env=self.environment(**{"TERM": "xterm", **env}),
            encoding="utf-8",
            timeout=PATIENCE,
            dimensions=(24, 120),
        )
        self.addCleanup(child.close, force=True)
        child.expect("请登陆!")
        return child

    def waiting(self, uid: int) -> list[str]:
        """What waits for an account: read, and not acknowledged."""
        client = self.server.structured()
        self.addCleanup(client.close)
        count = client.log_in(uid, PASSWORD)["waiting"]
        return [client.await_type("msg")["text"] for _ in range(count)]


class Relay:
    """
    A TLS server before the real one, with its certificate. ``keep`` says of each of the server's frames whether the
    client is to have it.
    """

    def __init__(
        self, server: ChatServer, keep: Callable[[bytes], bool], host: str = "127.0.0.1"
    ) -> None:
        self._server = server
        self._keep = keep
        self.dropped = threading.Event()
        keys = Path(server.ca).parent
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(keys / "server.crt", keys / "server.key")
        self._listener = socket.create_server((host, 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _serve(self) -> None:
        with suppress(OSError):
            raw, _ = self._listener.accept()
            with self._context.wrap_socket(raw, server_side=True) as near:
                trusted = ssl.create_default_context(cafile=self._server.ca)
                far_raw = socket.create_connection(("127.0.0.1", self._server.port))
                with trusted.wrap_socket(far_raw, server_hostname="localhost") as far:
                    self._relay(near, far)

    def _relay(self, near: ssl.SSLSocket, far: ssl.SSLSocket) -> None:
        """Both ways in one thread: OpenSSL does not bear two on one connection."""
        unread = b""
        while True:
            select.select([near, far], [], [])
            for data in _received(near):
                far.sendall(data)
            for data in _received(far):
                unread += data
            while len(unread) >= 2 and len(unread) >= 2 + struct.unpack("!H", unread[:2])[0]:
                end = 2 + struct.unpack("!H", unread[:2])[0]
                frame, unread = unread[:end], unread[end:]
                if self._keep(frame[2:]):
                    near.sendall(frame)
                else:
                    self.dropped.set()


def _received(source: ssl.SSLSocket) -> Iterator[bytes]:
    """What has come; what is readable may be TLS's own affair, so that nothing comes of it."""
    source.settimeout(0.02)
    try:
        while True:
            data = source.recv(65_536)
            if not data:
                raise ConnectionResetError
            yield data
    except TimeoutError:
        pass
    finally:
        source.settimeout(10)
