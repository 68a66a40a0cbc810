"""The router, with a store in memory and a clock of the test's own."""

from __future__ import annotations

from functools import partial
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.batch import BatchLimits
from chatsvc.delivery.online import OnlineUsers
from chatsvc.delivery.router import REMOVAL_DELAY, RETRY_DELAY, MessageRouter
from chatsvc.inbox.claim import Comparison
from chatsvc.inbox.outcome import (
    Draft,
    Duplicate,
    Failed,
    Full,
    Gap,
    Moved,
    Outcome,
    Removal,
    Stored,
)
from chatsvc.observability.metrics import Metrics
from chatsvc.storage.url import STORE_PATIENCE, StoreUnavailable
from chatsvc.wire.events import Message
from tests.delivery.recording import RecordingListener
from tests.support.fakes import MemoryInbox
from tests.support.memory_rooms import no_rooms


class RouterTests(SynchronousTestCase):
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
        self.on_outcome: list[tuple[str, Outcome | None]] = []

    def listen(self, uid: int, device: str = "", speaks_as: str = "") -> RecordingListener:
        """Somebody who reads."""
        listener = RecordingListener(0, device, speaks_as)
        self.listeners.add(uid, listener)
        return listener

    def send(self, text: str, to: int = 2, **more: Any) -> None:
        draft = Draft(to, 1, "a", 5, text, **more)
        self.router.send(draft, partial(self.note, text))

    def note(self, text: str, outcome: Outcome | None, message: Message) -> None:
        self.assertEqual(
            (message.text, message.sender, message.name, message.at), (text, 1, "a", 5)
        )
        if isinstance(outcome, Stored):
            self.assertEqual(message.id, outcome.id)
        self.on_outcome.append((text, outcome))

    def turn(self) -> None:
        """One turn of the reactor."""
        self.clock.advance(0)

    def texts(self) -> list[list[str]]:
        """The texts of all batches so far."""
        return [[draft.text for draft in drafts] for drafts, _ in self.inbox.batches]

    def test_one_turn_is_one_batch(self) -> None:
        """Messages of one turn of the reactor would each cost a round trip."""
        self.send("a")
        self.send("b")
        self.router.remove(2, 1, 0)
        self.assertEqual(self.texts(), [])
        self.turn()
        self.assertEqual(self.texts(), [["a", "b"]])
        self.assertEqual(self.on_outcome, [("a", Stored(1, 1)), ("b", Stored(2, 2))])

    def test_what_comes_during_two_batches_forms_the_next(self) -> None:
        """Many batches would be under way at once, or messages would wait for company."""
        self.inbox.hold = {"commit"}
        for text in "abcde":
            self.send(text)
            self.turn()
        self.assertEqual(self.texts(), [["a"], ["b"]])
        self.inbox.let()
        self.turn()
        self.assertEqual(self.texts(), [["a"], ["b"], ["c", "d", "e"]])
        self.inbox.let()
        self.inbox.let()
        self.assertEqual([text for text, _ in self.on_outcome], list("abcde"))

    def test_a_store_that_refuses(self) -> None:
        """Each message that a full store refuses would be a line of the log, or none would."""
        with capturedLogs() as said:
            for seconds in (0, 5, 10):
                self.inbox.outcomes = [Failed("OOM")] * 100
                for _ in range(100):
                    self.send("x")
                self.clock.advance(seconds)
        events = [(event["event"], event["to"], event["count"]) for event in said]
        self.assertEqual(events, [("message-refused", 2, 1), ("message-refused", 2, 200)])

    def test_one_of_two_batches_fails(self) -> None:
        """One of two batches under way would answer for the other, or the messages of one would be told twice."""
        self.inbox.hold = {"commit"}
        for text in "ab":
            self.send(text)
            self.turn()
        self.inbox.let(StoreUnavailable("away"))
        self.assertEqual(self.on_outcome, [("a", None)])
        self.inbox.let()
        self.assertEqual(self.on_outcome, [("a", None), ("b", Stored(1, 1))])

    def test_all_told(self) -> None:
        """Frames to the connections would wait for a turn of the reactor, or leave before all of it is said."""
        told: list[int] = []
        self.router = MessageRouter(
            self.clock,
            self.inbox,
            self.listeners,
            no_rooms(self.clock, self.inbox),
            after_batch=lambda: told.append(len(self.on_outcome)),
        )
        self.send("a")
        self.send("b")
        self.turn()
        self.assertEqual(told, [2])

    def test_removals_wait_for_others(self) -> None:
        """Each acknowledgement would cost the store as much as a message."""
        for up_to in (1, 2, 3):
            self.router.remove(2, 1, up_to)
            self.send("a")
            self.turn()
        self.assertEqual([removals for _, removals in self.inbox.batches], [[], [], []])
        self.clock.advance(REMOVAL_DELAY)
        self.assertEqual(self.inbox.batches[3:], [([], [Removal(2, 1, 3)])])

    def test_batch_of_so_many_removals(self) -> None:
        """Everybody's acknowledgements at once could hold up the store."""
        for uid in range(BatchLimits.messages + 3):
            self.router.remove(uid, 1, 1)
        self.clock.advance(REMOVAL_DELAY)
        self.turn()
        self.turn()
        sizes = [len(removals) for _, removals in self.inbox.batches]
        self.assertEqual(sizes, [BatchLimits.messages, 3])

    def test_batch_of_so_many_messages(self) -> None:
        """A batch of small messages could hold up the store."""
        for i in range(2 * BatchLimits.messages + 1):
            self.send(f"{i}")
        for _ in range(3):
            self.turn()
        self.assertEqual([len(batch) for batch in self.texts()], [BatchLimits.messages] * 2 + [1])
        self.assertEqual(
            [int(text) for text, _ in self.on_outcome], list(range(2 * BatchLimits.messages + 1))
        )

    def test_batch_of_so_many_bytes(self) -> None:
        """A batch of large messages could hold up the store."""
        for i in range(100):
            self.send(chr(0x4E00 + i) * 2730)
        for _ in range(10):
            self.turn()
        for batch in self.texts():
            self.assertLessEqual(sum(len(text.encode()) for text in batch), BatchLimits.bytes)
        self.assertEqual(len(self.on_outcome), 100)
        self.assertGreater(len(self.texts()[0]), 20)

    def test_message_larger_than_a_batch(self) -> None:
        """A message that counts for more than a batch would never be sent."""
        self.send("x" * BatchLimits.bytes)
        self.turn()
        self.assertEqual(len(self.on_outcome), 1)

    def test_outcomes_reach_their_senders(self) -> None:
        """Somebody would hear another's outcome."""
        outcomes: list[Outcome] = [Full(3, True), Duplicate(4, 5), Gap(6), Stored(7, 8)]
        self.inbox.outcomes = list(outcomes)
        for text in "abcd":
            self.send(text)
        self.turn()
        self.assertEqual(self.on_outcome, list(zip("abcd", outcomes, strict=True)))

    def test_only_stored_messages_are_news(self) -> None:
        """A reader would be handed a message that was refused, or none at all."""
        listener = self.listen(2)
        self.inbox.outcomes = [Full(3, True), Duplicate(4, 5), Gap(6), Stored(7, 8)]
        for text in "abcd":
            self.send(text)
        self.send("e", to=3)
        self.turn()
        self.assertEqual(listener.noted, [7])

    def test_refused_by_the_store(self) -> None:
        """A message that the store cannot take would be confirmed, or take others along."""
        self.inbox.outcomes = [Stored(1, 1), Failed("WRONGTYPE"), Stored(2, 2)]
        for text in "abc":
            self.send(text)
        self.turn()
        self.assertEqual(self.on_outcome, [("a", Stored(1, 1)), ("b", None), ("c", Stored(2, 2))])

    def count(self, name: str, **labels: str) -> float | None:
        """A metric's value."""
        return self.metrics.registry.get_sample_value(f"chatsvc_{name}", labels)

    def test_metrics(self) -> None:
        """Those who watch over the server would not see what becomes of messages, or how long it takes."""
        self.inbox.hold = {"commit"}
        for text in "abc":
            self.send(text)
        self.turn()
        self.clock.advance(0.015)
        self.inbox.outcomes = [Stored(1, 1), Failed("WRONGTYPE"), Stored(2, 2)]
        self.inbox.let()
        self.assertEqual(self.count("messages_total", state="stored"), 2)
        self.assertEqual(self.count("messages_total", state="failed"), 1)
        self.assertEqual(self.count("message_seconds_bucket", le="0.01"), 0)
        self.assertEqual(self.count("message_seconds_bucket", le="0.02"), 3)
        self.assertEqual(self.count("batch_messages_sum"), 3)

    def test_unknown_is_counted_when_it_is_told(self) -> None:
        """A store that is frozen would look well until it thaws, or a message count twice."""
        self.inbox.hold = {"commit"}
        for _ in range(3):
            self.send("a")
            self.turn()
        self.clock.advance(STORE_PATIENCE)
        self.assertEqual(self.on_outcome, [("a", None)] * 3)
        self.assertEqual(self.count("messages_total", state="unknown"), 3)
        self.inbox.let(StoreUnavailable("away"))
        self.inbox.let(ValueError("a bug"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.count("messages_total", state="unknown"), 3)

    def test_deadline_while_it_waits(self) -> None:
        """A sender would wait longer than five seconds for a store that is busy, or be told twice."""
        self.inbox.hold = {"commit"}
        self.send("a")
        self.turn()
        self.send("b")
        self.turn()
        self.clock.advance(1)
        self.send("c")
        self.clock.advance(STORE_PATIENCE - 1.01)
        self.assertEqual(self.on_outcome, [])
        self.clock.advance(0.02)
        self.assertEqual(self.on_outcome, [("a", None), ("b", None)])
        self.clock.advance(1)
        self.assertEqual(self.on_outcome, [("a", None), ("b", None), ("c", None)])
        self.inbox.let()
        self.inbox.let()
        self.turn()
        given_up = "what was given up before it began is not stored"
        self.assertEqual(self.texts(), [["a"], ["b"]], given_up)
        self.assertEqual(len(self.on_outcome), 3)

    def test_deadlines_in_order(self) -> None:
        """Only the first of several senders would hear that the store does not answer."""
        self.inbox.hold = {"commit"}
        self.send("a")
        self.turn()
        for i in range(20):
            self.clock.advance(0.3)
            self.send(f"{i}")
        self.clock.pump([0.1] * 60)
        self.assertEqual([text for text, _ in self.on_outcome], ["a", *map(str, range(20))])

    def test_late_outcome(self) -> None:
        """A message that was stored after its sender gave up would wait for the next log-in."""
        listener = self.listen(2)
        self.inbox.hold = {"commit"}
        self.send("a")
        self.turn()
        self.clock.advance(STORE_PATIENCE)
        self.assertEqual(self.on_outcome, [("a", None)])
        self.inbox.let()
        self.assertEqual(self.on_outcome, [("a", None)])
        self.assertEqual(listener.noted, [1])

    def test_store_away(self) -> None:
        """A sender would not hear of an absent store, or a reader miss what was stored all the same."""
        listener = self.listen(2)
        self.inbox.away = True
        self.send("a")
        self.turn()
        self.assertEqual(self.on_outcome, [("a", None)])
        self.assertEqual(listener.noted, ["resync"])

    def test_removals_survive_an_absent_store(self) -> None:
        """A message that a reader has acknowledged would come again after the store was away."""
        self.inbox.away = True
        self.router.remove(2, 1, 5)
        self.router.remove(3, 1, 6)
        self.clock.advance(REMOVAL_DELAY)
        self.router.remove(2, 1, 7)
        self.inbox.away = False
        self.clock.advance(RETRY_DELAY)
        self.assertEqual(self.inbox.batches[-1][1], [Removal(2, 1, 7), Removal(3, 1, 6)])

    def test_newer_removal_outlives_a_failed_one(self) -> None:
        """An acknowledgement made while a batch failed would be replaced by the older one."""
        self.inbox.hold = {"commit"}
        self.router.remove(2, 1, 5)
        self.clock.advance(REMOVAL_DELAY)
        self.router.remove(2, 1, 7)
        self.inbox.let(StoreUnavailable("away"))
        self.clock.advance(RETRY_DELAY)
        self.assertEqual(self.inbox.batches[-1][1], [Removal(2, 1, 7)])

    def test_retry_is_delayed(self) -> None:
        """An absent store would be asked in a tight loop."""
        self.inbox.away = True
        self.router.remove(2, 1, 5)
        self.clock.advance(REMOVAL_DELAY)
        for _ in range(100):
            self.clock.advance(0)
        self.assertEqual(len(self.inbox.batches), 1)
        self.clock.advance(RETRY_DELAY)
        self.assertEqual(len(self.inbox.batches), 2)
        self.inbox.away = False
        self.clock.advance(RETRY_DELAY)
        self.send("a")
        self.turn()
        self.assertEqual(self.on_outcome, [("a", Stored(1, 1))], "no delay when the store is back")

    def test_refused_removals(self) -> None:
        """A reader whose removals are refused would never hear of it."""
        mine, others = RecordingListener(), RecordingListener()
        self.listeners.update({2: (mine,), 3: (others,)})
        self.inbox.generations = {2: 9, 3: 1}
        self.router.remove(2, 8, 5)
        self.router.remove(3, 1, 5)
        self.clock.advance(REMOVAL_DELAY)
        self.assertEqual((mine.noted, others.noted), ([("superseded", 8)], []))

    def test_taken_over(self) -> None:
        """A reader that another node has taken over would claim its inbox back, or never hear of it."""
        older, newer = RecordingListener(), RecordingListener()
        newer.generation = 5
        self.listeners.update({2: (older,), 3: (newer,)})
        self.inbox.taken = {2, 3}
        self.router.remove(2, 1, 5)
        self.router.remove(3, 4, 5)
        self.clock.advance(REMOVAL_DELAY)
        self.assertEqual((older.noted, newer.noted), (["taken over"], []))

    def test_stored_for_another_node(self) -> None:
        """A message would be shown twice: by the node that has the reader now, and by the one that had it."""
        listener = self.listen(2)
        self.inbox.outcomes = [Stored(1, 1, True, taken=True)]
        self.send("a")
        self.turn()
        self.assertEqual(listener.noted, ["taken over"])
        self.assertEqual(self.on_outcome, [("a", Stored(1, 1, True, taken=True))])

    def test_sender_has_moved(self) -> None:
        """A sender who logged in elsewhere would stay logged in here, or not hear that nothing was stored."""
        listener = self.listen(1)
        self.inbox.outcomes = [Moved()]
        self.send("a", generation=1)
        self.turn()
        self.assertEqual((self.on_outcome, listener.noted), ([("a", Moved())], ["taken over"]))

    def test_expired(self) -> None:
        """Messages that nobody has read would go without a word, or the log be full of them."""
        with capturedLogs() as logged:
            for count in (0, 3, 4, 5):
                self.router.expired(count)
        said = [event["count"] for event in logged if event.get("event") == "expired"]
        self.assertEqual(said, [3])
        counted = self.metrics.registry.get_sample_value("chatsvc_messages_expired_total")
        self.assertEqual(counted, 12)

    def test_news(self) -> None:
        """A message that another node stored would not reach its reader here."""
        listener = self.listen(2)
        message = Message(4, 1, "a", 5, "x")
        self.assertEqual(self.router.stored_elsewhere([(2, message), (3, message)]), [3])
        self.assertEqual(listener.noted, [("heard", 4)])

    def test_heard_of_a_take_over(self) -> None:
        """A kick that comes late would log out who has logged in here since."""
        self.listeners.update({2: (RecordingListener(),), 3: (RecordingListener(),)})
        self.listeners[3][0].generation = 9
        for uid in (2, 3, 4):
            self.router.taken_over(uid, 7)
        self.assertEqual(
            [self.listeners[2][0].noted, self.listeners[3][0].noted], [["taken over"], []]
        )

    def test_broken_batch(self) -> None:
        """An exception of a store would leave senders waiting, or end the router."""
        self.inbox.hold = {"commit"}
        self.send("a")
        self.turn()
        self.inbox.let(ValueError("a bug"))
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.on_outcome, [("a", None)])
        self.inbox.hold = set()
        self.send("b")
        self.clock.advance(RETRY_DELAY)
        self.assertEqual(self.on_outcome[1:], [("b", Stored(1, 1))])

    def test_broken_reader(self) -> None:
        """A reader whose code raises would leave its sender unanswered, and read on past what it dropped (P8)."""
        broken, other = RecordingListener(), RecordingListener()
        broken.stored = self.explode  # type: ignore[method-assign, assignment]
        self.listeners.update({2: (broken,), 3: (other,)})
        self.send("a")
        self.send("b", to=3)
        self.turn()
        self.assertEqual(self.on_outcome, [("a", Stored(1, 1)), ("b", Stored(1, 1))])
        self.assertEqual((broken.noted, other.noted), ([("failed", ValueError)], [1]))

    def test_reader_that_cannot_even_fail(self) -> None:
        """A reader that raises when it is ended would leave its sender without an answer."""
        broken = self.listen(2)
        broken.stored = broken.failed = self.explode  # type: ignore[method-assign, assignment]
        self.send("a")
        self.turn()
        self.assertEqual(self.on_outcome, [("a", Stored(1, 1))])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_reader_broken_by_another_node(self) -> None:
        """A reader whose code raises would keep what another node stored from the readers after it."""
        broken, other = RecordingListener(), RecordingListener()
        broken.stored_elsewhere = self.explode  # type: ignore[method-assign, assignment]
        self.listeners.update({2: (broken,), 3: (other,)})
        message = Message(4, 1, "a", 5, "x")
        self.assertEqual(self.router.stored_elsewhere([(2, message), (3, message)]), [])
        self.assertEqual((broken.noted, other.noted), ([("failed", ValueError)], [("heard", 4)]))

    def explode(self, *_: object) -> None:
        """Raise what nobody expects."""
        raise ValueError("a bug")

    def test_broken_sender(self) -> None:
        """An exception of one sender's code would take others' confirmations and messages along."""
        listener = self.listen(3)
        self.router.send(Draft(2, 1, "a", 5, "a"), self.explode)
        self.send("b", to=3)
        self.turn()
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.on_outcome, [("b", Stored(1, 1))])
        self.assertEqual(listener.noted, [1])

    def test_broken_sender_of_an_unknown_outcome(self) -> None:
        """An exception of one sender's code would leave the others waiting for a store that does not answer."""
        self.inbox.hold = {"commit"}
        self.router.send(Draft(2, 1, "a", 5, "a"), self.explode)
        self.send("b")
        self.turn()
        self.clock.advance(1)
        self.send("c")
        self.clock.pump([STORE_PATIENCE - 1, 1.0])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        self.assertEqual(self.on_outcome, [("b", None), ("c", None)])

    def test_store_returned(self) -> None:
        """A reader would not look for what was stored while its store was away."""
        self.listeners.update({2: (RecordingListener(7),), 3: (RecordingListener(8),)})
        self.assertEqual([(c.id, c.generation) for c in self.router.cursors()], [(7, 1), (8, 1)])
        self.router.store_returned(Comparison(stale=[3, 99]))
        self.assertEqual(self.listeners[2][0].noted, ["resync"])
        self.assertEqual(self.listeners[3][0].noted, ["restarted", "resync"])

    def test_settled(self) -> None:
        """A server that stops would not wait for the batches under way."""
        self.inbox.hold = {"commit"}
        self.successResultOf(Deferred.fromCoroutine(self.router.drained()))
        self.send("a")
        settled = Deferred.fromCoroutine(self.router.drained())
        self.turn()
        self.send("b")
        self.inbox.let()
        self.turn()
        self.assertNoResult(settled)
        self.inbox.let()
        self.successResultOf(settled)

    def test_settled_waits_for_removals(self) -> None:
        """A server that stops would forget what its readers have acknowledged."""
        self.inbox.away = True
        self.router.remove(2, 1, 5)
        settled = Deferred.fromCoroutine(self.router.drained())
        self.turn()
        self.assertNoResult(settled)
        self.inbox.away = False
        self.clock.advance(RETRY_DELAY)
        self.successResultOf(settled)

    def test_removed(self) -> None:
        """A log-in that takes over would make the removals before it stale."""
        self.inbox.hold = {"commit"}
        self.successResultOf(Deferred.fromCoroutine(self.router.removed(2)))
        self.router.remove(2, 1, 5)
        self.clock.advance(REMOVAL_DELAY)
        self.router.remove(2, 1, 6)
        removed = Deferred.fromCoroutine(self.router.removed(2))
        other = Deferred.fromCoroutine(self.router.removed(3))
        self.successResultOf(other)
        self.inbox.let()
        self.turn()
        self.assertNoResult(removed)
        self.inbox.let()
        self.successResultOf(removed)

    def test_removed_does_not_wait_for_ever(self) -> None:
        """Nobody could log in any more while the store is away."""
        self.inbox.away = True
        self.router.remove(2, 1, 5)
        removed = Deferred.fromCoroutine(self.router.removed(2))
        self.clock.pump([RETRY_DELAY] * 5)
        self.successResultOf(removed)

    def test_given_up_by_the_store(self) -> None:
        """A sender that was told of the absence by the clock would be told again by the store."""
        self.inbox.hold = {"commit"}
        self.send("a")
        self.turn()
        self.clock.advance(STORE_PATIENCE)
        self.inbox.let(StoreUnavailable("late"))
        self.assertEqual(self.on_outcome, [("a", None)])
