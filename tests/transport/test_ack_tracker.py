"""When a peer's kernel has a message: in memory, and once over a real socket."""

from __future__ import annotations

import socket
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase, TestCase

from chatsvc.transport import ack_tracker
from chatsvc.transport.ack_tracker import AckTracker, ByteMeter, meter_of, metered
from chatsvc.transport.sockets import socket_of
from tests.support.fakes import FakeTCP

CHUNK = b"x" * 10_000


class MeterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.under_way = 0
        self.patch(ack_tracker, "unacknowledged", lambda descriptor: self.under_way)
        self.clock = Clock()
        self.received: list[int] = []
        self.tcp = FakeTCP()
        factory = metered(Factory.forProtocol(Protocol))
        meter = factory.buildProtocol(None)
        assert isinstance(meter, ByteMeter)
        self.meter = meter
        self.meter.makeConnection(self.tcp)
        self.receipts = AckTracker(self.clock, self.meter, self.received.append)

    def write(self, id: int, size: int = 100) -> None:
        self.meter.write(b"x" * size)
        self.receipts.unwritten = id
        self.receipts.written()

    def test_counting(self) -> None:
        """Bytes would count as received that lie in Twisted's buffers or in the kernel's."""
        self.meter.write(b"x" * 60)
        self.meter.writeSequence([b"y" * 20, b"z" * 20])
        self.assertEqual(self.tcp.value(), b"x" * 60 + b"y" * 20 + b"z" * 20)
        self.assertEqual(self.meter.acknowledged(), 100)
        self.tcp.dataBuffer += b"x" * 7
        self.assertEqual(self.meter.acknowledged(), 93)
        self.tcp._tempDataLen = 5
        self.assertEqual(self.meter.acknowledged(), 88)
        self.under_way = 8
        self.assertEqual(self.meter.acknowledged(), 80)

    def test_received_past_the_end(self) -> None:
        """A message would be removed before its last byte has arrived, or not after it."""
        self.under_way = 100
        self.write(1)
        for under_way, received in ((100, []), (50, []), (1, []), (0, [1])):
            self.under_way = under_way
            self.receipts.poll()
            self.assertEqual(self.received, received)

    def test_progress(self) -> None:
        """Of several messages one would count that has not arrived, or none."""
        for id in (4, 5, 6):
            self.write(id)
        self.under_way = 101
        self.receipts.poll()
        self.assertEqual(self.received, [4])
        self.under_way = 0
        self.receipts.poll()
        self.assertEqual(self.received, [4, 6])
        self.receipts.poll()
        self.assertEqual(self.received, [4, 6])

    def test_looks_by_itself(self) -> None:
        """What has arrived would stay in the inbox until somebody asks."""
        self.write(1)
        self.assertEqual(self.received, [])
        self.clock.advance(0.05)
        self.assertEqual(self.received, [1])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.write(2)
        self.clock.advance(0.05)
        self.assertEqual(self.received, [1, 2])

    def test_slow_peer_is_asked_less_often(self) -> None:
        """A peer that does not read would cost a system call each millisecond, or be forgotten."""
        asked = []

        def unacknowledged(descriptor: int) -> int:
            asked.append(self.clock.seconds())
            return self.under_way

        self.patch(ack_tracker, "unacknowledged", unacknowledged)
        self.under_way = 1
        self.write(1)
        self.clock.pump([0.001] * 10_000)
        self.assertTrue(15 <= len(asked) <= 40, len(asked))
        self.under_way = 0
        self.clock.advance(0.6)
        self.assertEqual(self.received, [1])

    def test_last_look_at_closing(self) -> None:
        """A message that has arrived would come again because the server closed too soon."""
        self.write(1)
        self.meter.loseConnection()
        self.assertEqual(self.received, [1])
        self.assertTrue(self.tcp.disconnecting)

    def test_last_look_when_the_peer_closes(self) -> None:
        """A message that has arrived would come again because its reader left at once."""
        self.write(1)
        self.meter.readConnectionLost()
        self.assertEqual(self.received, [1])
        self.assertTrue(self.tcp.disconnecting)

    def test_last_look_at_log_out(self) -> None:
        """A message that has arrived would come again because its reader logged out at once."""
        self.write(1)
        self.receipts.close()
        self.assertEqual(self.received, [1])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_nothing_after_the_log_in(self) -> None:
        """A log-in that is over would acknowledge messages."""
        self.under_way = 1
        self.write(1)
        self.receipts.close()
        self.under_way = 0
        self.meter.loseConnection()
        self.clock.advance(1)
        self.assertEqual(self.received, [])

    def test_connection_lost(self) -> None:
        """The end of a connection with messages under way would raise, and leave its user online."""
        self.under_way = 1
        self.write(1)
        del self.tcp.socket  # as Twisted does before it tells
        self.meter.connectionLost(Failure(ConnectionResetError()))
        self.receipts.close()
        self.assertEqual(self.received, [])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_without_a_meter(self) -> None:
        """Without a socket, messages would never count as received."""
        without = AckTracker(self.clock, None, self.received.append)
        without.unwritten = 3
        without.written()
        without.poll()
        without.close()
        self.assertEqual(self.received, [3])

    def test_meter_of(self) -> None:
        """The meter would not be found under other layers, or something else be taken for it."""

        class Layer:
            transport: Any = self.meter

        above = Layer()
        above.transport = Layer()
        self.assertIs(meter_of(above), self.meter)
        self.assertIs(meter_of(self.meter), self.meter)
        self.assertIsNone(meter_of(StringTransport()))
        self.assertIsNone(meter_of(None))


