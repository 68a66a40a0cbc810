"""Answers, edits and retractions as readers hand them over, rooms that have gaps, and what is kept for nobody."""

from __future__ import annotations

from twisted.internet.defer import Deferred

from chatsvc.delivery.feeds import PAGE
from chatsvc.delivery.reader import Reader
from chatsvc.delivery.room_start import Known
from chatsvc.inbox.claim import Registration
from chatsvc.inbox.notice import Notice
from chatsvc.inbox.outcome import Draft
from chatsvc.observability.metrics import Metrics
from chatsvc.wire import events as e
from chatsvc.wire.entries import Reference
from chatsvc.wire.history_events import ReadElsewhere, Receipt
from tests.delivery.recording import RecordingListener
from tests.delivery.registered_case import DESK, OTHER, PHONE, UID, RegisteredCase
from tests.delivery.room_case import ALICE, BOB, RoomCase
from tests.delivery.rooms import RoomClient

REPLY, EDIT, RETRACTION = (Reference(kind, 70) for kind in ("reply", "edited", "retracted"))
READ, RECEIPT = ReadElsewhere(50, other=OTHER), Receipt(OTHER, 50)


class ChangesCase(RegisteredCase):
    """A test with one reader: on a registered device, or on the unnamed one, of a person or of a program."""

    def read_as(self, device: str = "", for_people: bool = False) -> Reader:
        """Log in, in the place of all who are there."""
        registration = Registration("x/1") if device else None
        claiming = self.inbox.claim(UID, None, None, device, "", registration)
        claim = self.successResultOf(Deferred.fromCoroutine(claiming))
        owner, delivered = self.owner, Metrics().handed
        reader = Reader(
            *(self.clock, self.inbox, self.router, UID, claim, owner, owner.deliver, delivered),
            registration=registration,
            speaks_as=device,
            for_people=for_people,
        )
        owner.reader = reader
        self.listeners[UID] = (reader,)
        reader.resume()
        self.inbox.calls.clear()
        return reader

    def put(self, *marks: Reference | None, tells: bool = True) -> None:
        """Have another node store messages that have to do with others."""
        for mark in marks:
            message = self.inbox.store(UID, "" if mark is RETRACTION else "x", mark=mark)
            if tells:
                self.router.stored_elsewhere([(UID, message)])


