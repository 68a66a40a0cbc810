"""
A TCP proxy that cuts connections when it is told to.

``python proxy.py LISTEN_PORT TARGET_HOST TARGET_PORT``; each line ``cut SHARE`` on standard input ends about that share
of its connections, at once and without a goodbye.
"""

from __future__ import annotations

import asyncio
import contextlib
import random
import sys


class Proxy:
    """Carries bytes both ways between whoever connects and the target."""

    def __init__(self, host: str, port: int) -> None:
        self._target = host, port
        self._pairs: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.transport.abort()
            return
        pair = (writer, far_writer)
        self._pairs.add(pair)
        with contextlib.suppress(OSError):
            await asyncio.wait(
                [
                    asyncio.ensure_future(_carry(reader, far_writer)),
                    asyncio.ensure_future(_carry(far_reader, writer)),
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


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65_536):
            writer.write(data)
            await writer.drain()


async def main(port: int, host: str, target_port: int) -> None:
    proxy = Proxy(host, target_port)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", port)
    loop = asyncio.get_running_loop()
    commands = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(commands), sys.stdin)
    while line := (await commands.readline()).decode().split():
        proxy.cut(float(line[1]))
    server.close()


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), sys.argv[2], int(sys.argv[3])))