class _Server(Protocol):
    """Says what became of itself."""

    def __init__(self) -> None:
        self.lost: Deferred[None] = Deferred()
        self.ending: Any = None

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        if self.ending is not None:
            self.ending()
        self.lost.callback(None)


class SocketTests(TestCase):
    """Over loopback, with a peer that decides when it reads."""

    async def connect(self) -> None:
        self.received: list[int] = []
        connected: Deferred[_Server] = Deferred()

        class Listening(Factory):
            noisy = False

            def buildProtocol(self, addr: Any) -> _Server:
                server = _Server()
                server.connectionMade = lambda: connected.callback(server)  # type: ignore[method-assign]
                return server

        endpoint = TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1")
        port = await endpoint.listen(metered(Listening()))
        self.addCleanup(port.stopListening)
        self.peer = socket.socket()
        self.addCleanup(self.peer.close)
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2048)
        self.peer.connect(("127.0.0.1", port.getHost().port))
        self.server = await connected
        own = socket_of(self.server.transport)
        assert own is not None
        own.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1_000_000)
        meter = meter_of(self.server.transport)
        assert isinstance(meter, ByteMeter)
        self.receipts = AckTracker(reactor, meter, self.received.append)  # type: ignore[arg-type]
        self.addCleanup(self.receipts.close)

    def write(self, first: int, count: int) -> None:
        for id in range(first, first + count):
            assert self.server.transport is not None
            self.server.transport.write(CHUNK)
            self.receipts.unwritten = id
            self.receipts.written()

    async def wait(self, seconds: float) -> None:
        await deferLater(reactor, seconds)  # type: ignore[arg-type]

    async def test_peer_that_stops_reading(self) -> None:
        """What a stalled peer never read would be removed from its inbox, or stay there for good."""
        await self.connect()
        self.write(1, 40)
        await self.wait(0.2)
        arrived = max(self.received, default=0)
        self.assertLess(arrived, 40)
        self.receipts.poll()
        self.assertLess(max(self.received, default=0), 40)
        self.peer.settimeout(0)
        total = 0
        for _ in range(1000):
            try:
                total += len(self.peer.recv(65_536))
            except BlockingIOError:
                await self.wait(0.005)
            if total == 40 * len(CHUNK):
                break
        await self.wait(0.6)
        self.assertEqual(self.received[-1], 40)
        self.assertEqual(self.received, sorted(self.received))

    async def test_peer_that_resets(self) -> None:
        """A connection that breaks with messages under way would raise in its end, or count them."""
        await self.connect()
        self.server.ending = self.receipts.close
        self.write(1, 40)
        await self.wait(0.05)
        self.peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.peer.close()
        await self.server.lost
        self.assertLess(max(self.received, default=0), 40)

    async def test_peer_that_reads_and_leaves(self) -> None:
        """A peer that read everything and left at once would get it all again."""
        await self.connect()
        self.server.ending = self.receipts.close
        self.receipts._delay = 60.0  # only the last look can see it
        self.write(1, 1)
        await self.wait(0.05)
        self.peer.settimeout(5)
        self.assertEqual(len(self.peer.recv(65_536, socket.MSG_WAITALL)) > 0, True)
        received = 0
        self.peer.settimeout(0.05)
        try:
            while received < len(CHUNK):
                received += len(self.peer.recv(65_536))
                await self.wait(0.005)
        except TimeoutError:
            pass
        self.peer.shutdown(socket.SHUT_WR)
        await self.server.lost
        self.assertEqual(self.received, [1])
