"""Plain blocking clients for tests against real servers, with nothing of the project in them."""

from __future__ import annotations

import json
import socket
import ssl
import struct
from typing import Any

PATIENCE = 10.0
"""Seconds that a client waits for a frame."""


class FrameClient:
    """Speaks frames over TLS; ``legacy`` packs lengths little-endian."""

    def __init__(self, port: int, ca: str, *, legacy: bool = False) -> None:
        self._length = struct.Struct("<H" if legacy else "!H")
        context = ssl.create_default_context(cafile=ca)
        raw = socket.create_connection(("127.0.0.1", port), PATIENCE)
        self.socket = context.wrap_socket(raw, server_hostname="localhost")
        self._received = b""

    def send(self, frame: str | bytes) -> None:
        """Send one frame."""
        data = frame.encode() if isinstance(frame, str) else frame
        self.socket.sendall(self._length.pack(len(data)) + data)

    def read(self, patience: float = PATIENCE) -> str:
        """The next frame's text."""
        self.socket.settimeout(patience)
        size = self._length.unpack(self._exactly(2))[0]
        return self._exactly(size).decode()

    def silent(self, seconds: float = 0.3) -> bool:
        """Whether no frame comes for a while."""
        try:
            self._received = self.read(seconds).encode() + self._received
        except TimeoutError:
            return True
        return False

    def closed(self, patience: float = PATIENCE) -> bool:
        """Whether the server closes the connection, after whatever it still says."""
        try:
            while True:
                self.read(patience)
        except (EOFError, ConnectionError, ssl.SSLError):
            return True
        except TimeoutError:
            return False

    def close(self) -> None:
        """Close, as a well-behaved client does."""
        self.socket.close()

    def _exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            data = self.socket.recv(65_536)
            if not data:
                raise EOFError("the server closed the connection")
            self._received += data
        data, self._received = self._received[:size], self._received[size:]
        return data


class TextClient(FrameClient):
    """Speaks the text dialect."""

    def __init__(self, port: int, ca: str, *, legacy: bool = False) -> None:
        super().__init__(port, ca, legacy=legacy)
        self.greeting = self.read()

    def ask(self, line: str) -> str:
        """Send a line, and the next frame that comes back."""
        self.send(line)
        return self.read()

    def log_in(self, uid: int, password: str) -> None:
        """Log in, or raise AssertionError."""
        answer = self.ask(f"auth {uid} {password}")
        assert answer in ("认证成功!", "Logged in!"), answer


class StructuredClient(FrameClient):
    """Speaks the structured dialect."""

    def __init__(self, port: int, ca: str, *, device: str = "", legacy: bool = False) -> None:
        super().__init__(port, ca, legacy=legacy)
        self.unread: list[dict[str, Any]] = []
        hello = {"type": "hello", "version": 1, "client": "test/1", "lang": "en"}
        if device:
            hello["device"] = device
        self.say(**hello)
        self.welcome = self.await_type("welcome")

    def say(self, **thing: Any) -> None:
        """Send one object."""
        self.send(json.dumps(thing))

    def next(self, patience: float = PATIENCE) -> dict[str, Any]:
        """The next object."""
        if self.unread:
            return self.unread.pop(0)
        return self._next(patience)

    def await_type(self, *kinds: str) -> dict[str, Any]:
        """The next object of one of these types; what came before it is kept for later."""
        for i, thing in enumerate(self.unread):
            if thing["type"] in kinds:
                return self.unread.pop(i)
        while True:
            thing = self._next(PATIENCE)
            if thing["type"] in kinds:
                return thing
            self.unread.append(thing)

    def ask(self, **thing: Any) -> dict[str, Any]:
        """Send an object, and the answer that carries its ``n``."""
        self.say(**thing)
        while True:
            answer = self._next(PATIENCE)
            if answer.get("re") == thing.get("n"):
                return answer
            self.unread.append(answer)

    def log_in(self, uid: int, password: str, **more: Any) -> dict[str, Any]:
        """Log in, or raise AssertionError; the answer."""
        answer = self.ask(type="auth", n=1, uid=uid, password=password, **more)
        assert answer["type"] == "ok", answer
        return answer

    def _next(self, patience: float) -> dict[str, Any]:
        while True:
            frame = self.read(patience)
            if frame.startswith("{"):
                thing: dict[str, Any] = json.loads(frame)
                return thing
