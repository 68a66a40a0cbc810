"""What the campaign of faults complains of where users have several registered devices."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from benchmarks.campaign.forgettings import FORGETTINGS
from benchmarks.campaign.losses import LOSSES, Loss, record_loss
from benchmarks.campaign.verdict import Verdict, reconcile

_BACKLOG = 1000


class DeviceCase(TestCase):
    """Journals in which everything happens at a full second; a message's K is its serial, and its id, too."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def note(self, owner: str, second: int, words: str) -> None:
        with (self.folder / f"{owner}.journal").open("a") as file:
            file.write(f"{second} {words}\n")

    def registered(self, *devices: str, second: int = 1) -> None:
        for device in devices:
            self.note(device, second, "l")

    def confirmed(self, sender: str, to: int, k: int, second: int) -> None:
        self.note(sender, second, f"o {to} {k} {k}")
        self.note(sender, second, f"c {to} {k} {second * 1000} {k} {k}")

    def shown(
        self, reader: str, sender: str, to: int, k: int, second: int, serial: int = 0
    ) -> None:
        words = f"s {k} {sender} {to} {k} {second * 1000} {serial or k}"
        self.note(reader, second, words)

    def missed(self, reader: str, second: int, after: int, until: int, serial: int = 0) -> None:
        self.note(reader, second, f"m {after} {until} {serial}")

    def forgotten(self, device: str, second: int) -> None:
        with (self.folder / FORGETTINGS).open("a") as file:
            file.write(f"{second} f {device}\n")

    def verdict(self) -> Verdict:
        return reconcile(self.folder, _BACKLOG)

    def complaints(self) -> list[str]:
        return self.verdict().examples


class Copies(DeviceCase):
    """Two devices of the user 1, who writes to the user 2, who has none."""

    def setUp(self) -> None:
        super().setUp()
        self.registered("1d1", "1d2")
        self.confirmed("1d1", 2, 5, 2)
        self.shown("2", "1d1", 2, 5, 3)

    def test_owed(self) -> None:
        """A copy that the user's other device was not shown would not be missing to anybody."""
        self.assertEqual(self.complaints(), ["lost: 1d1>2#5 at 1d2"])
        self.shown("1d2", "1d1", 2, 5, 3)
        self.assertEqual(self.complaints(), [])
        self.assertEqual((self.verdict().owed, self.verdict().copies), (2, 1))

    def test_at_the_sender(self) -> None:
        """Nobody would complain that a device is handed what it has sent itself."""
        self.shown("1d2", "1d1", 2, 5, 3)
        self.shown("1d1", "1d1", 2, 5, 4)
        self.assertEqual(self.complaints(), ["misdirected: 1d1>2#5 at 1d1"])

    def test_at_the_unnamed(self) -> None:
        """Nobody would complain that a program which knows no copies is handed one."""
        self.shown("1d2", "1d1", 2, 5, 3)
        self.shown("1", "1d1", 2, 5, 3)
        self.assertEqual(self.complaints(), ["misdirected: 1d1>2#5 at 1"])

    def test_of_who_only_sends(self) -> None:
        """Copies of what is sent without receiving would be asked for, or nobody would complain of them."""
        self.shown("1d2", "1d1", 2, 5, 3)
        self.confirmed("1s", 2, 6, 3)
        self.shown("2", "1s", 2, 6, 4)
        self.assertEqual(self.complaints(), [])
        self.shown("1d2", "1s", 2, 6, 4)
        self.assertEqual(self.complaints(), ["misdirected: 1s>2#6 at 1d2"])

    def test_while_forgotten(self) -> None:
        """A copy would be asked for that was not made, because the device was forgotten, or one that was."""
        self.shown("1d2", "1d1", 2, 5, 3)
        self.forgotten("1d2", 4)
        self.confirmed("1d1", 2, 6, 5)
        self.registered("1d2", second=6)
        self.confirmed("1d1", 2, 7, 7)
        for k in (6, 7):
            self.shown("2", "1d1", 2, k, 8)
        self.assertEqual(self.complaints(), ["lost: 1d1>2#7 at 1d2"])

    def test_twice(self) -> None:
        """A copy that comes twice would not be counted, or not as a copy."""
        self.shown("1d2", "1d1", 2, 5, 3, serial=5)
        self.shown("1d2", "1d1", 2, 5, 4, serial=6)
        self.assertEqual(self.complaints(), ["shown_twice: 1d1>2#5 at 1d2"])
        self.assertEqual(self.verdict().copies_wrong, 1)


