"""The older asyncio clients on ``--legacy-port``, through a network that cuts the stream wherever it likes."""

from __future__ import annotations

import asyncio
import socket
import ssl
import struct

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import StructuredClient
from tests.support.processes import PASSWORD, ChatServer, SQLiteStores, new_address
from tests.support.servers import free_port

BURST = 1_000
PIECE = 1_460
"""Bytes of TCP payload in one packet of an Ethernet."""


class OldClient:
    """Written as theirs: it takes what one ``read(n)`` brings for a whole frame."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    @classmethod
    async def connect(cls, port: int, ca: str) -> OldClient:
        """Connect as the older clients do."""
        context = ssl.create_default_context(ssl.Purpose.SERVER_AUTH, cafile=ca)
        return cls(
            *await asyncio.open_connection(
                "127.0.0.1", port, ssl=context, server_hostname="localhost"
            )
        )

    async def send(self, line: str) -> None:
        """Send a line."""
        data = line.encode()
        self.writer.write(struct.pack("<H", len(data)) + data)
        await self.writer.drain()

    async def read(self) -> str:
        """Read a frame."""
        (size,) = struct.unpack("<H", await self.reader.read(2))
        return (await self.reader.read(size)).decode()

    async def read_many(self, count: int) -> list[str]:
        """Read frames as fast as they come."""
        return [await self.read() for _ in range(count)]


class CuttingProxy:
    """Hands every byte on, in pieces of at most `PIECE` bytes, each a packet of its own."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> int:
        self._server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        port: int = self._server.sockets[0].getsockname()[1]
        return port

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        their_reader, their_writer = await asyncio.open_connection("127.0.0.1", self._target)
        for source, sink in [(reader, their_writer), (their_reader, writer)]:
            self._tasks.add(asyncio.create_task(self._hand_on(source, sink)))

    async def _hand_on(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        sink.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while data := await source.read(PIECE):
            sink.write(data)
            await sink.drain()
            await asyncio.sleep(0)  # so that the other end sees this piece alone
        sink.close()


class LegacyPort(SynchronousTestCase):
    def setUp(self) -> None:
        self.stores = SQLiteStores()
        self.port = free_port()
        self.server = ChatServer(
            *self.stores.options,
            *("--legacy-port", f"ssl:{self.port}:interface=127.0.0.1"),
            *("--rate", "0", "--inbox-limit", "5000", "--inbox-share", "5000"),
        )
        self.addCleanup(self.server.remove)
        self.server.start()
        self.uid = self.stores.add_user("老客户端")
        self.sender = self.stores.add_user("发送者")

    def texts(self) -> list[str]:
        """Messages of many lengths, those of packets and of TLS records among them."""
        return [f"{i}:" + "汉" * (i * 37 % 700) for i in range(BURST)]

    def writer(self) -> StructuredClient:
        """Give a program that sends as fast as it can."""
        client = self.server.structured(source=new_address())
        self.addCleanup(client.close)
        client.log_in(self.sender, PASSWORD)
        return client

    def send_all(self) -> None:
        """Send all messages and see them confirmed."""
        client = self.writer()
        things = [{"type": "msg", "to": self.uid, "text": text} for text in self.texts()]
        for start in range(0, BURST, 50):
            client.say_many(things[start : start + 50])
        for _ in range(BURST):
            self.assertEqual(client.next()["type"], "sent")

    async def received(self, during: bool) -> list[str]:
        """Log an older client in through the proxy; the texts that it then reads."""
        async with CuttingProxy(self.port) as port:
            client = await OldClient.connect(port, self.server.ca)
            self.assertEqual(await client.read(), "请登陆!")
            await client.send(f"auth {self.uid} {PASSWORD}")
            self.assertEqual(await client.read(), "认证成功!")
            sending = asyncio.to_thread(self.send_all) if during else asyncio.sleep(0)
            task = asyncio.ensure_future(sending)
            # One task: a client that keeps up is the one that meets a frame's first half alone.
            frames = await asyncio.wait_for(client.read_many(BURST), 20)
            await task
            client.writer.close()
        return [frame.partition("]:")[2] for frame in frames]

    def test_burst_to_an_older_client(self) -> None:
        """An older client that is online would read frames in halves and lose its place."""
        self.assertEqual(asyncio.run(self.received(during=True)), self.texts())

    def test_burst_that_waited(self) -> None:
        """An older client that comes back would read frames in halves and lose its place."""
        self.send_all()
        self.assertEqual(asyncio.run(self.received(during=False)), self.texts())
        again = self.server.text(source=new_address())
        self.addCleanup(again.close)
        again.log_in(self.uid, PASSWORD)

    def test_dialogue_of_older_clients(self) -> None:
        """Two older clients could not talk to each other."""

        async def talk() -> list[str]:
            one = await OldClient.connect(self.port, self.server.ca)
            two = await OldClient.connect(self.port, self.server.ca)
            said = [await one.read(), await two.read()]
            await one.send(f"auth {self.uid} {PASSWORD}")
            await two.send(f"auth {self.sender} {PASSWORD}")
            said += [await one.read(), await two.read()]
            await two.send(f"msg {self.uid} " + "汉" * 256)
            said += [(await one.read()).partition("]:")[2], (await two.read()).partition("]:")[2]]
            for client in (one, two):
                await client.send("logout")
                said += [await client.read(), await client.read()]
                client.writer.close()
            return said

        expected = ["请登陆!"] * 2 + ["认证成功!"] * 2 + ["汉" * 256] * 2
        expected += ["您已退出登录!", "请登陆!"] * 2
        self.assertEqual(asyncio.run(asyncio.wait_for(talk(), 20)), expected)
        self.assertEqual(self.server.tracebacks(), [])
