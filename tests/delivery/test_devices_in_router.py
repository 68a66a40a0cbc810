"""The router with several devices of a user, with a store in memory and a clock of the test's own."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.online import OnlineUsers
from chatsvc.delivery.router import REMOVAL_DELAY, RETRY_DELAY, MessageRouter
from chatsvc.inbox.claim import Comparison, SteppedBack
from chatsvc.inbox.outcome import (
    Committed,
    Draft,
    Duplicate,
    Moved,
    Outcome,
    Removal,
    Stored,
    Unregistered,
)
from chatsvc.observability.metrics import Metrics
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Message
from tests.delivery.recording import RecordingListener
from tests.support.fakes import MemoryInbox
from tests.support.memory_rooms import no_rooms

ME, OTHER = 1, 2
PHONE, DESK = "b" * 16, "d" * 16


def explode(*_: object) -> None:
    """Raise what nobody expects."""
    raise ValueError("a bug")


class DevicesInRouterTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inbox = MemoryInbox()
        self.listeners: OnlineUsers[RecordingListener] = OnlineUsers()
        self.metrics = Metrics()
        self.router = MessageRouter(
            *(self.clock, self.inbox, self.listeners),
            no_rooms(self.clock, self.inbox),
            self.metrics,
        )
        self.told: list[tuple[Outcome | None, Message]] = []

    def listen(self, uid: int, device: str = "", speaks_as: str = "") -> RecordingListener:
        """Somebody who reads on a device."""
        listener = RecordingListener(0, device, speaks_as)
        self.listeners.add(uid, listener)
        return listener

    def send(self, *outcomes: Outcome, to: int = OTHER, **more: Any) -> None:
        """Messages of mine, and what the store says of them."""
        self.inbox.outcomes = list(outcomes)
        for _ in outcomes:
            draft = Draft(to, ME, "me", 5, "x", **more)
            self.router.send(draft, lambda outcome, message: self.told.append((outcome, message)))
        self.clock.advance(0)

    def test_all_devices(self) -> None:
        """A message would reach only one of its reader's devices."""
        readers = [self.listen(OTHER), self.listen(OTHER, PHONE), self.listen(OTHER, DESK)]
        self.send(Stored(7, 1, serial=70))
        self.assertEqual([reader.noted for reader in readers], [[7]] * 3)
        self.assertEqual(self.told[0][1].serial, 70)

    def test_serial_of_a_duplicate(self) -> None:
        """A sender that repeats a message would not learn by which serial all know it."""
        self.send(Duplicate(4, 1, serial=40), Duplicate(None, 1))
        self.assertEqual([message.serial for _, message in self.told], [40, 0])

    def test_copy(self) -> None:
        """What one device sends, the others would not be shown, or not know as what it is (P4)."""
        copies: list[Message] = []
        phone = self.listen(ME, PHONE)
        self.patch(phone, "stored", copies.append)
        reader = self.listen(OTHER)
        self.send(Stored(7, 1, serial=70, copy=3), device=DESK)
        (copy,) = copies
        self.assertEqual(copy, Message(3, ME, "me", 5, "x", to=OTHER, device=DESK))
        self.assertEqual((copy.serial, reader.noted), (70, [7]))
        self.assertEqual((self.told[0][1].id, self.told[0][1].to), (7, 0), "the sender's own")
        counted = self.metrics.registry.get_sample_value("chatsvc_copies_total")
        self.assertEqual(counted, 1)

    def test_broken_device(self) -> None:
        """A reader that raises would keep messages from the other devices, or the sender without an answer (P8)."""
        broken, other = self.listen(OTHER, PHONE), self.listen(OTHER, DESK)
        mine, my_other = self.listen(ME, PHONE), self.listen(ME, DESK)
        for reader, method in (
            (broken, "stored"),
            (broken, "stored_elsewhere"),
            (mine, "stored"),
        ):
            self.patch(reader, method, explode)
        self.send(Stored(7, 1, copy=3))
        self.assertEqual((broken.noted, other.noted), ([("failed", ValueError)], [7]))
        self.assertEqual((mine.noted, my_other.noted), ([("failed", ValueError)], [3]))
        self.assertEqual([outcome for outcome, _ in self.told], [Stored(7, 1, copy=3)])
        self.router.stored_elsewhere([(OTHER, Message(8, ME, "me", 5, "x"))])
        self.assertEqual(other.noted[1:], [("heard", 8)])

    def test_reader_that_cannot_even_fail(self) -> None:
        """A reader of a copy that raises when it is ended would leave the sender without an answer."""
        mine, my_other = self.listen(ME, PHONE), self.listen(ME, DESK)
        self.patch(mine, "stored", explode)
        self.patch(mine, "failed", explode)
        self.send(Stored(7, 1, copy=3))
        self.assertEqual((my_other.noted, len(self.told)), ([3], 1))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_unnamed_device_elsewhere(self) -> None:
        """A device would be logged out because a person logs in at another node, or miss what is said meanwhile."""
        unnamed, phone = self.listen(OTHER), self.listen(OTHER, PHONE)
        self.send(Stored(7, 1, True, taken=True))
        self.assertEqual((unnamed.noted, phone.noted), (["taken over"], [7]))
        self.send(Stored(8, 1, True))
        self.assertEqual(phone.noted, [7, 8], "another device is at another node")

    def test_store_that_lost_messages(self) -> None:
        """Readers would be handed what stands behind other data before they were compared with it."""
        phone, mine = self.listen(OTHER, PHONE), self.listen(ME, DESK)
        commit = self.inbox._commit

        def lossy(*batch: Any) -> Committed:
            return replace(commit(*batch), lost=True)

        self.patch(self.inbox, "_commit", lossy)
        self.send(Stored(7, 1, copy=3))
        self.assertEqual((phone.noted, mine.noted, len(self.told)), ([], [], 1))

    def test_store_away(self) -> None:
        """A copy that was stored all the same would wait for the next message."""
        unnamed, phone, reader = self.listen(ME), self.listen(ME, PHONE), self.listen(OTHER, DESK)
        self.inbox.away = True
        self.send(Stored(1, 1))
        self.assertEqual(phone.noted, ["resync"])
        self.assertEqual((reader.noted, unnamed.noted), (["resync"], []), "it reads no copies")

    def test_heard(self) -> None:
        """What another node has stored would reach one device only, or pass for told to nobody."""
        phone, desk = self.listen(OTHER, PHONE), self.listen(OTHER, DESK)
        message = Message(4, ME, "me", 5, "x")
        self.assertEqual(self.router.stored_elsewhere([(OTHER, message), (9, message)]), [9])
        self.assertEqual((phone.noted, desk.noted), ([("heard", 4)], [("heard", 4)]))

    def test_taken_over(self) -> None:
        """A log-in at another node would end the other devices, or one that has logged in here since."""
        unnamed, phone, desk = (
            self.listen(OTHER),
            self.listen(OTHER, PHONE),
            self.listen(OTHER, DESK),
        )
        self.router.taken_over(OTHER, 5, device=PHONE)
        self.assertEqual((unnamed.noted, phone.noted, desk.noted), ([], ["taken over"], []))
        desk.generation = 9
        self.router.taken_over(OTHER, 5, device=DESK)
        self.assertEqual(desk.noted, [])
        self.router.taken_over(OTHER, 5)
        self.assertEqual((unnamed.noted, desk.noted), (["taken over"], []))

    def test_same_device_without_the_feature(self) -> None:
        """Two sessions that number the same messages would both go on."""
        unnamed = self.listen(OTHER, "", speaks_as=PHONE)
        self.router.taken_over(OTHER, 5, device=PHONE)
        self.assertEqual(unnamed.noted, ["taken over"])

    def test_removals_of_devices(self) -> None:
        """One device's acknowledgement would take the place of another's."""
        self.router.remove(OTHER, 1, 5)
        self.router.remove(OTHER, 2, 6, PHONE, 6)
        self.router.remove(OTHER, 2, 8, PHONE, 7)
        self.router.leave(OTHER, 3, 4, DESK, 4)
        self.clock.advance(0)
        self.assertEqual(
            self.inbox.batches[-1][1],
            [
                Removal(OTHER, 1, 5),
                Removal(OTHER, 2, 8, False, PHONE, 7),
                Removal(OTHER, 3, 4, True, DESK, 4),
            ],
        )

    def test_removals_put_back(self) -> None:
        """What one device has acknowledged would be lost with a batch because another one has acknowledged since."""
        self.inbox.hold = {"commit"}
        self.router.remove(OTHER, 1, 5, PHONE, 5)
        self.clock.advance(REMOVAL_DELAY)
        self.router.remove(OTHER, 2, 7, DESK, 7)
        self.inbox.let(StoreUnavailable("away"))
        self.clock.advance(RETRY_DELAY)
        self.assertEqual(
            {(one.device, one.up_to) for one in self.inbox.batches[-1][1]}, {(DESK, 7), (PHONE, 5)}
        )

    def test_refused_removal(self) -> None:
        """Another device than the one whose removal was refused would claim anew."""
        phone, desk = self.listen(OTHER, PHONE), self.listen(OTHER, DESK)
        self.router.remove(OTHER, 8, 5, PHONE, 5)
        self.clock.advance(REMOVAL_DELAY)
        self.assertEqual((phone.noted, desk.noted), ([("superseded", 8)], []))

    def test_removal_of_a_device_elsewhere(self) -> None:
        """A device that another node has taken over would not hear of it, or the others be ended by it."""
        phone, desk = self.listen(OTHER, PHONE), self.listen(OTHER, DESK)
        self.inbox.taken = {OTHER}
        self.router.remove(OTHER, 1, 5, PHONE, 5)
        self.clock.advance(REMOVAL_DELAY)
        self.assertEqual((phone.noted, desk.noted), (["taken over"], []))

    def test_forgotten_by_a_batch(self) -> None:
        """A session would go on whose device the store has just forgotten."""
        phone, desk, unnamed = (
            self.listen(OTHER, PHONE),
            self.listen(OTHER, DESK),
            self.listen(ME),
        )
        self.inbox.forgetting = [(OTHER, PHONE), (ME, ""), (9, DESK)]
        self.send(Stored(7, 1))
        self.assertEqual((phone.noted, desk.noted), ([7, "forgotten"], [7]))
        self.assertEqual(unnamed.noted, ["forgotten"])

    def test_store_returned(self) -> None:
        """After a fail-over a device would not step back, not hear that it was taken, or not that it is forgotten."""
        readers = {
            device: self.listen(OTHER, device) for device in ("", PHONE, DESK, "e" * 16, "f" * 16)
        }
        for device in (PHONE, "", DESK):
            self.router.remove(OTHER, 1, 5, device)
        self.router.store_returned(
            Comparison(
                stale=[OTHER],
                taken=[(OTHER, "e" * 16, 4)],
                stepped_back=[SteppedBack(OTHER, PHONE, 3, 2), SteppedBack(9, PHONE, 3, 2)],
                forgotten=[(OTHER, "f" * 16)],
            )
        )
        noted = [reader.noted[0] for reader in readers.values()]
        back = ("stepped back", 3, 2)
        self.assertEqual(noted, ["restarted", back, "resync", "taken over", "forgotten"])
        self.clock.advance(REMOVAL_DELAY)
        self.assertEqual(self.inbox.batches[-1][1], [Removal(OTHER, 1, 5, False, DESK)])

    def test_moved(self) -> None:
        """A device that was taken over would not be ended where it sends, or another one be."""
        phone, desk = self.listen(ME, PHONE), self.listen(ME, DESK)
        self.send(Moved(), device=PHONE, sending=1, registered=True)
        self.assertEqual([outcome for outcome, _ in self.told], [Moved()])
        self.assertEqual((phone.noted, desk.noted), (["taken over"], []))

    def test_moved_from_itself(self) -> None:
        """A session that has claimed its device anew, as after a fail-over, would be kicked for what it sent before."""
        phone = self.listen(ME, PHONE)
        phone.generation = 3
        self.send(Moved(), device=PHONE, sending=1, registered=True)
        self.assertEqual(([outcome for outcome, _ in self.told], phone.noted), ([None], []))
        phone.claimed = 2
        self.send(Moved(), device=PHONE, sending=1, registered=True)
        self.assertEqual([outcome for outcome, _ in self.told], [None, Moved()])
        self.assertEqual(phone.noted, [], "this one has logged in since")

    def test_unregistered(self) -> None:
        """A message of a forgotten device would not be answered, or not be counted."""
        self.send(Unregistered(), device=PHONE, sending=1, registered=True)
        self.assertEqual([outcome for outcome, _ in self.told], [Unregistered()])
        value = partial(self.metrics.registry.get_sample_value, "chatsvc_messages_total")
        self.assertEqual(value({"state": "unregistered"}), 1)
