"""The archive in the file of the inboxes: a message is in both, or in neither (P6 of docs/protocol.md)."""

from __future__ import annotations

import sqlite3
from typing import Any

from chatsvc.archive.changes import write
from chatsvc.archive.entry import Pair, Said
from chatsvc.inbox.claim import Registration
from chatsvc.inbox.outcome import (
    Draft,
    Duplicate,
    Full,
    Gap,
    NotMember,
    RoomDraft,
    Stored,
)
from tests.inbox.blocking import at_once
from tests.inbox.contract.room_case import ROOM, invitation, joined, says
from tests.inbox.fixtures import DESK, DEVICE, OTHER, PHONE, READER, A, B, draft
from tests.inbox.sqlite.archive_case import ARCHIVE, ArchiveCase


class StoredTests(ArchiveCase):
    """What is stored, and nothing else."""

    def test_stored(self) -> None:
        """What was confirmed would be in no history, or not as it was said (P6)."""
        self.open()
        drafts: tuple[Draft | RoomDraft, ...] = (
            draft("你好 😂", at=5),
            says("room", at=7),
            draft("to myself", to=A),
            draft("", to=A, sender=OTHER),
            draft("a\0b", to=-5, sender=2**53 + 1),
        )
        outcomes = self.commit(*drafts)
        places = ((A, READER, None), (None, None, ROOM), (A, A, None), (OTHER, A, None))
        expected = []
        for one, place, outcome in zip(
            drafts, (*places, (-5, 2**53 + 1, None)), outcomes, strict=True
        ):
            assert isinstance(outcome, Stored), outcome
            low, high, room = place
            if low is not None and high is not None:
                low, high = sorted((low, high))
            expected.append(
                (outcome.serial, low, high, room, one.sender, one.name, one.at, one.text)
            )
        self.assertEqual(self.archived(), sorted(expected))
        waits = [serial for (serial,) in self.sql("SELECT serial FROM chat_unindexed ORDER BY 1")]
        self.assertEqual(waits, sorted(row[0] for row in expected))

    def test_not_stored(self) -> None:
        """What was sent again, or was refused, would be in the history (P6)."""
        self.open(waiting=2, share=1)
        first = (draft("1", device=DEVICE, n=1), says("2", device=DEVICE, n=1))
        self.commit(*first)
        outcomes = self.commit(
            *first,
            draft("no share"),
            draft("gap", to=A, device=DEVICE, n=5),
            says("gap", device=DEVICE, n=7),
            says("no member", B),
            draft("3", sender=B),
            draft("full", sender=OTHER),
        )
        kinds = [type(one) for one in outcomes]
        self.assertEqual(kinds, [Duplicate, Duplicate, Full, Gap, Gap, NotMember, Stored, Full])
        self.assertEqual(sorted(self.texts()), ["1", "2", "3"])

    def test_copies_and_events(self) -> None:
        """A copy, an invitation or a room's event would be in the history as a message (P6)."""
        self.open()
        said = Registration("x/1")
        phone = at_once(self.inbox.claim(A, None, device=PHONE, registration=said))
        at_once(self.inbox.claim(A, None, device=DESK, registration=said))
        at_once(self.inbox.rooms.apply(ROOM, [invitation(2, READER), joined(3, READER)]))
        self.assertEqual(self.texts(), [])
        sent = draft("hi", device=PHONE, n=1, sending=phone.generation, registered=True)
        (outcome,) = self.commit(sent)
        assert isinstance(outcome, Stored)
        self.assertGreater(outcome.copy, 0)
        self.assertEqual(self.texts(), ["hi"])

    def test_off(self) -> None:
        """With the history off, or in another file, messages would be kept that nobody asked to keep."""
        self.open(archives=False)
        self.assertEqual([type(one) for one in self.commit(draft(), says())], [Stored, Stored])
        self.assertEqual({table: self.count(table) for table in ARCHIVE}, dict.fromkeys(ARCHIVE, 0))

    def test_without_queue(self) -> None:
        """Somebody would wait for an archiver that is nowhere."""
        self.open()
        self.assertIsNone(self.inbox.archive)
        self.inbox.go_on_above(2**52)
        (stored,) = self.commit(draft())
        assert isinstance(stored, Stored)
        self.assertLess(stored.serial, 2**52)

    def test_one_conversation(self) -> None:
        """Two users would have several conversations, by who writes first, or after the store was reopened."""
        self.open()
        self.commit(draft("1"), draft("2", to=A, sender=READER), draft("3"))
        self.open()
        self.commit(draft("4", to=A, sender=READER), draft("5"))
        self.assertEqual(self.texts(), ["1", "2", "3", "4", "5"])
        self.assertEqual(self.sql("SELECT low, high FROM chat_conversation"), [(READER, A)])

    def test_as_by_the_queue(self) -> None:
        """After a move from SQLite to Redis what was archived twice would be taken for two messages."""
        self.open()
        (stored,) = self.commit(draft("hi", at=5))
        assert isinstance(stored, Stored)
        before = self.sql("SELECT * FROM chat_message")
        again = Said(stored.serial, Pair.between(A, READER), A, "名", 5, "hi")
        self.assertEqual(at_once(self.database.run(lambda t: write(t, [again]))), [])
        self.assertEqual(self.sql("SELECT * FROM chat_message"), before)


