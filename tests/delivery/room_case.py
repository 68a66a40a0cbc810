"""A room in memory, one node, and clients that have logged in there."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.room_start import Known
from chatsvc.wire import events as e
from tests.delivery.rooms import MemoryRooms, RoomClient, RoomNode

ALICE, BOB = 10001, 10002


class RoomCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.rooms = MemoryRooms()
        self.rooms.event("joined", ALICE)
        self.rooms.event("joined", BOB)
        self.node = RoomNode(self.rooms)

    def client(
        self, uid: int = ALICE, known: Known | None = None, device: str = "d" * 16
    ) -> RoomClient:
        """A client that has logged in, and was handed all that waited for it."""
        client = RoomClient(self.node, uid, device)
        client.log_in(known or Known({}))
        self.node.pass_time()
        return client

    def say(self, count: int = 1, sender: int = BOB, device: str = "") -> list[e.RoomEntry]:
        """Have messages stored, and tell the node of them."""
        said: list[e.RoomEntry] = [self.rooms.say(sender, device) for _ in range(count)]
        self.node.tell(*said)
        self.node.clock.advance(0)
        return said
