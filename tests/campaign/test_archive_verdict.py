"""What the campaign of faults complains of in the archive, and what is exempt when a store lost writes."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from twisted.trial.unittest import TestCase

from benchmarks.campaign.archive.court import judge_archive
from benchmarks.campaign.archive.reading import (
    Archive,
    Logged,
    Row,
    logged_in_redis,
    read_archive,
)
from benchmarks.campaign.archive.verdict import ArchiveVerdict
from benchmarks.campaign.journal import edit_text, text_of
from benchmarks.campaign.losses import LOSSES, Loss, record_loss
from chatsvc.archive.segmenter import tokens_of

_SENDER, _READER = "1s", 2
_PLACE, _ROOM = 5, -7
"""The conversation of both, and that of a room."""


class ArchiveCase(TestCase):
    """
    The user 1 has a session that sends, to the user 2 and into the room 7; what it says is accepted at full seconds.

    The serial of what is accepted in the second S is 10 * S.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.rows: list[Row] = []

    def note(self, owner: str, second: int, words: str) -> None:
        with (self.folder / f"{owner}.journal").open("a") as file:
            file.write(f"{second} {words}\n")

    def said(self, k: int, second: int, to: int = _READER) -> None:
        self.note(_SENDER, second, f"o {to} {k} {k}")

    def confirmed(
        self, k: int, second: int, to: int = _READER, *, with_serial: bool = True
    ) -> None:
        """It was said, and accepted and confirmed in the same second."""
        self.said(k, second, to)
        serial = 10 * second if with_serial else 0
        self.note(_SENDER, second, f"c {to} {k} {second * 1000} 0 {serial}")

    def shown(self, k: int, second: int) -> None:
        """The reader was shown it a second later."""
        at, serial = second * 1000, 10 * second
        self.note(str(_READER), second + 1, f"s {k} {_SENDER} {_READER} {k} {at} {serial}")

    def lost(self, begin: int, end: int) -> None:
        """The store went back from the second ``end`` to ``begin``."""
        record_loss(self.folder / LOSSES, Loss(begin, end, frozenset(), {}, 10 * begin))

    def archived(self, k: int, second: int, to: int = _READER) -> None:
        place = _PLACE if to > 0 else to
        text = text_of(_SENDER, to, k)
        self.rows.append(Row(10 * second, place, 1, "user1", second * 1000, text))

    def archive(self) -> Archive:
        rows = sorted(self.rows, key=lambda row: row.serial)
        words = {
            (row.conversation, token, row.serial) for row in rows for token in tokens_of(row.text)
        }
        return Archive(rows, {_PLACE: (1, _READER)}, frozenset(words))

    def judge(self, archive: Archive | None = None) -> ArchiveVerdict:
        return judge_archive(self.folder, archive or self.archive())

    def complaints(self) -> list[str]:
        return self.judge().examples


