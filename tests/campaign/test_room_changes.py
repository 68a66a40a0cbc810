"""What the campaign of faults complains of where messages in rooms are edited and retracted."""

from __future__ import annotations

from tests.campaign.room_case import ROOM, RoomCase


class Changed(RoomCase):
    """The user 1 has edited, or retracted, what it said in the room."""

    def setUp(self) -> None:
        super().setUp()
        self.confirmed("1d1", 1, 3, 30, "2d1")

    def asked(self, n: int, second: int) -> None:
        self.note("1d1", second, f"v 30 {n} -{ROOM} 1")
        self.note("1d1", second + 1, f"vk 30 {n}")

    def told(self, second: int, n: int, *readers: str, serial: int = 50) -> None:
        event = "edited" if n else "retracted"
        for reader in readers:
            words = f"{serial} {serial} {(second - 1) * 1000} {event} 1 30 {n}"
            self.note(reader, second, f"rv {ROOM} {words}")

    def test_owed(self) -> None:
        """An edit that a member, or the device which made it, was not told of would not be missed."""
        self.asked(1, 4)
        lost = [f"lost: room 7 edited 1 of 30 at {reader}" for reader in ("1d1", "2d1")]
        self.assertEqual(self.complaints(), lost)
        self.told(6, 1, "1d1", "2d1")
        verdict = self.verdict()
        self.assertEqual((verdict.examples, verdict.edits), ([], 1))

    def test_outside(self) -> None:
        """An edit that was stored after a member left would be asked for."""
        self.changed(4, 40, "left", 2, 2, "1d1", "2d1")
        self.left("2d1", 4)
        self.asked(1, 4)
        self.told(6, 1, "1d1")
        self.assertEqual(self.complaints(), [])
        self.told(7, 1, "2d1")
        self.assertEqual(self.verdict().leaked, 1)

    def test_retracted(self) -> None:
        """A member would be asked to have shown what was retracted before, or its edits; or not the retraction."""
        self.note("2d2", 0, "l")
        self.shown_event("2d2", 2, self.changes[-1])
        self.asked(1, 4)
        self.told(5, 1, "1d1", "2d1", serial=45)
        self.asked(0, 6)
        self.told(7, 0, "1d1", "2d1")
        verdict = self.verdict()
        self.assertEqual(verdict.examples, ["lost: room 7 retracted 0 of 30 at 2d2"])
        self.assertEqual((verdict.retracted, verdict.retractions), (2, 1))

    def test_twice(self) -> None:
        """An edit that was shown more often than it was asked for would pass, or one that nobody has asked for."""
        self.asked(1, 4)
        self.told(6, 1, "1d1", "2d1")
        self.told(7, 1, "2d1", serial=60)
        self.told(8, 2, "2d1", serial=70)
        verdict = self.verdict()
        self.assertEqual((verdict.shown_twice, verdict.wrong), (1, 1))