class PassingOverChangesTests(ChangesCase):
    """Who is handed what changes an earlier message."""

    def test_for_programs(self) -> None:
        """A program that knows of no changes would take an edit for a new message, or not be shown an answer."""
        reader = self.read_as()
        self.put(None, EDIT, REPLY, RETRACTION, None)
        self.assertEqual(self.owner.delivered, [1, 3, 5])
        self.assertEqual(self.inbox.calls, [], "nor is anything read again for that")
        reader.pause()
        self.put(RETRACTION, REPLY, EDIT, None)
        reader.resume()
        self.assertEqual(self.owner.delivered, [1, 3, 5, 7, 9])
        self.put(EDIT, None, tells=False)
        reader.resync()
        self.assertEqual(self.owner.delivered, [1, 3, 5, 7, 9, 11])

    def test_for_people_and_devices(self) -> None:
        """Somebody would not be told that what they have read was edited, or is gone."""
        for reader in (
            lambda: self.read_as(PHONE),
            lambda: self.read_as(for_people=True),
            lambda: self.read_as(PHONE, for_people=True),
        ):
            self.setUp()
            one = reader()
            self.put(None, EDIT, REPLY, RETRACTION)
            one.pause()
            self.put(RETRACTION, EDIT)
            one.resume()
            self.assertEqual(self.owner.delivered, [1, 2, 3, 4, 5, 6])

    def test_by_this_node(self) -> None:
        """A change that this node stores would be handed to a program, or not to a device."""
        for one, ids in ((self.read_as, [1, 3]), (lambda: self.read_as(PHONE), [1, 2, 3])):
            self.setUp()
            one()
            for mark in (None, EDIT, REPLY):
                draft = Draft(UID, OTHER, "n", 0, "x", reference=mark)
                self.router.send(draft, lambda outcome, message: None)
            self.clock.advance(0)
            self.assertEqual(self.owner.delivered, ids)

    def test_in_no_inbox(self) -> None:
        """A change that is in no inbox would be taken for a message that the store has lost."""
        self.inbox.registered.clear()
        self.read_as()
        for mark in (None, EDIT, None):
            draft = Draft(UID, OTHER, "n", 0, "x", reference=mark)
            self.router.send(draft, lambda outcome, message: None)
        self.clock.advance(0)
        self.assertEqual((self.owner.delivered, self.owner.noted), ([1, 2], []))
        self.assertEqual(self.inbox.calls, ["commit"])

    def test_copies_of_changes(self) -> None:
        """Another device would not see what one has changed, or the one that has would see it as new (P4)."""
        self.read_as(PHONE)
        for device in (PHONE, DESK, ""):
            for mark in (REPLY, EDIT, RETRACTION):
                copy = self.inbox.store(UID, "x", UID, to=OTHER, device=device, mark=mark)
                self.router.stored_elsewhere([(UID, copy)])
        self.assertEqual(self.owner.delivered, [4, 5, 6, 7, 8, 9])

    def test_copies_of_changes_on_the_unnamed_device(self) -> None:
        """Somebody at the text dialect would be told of their own edit as of another's."""
        for for_people in (False, True):
            self.setUp()
            self.read_as(for_people=for_people)
            for mark in (REPLY, EDIT):
                copy = self.inbox.store(UID, "x", UID, to=OTHER, device=DESK, mark=mark)
                self.router.stored_elsewhere([(UID, copy)])
            self.put(None)
            self.assertEqual(self.owner.delivered, [3])

    def test_acknowledged_at_once(self) -> None:
        """A change that a program is never handed would wait until somebody writes to its user."""
        self.read_as()
        self.put(EDIT, RETRACTION)
        self.assertEqual([up_to for up_to, _ in self.acknowledged()], [2])

    def test_acknowledged_with_what_is_before(self) -> None:
        """A change would hold the inbox of a program, or take along a message that it has not acknowledged (P2)."""
        reader = self.read_as()
        self.put(None, EDIT, RETRACTION, None, EDIT)
        self.assertEqual(self.acknowledged(), [], "1 is not acknowledged")
        self.assertTrue(reader.acknowledge(1))
        self.assertEqual([up_to for up_to, _ in self.acknowledged()], [3])
        self.assertFalse(reader.acknowledge(2), "it counts already")
        self.assertFalse(reader.acknowledge(3))
        reader.acknowledge(4)
        self.assertEqual([up_to for up_to, _ in self.acknowledged()], [3, 5])

    def test_acknowledged_between_copies(self) -> None:
        """Copies and changes that follow each other would hold a program's inbox."""
        reader = self.read_as()
        self.put(None, EDIT)
        copy = self.inbox.store(UID, "x", UID, to=OTHER, device=DESK, mark=EDIT)
        self.router.stored_elsewhere([(UID, copy)])
        self.put(RETRACTION, REPLY)
        reader.acknowledge(1)
        self.assertEqual([up_to for up_to, _ in self.acknowledged()], [4])

    def test_handed_over_is_not_acknowledged(self) -> None:
        """A change that a device has not acknowledged would be lost in its crash (P2)."""
        for device, for_people in ((PHONE, False), ("", True)):
            self.setUp()
            reader = self.read_as(device, for_people)
            self.put(EDIT, RETRACTION)
            self.assertEqual(self.acknowledged(), [])
            reader.acknowledge(1)
            self.assertEqual([up_to for up_to, _ in self.acknowledged()], [1])

    def test_serial_of_what_was_passed_over(self) -> None:
        """A reader whose last entry was a change would be compared with the store by what is before it."""
        reader = self.read_as()
        message = self.inbox.store(UID, "x", mark=EDIT, at=5)
        self.router.stored_elsewhere([(UID, message)])
        where = reader.where()
        self.assertEqual((where.id, where.at), (1, 5))


