"""Writing at once, with a TCP connection that takes what the test lets it take."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import Factory, Protocol
from twisted.protocols.policies import WrappingFactory
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatsvc.transport.sockets import EagerWriter
from chatsvc.transport.twisted_internals import waiting_bytes


class NarrowTCP:
    """A TCP connection whose kernel takes ``room`` bytes; what it does not take, Twisted keeps in ``kept``."""

    connected = True
    disconnecting = False
    offset = 0

    def __init__(self) -> None:
        self.room = 1000
        self.error: Exception | None = None
        self.taken = b""
        self.kept: list[bytes] = []

    @property
    def dataBuffer(self) -> bytes:
        return b"".join(self.kept)

    @property
    def _tempDataLen(self) -> int:
        return 0

    def writeSomeData(self, data: bytes) -> int | Exception:
        if self.error is not None:
            return self.error
        now = data[: self.room]
        self.room -= len(now)
        self.taken += now
        return len(now)

    def write(self, data: bytes) -> None:
        self.kept.append(data)


class EagerWriterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.tcp = NarrowTCP()
        self.writer: Any = EagerWriter(WrappingFactory(Factory()), Protocol())
        self.writer.transport = self.tcp

    def test_at_once(self) -> None:
        """A frame would wait for a turn of the reactor though the kernel could take it."""
        self.writer.write(b"abc")
        self.writer.writeSequence([b"d", b"ef"])
        self.assertEqual((self.tcp.taken, self.tcp.kept), (b"abcdef", []))

    def test_in_part(self) -> None:
        """Bytes that the kernel does not take at once would be lost or sent twice."""
        self.tcp.room = 2
        self.writer.write(b"abcde")
        self.assertEqual((self.tcp.taken, self.tcp.kept), (b"ab", [b"cde"]))
        self.assertEqual(waiting_bytes(self.writer.transport), 3)

    def test_in_order(self) -> None:
        """Later bytes would overtake those that wait."""
        self.tcp.room = 0
        self.writer.write(b"abc")
        self.tcp.room = 100
        self.writer.write(b"def")
        self.assertEqual((self.tcp.taken, self.tcp.kept), (b"", [b"abc", b"def"]))

    def test_lost(self) -> None:
        """A connection that is lost would raise in the midst of a batch, or its end would go unnoticed."""
        self.tcp.error = CONNECTION_LOST
        self.writer.write(b"abc")
        self.assertEqual(self.tcp.kept, [b"abc"], "Twisted finds out")

    def test_closing(self) -> None:
        """Bytes would be written to a connection that is closing."""
        for state in ("connected", "disconnecting"):
            setattr(self.tcp, state, not getattr(NarrowTCP, state))
            self.writer.write(b"abc")
            self.assertEqual(self.tcp.taken, b"")
            setattr(self.tcp, state, getattr(NarrowTCP, state))


class Counting(Protocol):
    """Counts what comes."""

    def __init__(self) -> None:
        self.count = 0
        self.ended: Deferred[int] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.count += len(data)

    def connectionLost(self, reason: Failure | None = None) -> None:  # type: ignore[override]
        self.ended.callback(self.count)


class RealTests(TestCase):
    async def test_more_than_the_kernel_takes(self) -> None:
        """What was partly taken would arrive short, or never end."""
        counting = Counting()
        listening = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port: Any = await listening.listen(Factory.forProtocol(lambda: counting))  # type: ignore[arg-type]
        wrapping = WrappingFactory(Factory.forProtocol(Protocol))
        wrapping.protocol = EagerWriter
        there = TCP4ClientEndpoint(reactor, "127.0.0.1", port.getHost().port)
        prompt: Any = await there.connect(wrapping)
        for _ in range(100):
            prompt.write(b"x" * 300_000)
        prompt.loseConnection()
        self.assertEqual(await counting.ended, 30_000_000)
        await port.stopListening()
