"""Readers of registered devices, and what the unnamed one passes over, with a store in memory."""

from __future__ import annotations

from dataclasses import replace

from chatsvc.delivery.router import REMOVAL_DELAY
from chatsvc.inbox.claim import Comparison, Cursor, SteppedBack
from chatsvc.inbox.outcome import Draft, Removal
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Message
from tests.delivery.registered_case import DESK, OTHER, PHONE, UID, RegisteredCase


class PassingOverTests(RegisteredCase):
    """What is not for a device."""

    def test_own_copies_live(self) -> None:
        """A device would be shown what it has sent itself, or not what another one has (P4)."""
        self.store(None, PHONE, DESK, "", PHONE, None)
        self.assertEqual(self.owner.delivered, [1, 3, 4, 6])
        self.assertEqual(self.inbox.calls.count("read"), 0, "nor read again for that")

    def test_own_copies_in_a_page(self) -> None:
        """A device that catches up would be shown what it has sent itself, as after its crash (P4)."""
        self.reader.pause()
        self.store(None, PHONE, DESK, PHONE)
        self.reader.resume()
        self.assertEqual(self.owner.delivered, [1, 3])

    def test_copies_on_the_unnamed_device(self) -> None:
        """Somebody at the text dialect would read their own messages as if somebody had written to them."""
        unnamed = self.begin("")
        self.listeners[UID] = (unnamed,)
        self.store(None, DESK, None)
        unnamed.pause()
        self.store("", PHONE, None)
        unnamed.resume()
        self.assertEqual(self.owner.delivered, [1, 3, 6])

    def test_acknowledged_at_once(self) -> None:
        """What a device is never shown would hold the inbox until somebody writes to its user."""
        self.store(PHONE, PHONE)
        self.assertEqual(self.acknowledged(), [(2, 0)])

    def test_acknowledged_with_what_is_before(self) -> None:
        """What a device is never shown would hold the inbox, or take along a message before it that was not shown."""
        self.store(None, PHONE, PHONE, None, PHONE)
        self.assertEqual(self.acknowledged(), [], "1 is not acknowledged")
        self.reader.acknowledge(1)
        self.assertEqual(self.acknowledged(), [(3, 1)])
        self.reader.acknowledge(4)
        self.assertEqual(self.acknowledged(), [(3, 1), (5, 4)])
        self.store(PHONE)
        self.assertEqual(self.acknowledged()[-1], (6, 4))

    def test_several_runs_at_once(self) -> None:
        """One acknowledgement for many would stop at the first of what was passed over, or claim that it was shown."""
        self.store(None, PHONE, None, PHONE, None, PHONE)
        self.reader.acknowledge(2**53 - 1)
        self.assertEqual(self.acknowledged(), [(6, 5)])
        self.assertFalse(self.reader.acknowledge(6), "nothing new")

    def test_acknowledged_in_the_middle_of_a_run(self) -> None:
        """An id that the client was never handed would be taken for one that it has shown."""
        self.store(None, PHONE, PHONE, None)
        self.reader.acknowledge(2)
        self.assertEqual(self.acknowledged(), [(3, 1)])

    def test_position_of_the_unnamed_device(self) -> None:
        """The unnamed device would name serials that its client has never heard of."""
        unnamed = self.begin("")
        self.listeners[UID] = (unnamed,)
        self.store(None, DESK)
        unnamed.acknowledge(1)
        self.clock.advance(REMOVAL_DELAY)
        self.assertEqual(self.inbox.batches[-1][1], [Removal(UID, unnamed.generation, 2)])

    def test_unreadable_entry(self) -> None:
        """An entry of another program would be shown as an empty line, or stay for ever."""
        self.reader.pause()
        self.store(None)
        self.inbox.store(UID, "")
        self.reader.resume()
        self.reader.acknowledge(1)
        self.assertEqual((self.owner.delivered, self.acknowledged()), ([1], [(2, 1)]))