class Devices(DeviceCase):
    """Two devices of the user 2, to whom the user 1 writes."""

    def setUp(self) -> None:
        super().setUp()
        self.registered("2d1")

    def delivered(self, k: int, second: int, *readers: str) -> None:
        self.confirmed("1", 2, k, second)
        for reader in readers:
            self.shown(reader, "1", 2, k, second + 1)

    def test_from_its_registration_on(self) -> None:
        """A device would be asked for what came before it was there, or not for what came later."""
        self.delivered(1, 2, "2d1")
        self.registered("2d2", second=3)
        self.delivered(2, 5, "2d1")
        self.assertEqual(self.complaints(), ["lost: 1>2#2 at 2d2"])

    def test_forgotten_before_it_has_shown_anything(self) -> None:
        """A device would be asked for what came before it was registered again, though it had nothing to go by."""
        self.registered("2d2")
        self.delivered(1, 2, "2d1")
        self.forgotten("2d2", 3)
        self.registered("2d2", second=4)
        self.delivered(2, 5, "2d1")
        self.delivered(3, 6, "2d1", "2d2")
        self.assertEqual(self.complaints(), ["lost: 1>2#2 at 2d2"])

    def test_order(self) -> None:
        """Messages of two senders that change their places at one device would not be noticed."""
        for sender, k in [("1", 2), ("3", 1)]:
            self.confirmed(sender, 2, k, 2)
            self.shown("2d1", sender, 2, k, 3)
        self.assertEqual(self.complaints(), ["out_of_order: 3>2#1 at 2d1 behind the serial 2"])

    def test_missed(self) -> None:
        """More, or less, would be excused than what a device was told is no longer kept."""
        self.forgotten("2d1", 3)
        for k in (1, 2, 3, 4):
            self.delivered(k, 2, *(["2d1"] if k == 1 else []))
        self.missed("2d1", 4, 1, 3, serial=4)
        self.assertEqual(self.complaints(), ["lost: 1>2#4 at 2d1"])
        self.assertEqual(self.verdict().missed, 2)

    def test_nothing_kept(self) -> None:
        """Where nothing is kept any more, what was said later would be excused, too."""
        self.forgotten("2d1", 3)
        self.delivered(1, 2)
        self.missed("2d1", 4, 0, 1)
        self.delivered(2, 5)
        self.assertEqual(self.complaints(), ["lost: 1>2#2 at 2d1"])

    def test_missed_for_no_reason(self) -> None:
        """A server that simply forgets devices would not be blamed; or one that was to, or twice for the same."""
        self.delivered(1, 2)
        self.missed("2d1", 3, 0, 1)
        self.missed("2d1", 3, 0, 1)
        self.assertEqual(self.complaints(), ["missed_for_no_reason: 2d1 lacks 0 to 1"])
        self.forgotten("2d1", 2)
        self.assertEqual(self.complaints(), [])
        self.delivered(2, 4, "2d1")
        self.missed("2d1", 6, 2, 9)
        self.assertEqual(self.complaints(), ["missed_for_no_reason: 2d1 lacks 2 to 9"])

    def test_shown_meanwhile(self) -> None:
        """A device would count as forgotten that has shown everything since it asked, where it was before."""
        self.delivered(1, 2, "2d1")
        self.delivered(2, 3, "2d1")
        self.missed("2d1", 5, 1, 2)
        self.assertEqual(self.complaints(), [])

    def test_behind(self) -> None:
        """A device that was too far behind would count as forgotten for no reason."""
        self.delivered(_BACKLOG, 2, "2d1")
        self.registered("2d2", second=1)
        self.missed("2d2", 4, 1, _BACKLOG)
        self.assertEqual(self.complaints(), [])

    def test_shown_though_gone(self) -> None:
        """A message would be shown of which the device was told that it is no longer there."""
        self.forgotten("2d1", 3)
        self.missed("2d1", 4, 0, 3, serial=4)
        self.delivered(2, 5, "2d1")
        self.assertEqual(self.complaints(), ["wrong: 1>2#2 at 2d1 after a word that it is gone"])

    def test_lost_with_the_store(self) -> None:
        """What a store lost would be asked for, or what it knew by its serial would be excused."""
        record_loss(self.folder / LOSSES, Loss(2, 9, frozenset(), {}, 7))
        self.delivered(7, 5)
        self.delivered(8, 5)
        self.assertEqual(self.complaints(), ["lost: 1>2#7 at 2d1"])

    def test_shown_again(self) -> None:
        """A device that was handed again what waits in a store that went back would show it again, unnoticed."""
        waiting = frozenset({("1", 2, 3)})
        record_loss(self.folder / LOSSES, Loss(2, 9, waiting, {}, 3))
        self.delivered(3, 3, "2d1")
        self.shown("2d1", "1", 2, 3, 12, serial=13)
        self.assertEqual(self.complaints(), ["shown_twice: 1>2#3 at 2d1"])

    def test_registered_in_what_was_lost(self) -> None:
        """A device whose registration was lost would be asked for what came before it was back."""
        record_loss(self.folder / LOSSES, Loss(0.5, 9, frozenset(), {}, 3))
        self.delivered(20, 10)
        self.registered("2d1", second=12)
        self.delivered(21, 13)
        self.assertEqual(self.complaints(), ["lost: 1>2#21 at 2d1"])


