"""Answers, edits and retractions in the archive that is in the file of the inboxes (P6 of docs/protocol.md)."""

from __future__ import annotations

import sqlite3
from typing import Any

from chatsvc.inbox.claim import Registration
from chatsvc.inbox.outcome import Outcome, Stored
from chatsvc.wire.entries import Reference
from tests.inbox.blocking import at_once
from tests.inbox.contract.room_case import ROOM, says
from tests.inbox.contract.room_references import edits, replies, retracts
from tests.inbox.fixtures import DEVICE, PHONE, READER, A, B, draft
from tests.inbox.sqlite.archive_case import ArchiveCase


def serial_of(outcome: Outcome) -> int:
    """The serial under which something was stored."""
    assert isinstance(outcome, Stored), outcome
    return outcome.serial


class ReferencesTests(ArchiveCase):
    """What is stored of answers and changes."""

    def kept(self) -> list[tuple[Any, ...]]:
        """What the history has: serial, text, what it answers, when it was edited."""
        return self.sql(
            "SELECT serial, text, reply, edited FROM chat_message WHERE retracted = 0 ORDER BY serial"
        )

    def log(self) -> list[tuple[Any, ...]]:
        """What the room's log has."""
        page = at_once(self.inbox.rooms.read(ROOM, 0, 99))
        return [(one.id, one.serial) for one in page.entries]

    def test_changes(self) -> None:
        """The history would not have an answer as one, an edited message as it was, or have what was retracted (P6)."""
        self.open()
        outcomes = self.commit(draft("1"), says("2"), draft("3"))
        one, two, three = map(serial_of, outcomes)
        changes = self.commit(
            draft("answer", reference=Reference("reply", one)),
            draft("new 1", at=7, reference=Reference("edited", one)),
            replies(two, "room"),
            edits(two, "new 2", at=8),
            draft("", reference=Reference("retracted", three)),
        )
        answer, _, room, *_ = map(serial_of, changes)
        self.assertEqual(
            self.kept(),
            [
                (one, "new 1", None, 7),
                (two, "new 2", None, 8),
                (answer, "answer", one, None),
                (room, "room", two, None),
            ],
        )
        self.commit(retracts(two), draft("again", at=9, reference=Reference("edited", one)))
        self.assertEqual(
            self.kept(),
            [(one, "again", None, 9), (answer, "answer", one, None), (room, "room", two, None)],
        )
        texts = [text for (text,) in self.sql("SELECT text FROM chat_message WHERE retracted = 1")]
        self.assertEqual(texts, ["", ""])

    def test_change_in_the_same_batch(self) -> None:
        """A change that comes with another one would be lost, or made before it."""
        self.open()
        one, two = map(serial_of, self.commit(says("1"), says("2")))
        self.commit(edits(one, "a"), edits(one, "b"), edits(two, "c"), retracts(two))
        self.assertEqual([row[:2] for row in self.kept()], [(one, "b")])

    def test_refused(self) -> None:
        """Who may not write would change the history, or a message that is sent again change it twice (P6)."""
        self.open(share=2)
        at_once(self.inbox.claim(READER, None, device=PHONE, registration=Registration("x/1")))
        one, two = map(serial_of, self.commit(says("1"), draft("2")))
        before = self.kept()
        self.commit(
            edits(one, "x", B),
            retracts(one, B),
            retracts(one, version=9),
            draft("no share", reference=Reference("reply", two)),
            draft("x", reference=Reference("edited", two)),
            draft("x", sender=B, registered=True, device=PHONE, reference=Reference("edited", two)),
        )
        self.assertEqual([row[:2] for row in self.kept()][:2], [row[:2] for row in before])
        self.assertEqual(len(self.kept()), 3)

    def test_one_change_for_two_inboxes(self) -> None:
        """A change that is also copied into its sender's inbox would be made twice, or fail."""
        self.open()
        said = Registration("x/1")
        phone = at_once(self.inbox.claim(A, None, device=PHONE, registration=said))
        at_once(self.inbox.claim(A, None, device=DEVICE, registration=said))
        at_once(self.inbox.claim(READER, None, device=PHONE, registration=said))
        (one,) = map(serial_of, self.commit(draft("1")))
        sent = draft(
            *("new",),
            at=7,
            device=PHONE,
            sending=phone.generation,
            registered=True,
            reference=Reference("edited", one),
        )
        (outcome,) = self.commit(sent)
        assert isinstance(outcome, Stored)
        self.assertEqual((outcome.id, bool(outcome.copy)), (2, True))
        self.assertEqual(self.kept(), [(one, "new", None, 7)])

    def test_neither(self) -> None:
        """A message would be gone from the room's log and still be in the history, or the other way round (P6)."""
        self.open()
        (one,) = map(serial_of, self.commit(says("1")))
        before = self.log(), self.kept()
        for table, event in (("chat_message", "UPDATE"), ("chat_room_log", "INSERT")):
            self.sql(
                f"CREATE TRIGGER fails BEFORE {event} ON {table} BEGIN SELECT RAISE(ABORT, 'no'); END"
            )
            with self.assertRaises(sqlite3.IntegrityError):
                self.commit(retracts(one))
            self.sql("DROP TRIGGER fails")
            self.assertEqual((self.log(), self.kept()), before, table)
        self.commit(retracts(one))
        self.assertEqual((len(self.log()), self.kept()), (2, []))
