"""Connections whose other end closes one half, or breaks TLS, while bytes wait: all layers, joined in memory."""

from __future__ import annotations

import contextlib
import ssl
import struct
from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.router import REMOVAL_DELAY
from chatsvc.factory import ChatFactory, PortFactory
from chatsvc.tls.context import ServerContext
from chatsvc.tls.key_folder import KeyFolder
from chatsvc.transport import ack_tracker
from chatsvc.transport.ack_tracker import ByteMeter, metered
from chatsvc.transport.listeners import _tls
from chatsvc.transport.proxy_protocol import TrustedProxies
from tests.support.fakes import FakeTCP
from tests.support.worlds import ALICE, BOB, World

LAYERS = ("ordinary", "legacy", "proxied")
HEADER = b"PROXY TCP4 198.51.100.7 192.0.2.1 5555 443\r\n"


class StallingTCP(FakeTCP):
    """A TCP connection whose kernel takes bytes, or, while it is ``stalled``, leaves them in Twisted's buffer."""

    def __init__(self) -> None:
        super().__init__()
        self._lenient = True
        self.stalled = False
        self.aborted = False

    def writeSomeData(self, data: bytes) -> int:
        if self.stalled:
            return 0
        self.io.write(data)
        return len(data)

    def write(self, data: bytes) -> None:
        self.dataBuffer += data

    def drain(self) -> None:
        """Let the kernel take what waits."""
        self.stalled = False
        self.io.write(self.dataBuffer[self.offset :])
        self.dataBuffer = self.dataBuffer[: self.offset]

    def abortConnection(self) -> None:
        self.aborted = True


class TLSClient:
    """The other end: TLS in memory, over all layers of a server."""

    def __init__(self, layered: Any, layers: str, ca: str) -> None:
        self.length = struct.Struct("<H" if layers == "legacy" else "!H")
        meter = layered.buildProtocol(IPv4Address("TCP", "127.0.0.1", 5))
        assert isinstance(meter, ByteMeter)
        self.meter, self.tcp = meter, StallingTCP()
        self._in, self._out = ssl.MemoryBIO(), ssl.MemoryBIO()
        trust = ssl.create_default_context(cafile=ca)
        self._tls = trust.wrap_bio(self._in, self._out, server_hostname="localhost")
        meter.makeConnection(self.tcp)
        if layers == "proxied":
            meter.dataReceived(HEADER)
        for _ in range(5):
            self.do(self._tls.do_handshake)

    def do(self, step: Callable[[], object]) -> None:
        """Do something with what came, and send what it brings about."""
        self._in.write(self.tcp.value())
        self.tcp.clear()
        with contextlib.suppress(ssl.SSLError):
            step()
        if self._out.pending:
            self.meter.dataReceived(self._out.read())

    def pack(self, *lines: str) -> bytes:
        """Frames."""
        datas = [line.encode() for line in lines]
        return b"".join(self.length.pack(len(data)) + data for data in datas)

    def send(self, *lines: str) -> None:
        """Send frames, in one record."""
        self.do(lambda: self._tls.write(self.pack(*lines)))

    def send_and_close(self, *lines: str) -> None:
        """Send frames and a close_notify alert, all in one packet."""
        self._tls.write(self.pack(*lines))
        self.do(self._tls.unwrap)

    def close(self) -> None:
        """Send a close_notify alert."""
        self.do(self._tls.unwrap)

    def break_tls(self) -> None:
        """Send what is no TLS."""
        self.meter.dataReceived(b"\x17\x03\x03\0\x20" + b"?" * 32)

    def read(self) -> list[str]:
        """The frames that came."""
        data = b""

        def take() -> None:
            nonlocal data
            while piece := self._tls.read(65_536):
                data += piece

        self.do(take)
        frames = []
        while data:
            (size,) = self.length.unpack(data[:2])
            frames.append(data[2 : 2 + size].decode())
            data = data[2 + size :]
        return frames


