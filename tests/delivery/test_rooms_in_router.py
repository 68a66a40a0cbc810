"""Messages into rooms, and what is acknowledged of them, on their way through the router."""

from __future__ import annotations

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.online import OnlineUsers
from chatsvc.delivery.router import POSITION_DELAY, MessageRouter
from chatsvc.inbox.claim import Comparison
from chatsvc.inbox.outcome import (
    Duplicate,
    Failed,
    Moved,
    NotMember,
    Outcome,
    RoomAcknowledgement,
    RoomDraft,
    Stored,
)
from chatsvc.wire.events import RoomEntry, RoomMessage
from tests.delivery.recording import RecordingListener
from tests.support.fakes import MemoryInbox

ROOM = 7


class RecordingFeeds:
    """Feeds that note what they are told."""

    def __init__(self) -> None:
        self.noted: list[Any] = []

    def stored(self, entry: RoomEntry) -> None:
        self.noted.append(entry.id)

    def resync_room(self, room: int) -> None:
        self.noted.append(("resync", room))

    def store_returned(self) -> None:
        self.noted.append("returned")

    def room_entries(self, entries: list[RoomEntry]) -> list[int]:
        self.noted.append([entry.id for entry in entries])
        return [ROOM]


class RoomsInRouterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inbox = MemoryInbox()
        self.feeds = RecordingFeeds()
        self.listeners: OnlineUsers[RecordingListener] = OnlineUsers()
        self.router = MessageRouter(
            *(self.clock, self.inbox, self.listeners),
            self.feeds,  # type: ignore[arg-type]
        )
        self.told: list[tuple[Outcome | None, RoomMessage]] = []

    def send(self, outcome: Outcome | None = None, **more: Any) -> None:
        """Send a message of which the store says this."""
        if outcome is not None:
            self.inbox.outcomes.append(outcome)
        draft = RoomDraft(ROOM, 1, "x", 0, "text", **more)
        self.router.send_to_room(draft, lambda *what: self.told.append(what))
        self.clock.advance(0)

    def test_stored(self) -> None:
        """Readers would not be handed what was said, or its sender not know its id and serial."""
        self.send(Stored(5, 0, serial=50), mark="-")
        ((_, message),) = self.told
        self.assertEqual((message.id, message.serial, message.device), (5, 50, "-"))
        self.assertEqual(self.feeds.noted, [5])

    def test_not_stored(self) -> None:
        """Readers would be handed what was refused."""
        for outcome in (Duplicate(5, 0, serial=50), NotMember(), Moved(), Failed("full")):
            self.send(outcome)
        said = [outcome for outcome, _ in self.told]
        self.assertEqual(said, [Duplicate(5, 0), NotMember(), Moved(), None])
        self.assertEqual(self.told[0][1].serial, 50)
        self.assertEqual(self.feeds.noted, [])

    def test_moved(self) -> None:
        """A session whose device has logged in elsewhere would go on."""
        listener = RecordingListener(0, "d" * 16)
        self.listeners.add(1, listener)
        self.send(Moved(), device="d" * 16, sending=1, registered=True)
        self.assertEqual(listener.noted, ["taken over"])

    def test_store_away(self) -> None:
        """What was stored though its answer got lost would not be handed to readers before the next message."""
        self.inbox.away = True
        self.send()
        self.clock.advance(1)
        self.assertEqual([outcome for outcome, _ in self.told], [None])
        self.assertEqual(self.feeds.noted, [("resync", ROOM)])

    def test_positions_gather(self) -> None:
        """Each acknowledgement would be a write, also where removals go every 20 ms."""
        self.router.acknowledge_room(1, ROOM, 3)
        self.router.remove(1, 1, 1)
        self.clock.advance(1)
        self.router.acknowledge_room(1, ROOM, 4)
        self.assertEqual(self.inbox.room_batches, [])
        self.clock.advance(POSITION_DELAY)
        self.assertEqual(self.inbox.room_batches, [([], [RoomAcknowledgement(1, ROOM, 4)])])

    def test_positions_of_a_batch_that_failed(self) -> None:
        """A position would be lost with a batch, or take the place of a newer one."""
        self.inbox.away = True
        self.router.acknowledge_room(1, ROOM, 3)
        self.router.acknowledge_room(1, 8, 1)
        self.clock.advance(POSITION_DELAY)
        self.router.acknowledge_room(1, ROOM, 4)
        self.inbox.away = False
        self.inbox.room_batches.clear()
        self.clock.advance(POSITION_DELAY)
        wanted = [RoomAcknowledgement(1, ROOM, 4), RoomAcknowledgement(1, 8, 1)]
        self.assertEqual([one for _, some in self.inbox.room_batches for one in some], wanted)

    def test_furthest_position(self) -> None:
        """A session would be shown again what one of the account has acknowledged, because another is slower."""
        for id, over in ((9, False), (3, False), (5, True), (9, True), (9, False)):
            self.router.acknowledge_room(1, ROOM, id, over)
        for id, over in ((3, True), (4, False)):
            self.router.acknowledge_room(1, 8, id, over)
        self.clock.advance(POSITION_DELAY)
        self.clock.advance(0)
        wanted = [RoomAcknowledgement(1, ROOM, 9, True), RoomAcknowledgement(1, 8, 4)]
        self.assertEqual(self.inbox.room_batches, [([], wanted)])

    def test_positions_in_other_data(self) -> None:
        """What got the ids that were lost would count as acknowledged, and be shown to nobody."""
        for is_other_data, batches in ((False, 1), (True, 1)):
            self.router.acknowledge_room(1, ROOM, 3)
            self.router.store_returned(Comparison(is_other_data=is_other_data))
            self.clock.advance(POSITION_DELAY)
            self.clock.advance(0)
            self.assertEqual(len(self.inbox.room_batches), batches)

    def test_positions_of_a_session_that_ends(self) -> None:
        """The next session would begin at a position of two seconds before."""
        self.router.acknowledge_room(1, ROOM, 3)
        self.router.leave(1, 1, 0)
        self.clock.advance(0)
        self.assertEqual(self.inbox.room_batches, [([], [RoomAcknowledgement(1, ROOM, 3)])])

    def test_what_the_store_tells(self) -> None:
        """Feeds would not hear of what other nodes store, or of a store that was away."""
        entry = RoomMessage(ROOM, 5, 50, 1, "x", 0, "text")
        self.assertEqual(self.router.room_entries([entry]), [ROOM])
        self.assertEqual(self.feeds.noted, [[5]])
