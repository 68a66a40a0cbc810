"""Readers, with a store in memory and a clock of the test's own."""

from __future__ import annotations

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.online import OnlineUsers
from chatsvc.delivery.reader import Reader
from chatsvc.delivery.reader_state import TRANSITIONS, Input, State
from chatsvc.delivery.router import REMOVAL_DELAY, RETRY_DELAY, MessageRouter
from chatsvc.inbox.claim import Comparison, Cursor
from chatsvc.inbox.interface import PAGE
from chatsvc.inbox.outcome import Draft, Outcome, Removal
from chatsvc.observability.metrics import Metrics
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Message
from tests.delivery.recording import RecordingOwner
from tests.support.fakes import MemoryInbox
from tests.support.memory_rooms import no_rooms

UID = 2


class ReaderTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.inbox = MemoryInbox()
        self.listeners: OnlineUsers[Reader] = OnlineUsers()
        self.router = MessageRouter(
            *(self.clock, self.inbox, self.listeners),
            no_rooms(self.clock, self.inbox),
        )
        self.owner = RecordingOwner()
        self.delivered = Metrics().handed

    def begin(self) -> Reader:
        """Log in."""
        claim = self.successResultOf(Deferred.fromCoroutine(self.inbox.claim(UID, None)))
        owner = self.owner
        reader = Reader(
            *(self.clock, self.inbox, self.router), UID, claim, owner, owner.deliver, self.delivered
        )
        self.owner.reader = reader
        self.listeners[UID] = (reader,)
        self.inbox.calls.clear()
        return reader

    def begin_reading(self) -> Reader:
        """Log in, and let what waits be delivered."""
        reader = self.begin()
        reader.resume()
        return reader

    def store(self, count: int) -> list[Message]:
        """Messages that the router does not see."""
        return [self.inbox.store(UID, "x") for _ in range(count)]

    def send(self) -> None:
        """A message by way of the router."""
        self.router.send(Draft(UID, 1, "a", 0, "x"), self.on_outcome)
        self.clock.advance(0)

    def on_outcome(self, outcome: Outcome | None, message: Message) -> None:
        pass

    def reads(self) -> int:
        return self.inbox.calls.count("read")

    def removals(self) -> list[Removal]:
        self.clock.advance(REMOVAL_DELAY)
        return [removal for _, removals in self.inbox.batches for removal in removals]

    def test_nothing_before_the_start(self) -> None:
        """Messages would be handed before the log-in is answered."""
        self.store(3)
        reader = self.begin()
        reader.resync()
        self.send()
        self.assertEqual((self.owner.delivered, self.reads()), ([], 0))

    def test_page_by_page(self) -> None:
        """A full inbox would be read at once, or not to its end (P2)."""
        for count, pages in ((0, 0), (1, 1), (PAGE - 1, 1), (PAGE, 2), (2 * PAGE + 5, 3)):
            self.setUp()
            self.store(count)
            self.begin_reading()
            self.assertEqual(self.owner.delivered, list(range(1, count + 1)))
            self.assertEqual(self.reads(), pages)

    def test_live(self) -> None:
        """A live reader would read the store for each message, or get it twice."""
        self.store(2)
        self.begin_reading()
        self.send()
        self.send()
        self.assertEqual(self.owner.delivered, [1, 2, 3, 4])
        self.assertEqual(self.reads(), 1)

    def test_entry_that_nobody_can_read(self) -> None:
        """An entry that another program put into an inbox would be shown as an empty line, or stay there for ever."""
        self.store(1)
        self.inbox.store(UID, "")
        self.store(1)
        reader = self.begin_reading()
        self.assertEqual(self.owner.delivered, [1, 3])
        reader.acknowledge(1)
        self.assertEqual([removal.up_to for removal in self.removals()], [2])

    def test_entries_that_nobody_can_read(self) -> None:
        """An inbox that holds nothing else would say for ever that something waits."""
        for _ in range(2):
            self.inbox.store(UID, "")
        self.begin_reading()
        self.assertEqual(self.owner.delivered, [])
        self.assertEqual([removal.up_to for removal in self.removals()], [2])
        self.send()
        self.assertEqual(self.owner.delivered, [3])

    def test_gap(self) -> None:
        """Something that was stored unseen would be skipped when the next message comes (P2)."""
        self.begin_reading()
        self.store(3)
        self.send()
        self.assertEqual(self.owner.delivered, [1, 2, 3, 4])
        self.send()
        self.assertEqual(self.owner.delivered, [1, 2, 3, 4, 5])
        self.assertEqual(self.reads(), 1)

    def test_old_news(self) -> None:
        """A message would be handed twice or out of order when its news come late."""
        messages = self.store(3)
        reader = self.begin_reading()
        for message in messages:
            reader.stored(message)
        self.assertEqual(self.owner.delivered, [1, 2, 3])

    def test_news_while_catching_up(self) -> None:
        """A message that came while a page was read would wait for the one after it."""
        self.store(1)
        self.inbox.hold = {"read"}
        self.begin_reading()
        (_, first) = self.inbox.held.pop()
        page = list(self.inbox.waiting[UID])
        self.send()
        self.assertEqual(self.owner.delivered, [])
        # The page was read before the message was stored.
        newer = self.inbox.waiting[UID]
        self.inbox.waiting[UID] = page
        first.callback(None)
        self.inbox.waiting[UID] = newer
        self.assertEqual(self.owner.delivered, [1])
        self.inbox.let()
        self.assertEqual(self.owner.delivered, [1, 2])
        self.assertEqual(self.inbox.held, [], "and then it is live")
        self.send()
        self.assertEqual(self.owner.delivered, [1, 2, 3])

    def test_look_while_catching_up(self) -> None:
        """A message that another node stored while a page was read would wait for the next message."""
        self.store(1)
        self.inbox.hold = {"read"}
        reader = self.begin_reading()
        reader.resync()
        self.inbox.let()
        self.store(1)
        self.inbox.let()
        self.assertEqual(self.owner.delivered, [1, 2])

    def test_look_while_live(self) -> None:
        """A message that another node stored would wait for the next message."""
        reader = self.begin_reading()
        self.store(1)
        reader.resync()
        self.assertEqual(self.owner.delivered, [1])
        self.send()
        self.assertEqual(self.reads(), 1)

    def test_news_that_cannot_be_read(self) -> None:
        """A message that is gone before it could be read would make its reader read for ever."""
        self.inbox.hold = {"read"}
        reader = self.begin_reading()
        reader.stored(Message(5, 1, "a", 0, "x"))
        for _ in range(10):
            if self.inbox.held:
                self.inbox.let()
        self.assertLess(self.reads(), 5)

    def test_pause_during_a_page(self) -> None:
        """A connection that can take no more would be handed the rest of the page, or lose it (P2)."""
        self.store(10)
        self.owner.room = 4
        reader = self.begin_reading()
        self.assertEqual(self.owner.delivered, [1, 2, 3, 4])
        self.send()
        self.assertEqual(self.owner.delivered, [1, 2, 3, 4])
        reader.resume()
        self.assertEqual(self.owner.delivered, list(range(1, 12)))

    def test_pause_while_live(self) -> None:
        """Messages for a connection that can take no more would be held in memory, or lost (P8)."""
        reader = self.begin_reading()
        reader.pause()
        self.send()
        self.assertEqual(self.owner.delivered, [])
        reader.resume()
        self.assertEqual(self.owner.delivered, [1])

    def test_nothing_missed(self) -> None:
        """A log-in to an empty inbox, or a short pause, would cost a reading of the store."""
        reader = self.begin_reading()
        self.send()
        reader.pause()
        reader.resume()
        self.send()
        self.assertEqual(self.owner.delivered, [1, 2])
        self.assertEqual(self.reads(), 0)

    def test_missed_before_the_start(self) -> None:
        """A message between the claim and the answer to the log-in would wait for the next message."""
        reader = self.begin()
        self.send()
        reader.resume()
        self.assertEqual(self.owner.delivered, [1])

    def test_look_while_paused(self) -> None:
        """A message stored unseen while the connection could take no more would wait for the next message."""
        reader = self.begin_reading()
        reader.pause()
        self.store(1)
        reader.resync()
        reader.resume()
        self.assertEqual(self.owner.delivered, [1])

    def test_pause_during_a_read(self) -> None:
        """A page that arrives at a paused connection would be handed, or two reads run at once."""
        self.store(3)
        self.inbox.hold = {"read"}
        reader = self.begin_reading()
        reader.pause()
        self.inbox.let()
        self.assertEqual(self.owner.delivered, [])
        reader.resume()
        self.inbox.let()
        self.assertEqual(self.owner.delivered, [1, 2, 3])

    def test_pause_and_resume_during_a_read(self) -> None:
        """A short pause would start a second reading beside the first."""
        self.store(3)
        self.inbox.hold = {"read"}
        reader = self.begin_reading()
        reader.pause()
        reader.resume()
        self.assertEqual(len(self.inbox.held), 1)
        self.inbox.let_all()
        self.assertEqual(self.owner.delivered, [1, 2, 3])

    def test_store_away(self) -> None:
        """A reader would give up, or ask in a tight loop, when its store is away."""
        self.store(3)
        self.inbox.away = True
        self.begin_away().resume()
        self.assertEqual(self.reads(), 1)
        self.clock.advance(0.1)
        self.assertEqual(self.reads(), 1)
        self.clock.pump([0.1] * 50)
        self.assertTrue(3 <= self.reads() <= 8, self.reads())
        self.inbox.away = False
        self.clock.advance(2)
        self.assertEqual(self.owner.delivered, [1, 2, 3])
        self.send()
        self.assertEqual(self.owner.delivered, [1, 2, 3, 4])

    def begin_away(self) -> Reader:
        self.inbox.away = False
        reader = self.begin()
        self.inbox.away = True
        return reader

    def test_pause_while_the_store_is_away(self) -> None:
        """A reader that is paused while it waits for its store would stop for good, or read twice."""
        self.store(3)
        reader = self.begin_away()
        reader.resume()
        reader.pause()
        self.inbox.away = False
        self.clock.advance(5)
        self.assertEqual(self.owner.delivered, [])
        reader.resume()
        self.clock.advance(5)
        self.assertEqual(self.owner.delivered, [1, 2, 3])

    def test_close_while_the_store_is_away(self) -> None:
        """A connection that is gone would go on asking the store."""
        self.store(1)
        reader = self.begin_away()
        reader.resume()
        reader.close()
        self.inbox.away = False
        self.clock.pump([0, 5])
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.reads(), 1)
        reader.resume()
        self.assertEqual(self.reads(), 1)

    def test_close_during_a_read(self) -> None:
        """A page would be handed to a connection that is gone."""
        self.store(3)
        self.inbox.hold = {"read"}
        reader = self.begin_reading()
        reader.close()
        self.inbox.let()
        self.assertEqual((self.owner.delivered, self.inbox.held), ([], []))

    def test_closed(self) -> None:
        """A log-in that is over would be handed messages, or acknowledge them."""
        self.store(2)
        reader = self.begin_reading()
        reader.close()
        self.send()
        reader.resync()
        reader.pause()
        reader.resume()
        reader.acknowledge(2)
        reader.superseded(reader.generation)
        self.assertEqual(self.owner.delivered, [1, 2])
        self.clock.advance(1)
        self.assertEqual(self.removals(), [Removal(UID, 1, 0, leaving=True)])
        self.assertEqual(self.inbox.calls.count("claim"), 0)

    def test_acknowledge(self) -> None:
        """A message would be removed that this session never handed out, or one twice (P7)."""
        self.store(3)
        self.owner.room = 2
        reader = self.begin()
        reader.acknowledge(3)
        self.assertEqual(self.removals(), [])
        reader.resume()
        reader.acknowledge(1)
        self.assertEqual(self.removals(), [Removal(UID, 1, 1)])
        reader.acknowledge(1)
        reader.acknowledge(0)
        reader.acknowledge(-1)
        self.assertEqual(self.removals(), [Removal(UID, 1, 1)])
        reader.acknowledge(2**53 - 1)
        self.assertEqual(self.removals(), [Removal(UID, 1, 1), Removal(UID, 1, 2)])
        self.assertEqual([message.id for message in self.inbox.waiting[UID]], [3])

    def test_superseded(self) -> None:
        """A claim of a log-in that failed would keep everything in the inbox for good."""
        self.store(2)
        reader = self.begin_reading()
        self.inbox.generations[UID] = 5
        reader.acknowledge(2)
        self.clock.pump([REMOVAL_DELAY] * 2)
        self.assertEqual(reader.generation, 6)
        self.assertEqual(self.inbox.waiting[UID], [])

    def test_superseded_by_another_node(self) -> None:
        """A reader whose user has gone to another node would go on, and fight for the inbox."""
        reader = self.begin_reading()
        self.inbox.taken = {UID}
        reader.superseded(reader.generation)
        self.assertEqual(self.owner.noted, ["taken over"])
        self.send()
        self.assertEqual(self.owner.delivered, [])

    def test_heard(self) -> None:
        """A message of another node would be handed twice or not at all, or make the reader claim its inbox anew."""
        reader = self.begin_reading()
        first, second, third = self.store(3)
        reader.stored_elsewhere(first)
        reader.stored_elsewhere(first)
        self.assertEqual(self.owner.delivered, [1])
        reader.stored_elsewhere(third)
        self.assertEqual(self.owner.delivered, [1, 2, 3])
        reader.stored_elsewhere(second)
        self.assertEqual(self.owner.delivered, [1, 2, 3])
        self.assertEqual((self.reads(), self.inbox.calls.count("claim")), (1, 0))

    def test_place(self) -> None:
        """After a fail-over nobody could tell whether this reader was handed what the store has now."""
        reader = self.begin()
        self.assertEqual(reader.where(), Cursor(UID, 0, reader.generation, None))
        reader.resume()
        self.inbox.store(UID, "x", at=77)
        reader.resync()
        self.assertEqual(reader.where(), Cursor(UID, 1, reader.generation, 77))

    def test_kicked_leaves_the_session_alone(self) -> None:
        """The end of a reader that was taken over would be told to the store, for nothing."""
        reader = self.begin()
        reader.taken_over()
        reader.close()
        self.clock.advance(1)
        self.assertEqual(self.removals(), [])

    def test_superseded_long_ago(self) -> None:
        """A refusal of an old generation would make a reader claim for nothing."""
        reader = self.begin()
        reader.superseded(reader.generation - 1)
        self.assertEqual(self.inbox.calls.count("claim"), 0)

    def test_superseded_with_the_store_away(self) -> None:
        """A claim that fails would never be tried again."""
        self.store(3)
        self.owner.room = 10
        reader = self.begin_reading()
        self.inbox.generations[UID] = 5
        self.inbox.hold = {"claim"}
        reader.acknowledge(2)
        self.clock.advance(REMOVAL_DELAY)
        self.inbox.let(StoreUnavailable("away"))
        self.inbox.hold = set()
        reader.acknowledge(3)
        self.clock.pump([REMOVAL_DELAY, RETRY_DELAY, REMOVAL_DELAY])
        self.assertEqual(self.inbox.waiting[UID], [])

    def test_restarted(self) -> None:
        """After a fail-over that lost messages a reader would skip those that get the same ids."""
        self.store(5)
        reader = self.begin_reading()
        self.inbox.waiting[UID], self.inbox.last_ids[UID] = [], 0
        self.store(2)
        self.router.store_returned(Comparison(stale=[UID]))
        self.assertEqual(self.owner.noted, ["restarted"])
        self.assertEqual(self.owner.delivered, [1, 2, 3, 4, 5, 1, 2])
        reader.acknowledge(1)
        self.assertEqual(self.removals()[-1].up_to, 1)

    def test_kick(self) -> None:
        """A session whose account logged in elsewhere would not hear of it, or go on reading."""
        reader = self.begin_reading()
        reader.taken_over()
        self.assertEqual(self.owner.noted, ["taken over"])
        self.send()
        self.assertEqual(self.owner.delivered, [])

    def test_settle(self) -> None:
        """A log-in that takes over would be handed what the older session already has."""
        self.begin().poll_acks()
        self.assertEqual(self.owner.noted, ["poll"])

    def test_ids_given_out_twice(self) -> None:
        """A store that was emptied unseen would leave a reader deaf, and then remove what is new (P2)."""
        self.store(5)
        self.owner.room = 100
        reader = self.begin_reading()
        self.inbox.waiting[UID], self.inbox.last_ids[UID] = [], 0
        self.store(2)
        reader.stored(self.inbox.waiting[UID][-1])
        self.clock.pump([0, 0])
        self.assertEqual(self.owner.noted, ["restarted"])
        self.assertEqual(reader.cursor, 2)
        self.assertEqual(len(self.inbox.waiting[UID]), 2)

    def test_refused_by_a_store_that_lost_ids(self) -> None:
        """An acknowledgement of what the store has lost would remove what got the same ids."""
        self.store(5)
        self.owner.room = 100
        reader = self.begin_reading()
        self.inbox.waiting[UID], self.inbox.last_ids[UID] = [], 0
        self.inbox.generations[UID] = 0
        self.store(3)
        reader.acknowledge(5)
        self.clock.pump([REMOVAL_DELAY] * 2)
        self.assertEqual(self.owner.noted, ["restarted"])
        self.assertEqual(len(self.inbox.waiting[UID]), 3)

    def test_delivery_raises(self) -> None:
        """A message that was not delivered would be acknowledged by a later one, and be lost (P2)."""
        reader = self.begin_reading()
        self.send()
        deliver = self.owner.deliver

        def explode(message: Message) -> None:
            raise ValueError("a bug")

        reader._deliver_to_client = explode
        self.send()
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.assertEqual(self.owner.noted, ["failed"])
        self.assertEqual((reader.where().id, reader.where().at), (1, 0))
        reader._deliver_to_client = deliver
        self.send()
        reader.acknowledge(3)
        self.assertEqual(self.owner.delivered, [1])
        self.assertEqual([removal.up_to for removal in self.removals()], [1])

    def test_transitions(self) -> None:
        """An input that a state does not name would change it, or a closed reader come to life again."""
        self.inbox.hold = {"read"}
        for state, inputs in TRANSITIONS.items():
            for given in Input:
                reader = self.begin()
                reader._state = state
                self.assertEqual(reader._input(given), given in inputs)
                self.assertEqual(reader._state, inputs.get(given, state))
        self.assertEqual(TRANSITIONS[State.CLOSED], {})
