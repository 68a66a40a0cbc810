"""
A proxy that does to connections what it is told, on TCP or Unix sockets.

``python proxy.py LISTEN TARGET``, each ``HOST:PORT`` or the path of a socket. Lines on standard input:

===============  =====================================================================================
``cut SHARE``    ends about that share of its connections, at once and without a goodbye
``reset``        resets them all
``deafen S``     for S seconds carries what comes to the target but not its answers, and then cuts all
``swallow S``    for S seconds takes everything and carries nothing, and then cuts all
``hold S``       carries nothing for S seconds, and then all that came meanwhile
``refuse S``     cuts all, and for S seconds nobody listens
===============  =====================================================================================
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import socket
import struct
import sys
from collections.abc import Callable, Coroutine

_AT_ONCE = struct.pack("ii", 1, 0)

_Pair = tuple[asyncio.StreamWriter, asyncio.StreamWriter]


class Proxy:
    """Carries bytes both ways between whoever connects and the target."""

    def __init__(self, place: str, target: str) -> None:
        self._place = place
        self._target = target
        self._listener: asyncio.Server | None = None
        self._lost: set[str] = set()
        """The directions, ``there`` and ``back``, in which nothing is carried."""
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._pairs: set[_Pair] = set()

    async def listen(self) -> None:
        host, colon, port = self._place.rpartition(":")
        if colon:
            self._listener = await asyncio.start_server(self._serve, host, int(port))
        else:
            self._listener = await asyncio.start_unix_server(self._serve, self._place)

    async def cut(self, share: float) -> None:
        """End about this share of the connections."""
        for pair in list(self._pairs):
            if random.random() < share:
                _abort(pair)

    async def reset(self) -> None:
        """End all connections so that both sides are told of an error."""
        for pair in list(self._pairs):
            for end in pair:
                end.get_extra_info("socket").setsockopt(
                    socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE
                )
            _abort(pair)

    async def deafen(self, seconds: float) -> None:
        """Lose the target's answers for a while, then the connections."""
        await self._lose({"back"}, seconds)

    async def swallow(self, seconds: float) -> None:
        """Lose everything for a while, then the connections."""
        await self._lose({"there", "back"}, seconds)

    async def hold(self, seconds: float) -> None:
        """Let everything wait for a while."""
        self._flowing.clear()
        await asyncio.sleep(seconds)
        self._flowing.set()

    async def refuse(self, seconds: float) -> None:
        """Be away for a while."""
        assert self._listener is not None
        self._listener.close()
        await self.cut(1)
        await asyncio.sleep(seconds)
        await self.listen()

    async def _lose(self, directions: set[str], seconds: float) -> None:
        self._lost = directions
        await asyncio.sleep(seconds)
        await self.cut(1)
        self._lost = set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await _connect(self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        self._pairs.add(pair)
        with contextlib.suppress(OSError):
            await asyncio.wait(
                [
                    asyncio.ensure_future(self._carry(reader, far_writer, "there")),
                    asyncio.ensure_future(self._carry(far_reader, writer, "back")),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        self._pairs.discard(pair)
        _abort(pair)

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, direction: str
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                await self._flowing.wait()
                if direction not in self._lost:
                    writer.write(data)
                    await writer.drain()


def _abort(pair: _Pair) -> None:
    for end in pair:
        end.transport.abort()


async def _connect(place: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, colon, port = place.rpartition(":")
    if colon:
        return await asyncio.open_connection(host, int(port))
    return await asyncio.open_unix_connection(place)


async def main(place: str, target: str) -> None:
    proxy = Proxy(place, target)
    await proxy.listen()
    commands: dict[str, Callable[..., Coroutine[None, None, None]]] = {
        "cut": proxy.cut,
        "reset": proxy.reset,
        "deafen": proxy.deafen,
        "swallow": proxy.swallow,
        "hold": proxy.hold,
        "refuse": proxy.refuse,
    }
    loop = asyncio.get_running_loop()
    lines = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    # One after the other: what one of them does to the connections, the next would undo.
    while words := (await lines.readline()).decode().split():
        await commands[words[0]](*map(float, words[1:]))


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
