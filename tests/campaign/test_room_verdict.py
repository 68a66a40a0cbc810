"""What the campaign of faults complains of in rooms."""

from __future__ import annotations

from benchmarks.campaign.forgettings import FORGETTINGS
from benchmarks.campaign.losses import LOSSES, Loss, record_loss
from benchmarks.campaign.rooms.history import Change
from tests.campaign.room_case import ROOM, RoomCase


class Owed(RoomCase):
    """What a device must be shown."""

    def test_all_well(self) -> None:
        """A campaign in which nothing is wrong would be blamed, or nothing be counted."""
        self.confirmed("1d1", 1, 3, 30, "2d1")
        verdict = self.verdict()
        self.assertEqual((verdict.examples, verdict.is_broken), ([], False))
        self.assertEqual((verdict.confirmed, verdict.changes, verdict.owed), (1, 2, 4))

    def test_lost(self) -> None:
        """A message that a member was never shown would not be missed by anybody."""
        self.confirmed("1d1", 1, 3, 30)
        self.assertEqual(self.complaints(), ["lost: 1d1>room 7#1 at 2d1"])
        self.assertEqual(self.verdict().passed_over, 0)
        self.confirmed("1d1", 2, 4, 40, "2d1")
        self.assertEqual(self.verdict().passed_over, 1)

    def test_lost_event(self) -> None:
        """An event that a member was never shown would not be missed."""
        self.changed(3, 30, "changed", 1, 0, "1d1")
        self.assertEqual(self.complaints(), ["lost: room 7 changed 30 at 2d1"])

    def test_another_device_of_the_sender(self) -> None:
        """The sender's other device would not be asked for what it was not shown, or the sender itself would."""
        self.note("1d2", 0, "l")
        self.confirmed("1d1", 1, 3, 30, "2d1")
        for change in self.changes:
            self.shown_event("1d2", 3, change)
        self.assertEqual(self.complaints(), ["lost: 1d1>room 7#1 at 1d2"])

    def test_before_the_joining(self) -> None:
        """What was said before somebody joined would be asked for."""
        self.confirmed("1d1", 1, 1, 15)
        self.confirmed("1d1", 2, 3, 30, "2d1")
        self.assertEqual(self.complaints(), [])

    def test_after_the_end(self) -> None:
        """What was said after somebody left would be asked for, or not what was said just before."""
        self.confirmed("1d1", 1, 3, 30)
        self.changed(4, 40, "left", 2, 2, "1d1", "2d1")
        self.left("2d1", 4)
        self.confirmed("1d1", 2, 5, 50)
        self.assertEqual(self.complaints(), ["lost: 1d1>room 7#1 at 2d1"])

    def test_joined_again(self) -> None:
        """What was said while somebody was away would be asked for, or not what was said after the return."""
        self.changed(4, 40, "removed", 1, 2, "1d1", "2d1")
        self.left("2d1", 4, "removed")
        self.confirmed("1d1", 1, 5, 50)
        self.changed(6, 60, "joined", 2, 2, "1d1", "2d1")
        self.confirmed("1d1", 2, 7, 70)
        self.assertEqual(self.complaints(), ["lost: 1d1>room 7#2 at 2d1"])

    def test_before_the_registration(self) -> None:
        """A device would be asked for what was said before it was there, or not for what came later."""
        self.confirmed("1d1", 1, 3, 30, "2d1")
        self.note("2d2", 4, "l")
        self.confirmed("1d1", 2, 5, 50, "2d1")
        self.assertEqual(self.complaints(), ["lost: 1d1>room 7#2 at 2d2"])

    def test_forgotten_before_it_has_shown_anything(self) -> None:
        """A device that was registered anew, and could not name the room, would be asked for what came before."""
        self.note("2d2", 2, "l")
        self.confirmed("1d1", 1, 3, 30, "2d1")
        with (self.folder / FORGETTINGS).open("a") as file:
            file.write("4 f 2d2\n")
        self.note("2d2", 5, "l")
        self.confirmed("1d1", 2, 6, 60, "2d1", "2d2")
        self.assertEqual(self.complaints(), [])

    def test_a_room_that_it_never_knew(self) -> None:
        """A device that was away while its user was a member, and cannot name the room, would be asked for it."""
        self.note("2d2", 0, "l")
        self.confirmed("1d1", 1, 3, 30, "2d1")
        self.changed(4, 40, "left", 2, 2, "1d1", "2d1")
        self.left("2d1", 4)
        self.assertEqual(self.complaints(), [])

    def test_without_its_serial(self) -> None:
        """A message that was confirmed as a duplicate, without its serial, would be missing to nobody."""
        self.confirmed("1d1", 1, 3, 30, "2d1")
        self.confirmed("1d1", 2, 4, 0)
        self.confirmed("1d1", 3, 5, 50, "2d1")
        self.assertEqual(self.complaints(), ["lost: 1d1>room 7#2 at 2d1"])

    def test_between_two_memberships(self) -> None:
        """Somebody would be asked for a message of which nobody knows whether it came before the end."""
        self.confirmed("1d1", 1, 3, 30, "2d1")
        self.changed(4, 40, "left", 2, 2, "1d1", "2d1")
        self.left("2d1", 4)
        self.confirmed("1d1", 2, 4, 0)
        self.confirmed("1d1", 3, 5, 50)
        self.assertEqual((self.complaints(), self.verdict().unplaced), ([], 1))