class FailedTests(ArchiveCase):
    """Batches that fail."""

    def fail_at(self, table: str, event: str = "INSERT") -> None:
        """Have the next statement on a table fail."""
        self.sql(
            f"CREATE TRIGGER fails BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
        )

    def assertNeither(self, table: str, event: str = "INSERT") -> None:
        """Check that a batch which fails at a table stores nothing, and can be sent again."""
        batch = (draft("1", device=DEVICE, n=1), says("2", device=DEVICE, n=1))
        before = self.counts()
        self.fail_at(table, event)
        with self.assertRaises(sqlite3.IntegrityError):
            self.commit(*batch)
        self.assertEqual(self.counts(), before, table)
        self.sql("DROP TRIGGER fails")
        self.assertEqual([type(one) for one in self.commit(*batch)], [Stored, Stored], table)
        self.assertEqual(self.texts()[-2:], ["1", "2"])

    def test_archive_fails(self) -> None:
        """A message would be stored without being in the history (P1, P6)."""
        for table in ("chat_conversation", "chat_message", "chat_unindexed"):
            self.setUp()
            self.open()
            self.assertNeither(table)

    def test_store_fails(self) -> None:
        """A message would be in the history that was not confirmed (P6)."""
        for table in ("chat_share", "chat_room_log", "chat_inbox", "chat_sending"):
            self.setUp()
            self.open()
            self.assertNeither(table)

    def test_killed(self) -> None:
        """A process that is killed before the commit would leave half of a message."""
        self.open()
        before = self.counts()
        run = self.database.run

        async def killed(interaction: Any, **more: Any) -> Any:
            def dies(transaction: Any) -> None:
                interaction(transaction)
                raise KeyboardInterrupt

            return await run(dies, **more)

        self.patch(self.database, "run", killed)
        with self.assertRaises(KeyboardInterrupt):
            self.commit(draft(), says())
        self.assertEqual(self.counts(), before)


class CostTests(ArchiveCase):
    """What the archive costs a batch."""

    def test_statements(self) -> None:
        """Each message of a batch, or each conversation, would cost statements of its own."""
        self.open()
        drafts = [draft(to=uid) for uid in range(30_000, 30_050)]
        costs = []
        for archives in (False, True):
            self.open(archives=archives)
            self.commit(*drafts)
            costs.append(len(self.database.statements(lambda: self.commit(*drafts))))
        # The numbers of the conversations, the messages, that they wait to be indexed.
        self.assertEqual(costs[1] - costs[0], 3)
