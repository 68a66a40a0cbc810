"""
Attackers: they play conversations to a server, and look at all that it says.

Whatever it is told, what a server says must be well formed: frames of UTF-8, each a JSON object or a text that drives
no terminal.
"""

from __future__ import annotations

import json
import re
import select
import socket
import ssl
import struct
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.fuzzing.conversations import Conversation, frames_in, packed

_PATIENCE = 30.0
"""Seconds that a conversation may take in all."""

_DRIVES_A_TERMINAL = re.compile("[\0-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")

_GREETING, _LOGGED_IN = "请登陆!", "认证成功!"

_RESET = struct.pack("ii", 1, 0)
"""SO_LINGER that makes closing a reset (socket(7))."""


@dataclass(frozen=True)
class Doors:
    """Where the server listens: ports by (legacy, TLS), and the certificate to trust."""

    ports: dict[tuple[bool, bool], int]
    ca: str


@dataclass(frozen=True)
class Member:
    """An account that attackers may log in as."""

    uid: int
    password: str
    token: str

    def frames(self, structured: bool) -> list[bytes]:
        """What logs it in."""
        if not structured:
            return [f"auth {self.uid} {self.password}".encode()]
        hello = {"type": "hello", "device": f"{self.uid:016x}"}
        auth = {"type": "auth", "n": 1, "uid": self.uid, "token": self.token}
        return [json.dumps(thing).encode() for thing in (hello, auth)]


@dataclass
class Tally:
    """What became of conversations. ``kept_out``: log-ins that failed; ``broken``: what the server must not do."""

    conversations: int = 0
    frames: int = 0
    size: int = 0
    answers: int = 0
    kept_out: int = 0
    late: int = 0
    broken: list[str] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Count what another counted."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


class _Closed(Exception):
    """The server has closed the connection, as it may."""


class Listener:
    """
    What a server says; ``broken`` are the frames that it must not say, cut short.

    ``let_in``: whether the first log-in was right, None: that is not known yet.
    """

    def __init__(self, legacy: bool) -> None:
        self._length = struct.Struct("<H" if legacy else "!H")
        self._received = bytearray()
        self.frames = 0
        self.let_in: bool | None = None
        self.broken: list[str] = []

    def hear(self, data: bytes) -> None:
        """Some bytes have come."""
        received, at = self._received, 0
        received += data
        while len(received) >= at + 2:
            end = at + 2 + self._length.unpack_from(received, at)[0]
            if len(received) < end:
                break
            self._judge(bytes(received[at + 2 : end]))
            at = end
        del received[:at]

    def _judge(self, frame: bytes) -> None:
        self.frames += 1
        try:
            text = frame.decode()
            thing = json.loads(text) if text.startswith("{") else None
            if thing is None and (not text or _DRIVES_A_TERMINAL.search(text)):
                raise ValueError("it can drive a terminal")
        except ValueError as problem:
            self.broken.append(f"{problem}: {frame[:200]!r}")
            return
        if self.let_in is None:
            self.let_in = _let_in(text, thing)


def _let_in(text: str, thing: dict[str, Any] | None) -> bool | None:
    if thing is not None:
        return {"ok": True, "error": False}.get(thing["type"])
    return None if text == _GREETING else text == _LOGGED_IN


class _Line:
    """One connection that sends anything, and hears whatever comes meanwhile."""

    def __init__(self, doors: Doors, conversation: Conversation, source: str) -> None:
        self.listener = Listener(conversation.legacy)
        self.sent = bytearray()
        self._deadline = time.monotonic() + _PATIENCE
        port = doors.ports[conversation.legacy, conversation.tls]
        raw = socket.create_connection(("127.0.0.1", port), _PATIENCE, (source, 0))
        raw.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._socket = raw
        if conversation.tls:
            context = ssl.create_default_context(cafile=doors.ca)
            self._socket = context.wrap_socket(raw, server_hostname="localhost")
        self._socket.setblocking(False)

    def send(self, piece: bytes) -> None:
        """Send all of it."""
        rest = memoryview(piece)
        while rest:
            self._wait(writing=True)
            with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                count = self._socket.send(rest)
                self.sent += rest[:count]
                rest = rest[count:]

    def hear_until(self, done: Callable[[], bool]) -> None:
        """Listen until something was said."""
        while not done():
            self._wait()

    def hear_out(self, quiet: float) -> None:
        """Listen until nothing has come for so many seconds."""
        while self._wait(patience=quiet):
            pass

    def end(self, reset: bool) -> None:
        """Close."""
        with suppress(OSError):
            if reset:
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            else:
                self._socket.shutdown(socket.SHUT_WR)
        self._socket.close()

    def _wait(self, writing: bool = False, patience: float = _PATIENCE) -> bool:
        """Wait until something came, or may be sent; hear it. False: nothing did within the patience."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("the conversation takes too long")
        readable, writable, _ = select.select(
            [self._socket], [self._socket] * writing, [], min(left, patience)
        )
        if readable:
            with suppress(BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
                data = self._socket.recv(65_536)
                if not data:
                    raise _Closed
                self.listener.hear(data)
        return bool(readable or writable)


def play(
    conversation: Conversation, doors: Doors, member: Member, source: str, quiet: float = 0.5
) -> Tally:
    """
    Have a conversation from a source address, as the member where it is one that logs in. After ``quiet`` seconds
    without an answer the last one is taken to have come.
    """
    tally = Tally(conversations=1)
    try:
        line = _Line(doors, conversation, source)
    except (OSError, ssl.SSLError) as problem:
        tally.broken.append(f"no connection: {problem}")
        return tally
    try:
        if conversation.logged_in:
            tally.kept_out += not _log_in(line, conversation, member)
        line.sent.clear()
        for piece in conversation.pieces:
            line.send(piece)
        if not conversation.hurried:
            line.hear_out(quiet)
    except TimeoutError:
        tally.late += 1
    except (_Closed, OSError):
        pass  # somebody else logged in, or a frame asked for it
    finally:
        line.end(conversation.reset)
    tally.frames = frames_in(bytes(line.sent), conversation.legacy)
    tally.size = len(line.sent)
    tally.answers = line.listener.frames
    tally.broken += line.listener.broken
    return tally


def _log_in(line: _Line, conversation: Conversation, member: Member) -> bool:
    """Log in as a proper client does; whether it was let in."""
    for frame in member.frames(conversation.structured):
        line.send(packed(frame, conversation.legacy))
    line.hear_until(lambda: line.listener.let_in is not None)
    return bool(line.listener.let_in)