class Shown(RoomCase):
    """What a device must not be shown."""

    def test_twice(self) -> None:
        """A message that a device is shown again would not be noticed."""
        self.confirmed("1d1", 1, 3, 30, "2d1")
        self.shown("2d1", "1d1", 1, 5, 50)
        verdict = self.verdict()
        self.assertEqual(verdict.examples[0], "shown_twice: 1d1>room 7#1 at 2d1")

    def test_event_twice(self) -> None:
        """An event that a device is shown again would not be noticed."""
        self.shown_event("2d1", 3, self.changes[1])
        self.assertEqual(self.complaints(), ["shown_twice: room 7 joined 20 at 2d1"])

    def test_under_two_serials(self) -> None:
        """A message that stands in the log twice would not be noticed, if each reader is shown one of them."""
        self.confirmed("1d1", 1, 3, 30)
        self.shown("2d1", "1d1", 1, 5, 50)
        self.assertEqual(self.complaints(), ["shown_twice: 1d1>room 7#1 at 2d1"])

    def test_order(self) -> None:
        """Messages of two senders that change their places would not be noticed."""
        self.confirmed("2d2", 1, 3, 30)
        self.confirmed("1d1", 1, 3, 35, "2d1")
        self.shown("2d1", "2d2", 1, 5, 30)
        self.shown("1d1", "2d2", 1, 5, 30)
        self.assertEqual(self.complaints(), ["out_of_order: 2d2>room 7#1 at 2d1"])

    def test_order_of_one_sender(self) -> None:
        """Messages of one sender that stand in the log in another order than they were said would not be noticed."""
        self.confirmed("1d1", 2, 3, 30, "2d1")
        self.confirmed("1d1", 1, 4, 40, "2d1")
        self.assertEqual(self.complaints(), ["out_of_order: 1d1>room 7#2"])

    def test_before_the_joining(self) -> None:
        """Nobody would complain that a member is handed what was said before the joining."""
        self.confirmed("1d1", 1, 1, 15)
        self.shown("3d1", "1d1", 1, 3, 15)
        self.note("3d1", 0, "l")
        self.changed(4, 40, "joined", 3, 3, "1d1", "2d1", "3d1")
        self.assertEqual(self.complaints(), ["leaked: 1d1>room 7#1 at 3d1"])

    def test_after_the_end(self) -> None:
        """Nobody would complain that somebody is handed what was said after the end."""
        self.changed(4, 40, "removed", 1, 2, "1d1", "2d1")
        self.left("2d1", 4, "removed")
        self.confirmed("1d1", 1, 5, 50, "2d1")
        self.left("2d1", 7, "removed")
        self.assertIn("leaked: 1d1>room 7#1 at 2d1", self.complaints())

    def test_to_a_text_session(self) -> None:
        """Nobody would complain that a session of the text dialect is shown what is not for it."""
        self.note("3t", 0, "a")
        self.confirmed("1d1", 1, 3, 30, "2d1")
        self.note("3t", 4, f"rs {ROOM} 0 0 1d1 1 3000")
        self.assertEqual(self.complaints(), ["leaked: 1d1>room 7#1 at 3t"])

    def test_to_its_sender(self) -> None:
        """Nobody would complain that a device is handed what it has sent."""
        self.confirmed("1d1", 1, 3, 30, "1d1", "2d1")
        self.assertEqual(self.complaints(), ["misdirected: 1d1>room 7#1 at 1d1"])

    def test_refused(self) -> None:
        """Nobody would complain that a message is shown of which its sender was told that nobody gets it."""
        self.said("1d1", 1, 3)
        self.note("1d1", 4, f"x -{ROOM} 1")
        self.shown("2d1", "1d1", 1, 5, 30)
        self.assertEqual(self.complaints(), ["misdirected: 1d1>room 7#1 at 2d1"])

    def test_an_event_that_never_was(self) -> None:
        """A device would be shown an event that SQL does not know, or knows otherwise, and nobody would complain."""
        self.note("2d1", 3, f"re {ROOM} 30 30 3000 role 1 2")
        self.assertEqual(self.complaints(), ["wrong: room 7 role 30 at 2d1"])
        self.changed(3, 30, "role", 1, 3, "1d1")
        self.assertEqual(self.complaints(), ["wrong: room 7 role 30 at 2d1"])


