"""What the campaign of faults complains of, and what is exempt when a store lost writes."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from benchmarks.campaign.journal import Journal
from benchmarks.campaign.losses import LOSSES, Loss, record_loss
from benchmarks.campaign.verdict import Verdict, reconcile

_SENDER, _READER = "1s", 2


class Complaints(TestCase):
    """A sender, whose messages were accepted and told in the same second, and a reader."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.ids = 0

    def confirmed(self, k: int, second: int, at: float | None = None, id: int = 0) -> None:
        self._append(_SENDER, second, f"c {_READER} {k}", at, f"{id} 0")

    def refused(self, k: int, second: int) -> None:
        self._append(_SENDER, second, f"x {_READER} {k}", "")

    def shown(self, k: int, second: int, at: float | None = None) -> None:
        self.ids += 1
        self._append(str(_READER), second, f"s {self.ids} {_SENDER} {_READER} {k}", at, "0")

    def lost(self, begin: int, end: int, *waiting: int, last: int = 0) -> None:
        """The store went back from the second ``end`` to ``begin``: these K waited, and ``last`` was the last id."""
        messages = frozenset((_SENDER, _READER, k) for k in waiting)
        record_loss(self.folder / LOSSES, Loss(begin, end, messages, {_READER: last}))

    def _append(
        self, owner: str, second: int, words: str, at: float | str | None, rest: str = ""
    ) -> None:
        accepted = int((second if at is None else at) * 1000) if at != "" else ""
        with (self.folder / f"{owner}.journal").open("a") as file:
            file.write(f"{second} {words} {accepted} {rest}\n")

    def complaints(self) -> list[str]:
        return self.verdict().examples

    def verdict(self) -> Verdict:
        return reconcile(self.folder)

    def test_refused(self) -> None:
        """A message whose sender was told that nobody gets it would be shown, and nobody would complain."""
        self.refused(1, 5)
        self.shown(1, 6)
        self.assertEqual(self.complaints(), ["shown_though_refused: 1s>2#1"])

    def test_passed_over(self) -> None:
        """A message would be given up for lost that is still on its way, or not one that cannot come any more."""
        for k in (1, 2, 3):
            self.confirmed(k, 5)
        self.shown(2, 6)
        self.assertEqual((self.verdict().lost, self.verdict().passed_over), (2, 1))

    def test_lost_with_the_store(self) -> None:
        """A loss would be excused that no store is to blame for, or one be blamed that the store has lost."""
        self.lost(10, 20)
        self.confirmed(1, 9)  # it was in the copy
        self.confirmed(2, 15)
        self.confirmed(3, 25, at=19)  # the confirmation came late
        self.confirmed(4, 25, at=21)  # the store that came back has it
        self.assertEqual(self.complaints(), ["lost: 1s>2#1", "lost: 1s>2#4"])
        self.assertEqual(self.verdict().lost_with_store, 2)

    def test_known_by_its_id(self) -> None:
        """A message that the data which came back knew by its id would be excused if it was lost, or shown again."""
        self.lost(10, 20, last=3)
        self.confirmed(1, 15, id=3)
        self.confirmed(2, 15, id=4)
        for k in (5, 6, 7, 8):  # under the ids 1, 2, 3, 4
            self.shown(k, 15)
        self.shown(7, 25)
        self.shown(8, 25)
        self.assertEqual(self.complaints(), ["lost: 1s>2#1", "shown_twice: 1s>2#7"])

    def test_waiting_in_the_copy(self) -> None:
        """A message that waited in the copy would be excused if it was never shown."""
        self.lost(10, 20, 1)
        self.confirmed(1, 15)
        self.assertEqual(self.complaints(), ["lost: 1s>2#1"])

    def test_shown_again(self) -> None:
        """More would be excused than one more showing of what the store lost, or less."""
        self.lost(10, 20, 1)
        for second in (9, 15):
            self.shown(second - 8, second)  # 1 waited in the copy, 7 was lost
        for second in (25, 26):
            self.shown(1, second)
            self.shown(7, second)
        self.assertEqual(self.complaints(), ["shown_twice: 1s>2#1", "shown_twice: 1s>2#7"])
        self.assertEqual(self.verdict().shown_again, 2)

    def test_acknowledged_before(self) -> None:
        """A message that was acknowledged before the copy would be excused if it came again."""
        self.lost(10, 20)
        self.shown(1, 9)
        self.shown(1, 25)
        self.assertEqual(self.complaints(), ["shown_twice: 1s>2#1"])

    def test_order(self) -> None:
        """After a store went back, no order would count any more."""
        self.lost(10, 20, 1)
        for k, second in [(1, 9), (2, 15), (1, 25), (4, 26), (3, 27)]:
            self.shown(k, second)
        self.assertEqual(self.complaints(), ["out_of_order: 1s>2#3"])


class Numbers(TestCase):
    """A sender's journal, read back after a crash."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def numbers(self) -> tuple[dict[int, int], int]:
        """The N of each unconfirmed K, and the next N."""
        journal = Journal(self.path)
        return journal.outbox[2], journal.next_n[2]

    def record(self, *lines: str) -> None:
        journal = Journal(self.path)
        for line in lines:
            journal.record(*line.split())

    def test_given_back(self) -> None:
        """The number of a refused message would not be the next one's."""
        self.record("o 2 1 1", "c 2 1 0", "o 2 2 2", "x 2 2")
        self.assertEqual(self.numbers(), ({}, 2))

    def test_new_device(self) -> None:
        """A new device would go on with the numbers of the one before."""
        self.record("o 2 7 7", "o 2 8 8", "d 1")
        self.assertEqual(self.numbers(), ({7: 1, 8: 2}, 3))

    def test_numbers_lost(self) -> None:
        """Somebody who lost its last numbers would know of them all the same."""
        self.record("o 2 7 7", "o 2 8 8", "b 2 6")
        self.assertEqual(self.numbers(), ({}, 6))
