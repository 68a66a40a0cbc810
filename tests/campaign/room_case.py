"""Journals of two users in a room, as the tests of what the campaign of faults complains of make them."""

from __future__ import annotations

from pathlib import Path

from twisted.trial.unittest import TestCase

from benchmarks.campaign.rooms.court import judge_rooms
from benchmarks.campaign.rooms.history import Change, write_history
from benchmarks.campaign.rooms.verdict import RoomVerdict

ROOM = 7
WINDOW = 100


class RoomCase(TestCase):
    """
    The user 1 has made a room in the second 1, with the serial 10, and the user 2 has joined in the second 2, with 20.

    Everything happens at full seconds. Ids are serials; ``1d1`` and ``2d1`` are devices, there from the first second.
    """

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.changes: list[Change] = []
        for device in ("1d1", "2d1"):
            self.note(device, 0, "l")
        self.changed(1, 10, "created", 1, 1, "1d1")
        self.changed(2, 20, "joined", 2, 2, "1d1", "2d1")

    def note(self, owner: str, second: int, words: str) -> None:
        with (self.folder / f"{owner}.journal").open("a") as file:
            file.write(f"{second} {words}\n")

    def changed(
        self, second: int, serial: int, event: str, by: int, user: int, *readers: str
    ) -> None:
        """SQL has a change, and these readers were shown it."""
        version = len(self.changes) + 1
        change = Change(ROOM, version, second, event, by, user, serial, serial)
        self.changes.append(change)
        for reader in readers:
            self.shown_event(reader, second, change)

    def shown_event(self, reader: str, second: int, change: Change) -> None:
        words = f"{change.id} {change.serial} {second * 1000} {change.event} {change.by}"
        self.note(reader, second, f"re {ROOM} {words} {change.user}")

    def said(self, sender: str, k: int, second: int) -> None:
        self.note(sender, second, f"o -{ROOM} {k} {k}")

    def confirmed(self, sender: str, k: int, second: int, serial: int, *readers: str) -> None:
        """A message was said and confirmed in that second, and shown to these readers in the next."""
        self.said(sender, k, second)
        self.note(sender, second, f"c -{ROOM} {k} {second * 1000} {serial} {serial}")
        for reader in readers:
            self.shown(reader, sender, k, second + 1, serial)

    def shown(self, reader: str, sender: str, k: int, second: int, serial: int) -> None:
        words = f"rs {ROOM} {serial} {serial} {sender} {k} {(second - 1) * 1000}"
        self.note(reader, second, words)

    def left(self, reader: str, second: int, why: str = "left") -> None:
        self.note(reader, second, f"rl {ROOM} {why}")

    def verdict(self) -> RoomVerdict:
        write_history(self.folder, self.changes)
        return judge_rooms(self.folder, window=WINDOW)

    def complaints(self) -> list[str]:
        return self.verdict().examples