class Owed(ArchiveCase):
    """What must be in the archive."""

    def test_all_well(self) -> None:
        """An archive in which nothing is wrong would be blamed, or nothing be counted."""
        for k, second, to in ((1, 3, _READER), (1, 4, _ROOM)):
            self.confirmed(k, second, to)
            self.archived(k, second, to)
        verdict = self.judge()
        self.assertEqual((verdict.examples, verdict.is_broken), ([], False))
        self.assertEqual((verdict.messages, verdict.owed), (2, 2))

    def test_missing(self) -> None:
        """A confirmed message that is not there would not be missed, or one be given up that may still come."""
        for k in (1, 2, 3):
            self.confirmed(k, k)
        self.archived(2, 2)
        verdict = self.judge()
        self.assertEqual((verdict.missing, verdict.passed_over, verdict.is_broken), (2, 1, True))

    def test_without_serial(self) -> None:
        """One that was confirmed as a repetition would be looked for under no serial, or not be missed."""
        for k in (1, 2):
            self.confirmed(k, k, with_serial=False)
        self.archived(1, 1)
        self.assertEqual(self.complaints(), ["missing: 1s>2#2 with serial [0]"])

    def test_shown(self) -> None:
        """One that somebody was shown, though its sender was told nothing, would not be missed."""
        self.said(1, 1)
        self.shown(1, 1)
        self.assertEqual(self.complaints(), ["missing: 1s>2#1 with serial [10]"])

    def test_unknown(self) -> None:
        """One of which nobody was told anything would be missed, or be wrong if it is there."""
        for k in (1, 2):
            self.said(k, k)
        self.archived(2, 2)
        self.assertEqual(self.complaints(), [])

    def test_other_serial(self) -> None:
        """A message would pass that stands under another serial than the one that its reader was shown."""
        self.confirmed(1, 1)
        self.archived(1, 2)
        found = ["missing: 1s>2#1 with serial [10], but under [20]"]
        self.assertEqual(self.complaints(), found)

    def test_lost_with_store(self) -> None:
        """What the store lost would be missed, or something be exempt that it did not lose."""
        for k, second in ((1, 3), (2, 5), (3, 8)):
            self.confirmed(k, second)
        self.lost(4, 7)
        verdict = self.judge()
        self.assertEqual((verdict.missing, verdict.lost_with_store), (2, 1))
        self.assertNotIn("#2", " ".join(verdict.examples))

    def test_lost_in_the_middle(self) -> None:
        """One that the store lost would be exempt, though the archive has taken what stood behind it in the queue."""
        for k, second in ((1, 5), (2, 6), (3, 7)):
            self.confirmed(k, second)
        self.archived(2, 6)
        self.lost(4, 8)
        verdict = self.judge()
        self.assertEqual(verdict.examples, ["missing: 1s>2#1 with serial [50]"])
        self.assertEqual(verdict.lost_with_store, 1)


class There(ArchiveCase):
    """What may be in the archive."""

    def test_nobody(self) -> None:
        """What nobody has said would pass, whether it looks like a message or not."""
        self.archived(1, 1)
        self.archived(2, 2)
        self.rows[1] = replace(self.rows[1], text="hello there")
        self.assertEqual(
            self.complaints(),
            ["wrong: 10 '1s>2#1': nobody has sent it", "wrong: 20 'hello': no message of anybody"],
        )

    def test_refused(self) -> None:
        """A message that was refused for good would pass, or not pass though the store has lost that it took it."""
        for k, second in ((1, 3), (2, 5)):
            self.said(k, second)
            self.archived(k, second)
            self.note(_SENDER, 9, f"x {_READER} {k}")
        self.lost(4, 7)
        self.assertEqual(self.complaints(), ["wrong: 30 '1s>2#1': it was refused"])

    def test_other_content(self) -> None:
        """A message would pass that has another text, sender or place than it was sent with, or was changed."""
        self.said(1, 1)
        self.said(2, 2, _ROOM)
        self.archived(1, 1)
        self.archived(2, 2, _ROOM)
        honest, in_room = self.rows
        for changed in (
            replace(honest, text=honest.text + "!"),
            replace(honest, sender=2),
            replace(honest, name="user2"),
            replace(honest, conversation=_PLACE + 1),
            replace(in_room, conversation=_PLACE),
            replace(honest, changed=11),
        ):
            self.rows = [changed]
            self.assertEqual(self.judge().wrong, 1, changed)

    def test_time(self) -> None:
        """A message would pass that was shown with another time than it is archived with."""
        self.said(1, 1)
        self.shown(1, 1)
        self.archived(1, 1)
        self.rows[0] = replace(self.rows[0], at=1001)
        found = ["wrong: 10 '1s>2#1': accepted at 1001, and shown with 1000"]
        self.assertEqual(self.complaints(), found)

    def test_twice(self) -> None:
        """A message under two serials would pass, or not pass where the store lost the first, and kept the other."""
        self.said(1, 1)
        self.archived(1, 5)
        self.archived(1, 9)
        self.assertEqual(self.complaints(), ["twice: 1s>2#1 with the serials 50 and 90"])
        self.lost(4, 7)
        verdict = self.judge()
        self.assertEqual((verdict.examples, verdict.kept), ([], 1))

    def test_order(self) -> None:
        """A message behind a later one of its sender would pass, or not pass where the store lost the later one."""
        for k, second in ((2, 5), (1, 9)):
            self.said(k, second)
            self.archived(k, second)
        found = ["out_of_order: 1s>2#1 with serial 90 behind #2"]
        self.assertEqual(self.complaints(), found)
        self.lost(4, 7)
        self.assertEqual(self.complaints(), [])

    def test_left(self) -> None:
        """Entries would pass that never left the queue, or that the archive did not take."""
        verdict = self.judge(replace(self.archive(), queued=2, refused=3))
        self.assertEqual((verdict.queued, verdict.refused, verdict.is_broken), (2, 3, True))