class BeginningTests(RegisteredCase):
    """Where a registered device begins, and what it says of its place."""

    def test_beside_each_other(self) -> None:
        """Two devices would share one position, so that each misses what the other has read (P2)."""
        desk = self.begin(DESK)
        self.store(None)
        self.assertEqual(self.owner.delivered, [1, 1])
        self.reader.acknowledge(1)
        self.clock.advance(REMOVAL_DELAY)
        self.assertEqual(len(self.inbox.waiting[UID]), 1)
        desk.acknowledge(1)
        self.clock.advance(REMOVAL_DELAY)
        self.assertEqual(self.inbox.waiting[UID], [])

    def test_behind_its_position(self) -> None:
        """A client with an older state would not be shown again what it lacks, or its position go back (P7)."""
        self.store(None, None, None)
        self.reader.acknowledge(3)
        self.reader.close()
        self.clock.advance(REMOVAL_DELAY)
        reader = self.begin(PHONE, 1, 10)
        self.assertEqual(self.owner.delivered, [1, 2, 3, 2, 3])
        self.inbox.batches.clear()
        reader.acknowledge(2)
        self.store(PHONE)
        self.assertEqual(self.acknowledged(), [(4, 0)], "3 was acknowledged before")

    def test_place(self) -> None:
        """After a fail-over nobody could tell by the serial whether this device was handed what is there now."""
        self.assertEqual(
            self.reader.where(),
            Cursor(UID, 0, self.reader.generation, None, device=PHONE, serial=self.inbox.serial),
        )
        self.inbox.store(UID, "x", at=77)
        self.reader.resync()
        place = Cursor(UID, 1, self.reader.generation, 77, device=PHONE, serial=10)
        self.assertEqual(self.reader.where(), place)
        self.store(PHONE)
        self.assertEqual((self.reader.where().id, self.reader.where().serial), (2, 10))

    def test_leaving(self) -> None:
        """A device that logs out would be online for ever, or its last acknowledgement be forgotten."""
        self.store(None, PHONE)
        self.reader.acknowledge(1)
        self.reader.close()
        self.clock.advance(0)
        generation = self.reader.generation
        self.assertEqual(
            self.inbox.batches[-1][1], [Removal(UID, generation, 2, True, PHONE, shown=1)]
        )
        self.assertFalse(self.inbox.registered[UID][PHONE].online)


