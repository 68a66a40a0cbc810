"""
A proxy that cuts connections when it is told to, on TCP or Unix sockets.

``python proxy.py LISTEN TARGET``, each ``HOST:PORT`` or the path of a socket. Lines on standard input: ``cut SHARE``
ends about that share of its connections, at once and without a goodbye; ``deafen S`` carries what comes to the target
but not its answers for S seconds, and then ends all connections.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys


class Proxy:
    """Carries bytes both ways between whoever connects and the target."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._deaf = False
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
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
                    asyncio.ensure_future(self._carry(reader, far_writer, back=False)),
                    asyncio.ensure_future(self._carry(far_reader, writer, back=True)),
                ],
                return_when=asyncio.FIRST_COMPLETED,
            )
        self._pairs.discard(pair)
        for end in pair:
            end.transport.abort()

    def cut(self, share: float) -> None:
        """End about this share of the connections."""
        for pair in list(self._pairs):
            if random.random() < share:
                for end in pair:
                    end.transport.abort()

    async def deafen(self, seconds: float) -> None:
        """Lose the target's answers for a while, then the connections."""
        self._deaf = True
        await asyncio.sleep(seconds)
        self.cut(1)
        self._deaf = False

    async def _carry(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, back: bool
    ) -> None:
        with contextlib.suppress(OSError):
            while data := await reader.read(65_536):
                if not (back and self._deaf):
                    writer.write(data)
                    await writer.drain()


async def _connect(place: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    host, colon, port = place.rpartition(":")
    if colon:
        return await asyncio.open_connection(host, int(port))
    return await asyncio.open_unix_connection(place)


async def _listen(place: str, proxy: Proxy) -> asyncio.Server:
    host, colon, port = place.rpartition(":")
    if colon:
        return await asyncio.start_server(proxy.serve, host, int(port))
    return await asyncio.start_unix_server(proxy.serve, place)


async def main(place: str, target: str) -> None:
    proxy = Proxy(target)
    server = await _listen(place, proxy)
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := (await commands.readline()).decode().split():
        if line[0] == "cut":
            proxy.cut(float(line[1]))
        else:
            await proxy.deafen(float(line[1]))
    server.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], sys.argv[2]))
