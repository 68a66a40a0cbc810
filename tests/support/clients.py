"""Plain blocking clients for tests against real servers, with nothing of the project in them."""

from __future__ import annotations

import json
import socket
import ssl
import struct
import time
from collections.abc import Iterable
from contextlib import suppress
from typing import Any

PATIENCE = 10.0
"""Seconds that a client waits for a frame."""

_NO_REQUEST = 2**31 - 1
"""The number of a request that is made only to see what comes before its answer."""


class FrameClient:
    """
    Speaks frames over TLS; ``legacy`` packs lengths little-endian.

    ``place`` is a port of 127.0.0.1 or the path of a Unix socket. ``ca`` None: no TLS. ``source`` is the address to
    come from; ``preface`` is what goes out before anything else, as a proxy's header does; ``name`` is who the
    server's certificate must be for.
    """

    def __init__(
        self,
        place: int | str,
        ca: str | None,
        *,
        legacy: bool = False,
        source: str = "",
        preface: bytes = b"",
        name: str = "localhost",
    ) -> None:
        self._length = struct.Struct("<H" if legacy else "!H")
        raw = _connect(place, source)
        if preface:
            raw.sendall(preface)
        self.socket = raw if ca is None else _over_tls(raw, ca, name)
        self._received = bytearray()
        self._peeked: list[str] = []

    def send(self, frame: str | bytes) -> None:
        """Send one frame."""
        self.send_many([frame])

    def send_many(self, frames: Iterable[str | bytes]) -> None:
        """Send frames, as close together as they go."""
        datas = [frame.encode() if isinstance(frame, str) else frame for frame in frames]
        self.socket.settimeout(PATIENCE)
        self.socket.sendall(b"".join(self._length.pack(len(data)) + data for data in datas))

    def read(self, patience: float = PATIENCE) -> str:
        """The next frame's text."""
        if self._peeked:
            return self._peeked.pop(0)
        deadline = time.monotonic() + patience
        size = self._length.size
        while len(self._received) < size or len(self._received) < size + self._size():
            self.socket.settimeout(max(0.001, deadline - time.monotonic()))
            data = self.socket.recv(65_536)
            if not data:
                raise EOFError("the server closed the connection")
            self._received += data
        end = size + self._size()
        frame = self._received[size:end].decode()
        del self._received[:end]
        return frame

    def silent(self, seconds: float = 0.3) -> bool:
        """
        Whether no frame comes for a while, and none before the answer to what is asked then.

        A frame that was to come all the same cannot be late merely because the machine is slow.
        """
        try:
            self._peeked.insert(0, self.read(seconds))
        except TimeoutError:
            frame = self._answer_to_nothing()
            self._peeked += frame
            return not frame
        return False

    def _answer_to_nothing(self) -> list[str]:
        """Ask for something that changes nothing; the frame that comes next, if it is not the answer."""
        return []

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

    def hang_up(self) -> None:
        """Answer the server's goodbye, so that it need not wait; reading goes on to say that it is over."""
        with suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)

    def _size(self) -> int:
        size: int = self._length.unpack_from(self._received)[0]
        return size


def _connect(place: int | str, source: str) -> socket.socket:
    if isinstance(place, int):
        origin = (source, 0) if source else None
        return socket.create_connection(("127.0.0.1", place), PATIENCE, origin)
    raw = socket.socket(socket.AF_UNIX)
    raw.settimeout(PATIENCE)
    raw.connect(place)
    return raw


def _over_tls(raw: socket.socket, ca: str, name: str) -> socket.socket:
    context = ssl.create_default_context(cafile=ca)
    try:
        return context.wrap_socket(raw, server_hostname=name)
    except BaseException:
        raw.close()
        raise


class TextClient(FrameClient):
    """Speaks the text dialect."""

    def __init__(self, place: int | str, ca: str | None, **more: Any) -> None:
        super().__init__(place, ca, **more)
        self.greeting = self.read()

    def ask(self, line: str) -> str:
        """Send a line, and the next frame that comes back."""
        self.send(line)
        return self.read()

    def _answer_to_nothing(self) -> list[str]:
        answer = self.ask("?")
        return [] if answer.startswith(("命令使用说明:", "Commands:")) else [answer]

    def log_in(self, uid: int, password: str) -> None:
        """Log in, or raise AssertionError."""
        answer = self.ask(f"auth {uid} {password}")
        assert answer in ("认证成功!", "Logged in!"), answer


class StructuredClient(FrameClient):
    """Speaks the structured dialect."""

    def __init__(
        self,
        place: int | str,
        ca: str | None,
        *,
        device: str = "",
        features: Iterable[str] = (),
        **more: Any,
    ) -> None:
        super().__init__(place, ca, **more)
        self.unread: list[dict[str, Any]] = []
        hello: dict[str, Any] = {"type": "hello", "version": 1, "client": "test/1", "lang": "en"}
        if device:
            hello["device"] = device
        if features:
            hello["features"] = list(features)
        self.say(**hello)
        self.welcome = self.await_type("welcome")

    def say(self, **thing: Any) -> None:
        """Send one object."""
        self.send(json.dumps(thing))

    def say_many(self, things: Iterable[dict[str, Any]]) -> None:
        """Send objects, as close together as they go."""
        self.send_many(json.dumps(thing) for thing in things)

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

    def _answer_to_nothing(self) -> list[str]:
        self.say(type="ping", n=_NO_REQUEST)
        answer = self.read()
        return [] if json.loads(answer) == {"type": "pong", "re": _NO_REQUEST} else [answer]

    def _next(self, patience: float) -> dict[str, Any]:
        while True:
            frame = self.read(patience)
            if frame.startswith("{"):
                thing: dict[str, Any] = json.loads(frame)
                return thing
