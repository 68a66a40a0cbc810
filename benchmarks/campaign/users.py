"""
One process of users who write to each other through thick and thin.

It speaks the wire's frames on asyncio, with nothing of the server in it. Commands come on standard input: ``stall S``
(nobody reads for S seconds), ``move`` (leave the connection without a word), ``finish`` (write no more, only get the
outbox confirmed). Each second a line on standard output says how things are: ``UNCONFIRMED SHOWN``.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import random
import re
import socket
import ssl
import struct
import sys
import time
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from benchmarks.campaign.journal import Journal

WINDOW = 16
_TICK = 0.3
_LONG_SILENCE = 66
"""In ticks: some 20 seconds."""
_AT_ONCE = struct.pack("ii", 1, 0)
_LENGTH = struct.Struct("!H")
_LOST = (OSError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError)
_HEADER = re.compile(
    r"^(?:\[离线消息\]\n)?\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n\[ .*?\|UID:(\d+) \]:(\d+)>(\d+)#(\d+)"
)


class User:
    """What both dialects' users have in common."""

    def __init__(self, uid: int, others: list[int], options: argparse.Namespace) -> None:
        self.uid = uid
        self.others = others
        self.options = options
        self.journal = Journal(options.state / f"{uid}.journal")
        self.shown = 0
        self.finishing = False
        self.stalled_until = self.stall_for = 0.0
        self.moving = False
        self.outstanding: deque[tuple[int, int, int]] = deque()
        self.writer: asyncio.StreamWriter | None = None

    @property
    def unconfirmed(self) -> int:
        return sum(map(len, self.journal.outbox.values()))

    async def live(self) -> None:
        """Connect, talk, and start over whenever that ends."""
        while True:
            with contextlib.suppress(*_LOST):
                await self._connect()
            await asyncio.sleep(random.uniform(0.05, 0.4))

    async def _connect(self) -> None:
        host, port = random.choice(self.options.target).rsplit(":", 1)
        context = ssl.create_default_context(cafile=self.options.ca)
        connecting = asyncio.open_connection(
            host, int(port), ssl=context, server_hostname="localhost", ssl_handshake_timeout=5
        )
        reader, writer = await asyncio.wait_for(connecting, 5)
        self.writer = writer
        self.outstanding.clear()
        talking: list[asyncio.Task[None]] = []
        try:
            await asyncio.wait_for(self.log_in(reader), 8)
            talking = [asyncio.ensure_future(t) for t in (self._listen(reader), self._write())]
            done, _ = await asyncio.wait(talking, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in talking:
                task.cancel()
            await asyncio.gather(*talking, return_exceptions=True)
            writer.transport.abort()

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """The next frame. Silence for long is taken for a dead connection."""
        (size,) = _LENGTH.unpack(await asyncio.wait_for(reader.readexactly(2), 20))
        return await reader.readexactly(size)

    def send(self, frame: str) -> None:
        assert self.writer is not None
        data = frame.encode()
        self.writer.write(_LENGTH.pack(len(data)) + data)

    async def _listen(self, reader: asyncio.StreamReader) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self.stalled_until > loop.time():
                await asyncio.sleep(self.stalled_until - loop.time())
            self.heard((await self.read(reader)).decode())

    async def _write(self) -> None:
        await self.resume()
        pause = 1 / self.options.rate
        while True:
            await asyncio.sleep(random.uniform(0, 2 * pause))
            if not self.finishing and len(self.outstanding) < WINDOW and self.free():
                to = random.choice(self.others)
                k = self.journal.next_k[to]
                self.journal.record("o", to, self.journal.next_n[to], k)
                self.submit(to, k)
            assert self.writer is not None
            await asyncio.wait_for(self.writer.drain(), 20)
            self.idle()

    def text(self, to: int, k: int) -> str:
        return f"{self.uid}>{to}#{k} " + "聊" * (k % 60)

    def move(self) -> None:
        """Leave the connection without a word, as one does who changes networks."""
        if self.writer is not None:
            self.writer.transport.abort()

    async def log_in(self, reader: asyncio.StreamReader) -> None:
        raise NotImplementedError

    async def resume(self) -> None:
        """After a log-in: what is to be done about what was not confirmed."""

    def free(self) -> bool:
        """May something new be written?"""
        return True

    def idle(self) -> None:
        """Called now and then."""

    def submit(self, to: int, k: int) -> None:
        raise NotImplementedError

    def heard(self, frame: str) -> None:
        raise NotImplementedError


class StructuredUser(User):
    """Numbers its messages, resends what is unconfirmed, records what it shows and then acknowledges."""

    token = ""
    acknowledged = 0
    expected: dict[int, int]
    trouble = False
    pinged = 0.0

    async def log_in(self, reader: asyncio.StreamReader) -> None:
        await self.read(reader)
        self.trouble, self.expected = False, {}
        self.say(type="hello", version=1, client="campaign/1", device=f"{self.uid:032x}")
        proof = {"token": self.token} if self.token else {"password": f"pw{self.uid}"}
        self.say(type="auth", n=1, uid=self.uid, after=self.journal.cursor, **proof)
        while True:
            thing = json.loads(await self.read(reader))
            if thing["type"] == "ok":
                break
            if thing["type"] == "error":
                self.token = "" if thing["code"] == "bad-credentials" else self.token
                raise ConnectionError(thing["code"])
        self.token = thing["token"]
        if thing["epoch"] != self.journal.epoch:
            self.journal.record("e", thing["epoch"])
        self.acknowledged = 0

    async def resume(self) -> None:
        for to, unconfirmed in self.journal.outbox.items():
            for k in list(unconfirmed):
                self.submit(to, k)

    def say(self, **thing: Any) -> None:
        self.send(json.dumps(thing))

    def submit(self, to: int, k: int) -> None:
        n = self.journal.outbox[to][k]
        self.outstanding.append((to, n, k))
        self.say(type="msg", n=n, to=to, text=self.text(to, k))

    def free(self) -> bool:
        return not self.trouble

    def idle(self) -> None:
        now = asyncio.get_running_loop().time()
        if self.journal.cursor > self.acknowledged:
            self.acknowledged = self.journal.cursor
            self.say(type="ack", id=self.acknowledged)
        if now > self.pinged + 5:
            self.pinged = now
            self.say(type="ping")
        if self.trouble and not self.outstanding:
            # Everything has been answered, so nothing of what is left can still be on its way.
            self.trouble = False
            for to, expected in self.expected.items():
                # A lower number was accepted, though its answer was lost: it is asked for again as it is.
                refused = [k for k, n in self.journal.outbox[to].items() if n >= expected]
                for n, k in enumerate(refused, expected):
                    self.journal.record("o", to, n, k)
            self.expected = {}
            for to, unconfirmed in self.journal.outbox.items():
                for k in list(unconfirmed):
                    self.submit(to, k)

    def heard(self, frame: str) -> None:
        thing = json.loads(frame)
        kind = thing["type"]
        if kind == "msg":
            self._show(thing)
        elif kind == "sent":
            self.journal.record("c", thing["to"], self._answered(thing))
        elif kind == "error":
            self._refused(thing)
        elif kind in ("bye", "kicked"):
            raise ConnectionError(kind)

    def _show(self, thing: dict[str, Any]) -> None:
        if thing["id"] > self.journal.cursor:
            self.journal.record(
                "s", thing["id"], thing["from"], thing["text"].split("#")[1].split()[0]
            )
            self.shown += 1

    def _answered(self, thing: dict[str, Any]) -> int:
        for answered in self.outstanding:
            if answered[:2] == (thing["to"], thing["re"]):
                self.outstanding.remove(answered)
                return answered[2]
        raise ConnectionError("an answer to nothing")

    def _refused(self, thing: dict[str, Any]) -> None:
        if "to" not in thing:
            raise ConnectionError(thing["code"])
        self._answered(thing)
        self.trouble = True
        if thing["code"] == "gap":
            self.expected[thing["to"]] = thing["expected"]


class TextWriter(User):
    """Writes and is told what became of it. What was not confirmed before a connection ended is given up."""

    async def log_in(self, reader: asyncio.StreamReader) -> None:
        for to, unconfirmed in self.journal.outbox.items():
            for k in list(unconfirmed):
                self.journal.record("x", to, k)
        await self.read(reader)
        self.send(f"auth {self.uid} pw{self.uid}")
        answer = (await self.read(reader)).decode()
        if answer != "认证成功!":
            raise ConnectionError(answer)

    def submit(self, to: int, k: int) -> None:
        self.outstanding.append((to, 0, k))
        self.send(f"msg {to} {self.text(to, k)}")

    def heard(self, frame: str) -> None:
        header = _HEADER.match(frame)
        if header:
            to, _, k = self.outstanding.popleft()
            if (self.uid, to, k) != tuple(int(word) for word in header.groups()[1:]):
                raise AssertionError(f"{self.uid} was confirmed {header[0]!r} instead of {to}#{k}")
            self.journal.record("c", to, k)
        elif self.outstanding and "存储" in frame:
            to, _, k = self.outstanding.popleft()
            self.journal.record("x", to, k)
        else:
            raise ConnectionError(frame)


class TextReader(User):
    """
    Reads and never writes, on a blocking socket in a thread.

    It takes whatever its kernel has acknowledged: asyncio's streams would drop what lies in their buffers when a
    connection ends badly, and nobody could tell that from a loss.
    """

    async def live(self) -> None:
        await asyncio.to_thread(self._live_in_thread)

    def move(self) -> None:
        self.moving = True

    def _live_in_thread(self) -> None:
        while True:
            with contextlib.suppress(OSError, EOFError):
                self._read_all()
            time.sleep(random.uniform(0.05, 0.4))

    def _read_all(self) -> None:
        host, port = random.choice(self.options.target).rsplit(":", 1)
        context = ssl.create_default_context(cafile=self.options.ca)
        raw = socket.create_connection((host, int(port)), 5)
        with context.wrap_socket(raw, server_hostname="localhost") as connection:
            frames = self._frames(connection)
            next(frames)
            auth = f"auth {self.uid} pw{self.uid}".encode()
            connection.sendall(_LENGTH.pack(len(auth)) + auth)
            connection.settimeout(_TICK)
            if next(frames) != "认证成功!":
                return  # the store is away: come again
            for frame in frames:
                header = _HEADER.match(frame)
                if header:
                    self.journal.record("s", 0, header[2], header[4])
                    self.shown += 1
                if self.stall_for:
                    time.sleep(self.stall_for)
                    self.stall_for = 0.0

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
                if self.moving:  # the cable is silent and all that came has been read
                    self.moving = False
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
            while len(received) >= 2 and len(received) >= 2 + _LENGTH.unpack(received[:2])[0]:
                end = 2 + _LENGTH.unpack(received[:2])[0]
                yield received[2:end].decode()
                received = received[end:]


async def obey(users: list[User]) -> None:
    """Carry out what comes on standard input."""
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := (await reader.readline()).decode().split():
        if line[0] == "finish":
            for user in users:
                user.finishing = True
        elif line[0] == "move":
            for user in users:
                user.move()
        elif line[0] == "stall":
            for user in users:
                user.stalled_until = loop.time() + float(line[1])
                user.stall_for = float(line[1])


async def report(users: list[User]) -> None:
    """Say how things are."""
    while True:
        print(sum(u.unconfirmed for u in users), sum(u.shown for u in users), flush=True)
        await asyncio.sleep(1)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", required=True, help="their uids, separated by commas")
    parser.add_argument("--others", required=True, help="the uids whom they write to")
    parser.add_argument("--target", action="append", required=True, help="HOST:PORT")
    parser.add_argument("--ca", required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--part", choices=["structured", "writer", "reader"], required=True)
    parser.add_argument("--rate", type=float, required=True, help="messages a second of each user")
    options = parser.parse_args()
    kind = {"structured": StructuredUser, "writer": TextWriter, "reader": TextReader}[options.part]
    everybody = [int(uid) for uid in options.others.split(",") if uid]
    users: list[User] = [
        kind(uid, [other for other in everybody if other != uid], options)
        for uid in map(int, options.users.split(","))
    ]
    lives = [asyncio.ensure_future(user.live()) for user in users]
    commands = asyncio.ensure_future(obey(users))
    reports = asyncio.ensure_future(report(users))
    done, _ = await asyncio.wait([*lives, commands, reports], return_when=asyncio.FIRST_COMPLETED)
    for task in done:
        task.result()


if __name__ == "__main__":
    asyncio.run(main())