class Index(ArchiveCase):
    """What is found by words."""

    def setUp(self) -> None:
        super().setUp()
        self.said(1, 1)
        self.archived(1, 1)

    def test_unfound(self) -> None:
        """A message would pass that is not found by its words, though it does not wait for that."""
        archive = replace(self.archive(), words=frozenset())
        self.assertEqual((self.judge(archive).unfound, self.judge(archive).unindexed), (1, 0))
        waiting = replace(archive, unindexed=frozenset([10]))
        self.assertEqual((self.judge(waiting).unfound, self.judge(waiting).unindexed), (0, 1))

    def test_stray(self) -> None:
        """Words would pass that a message does not have, or of a message that is not there, or in another place."""
        archive = self.archive()
        words = archive.words | {(_PLACE, 7, 10), (_PLACE, 7, 20), (_ROOM, 7, 10)}
        self.assertEqual(self.judge(replace(archive, words=words)).stray, 3)


class Changed(ArchiveCase):
    """Messages that were edited, or retracted: the first of them, at most."""

    def setUp(self) -> None:
        super().setUp()
        self.place = _ROOM
        self.confirmed(1, 1, self.place)
        self.archived(1, 1, self.place)

    def asked(self, n: int, second: int, *, done: bool = True) -> None:
        """Its edit N, or its retraction, was asked for in that second, and perhaps confirmed in the next."""
        self.note(_SENDER, second, f"v 10 {n} {self.place} 1")
        if done:
            self.note(_SENDER, second + 1, f"vk 10 {n}")

    def reads(self, n: int) -> None:
        text = edit_text(_SENDER, self.place, 1, n) if n else ""
        self.rows = [replace(self.rows[0], text=text, edited=5000, changed=50, is_retracted=not n)]

    def test_edited(self) -> None:
        """A message would pass that does not read as it was edited last, or be blamed though it does."""
        self.asked(1, 2)
        self.assertEqual(self.judge().otherwise, 1)
        self.reads(1)
        self.assertEqual(self.complaints(), [])
        self.asked(2, 4)
        verdict = self.judge()
        self.assertEqual((verdict.otherwise, verdict.edits, verdict.is_broken), (1, 2, True))
        self.assertEqual(verdict.otherwise_for_good, 0)
        self.confirmed(2, 9, self.place)
        self.archived(2, 9, self.place)
        self.assertEqual(self.judge().otherwise_for_good, 1)

    def test_unknown_edits(self) -> None:
        """Of edits that were never confirmed one would not be allowed, or one that was refused at once would."""
        self.asked(1, 2)
        for n in (2, 3, 4):
            self.asked(n, n + 1, done=False)
        self.note(_SENDER, 9, "vx 10 4 not-a-member")
        for n, otherwise in ((1, 0), (2, 0), (3, 0), (4, 1), (0, 1)):
            self.reads(n)
            self.assertEqual(self.judge().otherwise, otherwise, n)

    def test_retracted(self) -> None:
        """A retracted message would pass that is still to be read or found, or be missed as one that is not there."""
        self.asked(0, 3)
        self.assertEqual(self.judge().otherwise, 1)
        words = self.archive().words
        self.reads(0)
        verdict = self.judge()
        self.assertEqual((verdict.examples, verdict.retractions), ([], 1))
        self.assertGreater(self.judge(replace(self.archive(), words=words)).stray, 0)

    def test_perhaps_retracted(self) -> None:
        """A retraction that was never confirmed would have to be carried out, or not to be."""
        self.asked(0, 3, done=False)
        self.assertEqual(self.complaints(), [])
        self.reads(0)
        self.assertEqual(self.complaints(), [])

    def test_lost_with_store(self) -> None:
        """A change that the store may have lost would be asked for, or not one that was confirmed again since."""
        self.asked(1, 5)
        self.lost(4, 7)
        self.assertEqual(self.complaints(), [])
        self.asked(1, 8)
        self.assertEqual(self.judge().otherwise, 1)

    def test_other_text(self) -> None:
        """An edited message would pass that reads as no edit said, or does not say that it was edited."""
        self.asked(1, 2)
        self.reads(1)
        (honest,) = self.rows
        for changed in (
            replace(honest, text=honest.text + "!"),
            replace(honest, edited=None),
            replace(honest, changed=0),
        ):
            self.rows = [changed]
            self.assertEqual(self.judge().wrong, 1, changed)

    def test_in_room(self) -> None:
        """A retracted message, or an edit of it, would pass that is still in the room's log."""
        self.asked(0, 3)
        self.reads(0)
        logged = [Logged(7, 10, ""), Logged(7, 20, "e10"), Logged(7, 30, "x10"), Logged(8, 10, "")]
        archive = replace(self.archive(), logged=logged)
        self.assertEqual(self.judge(archive).in_rooms, 2)
        self.assertEqual(self.judge(replace(archive, read_at=3.5)).in_rooms, 0)
        self.lost(4, 7)
        self.assertEqual(self.judge(archive).in_rooms, 0)

    def test_told_otherwise(self) -> None:
        """A message would pass that was retracted, while readers were told last that it was edited."""
        self.asked(1, 2)
        self.asked(0, 2)
        self.reads(0)
        for serial, n, otherwise in ((45, 1, 0), (50, 0, 0), (55, 1, 1)):
            event = "edited" if n else "retracted"
            self.note("2d1", 9, f"rv 7 {serial} {serial} 5500 {event} 1 10 {n}")
            self.assertEqual(self.judge().told_otherwise, otherwise)
        self.lost(4, 7)
        self.assertEqual(self.judge().told_otherwise, 0)

    def test_refused(self) -> None:
        """A change of a message to a user would pass that was refused for no reason."""
        self.asked(1, 2, done=False)
        self.note(_SENDER, 3, "vx 10 1 forbidden")
        self.assertEqual(self.complaints(), [])
        self.note(_SENDER, 4, f"c {_READER} 9 4000 0 40")
        self.note(_SENDER, 5, f"v 40 1 {_READER} 9")
        self.note(_SENDER, 6, "vx 40 1 forbidden")
        self.assertEqual(self.judge().changes_refused, 1)


