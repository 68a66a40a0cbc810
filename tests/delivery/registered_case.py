"""A reader on a registered device, with a store in memory and a clock of the test's own."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.online import OnlineUsers
from chatsvc.delivery.reader import Reader
from chatsvc.delivery.router import REMOVAL_DELAY, MessageRouter
from chatsvc.inbox.claim import Registration
from chatsvc.observability.metrics import Metrics
from tests.delivery.recording import RecordingOwner
from tests.support.fakes import MemoryInbox
from tests.support.memory_rooms import no_rooms

UID, OTHER = 2, 3
PHONE, DESK = "b" * 16, "d" * 16


class RegisteredCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inbox = MemoryInbox()
        self.listeners: OnlineUsers[Reader] = OnlineUsers()
        self.router = MessageRouter(
            *(self.clock, self.inbox, self.listeners),
            no_rooms(self.clock, self.inbox),
        )
        self.inbox.watcher = self.router
        self.owner = RecordingOwner()
        self.register(DESK)
        self.reader = self.begin()

    def register(self, device: str) -> None:
        """Register a device, and log it out."""
        claim = self.inbox.claim(UID, None, None, device, "", Registration("x"))
        self.successResultOf(Deferred.fromCoroutine(claim))
        self.inbox.registered[UID][device].online = False

    def begin(
        self, device: str = PHONE, after: int | None = None, serial: int | None = None
    ) -> Reader:
        """Log in on a registered device, or on the unnamed one, and read."""
        registration = Registration("x/1", serial) if device else None
        claiming = self.inbox.claim(UID, after, None, device, "", registration)
        claim = self.successResultOf(Deferred.fromCoroutine(claiming))
        owner, delivered = self.owner, Metrics().handed
        reader = Reader(
            *(self.clock, self.inbox, self.router, UID, claim, owner, owner.deliver, delivered),
            *(after or 0, registration, device),
        )
        owner.reader = reader
        self.listeners.add(UID, reader)
        reader.resume()
        self.inbox.calls.clear()
        return reader

    def store(self, *devices: str | None) -> None:
        """Messages by another node: of others (None), or copies of what a device (empty: one without a name) sends."""
        for device in devices:
            if device is None:
                message = self.inbox.store(UID, "x")
            else:
                message = self.inbox.store(UID, "x", UID, to=OTHER, device=device)
            self.router.stored_elsewhere([(UID, message)])

    def acknowledged(self) -> list[tuple[int, int]]:
        """How far removals reach, and what was shown there."""
        self.clock.advance(REMOVAL_DELAY)
        return [(one.up_to, one.shown) for _, removals in self.inbox.batches for one in removals]