class HalvesCase(SynchronousTestCase):
    def setUp(self) -> None:
        keys = KeyFolder(self.mktemp())
        keys.ensure([])
        self.ca = keys.certificate_path
        self.context = ServerContext(keys.key_path, keys.certificate_path)
        self.under_way = 0
        self.patch(ack_tracker, "unacknowledged", lambda descriptor: self.under_way)
        self.make_world()

    def make_world(self) -> None:
        self.world = World()
        self.world.accounts.cached = {ALICE, BOB}
        self.factory = ChatFactory(self.world.services)

    def connect(self, layers: str = "ordinary") -> TLSClient:
        factory: Any = PortFactory(self.factory, legacy=layers == "legacy")
        factory = _tls(self.context, factory)
        if layers == "proxied":
            factory = TrustedProxies(Clock(), factory, ["127.0.0.1"])
        return TLSClient(metered(factory), layers, self.ca)

    def turn(self, seconds: float = 0) -> None:
        self.world.clock.pump([seconds, 0, 0, 0])

    def reader(self, layers: str = "ordinary") -> TLSClient:
        """Alice, logged in."""
        client = self.connect(layers)
        client.send("auth 10001 a")
        self.turn()
        self.assertEqual(client.read(), ["Please log in!", "Logged in!"])
        return client

    def program(self, layers: str = "ordinary") -> TLSClient:
        """A program of Alice's, logged in."""
        client = self.connect(layers)
        client.send('{"type":"auth","n":1,"uid":10001,"password":"a"}')
        self.turn()
        self.assertIn('"ok"', client.read()[-1])
        return client

    def store(self, count: int) -> None:
        """So many messages for Alice, which her reader hears of."""
        for _ in range(count):
            self.world.inbox.store(ALICE, "x" * 100)
        if ALICE in self.world.online:
            self.world.online[ALICE][0].resync()
        self.turn()

    def waiting(self) -> list[int]:
        """The ids of what waits for Alice."""
        return [message.id for message in self.world.inbox.waiting[ALICE]]


class EndTests(HalvesCase):
    """The other end is gone while bytes wait above the socket."""

    ends: tuple[Callable[[TLSClient], None], ...] = (
        TLSClient.close,
        TLSClient.break_tls,
        lambda client: client.meter.readConnectionLost(),
    )

    def test_stalled_reader(self) -> None:
        """What is written after a peer has ended TLS would count as received, and its user stay online."""
        for layers in LAYERS:
            for end in self.ends:
                self.make_world()
                client = self.reader(layers)
                client.tcp.stalled = True
                self.store(3)
                end(client)
                self.store(5)
                self.assertEqual(self.world.online, {}, layers)
                self.assertTrue(client.tcp.disconnecting)
                self.assertIsNone(client.tcp.producer, "Twisted would wait for it")
                client.tcp.drain()
                self.turn(1)
                self.turn(REMOVAL_DELAY)
                self.assertEqual(self.waiting(), [1, 2, 3, 4, 5, 6, 7, 8])
                self.turn(5)
                self.assertTrue(client.tcp.aborted, "it may be asked to wait for ever")

    def test_program(self) -> None:
        """A program whose peer has ended TLS would stay online, and be handed messages that nobody sends."""
        for layers in LAYERS:
            for end in self.ends:
                self.make_world()
                client = self.program(layers)
                client.tcp.stalled = True
                self.store(1)
                end(client)
                self.assertEqual(self.world.online, {}, layers)
                self.turn(6)
                self.assertTrue(client.tcp.aborted)

    def test_received_before(self) -> None:
        """What a reader had received when it closed would come again."""
        for end in self.ends[::2]:
            self.make_world()
            client = self.reader()
            self.store(2)
            end(client)
            self.turn(REMOVAL_DELAY)
            self.assertEqual(self.waiting(), [])

    def test_dropped(self) -> None:
        """A message that a layer drops would count as received, if that is asked before the connection has ended."""
        for layers in LAYERS:
            self.make_world()
            client = self.reader(layers)
            client.meter.closing = None  # a layer that drops bytes without a word
            client.meter.abortConnection()
            self.store(1)
            if ALICE in self.world.online:
                self.world.online[ALICE][0].poll_acks()
            self.turn(1)
            self.turn(REMOVAL_DELAY)
            self.assertEqual(self.waiting(), [1])
            self.assertEqual(self.world.online, {}, "nobody hears what is said")

    def test_closed_by_us(self) -> None:
        """Who takes nothing while the server closes would stay online for half a minute."""
        client = self.reader()
        client.tcp.stalled = True
        self.store(2)
        protocol: Any = client.meter.wrappedProtocol
        protocol.wrappedProtocol.bye("stopping")
        self.turn(1)
        self.store(1)
        self.assertEqual(self.world.online, {})
        client.tcp.drain()
        self.turn(REMOVAL_DELAY)
        self.assertEqual(self.waiting(), [1, 2, 3])
        self.turn(30)
        self.assertTrue(client.tcp.aborted)