class Members(RoomCase):
    """Who may send, and until when."""

    def test_taken_from_who_is_no_member(self) -> None:
        """Nobody would complain that a message is taken from somebody who was never a member."""
        self.confirmed("3d1", 1, 3, 30, "1d1", "2d1")
        self.assertEqual(self.complaints(), ["leaked: 3d1>room 7#1 of no member"])

    def removed(self, asked: int, done: int) -> None:
        self.note("1d1", asked, f"rq {ROOM} remove 2")
        self.note("1d1", done, f"rk {ROOM} remove 2")

    def test_a_removal_that_did_not_hold(self) -> None:
        """A removal would be confirmed and never carried out, or only later, and nobody would complain."""
        self.removed(3, 4)
        self.confirmed("2d1", 1, 5, 50, "1d1")
        self.confirmed("1d1", 1, 5, 51, "2d1")
        self.assertEqual(
            self.complaints(),
            ["leaked: 2d1>room 7#1 after the end", "leaked: 1d1>room 7#1 at 2d1"],
        )

    def test_removed_and_come_back(self) -> None:
        """Somebody who was removed, and let in again, would be blamed for what is said since."""
        self.changed(3, 30, "removed", 1, 2, "1d1", "2d1")
        self.left("2d1", 3, "removed")
        self.changed(4, 40, "joined", 2, 2, "1d1", "2d1")
        self.removed(3, 4)
        self.confirmed("2d1", 1, 5, 50, "1d1")
        self.assertEqual(self.complaints(), [])

    def test_refused_though_a_member(self) -> None:
        """A member's message would be refused as that of somebody else, and nobody would complain."""
        self.said("2d1", 1, 3)
        self.note("2d1", 4, f"x -{ROOM} 1")
        self.note("2d1", 4, f"rf {ROOM} 1 not-a-member")
        self.assertEqual(self.complaints(), ["refused_for_no_reason: 2d1>room 7#1"])
        self.changed(4, 40, "left", 2, 2, "1d1", "2d1")
        self.left("2d1", 4)
        self.assertEqual(self.complaints(), [])

    def test_left_in_the_middle(self) -> None:
        """A member would be told that the membership has ended before its last event, and nobody would complain."""
        self.left("2d1", 3)
        self.assertEqual(self.complaints(), ["wrong: 2d1 left room 7 in the middle"])

    def test_not_told_of_the_end(self) -> None:
        """A device would never be told that its user is a member no longer, and nobody would complain."""
        self.changed(3, 30, "closed", 1, 0, "1d1", "2d1")
        self.left("1d1", 3, "closed")
        self.assertEqual(self.complaints(), ["wrong: 2d1 is not told of the end in room 7"])

    def test_unfinished(self) -> None:
        """A change that never gets into the log would not be noticed."""
        self.changes.append(Change(ROOM, 3, 3, "left", 2, 2, 0, 0))
        self.assertEqual(self.complaints(), ["unfinished: room 7 version 3"])