class Reading(TestCase):
    """What the database says."""

    def test_logs(self) -> None:
        """What Redis says of rooms' logs would be taken for something else."""
        self.assertEqual(
            logged_in_redis("7:10: 7:20:e10"), [Logged(7, 10, ""), Logged(7, 20, "e10")]
        )
        self.assertEqual(logged_in_redis(""), [])

    def test_rows(self) -> None:
        """The rows of the archive would be taken for something else, or a changed one for one as it was sent."""
        plain, edited = (10, 5, 1, "user1", 3, "a"), (20, 5, 1, "user1", 4, "b")
        answers: dict[str, list[tuple[object, ...]]] = {
            "chat_message": [(*plain, None, 10, 0), (*edited, 9, 30, 0)],
            "chat_conversation": [(5, 1, 2)],
            "chat_word": [(5, 77, 10)],
            "chat_unindexed": [(20,)],
        }
        archive = read_archive(lambda sql: answers[sql.partition(" FROM ")[2].split()[0]], 1, 2)
        self.assertEqual(archive.rows, [Row(*plain), Row(*edited, 9, 30)])
        self.assertEqual(archive.conversations, {5: (1, 2)})
        self.assertEqual(archive.words, {(5, 77, 10)})
        self.assertEqual((archive.unindexed, archive.queued, archive.refused), ({20}, 1, 2))