class NoticedTests(ChangesCase):
    """What is kept for nobody."""

    def test_reader(self) -> None:
        """A device would not hear what was read at another one, or a connection that is full be sent still more."""
        reader = self.read_as(PHONE)
        reader.noticed(READ)
        self.assertEqual(self.owner.noted, ["ReadElsewhere"])
        reader.pause()
        reader.noticed(RECEIPT)
        self.assertEqual(self.owner.noted, ["ReadElsewhere"])
        reader.resume()
        self.assertEqual(self.owner.noted, ["ReadElsewhere"], "nor later")
        reader.noticed(RECEIPT)
        self.assertEqual(self.owner.noted, ["ReadElsewhere", "Receipt"])

    def test_while_it_catches_up(self) -> None:
        """A device that reads a long inbox would not hear what is read meanwhile."""
        reader = self.read_as(PHONE)
        self.inbox.hold = {"read"}
        self.put(None, tells=False)
        reader.resync()
        reader.noticed(READ)
        self.assertEqual((self.owner.noted, self.owner.delivered), (["ReadElsewhere"], []))
        self.inbox.let_all()
        self.assertEqual((self.owner.noted, self.owner.delivered), (["ReadElsewhere"], [1]))

    def listen(self, uid: int, device: str = "", speaks_as: str = "") -> RecordingListener:
        """Somebody who reads on a device."""
        listener = RecordingListener(0, device, speaks_as)
        self.listeners.add(uid, listener)  # type: ignore[arg-type]
        return listener

    def test_all_devices_but_one(self) -> None:
        """A device would be told what it did itself, or a program that knows nothing of it, or another user."""
        self.listeners.clear()
        phone, desk = self.listen(UID, PHONE), self.listen(UID, DESK)
        unnamed, other = self.listen(UID, speaks_as="c" * 16), self.listen(OTHER, PHONE)
        self.router.noticed([Notice(UID, READ, PHONE), Notice(UID, RECEIPT), Notice(9, READ)])
        self.assertEqual((phone.noted, desk.noted), ([RECEIPT], [READ, RECEIPT]))
        self.assertEqual((unnamed.noted, other.noted), ([], []))
        self.router.noticed([Notice(OTHER, READ, DESK), Notice(UID, READ, "c" * 16)])
        self.assertEqual((other.noted, phone.noted), ([READ], [RECEIPT, READ]))

    def test_paused_readers(self) -> None:
        """One device whose connection is full would keep news from the others, or be sent more."""
        phone = self.read_as(PHONE)
        desk = self.listen(UID, DESK)
        phone.pause()
        self.router.noticed([Notice(UID, READ)])
        self.assertEqual((self.owner.noted, desk.noted), ([], [READ]))