class Window(RoomCase):
    """What is no longer kept."""

    def missed(self, second: int, until: int, serial: int) -> None:
        self.note("2d1", second, f"rm {ROOM} 20 {until} {serial}")

    def test_missed(self) -> None:
        """More, or less, would be excused than what a device was told of as no longer kept."""
        for k in (1, 2, 3):
            self.confirmed("1d1", k, 2 + k, 10 * (2 + k))
        self.confirmed("1d1", 4, 8, 400)
        self.missed(9, 40, 50)
        self.shown("2d1", "1d1", 4, 9, 400)
        self.assertEqual(self.complaints(), ["lost: 1d1>room 7#3 at 2d1"])
        self.assertEqual(self.verdict().missed, 2)

    def test_for_no_reason(self) -> None:
        """A server that keeps less than the window would not be blamed."""
        self.confirmed("1d1", 1, 3, 30)
        self.missed(4, 30, 40)
        self.assertEqual(self.complaints(), ["missed_for_no_reason: 2d1 lacks up to 30 in room 7"])

    def test_text(self) -> None:
        """A text session would be asked for what another device has shown or was far back, or for nothing at all."""
        self.note("3t", 2, "a")
        self.changed(3, 30, "joined", 3, 3, "1d1", "2d1")
        self.confirmed("1d1", 1, 4, 40, "2d1")
        self.assertEqual(self.complaints(), ["lost: 1d1>room 7#1 at 3t"])
        for k in range(2, 60):
            self.confirmed("1d1", k, 5, 40 + k, "2d1")
            self.note("3t", 9, f"rs {ROOM} 0 0 1d1 {k} 5000")
        self.assertEqual(self.complaints(), ["lost: 1d1>room 7#1 at 3t"])
        self.note("3t", 8, "a")
        self.assertEqual(self.complaints(), [])


class Losses(RoomCase):
    """A store that went back from the second 20 to the second 10: the last serial that came back was 100."""

    def setUp(self) -> None:
        super().setUp()
        record_loss(self.folder / LOSSES, Loss(10, 20, frozenset(), {}, 100))

    def test_lost_with_the_store(self) -> None:
        """What the store lost would be asked for, or more would be excused than that."""
        self.confirmed("1d1", 1, 9, 90)
        self.confirmed("1d1", 2, 15, 150)
        self.confirmed("1d1", 3, 25, 250)
        self.assertEqual(
            self.complaints(), ["lost: 1d1>room 7#1 at 2d1", "lost: 1d1>room 7#3 at 2d1"]
        )
        self.assertEqual((self.verdict().lost_with_store, self.verdict().owed), (1, 5))

    def test_shown_again(self) -> None:
        """A message, or an event, that the store lost would not be excused when it comes again, or too often."""
        self.said("1d1", 1, 15)
        self.shown("2d1", "1d1", 1, 15, 150)
        lost = Change(ROOM, 3, 16, "changed", 1, 0, 160, 160)
        self.shown_event("2d1", 16, lost)
        self.changed(16, 210, "changed", 1, 0)
        for reader in ("1d1", "2d1"):
            self.shown_event(reader, 21, self.changes[-1])
        self.note("1d1", 25, f"c -{ROOM} 1 22000 220 220")
        self.shown("2d1", "1d1", 1, 23, 220)
        self.assertEqual((self.complaints(), self.verdict().shown_again), ([], 1))
        self.shown("2d1", "1d1", 1, 26, 260)
        again = "shown_twice: 1d1>room 7#1 at 2d1"
        self.assertEqual(
            self.complaints(), [again, again]
        )  # and under another serial than it was confirmed

    def test_missed(self) -> None:
        """A device would be blamed for what went with a whole log, or excused for more than one such word."""
        self.note("2d1", 21, f"rm {ROOM} 20 300 0")
        self.note("2d1", 22, f"rm {ROOM} 20 300 0")
        self.assertEqual(self.complaints(), [])
        self.confirmed("1d1", 1, 23, 310, "2d1")
        self.note("2d1", 25, f"rm {ROOM} 310 320 0")
        lacks = "missed_for_no_reason: 2d1 lacks up to 320 in room 7"
        self.assertEqual(self.complaints(), [lacks])

    def test_a_joining_that_was_lost(self) -> None:
        """What was shown behind a joining that the store lost, and has under another serial now, would be leaked."""
        self.note("3d1", 0, "l")
        self.said("1d1", 1, 15)
        self.shown("3d1", "1d1", 1, 16, 150)
        self.changed(14, 210, "joined", 3, 3)
        for reader in ("1d1", "2d1", "3d1"):
            self.shown_event(reader, 21, self.changes[-1])
        self.assertEqual(self.complaints(), [])
