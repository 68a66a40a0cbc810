"""The archiver, with a queue and a database in memory."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.logger import LogEvent, capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.archive.entry import ArchiveEntry
from chatsvc.archive.queue import Done
from chatsvc.history.archiver import PAGE, Archiver
from chatsvc.storage.database import Database
from chatsvc.storage.schema import apply
from chatsvc.storage.url import StoreUnavailable
from tests.inbox.blocking import at_once
from tests.support.archive_queues import MemoryDatabase, MemoryQueue, SharedQueue
from tests.support.archive_stores import BOB, edited, retracted, said

REFUSES = (
    "CREATE TRIGGER refuses BEFORE INSERT ON chat_message WHEN new.text LIKE 'poison%'"
    " BEGIN SELECT RAISE(ABORT, 'near poison: syntax error'); END"
)


class ArchiverCase(SynchronousTestCase):
    """A test with an archiver at one node, which nothing is held from."""

    def setUp(self) -> None:
        self.database = MemoryDatabase()
        self.addCleanup(self.database.close)
        at_once(apply(cast(Database, self.database)))
        self.database.commits.clear()
        self.shared = SharedQueue()
        self.queue, self.archiver = self.node("here")

    def node(self, name: str) -> tuple[MemoryQueue, Archiver]:
        """A node: its view of the queue, and its archiver."""
        queue = MemoryQueue(self.shared, name)
        return queue, Archiver(queue, cast(Database, self.database))

    def put(self, *entries: ArchiveEntry | None) -> None:
        """Have a store confirm something."""
        self.shared.put(*entries)

    def archive(self, archiver: Archiver | None = None) -> None:
        """Archive all that waits."""
        at_once((archiver or self.archiver).archive())

    def archive_again(self) -> None:
        """Archive, once this node asks for the lease again."""
        for _ in range(100):
            self.archive()

    def begin(self, doing: Coroutine[Any, Any, None]) -> Deferred[None]:
        """Begin with something that will be held."""
        begun = Deferred.fromCoroutine(doing)
        self.assertNoResult(begun)
        return begun

    @property
    def archived(self) -> list[object]:
        """The serials that are in the archive and can be read."""
        query = "SELECT serial FROM chat_message WHERE retracted = 0 ORDER BY serial"
        return [serial for (serial,) in self.database.sql(query)]

    def refusals(self, logged: list[LogEvent]) -> list[tuple[str, str]]:
        """What the log says of entries that were put aside: their ids, and why."""
        events = [event for event in logged if event.get("event") == "archive-refused"]
        return [(event["id"], event["why"]) for event in events]


class ArchiverTests(ArchiverCase):
    """An archiver that nothing stands in the way of."""

    def test_all(self) -> None:
        """What was confirmed would not come into the archive, or stay in the queue for ever (P6)."""
        self.put(*[said(n) for n in range(1, 2 * PAGE + 2)])
        self.archive()
        self.assertEqual(self.archived, list(range(1, 2 * PAGE + 2)))
        self.assertEqual((self.shared.ids, self.shared.refused), ([], []))
        self.assertEqual(self.queue.calls, ["take"] * 4)
        self.assertEqual(len(self.database.commits), 3)
        self.assertTrue(self.archiver.is_here)

    def test_in_order(self) -> None:
        """An edit or a retraction would be overtaken by another one, or by its message."""
        self.put(said(10), edited(20, 10, "a"), said(30), edited(40, 10, "b"), retracted(50, 30))
        self.archive()
        self.assertEqual(self.archived, [10])
        self.assertEqual(self.database.sql("SELECT text FROM chat_message"), [("b",), ("",)])

    def test_nothing_waits(self) -> None:
        """An empty queue would cost the database something, at each look."""
        for _ in range(3):
            self.archive()
        self.assertEqual((self.queue.calls, self.database.commits), (["take"] * 3, []))

    def test_let_go_of_after_the_commit(self) -> None:
        """A node that dies before the commit would take a message with it (P6)."""
        self.put(said(10))
        self.database.hold = {"run"}
        archiving = self.begin(self.archiver.archive())
        self.assertEqual((self.shared.ids, self.queue.done), ([1], [None]))
        self.database.let()
        self.successResultOf(archiving)
        self.assertEqual((self.shared.ids, self.archived), ([], [10]))

    def test_what_comes_meanwhile(self) -> None:
        """A message that is confirmed while others are archived would be let go of with them (P6)."""
        self.put(said(10))
        self.database.hold = {"run"}
        archiving = self.begin(self.archiver.archive())
        self.put(said(20))
        self.database.let_all()
        self.successResultOf(archiving)
        self.assertEqual(self.archived, [10, 20])
        self.assertEqual([one and one.last.id for one in self.queue.done], [None, "1-1", "1-2"])


class AwayTests(ArchiverCase):
    """Stores that are away."""

    def failed(self, archiver: Archiver | None = None) -> None:
        """Archive, which a store that is away ends."""
        with self.assertRaises(StoreUnavailable):
            self.archive(archiver)

    def test_database_away(self) -> None:
        """What waits would be let go of, or put aside, while the database is away (P6)."""
        self.put(said(10), said(20))
        self.database.away = True
        with capturedLogs() as logged:
            for _ in range(3):
                self.failed()
        self.assertEqual((self.shared.ids, self.shared.refused), ([1, 2], []))
        self.assertEqual(self.refusals(list(logged)), [])
        self.assertEqual(set(self.queue.done), {None})
        self.database.away = False
        self.archive()
        self.assertEqual((self.archived, self.shared.ids), ([10, 20], []))

    def test_database_goes_away_in_the_middle(self) -> None:
        """Of several pages, one that was written would stay for ever, or one that was not be let go of (P6)."""
        self.put(*[said(n) for n in range(1, 2 * PAGE + 1)])
        self.database.hold = {"run"}
        archiving = self.begin(self.archiver.archive())
        self.database.let()
        self.database.let(StoreUnavailable("away"))
        self.failureResultOf(archiving, StoreUnavailable)
        self.assertEqual(self.shared.ids, list(range(PAGE + 1, 2 * PAGE + 1)))
        self.database.hold = set()
        self.archive()
        self.assertEqual((self.shared.ids, len(self.archived)), ([], 2 * PAGE))

    def test_lost_answer(self) -> None:
        """A commit whose answer was lost would have its messages twice, or let go of unseen (P6)."""
        self.put(said(10), edited(20, 10, "a"))
        self.database.lost = 1
        self.failed()
        self.assertEqual((self.shared.ids, self.archived), ([1, 2], [10]))
        self.put(retracted(30, 10))
        self.archive()
        self.assertEqual((self.shared.ids, self.archived), ([], []))

    def test_away_while_a_batch_is_halved(self) -> None:
        """Messages would be put aside because the database went away while one was looked for (P6)."""
        self.database.sql(REFUSES)
        self.put(said(10), said(20, "poison"), said(30), said(40))
        self.database.hold = {"run"}
        archiving = self.begin(self.archiver.archive())
        self.database.let()  # all four
        self.database.let()  # two of them
        self.database.let()  # one
        self.database.let(StoreUnavailable("away"))
        self.failureResultOf(archiving, StoreUnavailable)
        self.assertEqual((self.shared.ids, self.shared.refused), ([1, 2, 3, 4], []))
        self.database.hold = set()
        self.archive()
        self.assertEqual((self.archived, self.shared.refused), ([10, 30, 40], ["1-2"]))

    def test_store_away(self) -> None:
        """A store that is away just after a commit would have the messages for ever, or let go of unseen (P6)."""
        self.put(said(10))
        self.queue.hold = {"take"}
        archiving = self.begin(self.archiver.archive())
        self.queue.let()
        self.queue.let(StoreUnavailable("away"))
        self.failureResultOf(archiving, StoreUnavailable)
        self.assertEqual((self.shared.ids, self.archived), ([1], [10]))
        self.queue.hold = set()
        self.archive()
        self.assertEqual((self.shared.ids, self.archived), ([], [10]))


class LeaseTests(ArchiverCase):
    """Several nodes."""

    def test_another_has_it(self) -> None:
        """Two nodes would archive at once, or one that does not would think that it does."""
        self.put(said(10))
        self.shared.holder = "there"
        self.archive()
        self.assertEqual((self.shared.ids, self.archived, self.archiver.is_here), ([1], [], False))
        self.shared.holder = ""
        self.archive_again()
        self.assertEqual((self.shared.ids, self.archived, self.archiver.is_here), ([], [10], True))

    def test_lost_after_the_commit(self) -> None:
        """Messages would be lost, or there twice, whose archiver lost its lease before it let go of them (P6)."""
        self.put(said(10), edited(20, 10, "a"), said(30))
        self.database.hold = {"run"}
        archiving = self.begin(self.archiver.archive())
        self.shared.holder = "there"
        self.database.let_all()
        self.successResultOf(archiving)
        self.assertEqual((self.shared.ids, self.archived), ([1, 2, 3], [10, 30]))
        self.assertFalse(self.archiver.is_here)
        self.database.hold = set()
        self.archive(self.node("there")[1])
        self.assertEqual((self.shared.ids, self.archived), ([], [10, 30]))
        self.assertEqual(self.database.sql("SELECT text FROM chat_message"), [("a",), ("hi",)])

    def test_nothing_is_let_go_of_later(self) -> None:
        """A node that comes to the lease again would let go of what it wrote long ago, under ids given out anew."""
        self.put(said(10))
        self.database.hold = {"run"}
        archiving = self.begin(self.archiver.archive())
        self.shared.holder = "there"
        self.database.let_all()
        self.successResultOf(archiving)
        self.database.hold = set()
        self.shared.holder = ""
        self.archive_again()
        told = [one and one.last.id for one in self.queue.done]
        self.assertEqual(told[:4], [None, "1-1", None, "1-1"])
        self.assertEqual(set(told[4:]), {None})

    def test_two_at_once(self) -> None:
        """A node that was frozen would undo what another one has archived since (P6)."""
        self.put(said(10, "old"), said(20))
        self.database.hold = {"run"}
        frozen = self.begin(self.archiver.archive())
        self.shared.holder = ""
        self.database.hold = set()
        _, other = self.node("there")
        self.put(edited(30, 10, "new"), retracted(40, 20), said(50))
        self.archive(other)
        self.database.let_all()
        self.successResultOf(frozen)
        self.assertEqual(self.archived, [10, 50])
        self.assertEqual(self.database.sql("SELECT text FROM chat_message")[0], ("new",))
        self.assertEqual((self.shared.ids, self.archiver.is_here), ([], False))

    def test_leave(self) -> None:
        """A node that stops would have the next one do its work again, or wait until the lease ends."""
        self.put(said(10))
        self.queue.hold = {"take"}
        archiving = self.begin(self.archiver.archive())
        self.queue.let()
        self.queue.let(StoreUnavailable("away"))
        self.failureResultOf(archiving, StoreUnavailable)
        self.queue.hold = set()
        self.put(said(20))
        self.archive()
        at_once(self.archiver.leave())
        self.assertEqual((self.shared.ids, self.shared.holder), ([], ""))
        at_once(self.archiver.leave())
        self.assertEqual(self.archived, [10, 20])

    def test_leave_lets_go_of_what_is_written(self) -> None:
        """A node that stops in the middle would have the next one write all of a page again."""
        self.put(said(10))
        self.archiver._done = Done(self.shared.entries[0], ())
        self.shared.holder = "here"
        at_once(self.archiver.leave())
        self.assertEqual((self.shared.ids, self.shared.holder), ([], ""))

    def test_leave_while_archiving(self) -> None:
        """A node that stops would take the lease once more: nobody archives then, or has a history, for seconds."""
        self.put(*[said(n) for n in range(1, 2 * PAGE + 1)])
        self.database.hold = {"run"}
        archiving = self.begin(self.archiver.archive())
        leaving = Deferred.fromCoroutine(self.archiver.leave())
        self.database.let_all()
        self.successResultOf(archiving)
        self.successResultOf(leaving)
        self.assertEqual((self.shared.holder, self.shared.ids[0]), ("", PAGE + 1))

    def test_leave_of_another(self) -> None:
        """A node that stops would end another one's lease, or let go of what that one has not written (P6)."""
        self.put(said(10))
        self.archiver._done = Done(self.shared.entries[0], ())
        self.shared.holder = "there"
        at_once(self.archiver.leave())
        self.assertEqual((self.shared.ids, self.shared.holder), ([1], "there"))


