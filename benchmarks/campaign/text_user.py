"""Users of the text dialect, who cannot number and cannot acknowledge: one half writes, the other reads."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import re
import socket
import ssl
import struct
import threading
import time
from collections.abc import Iterator

from benchmarks.campaign.journal import message_of
from benchmarks.campaign.records import TEXT
from benchmarks.campaign.user import LENGTH, User

_TICK = 0.3
_LONG_SILENCE = 66
"""In ticks: some 20 seconds."""
_AT_ONCE = struct.pack("ii", 1, 0)
_HEADER = re.compile(
    r"^(?:\[离线消息\]\n)?(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\n\[ .*?\|UID:\d+ \]:(\w+>\d+#\d+)"
)
_REFUSED = "消息未发送:"
_LOGGED_IN = "认证成功!"
_KICKED = "有用户登录您的账号,您已被挤下线!"


class TextWriter(User):
    """Writes and is told what became of it. What was not confirmed before a connection ended is given up."""

    async def log_in(self, reader: asyncio.StreamReader) -> None:
        for to, unconfirmed in self.journal.outbox.items():
            for k in list(unconfirmed):
                self.journal.record("g", to, k)
        await self.read(reader)
        self.send(f"auth {self.uid} pw{self.uid}")
        answer = (await self.read(reader)).decode()
        if answer != _LOGGED_IN:
            raise ConnectionError(answer)

    def submit(self, to: int, k: int) -> None:
        self.outstanding.append((to, 0, k))
        self.send(f"msg {to} {self.text(to, k)}")

    def heard(self, frame: str) -> None:
        header = _HEADER.match(frame)
        if header:
            to, _, k = self.outstanding.popleft()
            if (self.name, to, k) != message_of(header[2]):
                raise AssertionError(f"{self.name} was confirmed {header[0]!r} instead of {to}#{k}")
            self.journal.record("c", to, k, milliseconds(header[1]), 0, 0)
        elif self.outstanding and ("存储" in frame or frame.startswith(_REFUSED)):
            to, _, k = self.outstanding.popleft()
            self.journal.record("x" if frame.startswith(_REFUSED) else "g", to, k)
        else:
            raise ConnectionError(frame)


class TextReader(User):
    """
    Reads and never writes, on a blocking socket in a thread; alone, or beside its user's registered devices.

    It takes whatever its kernel has acknowledged: asyncio's streams would drop what lies in their buffers when a
    connection ends badly, and nobody could tell that from a loss.
    """

    kind = TEXT

    def __init__(
        self, uid: int, others: list[int], options: argparse.Namespace, kind: str = ""
    ) -> None:
        super().__init__(uid, others, options, kind)
        self._moving = False
        self._current: ssl.SSLSocket | None = None

    async def live(self) -> None:
        await asyncio.to_thread(self._live_in_thread)

    def move(self) -> None:
        self._moving = True

    def _live_in_thread(self) -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                self._read_until_hop()
            if not self.hopping.is_set():
                time.sleep(random.uniform(0.05, 0.4))

    def _read_until_hop(self) -> None:
        connection = self._connect_now()
        hopped = False
        try:
            frames = self.log_in_now(connection)
            self._current = connection if frames else None
            hopped = frames is not None and self._read_frames(connection, frames, until_hop=True)
        finally:
            self._current = None
            if not hopped:
                connection.close()
        if frames is not None and hopped:
            threading.Thread(target=self._read_on, args=(connection, frames), daemon=True).start()

    def _connect_now(self) -> ssl.SSLSocket:
        self.place = self.target()
        host, port = self.place.rsplit(":", 1)
        self.hopping.clear()
        context = ssl.create_default_context(cafile=self.options.ca)
        raw = socket.create_connection((host, int(port)), 5)
        return context.wrap_socket(raw, server_hostname="localhost")

    def log_in_now(self, connection: ssl.SSLSocket) -> Iterator[str] | None:
        """All frames that follow the log-in; None: the store is away, come again."""
        frames = self._frames(connection)
        next(frames)
        auth = f"auth {self.uid} pw{self.uid}".encode()
        connection.sendall(LENGTH.pack(len(auth)) + auth)
        connection.settimeout(_TICK)
        if next(frames) != _LOGGED_IN:
            return None
        if self.is_beside_devices:
            self.journal.record("l")
        return frames

    def _read_frames(
        self, connection: ssl.SSLSocket, frames: Iterator[str], *, until_hop: bool
    ) -> bool:
        """Read on; True: the user hopped, False: the connection is of no use any more."""
        for frame in frames:
            self.take(frame)
            if frame == _KICKED:
                return False
            self._tick(connection)
            if self.stall_for:
                time.sleep(self.stall_for)
                self.stall_for = 0.0
            if until_hop and self.hopping.is_set():
                return True
        return False

    def take(self, frame: str) -> None:
        """Show a message."""
        header = _HEADER.match(frame)
        if header:
            message = message_of(header[2])
            self.journal.record("s", 0, *message, milliseconds(header[1]), 0)
            self.shown += 1

    def _tick(self, connection: ssl.SSLSocket) -> None:
        if connection is self._current:
            with contextlib.suppress(OSError):  # what was read from it must not be dropped
                self.tick(connection)

    def tick(self, connection: ssl.SSLSocket) -> None:
        """Called now and then on the connection on which the user is logged in."""

    def _read_on(self, connection: ssl.SSLSocket, frames: Iterator[str]) -> None:
        """Read what still comes on a connection that was left for another."""
        with contextlib.suppress(OSError, EOFError), connection:
            self._read_frames(connection, frames, until_hop=False)

    def _frames(self, connection: ssl.SSLSocket) -> Iterator[str]:
        """
        All frames until the other side has ended.

        After a long silence it is asked to end by ending our side, so that nothing that comes meanwhile is missed.
        """
        received, silence = b"", 0
        while True:
            try:
                data = connection.recv(65_536)
            except TimeoutError:
                silence += 1
                self._tick(connection)
                if self._moving:  # the cable is silent and all that came has been read
                    self._moving = False
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)
                    raise EOFError from None
                if silence == _LONG_SILENCE:
                    socket.socket.shutdown(connection, socket.SHUT_WR)
                if silence > 5 * _LONG_SILENCE:
                    raise
                continue
            if not data:
                raise EOFError
            silence, received = 0, received + data
            while len(received) >= 2 and len(received) >= 2 + LENGTH.unpack(received[:2])[0]:
                end = 2 + LENGTH.unpack(received[:2])[0]
                yield received[2:end].decode()
                received = received[end:]


def milliseconds(time_said: str) -> int:
    """The server's local time, which is ours, as ms since 1970."""
    return int(time.mktime(time.strptime(time_said, "%Y-%m-%d %H:%M:%S"))) * 1000