class GapsTests(RoomCase):
    """Rooms' logs of which something was retracted."""

    def retract(self, *said: e.RoomEntry, heard: bool = True, kind: str = "retracted") -> None:
        """Have BOB change what was said."""
        for one in said:
            event = self.rooms.change(BOB, one.serial, kind)
            if heard:
                self.node.tell(event)
        self.node.clock.advance(0)

    def test_live(self) -> None:
        """A member who is there would not be told of an edit or a retraction, or twice."""
        client = self.client()
        (said,) = self.say()
        self.retract(said, kind="edited")
        self.retract(said)
        self.say()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3, 4, 5, 6])
        events = [one.event for one in client.handed[3:5] if isinstance(one, e.RoomEvent)]
        self.assertEqual(events, ["edited", "retracted"])

    def test_who_made_it(self) -> None:
        """The device that has changed a message would wait for the event, which goes to all."""
        sender = self.client(BOB, device="a" * 16)
        (said,) = self.say(sender=BOB, device="a" * 16)
        self.retract(said)
        self.node.pass_time()
        self.assertEqual(sender.ids, [2, 4])
        self.assertTrue(sender.reader.acknowledge(7, 4))
        self.assertEqual(sender.acknowledged, [(7, 4, False)])

    def test_news_that_got_lost(self) -> None:
        """A room would stop, or be read for ever, where an entry was retracted of which its node had not heard."""
        clients = [self.client(), self.client(BOB)]
        said = [self.rooms.say(BOB) for _ in range(3)]
        self.retract(*said[:2], heard=False)
        (last,) = self.say()
        self.node.pass_time()
        self.assertEqual([client.ids[-4:] for client in clients], [[5, 6, 7, 8]] * 2)
        self.assertEqual(clients[0].ids, [1, 2, 5, 6, 7, 8])
        self.say(2)
        self.node.pass_time()
        self.assertEqual(clients[0].ids, [1, 2, *range(5, 11)])
        self.assertEqual(self.node.feeds.behind, 0)
        for client in clients:
            self.assertFalse([one for one in client.said if type(one) is e.RoomMissed])
            self.assertTrue(client.reader.acknowledge(7, last.id))
            self.assertEqual(client.acknowledged[-1], (7, last.id, False))

    def test_gap_at_the_end(self) -> None:
        """A retraction that is heard before what it has retracted would be shown twice, or the late entry after it."""
        client = self.client()
        late = self.rooms.say(BOB)
        event = self.rooms.change(BOB, late.serial)
        self.node.tell(event)
        self.node.pass_time()
        self.node.tell(late, event)
        self.node.pass_time()
        self.say()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 4, 5])

    def test_paused(self) -> None:
        """A member whose connection was full would not go on where something was retracted meanwhile."""
        client, other = self.client(), self.client(BOB)
        client.reader.pause()
        said = self.say(4)
        self.node.pass_time()
        self.retract(*said[1:3])
        self.retract(said[3], kind="edited")
        self.node.pass_time()
        client.reader.resume()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3, 6, 7, 8, 9])
        self.assertEqual(other.ids, list(range(2, 10)))
        self.say()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3, 6, 7, 8, 9, 10])
        self.assertFalse([one for one in client.said if type(one) is e.RoomMissed])
        self.assertEqual(self.node.feeds.behind, 0)

    def test_paused_at_what_is_retracted(self) -> None:
        """A member who was handed the retracted entry last would be handed something twice, or nothing more."""
        client = self.client()
        client.takes = 2
        said = self.say(2)
        self.node.pass_time()
        self.retract(*said)
        client.takes = 100
        client.reader.resume()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3, 4, 5, 6])
        self.assertTrue(client.reader.acknowledge(7, 4))
        self.assertEqual(client.acknowledged, [(7, 4, False)])

    def test_catching_up(self) -> None:
        """A device that comes back would stop at a gap, be told that it missed something, or be shown things twice."""
        said = self.say(PAGE + 10)
        self.retract(*said[3:8], *said[PAGE - 5 : PAGE + 5])
        gone = {one.id for one in (*said[3:8], *said[PAGE - 5 : PAGE + 5])}
        kept = [id for id in range(3, self.rooms.last + 1) if id not in gone]
        for place in (3, 5, 7, PAGE - 1, PAGE + 9):
            last = said[place]
            client = self.client(known=Known({7: (last.id, last.serial)}))
            self.assertEqual(client.ids, [id for id in kept if id > last.id], place)
            self.assertFalse([one for one in client.said if type(one) is e.RoomMissed])
            self.assertIsInstance(client.said[-1], e.Synced)
            client.reader.close()

    def test_account_position_in_a_gap(self) -> None:
        """A person would be shown again what the account has acknowledged before it was retracted."""
        said = self.say(3)
        self.rooms.positions[ALICE] = said[1].id, said[1].serial
        self.retract(said[1])
        self.assertEqual(self.client(known=Known(), device="").ids, [5, 6])

    def test_retracted_while_a_page_is_read(self) -> None:
        """A member who catches up would be handed something twice, or not at all, if it is retracted meanwhile."""
        said = self.say(4)
        self.rooms.is_held = True
        client = RoomClient(self.node, ALICE, "d" * 16)
        client.log_in(Known({7: (2, 20)}))
        for _ in range(3):
            self.rooms.let()
            self.node.clock.advance(0)
        self.retract(said[1])
        self.rooms.is_held = False
        self.node.pass_time()
        self.say()
        self.node.pass_time()
        self.assertEqual([id for id in client.ids if id != said[1].id], [3, 5, 6, 7, 8])
        self.assertEqual(len(client.ids), len(set(client.ids)))

    def test_store_returned(self) -> None:
        """After a lost connection to the store a room would stop, or be shown twice, at what was retracted."""
        client = self.client()
        said = self.say(2)
        self.node.pass_time()
        self.retract(said[1], heard=False)
        self.node.feeds.store_returned()
        self.node.pass_time()
        self.say()
        self.node.pass_time()
        self.assertEqual(client.ids, [1, 2, 3, 4, 5, 6])
        self.assertTrue(client.reader.acknowledge(7, 6))
        self.assertEqual(client.acknowledged, [(7, 6, False)])

    def test_room_stays_as_it_is(self) -> None:
        """An edit would count as a change of the room, or as somebody's coming or going."""
        client = self.client()
        (said,) = self.say()
        self.retract(said, kind="edited")
        self.retract(said)
        self.node.pass_time()
        seen = [one for one in self.rooms.noted if one[0] == "seen"]
        self.assertEqual({version for _, version in seen}, {0})
        self.assertFalse([one for one in client.said if type(one) is e.RoomLeft])
        self.assertEqual(self.node.feeds.subscriptions, 1)