class RefusedTests(ArchiverCase):
    """Entries that the archive cannot take, for what they are."""

    def test_refused_row(self) -> None:
        """One message that the database refuses would hold up all others, or take others with it (P6)."""
        self.database.sql(REFUSES)
        entries = [said(n, "poison-密" if n == 37 else "hi") for n in range(1, 101)]
        self.put(*entries)
        with capturedLogs() as logged:
            self.archive()
        self.assertEqual(self.archived, [n for n in range(1, 101) if n != 37])
        self.assertEqual((self.shared.ids, self.shared.refused), ([], ["1-37"]))
        ((id, why),) = self.refusals(list(logged))
        self.assertEqual(id, "1-37")
        self.assertIn("IntegrityError", why)

    def test_log_without_text(self) -> None:
        """What somebody wrote would stand in the server's log, quoted by the database's error."""
        self.database.sql(REFUSES)
        self.put(said(10, "poison"), said(20, "other"))
        with capturedLogs() as logged:
            self.archive()
        self.assertEqual(len(self.refusals(list(logged))), 1)
        for event in logged:
            self.assertNotIn("poison", f"{formatEvent(event)} {event}")

    def test_several(self) -> None:
        """Of several that are refused one would be lost without a word, or be put aside twice."""
        self.database.sql(REFUSES)
        bad = (1, 2, 7, 8)
        self.put(*[said(n, "poison" if n in bad else "hi") for n in range(1, 9)])
        self.archive()
        self.assertEqual(self.archived, [3, 4, 5, 6])
        self.assertEqual(self.shared.refused, [f"1-{n}" for n in bad])

    def test_order_while_halved(self) -> None:
        """An edit would be written before its message, and so be lost, because the batch has one that is refused."""
        self.database.sql(REFUSES)
        self.put(said(10), said(20), edited(30, 10, "a"), said(40, "poison"), edited(50, 10, "b"))
        self.archive()
        self.assertEqual(
            self.database.sql("SELECT text FROM chat_message ORDER BY serial"), [("b",), ("hi",)]
        )

    def test_change_that_is_refused(self) -> None:
        """An edit that the database refuses would hold up all others."""
        self.database.sql(REFUSES.replace("INSERT", "UPDATE"))
        self.put(said(10), edited(20, 10, "poison"), said(30))
        self.archive()
        self.assertEqual((self.archived, self.shared.refused), ([10, 30], ["1-2"]))

    def test_unreadable(self) -> None:
        """What another program put into the queue would hold up all others, or be gone without a trace."""
        self.put(None, said(10), None, said(20))
        with capturedLogs() as logged:
            self.archive()
        self.assertEqual((self.archived, self.shared.ids), ([10, 20], []))
        self.assertEqual(sorted(self.shared.refused), ["1-1", "1-3"])
        self.assertEqual([id for id, _ in self.refusals(list(logged))], ["1-1", "1-3"])

    def test_only_unreadable(self) -> None:
        """A page that nobody can read would stay at the front for ever."""
        self.put(None, None)
        self.archive()
        self.assertEqual((self.shared.ids, self.shared.refused), ([], ["1-1", "1-2"]))

    def test_numbers_that_no_database_takes(self) -> None:
        """A number that is too large would hold up all others: the driver refuses it, not the database."""
        self.put(said(10), said(2**70), said(20, sender=2**64), said(30))
        self.archive()
        self.assertEqual((self.archived, self.shared.ids), ([10, 30], []))
        self.assertEqual(self.shared.refused, ["1-2", "1-3"])

    def test_clashing_serial(self) -> None:
        """A message under another one's serial would take its place, or be lost without a word (P6)."""
        self.put(said(10, "first"), said(20))
        self.archive()
        self.put(said(10, "other", sender=BOB), said(30))
        with capturedLogs() as logged:
            self.archive()
        self.assertEqual((self.archived, self.shared.ids), ([10, 20, 30], []))
        self.assertEqual(self.database.sql("SELECT text FROM chat_message")[0], ("first",))
        self.assertEqual(self.shared.refused, ["1-3"])
        ((id, why),) = self.refusals(list(logged))
        self.assertEqual((id, "serial" in why), ("1-3", True))

    def test_several_clashes(self) -> None:
        """Of several entries that clash with another message only one would be put aside."""
        self.put(said(10), said(10, sender=BOB), said(20), said(10, sender=BOB), said(20, "x", 7))
        self.archive()
        self.assertEqual(self.shared.refused, ["1-2", "1-4", "1-5"])

    def test_not_refused_again(self) -> None:
        """What was put aside would be put aside again with each page, or with the next node's lease."""
        self.database.sql(REFUSES)
        self.put(said(10, "poison"), said(20))
        self.archive()
        self.put(said(30))
        self.archive()
        self.archive(self.node("here")[1])
        self.assertEqual(self.shared.refused, ["1-1"])