class SteppingBackTests(RegisteredCase):
    """A store that has lost what a device was handed."""

    def lose(self, last: int) -> None:
        """The store loses all after a message, and goes on."""
        kept = [message for message in self.inbox.waiting[UID] if message.id <= last]
        self.inbox.waiting[UID], self.inbox.last_ids[UID] = kept, last
        self.inbox.serial += 60_000

    def step_back(self, id: int) -> None:
        """The store has compared, and gives the session a new generation."""
        self.generation = self.reader.generation + 1
        self.inbox.registered[UID][PHONE].generation = self.generation
        self.inbox.registered[UID][PHONE].position = min(
            self.inbox.registered[UID][PHONE].position, id
        )
        back = SteppedBack(UID, PHONE, id, self.generation)
        self.router.store_returned(Comparison(stepped_back=[back]))

    def test_without_outstanding_acknowledgements(self) -> None:
        """A live device would drop what got the ids of lost messages (P2)."""
        self.store(None, None, None)
        self.reader.acknowledge(3)
        self.clock.advance(REMOVAL_DELAY)
        self.lose(2)
        self.store(None, None)
        self.owner.delivered.clear()
        self.step_back(2)
        self.assertEqual(self.owner.delivered, [3, 4])
        self.assertEqual(self.reader.generation, self.generation)
        self.assertEqual(self.owner.noted, [], "the connection goes on")

    def test_lost_acknowledgement(self) -> None:
        """The acknowledgement of a lost message would count for the new one with its id, which a crash then loses."""
        self.store(None, None, None)
        self.reader.acknowledge(1)
        self.clock.advance(REMOVAL_DELAY)
        self.lose(2)
        self.store(None)
        self.step_back(2)
        self.inbox.batches.clear()
        for id in (2, 3, 2**53 - 1):
            self.assertFalse(self.reader.acknowledge(id), "it may be of what was lost")
        self.store(None)
        self.assertFalse(self.reader.acknowledge(3))
        self.assertTrue(self.reader.acknowledge(4))
        self.assertEqual(self.acknowledged(), [(4, 4)])

    def test_what_was_not_acknowledged_before(self) -> None:
        """What the client has not recorded would count as acknowledged because the store has lost what comes after."""
        self.store(None, None, None)
        self.reader.acknowledge(1)
        self.clock.advance(REMOVAL_DELAY)
        self.lose(2)
        self.step_back(2)
        self.reader.close()
        self.assertEqual(self.acknowledged()[-1], (1, 1))

    def test_what_was_passed_over_before(self) -> None:
        """What was passed over before a loss would be taken for what stands there now."""
        self.store(None, PHONE, PHONE)
        self.lose(1)
        self.step_back(1)
        self.store(None, None, PHONE)
        self.reader.acknowledge(4)
        self.assertEqual(self.acknowledged(), [(4, 3)])

    def test_outstanding_removal(self) -> None:
        """A removal that waited while the store lost messages would remove others."""
        self.store(None, None, None)
        self.reader.acknowledge(3)
        self.lose(1)
        self.store(None, None)
        self.step_back(1)
        self.assertEqual(self.acknowledged(), [])
        self.assertEqual([one.id for one in self.inbox.waiting[UID]], [1, 2, 3])

    def test_without_a_serial(self) -> None:
        """All would be shown again after any lost connection, because the last one is of a server of before (P2)."""
        self.store(None)
        known = self.reader.where()
        message = replace(self.inbox.store(UID, "of before"), serial=0)
        self.router.stored_elsewhere([(UID, message)])
        self.assertEqual(self.owner.delivered, [1, 2])
        self.assertEqual((self.reader.where().id, self.reader.where().serial), (2, known.serial))
        self.reader.pause()
        self.store("-")
        self.inbox.waiting[UID][-1] = replace(self.inbox.waiting[UID][-1], serial=0, device=PHONE)
        self.reader.resume()
        self.assertEqual((self.reader.where().id, self.reader.where().serial), (3, known.serial))
        self.store(None)
        self.assertEqual(self.reader.where().serial, self.inbox.serial)

    def test_twice(self) -> None:
        """A second loss would make the acknowledgements of the first count again."""
        self.store(None, None, None, None, None)
        self.lose(3)
        self.step_back(3)
        self.store(None)
        self.lose(2)
        self.step_back(2)
        self.store(None, None)
        self.assertFalse(self.reader.acknowledge(4))
        self.assertFalse(self.reader.acknowledge(2**53 - 1))
        self.store(None)
        self.assertFalse(self.reader.acknowledge(5))
        self.store(None)
        self.assertTrue(self.reader.acknowledge(6))

    def test_passed_over_after_it(self) -> None:
        """What a device has sent would hold the inbox after a loss, though all before it was acknowledged."""
        self.store(None, PHONE, None)
        self.reader.acknowledge(3)
        self.clock.advance(REMOVAL_DELAY)
        self.lose(1)
        self.step_back(1)
        self.inbox.batches.clear()
        self.store(PHONE)
        self.assertEqual(self.acknowledged(), [(2, 1)], "what was shown as 3 is not what is there")

    def test_place_after_it(self) -> None:
        """The next comparison would not know what the client has, and hand it nothing or everything again."""
        self.store(None, None, None)
        self.lose(1)
        self.step_back(1)
        where = self.reader.where()
        self.assertEqual((where.id, where.at, where.serial), (1, None, 30))

    def test_for_another_session(self) -> None:
        """A comparison that comes late would throw back a session that has logged in since."""
        self.store(None, None)
        back = SteppedBack(UID, PHONE, 0, self.reader.generation)
        self.router.store_returned(Comparison(stepped_back=[back]))
        self.assertEqual((self.owner.delivered, self.reader.cursor), ([1, 2], 2))

    def test_page_of_before(self) -> None:
        """A page that was read before the loss would be handed after it, and what is there now be dropped."""
        self.reader.pause()
        self.store(None, None)
        self.inbox.hold = {"read"}
        self.reader.resume()
        (_, reading) = self.inbox.held.pop()
        page = list(self.inbox.waiting[UID])
        self.lose(0)
        self.step_back(0)
        self.inbox.waiting[UID] = page
        reading.callback(None)
        self.assertEqual(self.owner.delivered, [])
        self.inbox.waiting[UID] = []
        self.inbox.let_all()
        self.assertEqual(self.owner.delivered, [])

    def test_ids_given_out_twice(self) -> None:
        """A store that lost messages unseen would leave a device deaf, or end its session."""
        self.store(None, None, None)
        self.lose(1)
        self.router.stored_elsewhere([])
        self.reader.stored(self.inbox.store(UID, "new"))
        self.assertEqual(self.owner.delivered, [1, 2, 3, 2])
        self.assertEqual((self.owner.noted, self.reader.cursor), ([], 2))
        self.assertFalse(self.reader.acknowledge(2))