class Events(DeviceCase):
    """The device ``1d1`` has edited what it wrote to the user 2; it has another device, and 2 has one."""

    def setUp(self) -> None:
        super().setUp()
        self.registered("1d1", "1d2", "2d1")
        self.confirmed("1d1", 2, 5, 2)
        for reader in ("1d2", "2d1"):
            self.shown(reader, "1d1", 2, 5, 3)
        self.note("1d1", 4, "v 5 1 2 5")
        self.note("1d1", 5, "vk 5 1")

    def told(self, reader: str, second: int, place: int, serial: int = 6, n: int = 1) -> None:
        self.note(reader, second, f"vs {serial} {serial} 4000 edited 1 {place} 5 {n}")

    def all_told(self) -> None:
        self.told("1d2", 6, 2)
        self.told("2d1", 6, 1)

    def test_owed(self) -> None:
        """An event that a device was not shown would not be missing to anybody."""
        lost = [f"lost: edited 1d1>2#5 at {reader}" for reader in ("1d2", "2d1")]
        self.assertEqual(self.complaints(), lost)
        self.all_told()
        verdict = self.verdict()
        self.assertEqual((verdict.examples, verdict.owed, verdict.events), ([], 4, 2))

    def test_twice(self) -> None:
        """An event would pass that was shown again, though its change was asked for once."""
        self.all_told()
        self.told("2d1", 7, 1, serial=7)
        self.assertEqual(self.complaints(), ["shown_twice: edited 5 at 2d1"])

    def test_tries(self) -> None:
        """An event would not pass that was stored by a first try, and again by the one that was confirmed."""
        self.note("1d1", 6, "v 5 2 2 5")
        self.note("1d1", 7, "v 5 2 2 5")
        self.note("1d1", 8, "vk 5 2")
        self.all_told()
        for serial in (7, 8):
            self.told("1d2", 9, 2, serial, 2)
            self.told("2d1", 9, 1, serial, 2)
        self.assertEqual(self.complaints(), [])

    def test_order(self) -> None:
        """An event would pass that was shown behind a later message."""
        self.confirmed("1d1", 2, 9, 6)
        for reader, place in (("1d2", 2), ("2d1", 1)):
            self.shown(reader, "1d1", 2, 9, 7)
            self.told(reader, 8, place)
        self.assertEqual(self.verdict().out_of_order, 2)

    def test_others(self) -> None:
        """An event would pass at the device that made it, or one that nobody has made, or that says something else."""
        self.all_told()
        self.told("1d1", 7, 2)
        self.told("2d1", 8, 1, serial=8, n=2)
        self.told("2d1", 9, 7, serial=9)
        verdict = self.verdict()
        self.assertEqual((verdict.misdirected, verdict.wrong), (1, 2))

    def test_missed(self) -> None:
        """An event would be asked for that a device was told of as no longer kept, or that a store has lost."""
        self.told("1d2", 6, 2)
        self.forgotten("2d1", 3)
        self.missed("2d1", 7, 5, 8)
        self.assertEqual((self.complaints(), self.verdict().missed), ([], 1))
        self.confirmed("1d1", 2, 9, 11)
        self.note("1d1", 12, "v 9 1 2 9")
        self.note("1d1", 13, "vk 9 1")
        record_loss(self.folder / LOSSES, Loss(10, 15, frozenset(), {}, 8))
        self.assertEqual((self.verdict().lost, self.verdict().lost_with_store), (0, 4))
