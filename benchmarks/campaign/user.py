"""A user of the campaign: what those of both dialects have in common."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import random
import ssl
import struct
from collections import deque
from collections.abc import Callable

from benchmarks.campaign.journal import Journal, text_of

WINDOW = 16
"""Messages that may be unconfirmed at once."""

LENGTH = struct.Struct("!H")
_SILENCE = 20
"""Seconds of silence that are taken for a dead connection."""

LOST = (OSError, asyncio.IncompleteReadError, TimeoutError, ssl.SSLError)
"""What ends a connection."""

BEGUN = "begun"
"""A file in the campaign's folder: from when it is there users may write. Until then all they do is log in."""


class User:
    """
    One of a user's sessions: connects, talks, and starts over whenever that ends.

    ``kind`` follows the uid in the session's name, where its user has several.
    """

    kind = ""

    def __init__(
        self, uid: int, others: list[int], options: argparse.Namespace, kind: str = ""
    ) -> None:
        self.uid = uid
        self.kind = kind or self.kind
        self.name = f"{uid}{self.kind}"
        self.others = others
        self.is_beside_devices = uid in options.beside
        """Whether its user has registered devices."""
        self.options = options
        self.journal = Journal(options.state / f"{self.name}.journal")
        self.shown = 0
        self.finishing = False
        self._has_begun = False
        self.stalled_until = self.stall_for = 0.0
        self.outstanding: deque[tuple[int, int, int]] = deque()
        self.writer: asyncio.StreamWriter | None = None
        """Of the connection that it talks on; of older ones it only hears."""
        self.hopping = asyncio.Event()
        self.present = asyncio.Event()
        self.present.set()
        self.place = self.avoided = ""
        self.hoard_until = 0.0
        self._older: set[asyncio.Task[None]] = set()

    @property
    def unconfirmed(self) -> int:
        return sum(map(len, self.journal.outbox.values()))

    async def live(self) -> None:
        while True:
            await self.present.wait()
            with contextlib.suppress(*LOST):
                await self._connect()
            if not self.hopping.is_set():
                await asyncio.sleep(random.uniform(0.05, 0.4))

    async def _connect(self) -> None:
        self.place = self.target()
        self.hopping.clear()
        reader, writer = await self.open(self.place)
        self.writer = writer
        self.outstanding.clear()
        try:
            await asyncio.wait_for(self.log_in(reader), 8)
        except BaseException:
            writer.transport.abort()
            raise
        await self._talk(reader, writer)

    async def open(self, place: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to HOST:PORT."""
        host, port = place.rsplit(":", 1)
        context = ssl.create_default_context(cafile=self.options.ca)
        connecting = asyncio.open_connection(
            host, int(port), ssl=context, server_hostname="localhost", ssl_handshake_timeout=5
        )
        return await asyncio.wait_for(connecting, 5)

    async def _talk(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Until the connection is lost, or the user hops; then it is heard until it ends."""

        def ended(task: asyncio.Task[None]) -> None:
            writer.transport.abort()
            if not task.cancelled():
                task.exception()  # the usual end of a connection

        listening = asyncio.ensure_future(self._listen(reader, writer))
        listening.add_done_callback(ended)
        others = [asyncio.ensure_future(t) for t in (self._write(), self._hop())]
        try:
            done, _ = await asyncio.wait([listening, *others], return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        except BaseException:
            listening.cancel()
            raise
        finally:
            for task in others:
                task.cancel()
            await asyncio.gather(*others, return_exceptions=True)
        self._older.add(listening)
        listening.add_done_callback(self._older.discard)

    async def _hop(self) -> None:
        await self.hopping.wait()

    def forget_older(self) -> None:
        """Hear no more of older connections."""
        for listening in self._older:
            listening.cancel()

    def target(self) -> str:
        """Where to connect next: who hops, hops to a certain node. One that is avoided is the last choice, once."""
        places: list[str] = self.options.node if self.hopping.is_set() else self.options.target
        avoided, self.avoided = self.avoided, ""
        return random.choice([place for place in places if place != avoided] or places)

    async def read(self, reader: asyncio.StreamReader) -> bytes:
        """The next frame."""
        (size,) = LENGTH.unpack(await asyncio.wait_for(reader.readexactly(2), _SILENCE))
        return await reader.readexactly(size)

    def send(self, frame: str, writer: asyncio.StreamWriter | None = None) -> None:
        chosen = writer or self.writer
        assert chosen is not None
        data = frame.encode()
        chosen.write(LENGTH.pack(len(data)) + data)

    async def _listen(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        loop = asyncio.get_running_loop()
        while True:
            if self.stalled_until > loop.time():
                await asyncio.sleep(self.stalled_until - loop.time())
            frame = (await self.read(reader)).decode()
            if writer is self.writer:
                self.heard(frame)
            else:
                self.heard_late(frame, writer)

    async def _write(self) -> None:
        await self.resume()
        pause = 1 / self.options.rate
        while True:
            await asyncio.sleep(random.uniform(0, 2 * pause))
            if self._may_write() and len(self.outstanding) < WINDOW and self.free():
                to = self.choose()
                k = self.journal.next_k[to]
                self.journal.record("o", to, self.journal.next_n[to], k)
                self.submit(to, k)
            assert self.writer is not None
            await asyncio.wait_for(self.writer.drain(), _SILENCE)
            self.idle()

    def _may_write(self) -> bool:
        self._has_begun = self._has_begun or (self.options.state / BEGUN).exists()
        return self._has_begun and not self.finishing

    def text(self, to: int, k: int) -> str:
        return text_of(self.name, to, k)

    def choose(self) -> int:
        """Whom to write to next."""
        return random.choice(self.others)

    def leave(self, target: str) -> None:
        """Log in elsewhere: the node at this target does not answer."""
        self.avoided = target
        self.hop()

    def go_away(self) -> None:
        """Leave, and do not come back before ``present`` is set."""
        self.present.clear()
        self.forget_older()
        self.move()

    def insist(self) -> None:
        """Try at once again what was refused, if that can be told."""

    def hold_tongue(self, seconds: float) -> None:
        """Say nothing to anybody for a while, if it can be told from what is on its way."""

    def forget_numbers(self, target: str) -> None:
        """Lose what was written to disk last, if numbers are written there, and go on elsewhere than at ``target``."""

    def obey(self, command: str, detail: str) -> None:
        """Carry out what is for registered devices alone."""

    def hop(self) -> None:
        """Log in at another node while still logged in at this one."""
        self.hopping.set()

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

    def heard_late(self, frame: str, writer: asyncio.StreamWriter) -> None:
        """A frame on a connection that the user has left for another."""


MakeUser = Callable[[int, list[int], argparse.Namespace, str], User]
