"""Connections whose two ends are joined in memory."""

from __future__ import annotations

import json
import struct
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.factory import ChatFactory, PortFactory
from chatsvc.limits.token_bucket import Rate
from chatsvc.protocol import ChatProtocol, LegacyChatProtocol
from tests.support.worlds import ALICE, BOB, DEVICE, UNLIMITED, World

GREETING = "Please log in!"


class Wire(StringTransportWithDisconnection):
    """A transport that keeps each write, and lets a test decide when the peer has closed."""

    def __init__(self, host: str = "192.0.2.1") -> None:
        super().__init__()
        self.writes: list[bytes] = []
        self.peer_host = host
        self.aborted = False

    def write(self, data: bytes) -> None:
        self.writes.append(data)

    def getPeer(self) -> Any:
        class Peer:
            host = self.peer_host

        return Peer()

    def loseConnection(self) -> None:
        self.disconnecting = True

    def abortConnection(self) -> None:
        self.aborted = True
        self.loseConnection()


class ClientEnd:
    """The other end of a connection."""

    def __init__(self, protocol: ChatProtocol, wire: Wire) -> None:
        self.protocol = protocol
        self.wire = wire
        self.length = struct.Struct("<H" if isinstance(protocol, LegacyChatProtocol) else "!H")

    def pack(self, *frames: str | bytes | dict[str, Any]) -> bytes:
        packed = b""
        for frame in frames:
            text = json.dumps(frame) if isinstance(frame, dict) else frame
            data = text.encode() if isinstance(text, str) else text
            packed += self.length.pack(len(data)) + data
        return packed

    def send(self, *frames: str | bytes | dict[str, Any]) -> None:
        self.protocol.dataReceived(self.pack(*frames))

    def raw(self) -> list[str]:
        """The frames that came since this was last asked."""
        data, self.wire.writes = b"".join(self.wire.writes), []
        frames = []
        while data:
            (size,) = self.length.unpack(data[:2])
            frames.append(data[2 : 2 + size].decode())
            data = data[2 + size :]
        return frames

    def things(self) -> list[Any]:
        return [json.loads(frame) for frame in self.raw() if frame.startswith("{")]

    def lose(self) -> None:
        """The connection ends."""
        self.protocol.connectionLost(Failure(ConnectionDone()))


class ProtocolCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.make()

    def make(self, rate: Rate = UNLIMITED, **limits: Any) -> None:
        self.world = World(rate, **limits)
        self.world.accounts.cached = {ALICE, BOB}
        self.factory = ChatFactory(self.world.services)

    def connect(self, legacy: bool = False, host: str = "192.0.2.1") -> ClientEnd:
        factory = PortFactory(self.factory, legacy=True) if legacy else self.factory
        protocol = factory.buildProtocol(IPv4Address("TCP", host, 5000) if host else None)
        assert protocol is not None
        wire = Wire(host)
        wire.protocol = protocol
        protocol.makeConnection(wire)
        self.turn()
        return ClientEnd(protocol, wire)

    def turn(self, seconds: float = 0) -> None:
        self.world.clock.advance(seconds)
        self.world.clock.advance(0)
        self.world.clock.advance(0)

    def text(self, uid: int = ALICE, **more: Any) -> ClientEnd:
        end = self.connect(**more)
        end.send(f"auth {uid} {self.world.accounts.rows[uid][1]}")
        self.turn()
        self.assertEqual(end.raw()[:2], [GREETING, "Logged in!"])
        return end

    def structured(self, uid: int = ALICE, **more: Any) -> ClientEnd:
        end = self.connect()
        password = self.world.accounts.rows[uid][1]
        end.send(
            {"type": "hello", "device": DEVICE},
            {"type": "auth", "n": 1, "uid": uid, "password": password, **more},
        )
        self.turn()
        self.assertEqual([thing["type"] for thing in end.things()], ["welcome", "ok"])
        return end