class LastWordsTests(HalvesCase):
    """The other end has said all, and waits for the answers."""

    def test_commands_in_one_go(self) -> None:
        """Answers would be lost that a client waits for after it has closed its half."""
        for layers in LAYERS:
            self.make_world()
            client = self.connect(layers)
            client.send_and_close("auth 10001 a", "msg 10002 hi", "find bob", "lang zh")
            self.turn()
            self.turn()
            greeting, logged_in, message, found, lang = client.read()
            self.assertEqual((greeting, logged_in), ("Please log in!", "Logged in!"))
            self.assertTrue(message.endswith(":hi"))
            self.assertEqual((found, lang), ("bob: 10002 (away)", "已切换为中文!"))
            self.assertEqual((client.tcp.disconnecting, self.world.online), (True, {}))

    def test_fin(self) -> None:
        """A client that closes only TCP's half would not be answered."""
        client = self.reader()
        self.world.inbox.hold = {"commit"}
        client.send("msg 10002 hi", "lang zh")
        client.meter.readConnectionLost()
        self.turn(1)
        self.assertFalse(client.tcp.disconnecting)
        self.world.let_all()
        self.turn()
        message, lang = client.read()
        self.assertEqual((message[-3:], lang), (":hi", "已切换为中文!"))
        self.assertTrue(client.tcp.disconnecting)

    def test_slow_store(self) -> None:
        """Commands that wait for a store would be dropped when their client has said all, or hold it for ever."""
        for patience, answered in ((29, True), (31, False)):
            self.make_world()
            client = self.connect()
            self.world.passwords.hold = {"check"}
            client.send_and_close("auth 10001 a", "lang zh")
            self.turn(patience)
            self.assertEqual(client.tcp.disconnecting, not answered)
            self.world.let_all()
            self.turn()
            said = ["Please log in!", "Logged in!", "已切换为中文!"]
            self.assertEqual(client.read(), said if answered else said[:1])
            self.assertTrue(client.tcp.disconnecting)
            self.assertEqual(self.world.online, {})

    def test_not_read_at_that_moment(self) -> None:
        """What lies unread in a connection that is held would be dropped with its end."""
        client = self.reader()
        self.world.inbox.hold = {"commit"}
        client.send_and_close(*[f"msg 10002 {i}" for i in range(200)], "lang zh")
        self.turn()
        self.world.let_all()
        said: list[str] = []
        for _ in range(20):
            self.turn()
            said += client.read()
        texts = [line.rpartition(":")[2] for line in said]
        self.assertEqual(texts, [*map(str, range(200)), "已切换为中文!"])
        self.assertTrue(client.tcp.disconnecting)

    def test_dead_while_it_waits_for_its_turn(self) -> None:
        """The log-in of a process that was killed while it waited would throw out its living successor."""
        for layers in LAYERS:
            for end in (TLSClient.close, lambda client: client.meter.readConnectionLost()):
                self.make_world()
                self.reader(layers)
                successor = self.reader(layers)
                dead = self.connect(layers)
                dead.send("auth 10001 a", "lang zh")
                self.turn(0.5)
                self.assertEqual(dead.read(), ["Please log in!"])
                end(dead)
                self.turn()
                self.assertTrue(dead.tcp.disconnecting)
                refused, lang = dead.read()
                self.assertEqual(refused, "Too many tries, please try again in 1 s!")
                self.assertEqual(lang, "已切换为中文!", "what came after it was not carried out")
                self.turn(20)
                self.assertEqual(successor.read(), [])
                self.assertIn(ALICE, self.world.online)

    def test_dead_before_its_turn(self) -> None:
        """The same, if it was killed while its password was compared."""
        self.reader()
        successor = self.reader()
        self.world.passwords.hold = {"check"}
        dead = self.connect()
        dead.send_and_close("auth 10001 a")
        self.turn(0.5)
        self.world.let_all()
        self.turn(20)
        self.assertEqual(dead.read()[1:], ["Too many tries, please try again in 1 s!"])
        self.assertEqual(successor.read(), [])

    def test_half_a_frame(self) -> None:
        """A client that ends in the middle of a frame would be waited for."""
        client = self.reader()
        client._tls.write(client.pack("help")[:3])
        client.close()
        self.assertTrue(client.tcp.disconnecting)

    def test_what_comes_behind_the_end(self) -> None:
        """Bytes behind the alert that ends TLS would fill the memory while answers are awaited."""
        client = self.connect()
        self.world.passwords.hold = {"check"}
        client.send_and_close("auth 10001 a")
        self.assertEqual(client.tcp.producerState, "paused")
        protocol: Any = client.meter.wrappedProtocol
        protocol.wrappedProtocol.hold("one")
        protocol.wrappedProtocol.release("one")
        self.assertEqual(client.tcp.producerState, "paused")

    def test_end_in_the_handshake(self) -> None:
        """A peer that ends in the middle of a handshake would keep its place."""
        layered = metered(_tls(self.context, self.factory))
        meter: Any = layered.buildProtocol(None)
        tcp = StallingTCP()
        meter.makeConnection(tcp)
        meter.readConnectionLost()
        self.assertTrue(tcp.disconnecting)

    def test_lost_while_answers_are_awaited(self) -> None:
        """A connection that breaks after its half was closed would be closed once more, or leave a timer."""
        client = self.connect()
        self.world.passwords.hold = {"check"}
        client.send_and_close("auth 10001 a")
        del client.tcp.socket
        client.meter.connectionLost(Failure(ConnectionDone()))
        self.world.let_all()
        self.turn()
        self.assertEqual((self.world.online, self.factory.connections), ({}, 0))
        self.assertEqual(self.world.clock.getDelayedCalls(), [])