class RenewalTests(RegisteredCase):
    """Claims of a session that goes on."""

    def supersede(self) -> None:
        """A claim of a log-in that was given up."""
        self.inbox.registered[UID][PHONE].generation += 1
        self.inbox.sending[UID, PHONE] = self.inbox.registered[UID][PHONE].generation

    def test_superseded(self) -> None:
        """A claim of a log-in that failed would keep everything in the inbox for good."""
        self.register("e" * 16)
        self.store(None, None)
        self.supersede()
        self.reader.acknowledge(1)
        self.clock.pump([REMOVAL_DELAY] * 2)
        phone = self.inbox.registered[UID][PHONE]
        self.assertEqual((phone.position, phone.generation), (1, self.reader.generation))
        self.assertEqual(self.reader.claimed, self.reader.generation - 2)

    def test_nothing_delivered_yet(self) -> None:
        """A renewed claim would pass over what the session was not handed yet."""
        self.reader.pause()
        self.store(None, None)
        self.reader.stay()
        self.assertEqual(self.inbox.registered[UID][PHONE].position, 0)
        self.reader.resume()
        self.assertEqual(self.owner.delivered, [1, 2])

    def test_loss_before_anything_was_delivered(self) -> None:
        """A session would skip what has got the id behind which it began."""
        self.store(None)
        self.reader.acknowledge(1)
        self.reader.close()
        self.clock.advance(REMOVAL_DELAY)
        self.listeners.clear()
        reader = self.begin(PHONE)
        self.owner.delivered.clear()
        self.inbox.waiting[UID], self.inbox.last_ids[UID] = [], 0
        self.inbox.serial += 60_000
        self.store(None)
        reader.stay()
        self.assertEqual(self.owner.delivered, [1])

    def test_not_registered(self) -> None:
        """The session of a device that was forgotten unseen would read on, and hold nothing."""
        del self.inbox.registered[UID][PHONE]
        self.reader.stay()
        self.assertEqual(self.owner.noted, ["forgotten"])
        self.store(None)
        self.assertEqual(self.owner.delivered, [])

    def test_taken_over_by_another_node(self) -> None:
        """A device that has gone to another node would fight for its inbox."""
        self.inbox.taken = {UID}
        self.reader.superseded(self.reader.generation)
        self.assertEqual(self.owner.noted, ["taken over"])

    def test_store_away(self) -> None:
        """A renewal that fails would end the session, or never be tried again."""
        self.supersede()
        self.inbox.hold = {"claim"}
        self.reader.stay()
        self.inbox.let(StoreUnavailable("away"))
        self.inbox.hold = set()
        self.assertEqual(self.owner.noted, [])
        self.reader.stay()
        self.assertEqual(self.inbox.registered[UID][PHONE].generation, self.reader.generation)

    def test_forgotten(self) -> None:
        """The session of a forgotten device would go on, or tell the store that it leaves."""
        self.store(None)
        self.router.forgotten(UID, PHONE, on_request=True)
        self.assertEqual(self.owner.noted, ["forgotten on request"])
        self.reader.acknowledge(1)
        self.reader.close()
        self.assertEqual(self.acknowledged(), [])


class MessageOrderTests(RegisteredCase):
    """What the router stores in one batch."""

    def test_copies_and_messages(self) -> None:
        """A device would be shown messages and copies in another order than the inbox's, or read for each (P2, P4)."""
        texts: list[str] = []

        def deliver(message: Message) -> None:
            texts.append(message.text)

        self.reader._deliver_to_client = deliver

        def send(to: int, sender: int, text: str) -> None:
            device, sending = (DESK, self.inbox.sending[UID, DESK]) if sender == UID else ("", None)
            draft = Draft(
                to, sender, "u", 0, text, device, sending=sending, registered=bool(device)
            )
            self.router.send(draft, lambda *_: None)

        send(OTHER, UID, "copy 1")
        send(UID, OTHER, "message 2")
        send(OTHER, UID, "copy 3")
        send(UID, UID, "to myself")
        self.clock.advance(0)
        self.assertEqual(texts, ["copy 1", "message 2", "copy 3", "to myself"])
        self.assertEqual(self.inbox.calls.count("read"), 0)
