"""How long a log-in waits before it may end another one."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.limits.take_overs import TakeOverBrake

ALICE, BOB = 10001, 10002


class TakeOverBrakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.brake = TakeOverBrake(self.clock.seconds)

    def test_in_a_row(self) -> None:
        """The first would wait, later ones not longer than it, one wait for ever, or others with them."""
        waits = []
        for _ in range(8):
            waits.append(self.brake.wait(ALICE))
            self.brake.happened(ALICE)
            self.clock.advance(14)
        self.assertEqual(waits, [0, 1, 2, 4, 8, 8, 8, 8])
        self.assertEqual(self.brake.wait(BOB), 0)

    def test_by_device(self) -> None:
        """Two programs that fight for one device would make the user's other devices wait."""
        self.brake.happened(ALICE, "d" * 16)
        waits = [self.brake.wait(ALICE, device) for device in ("d" * 16, "b" * 16, "")]
        self.assertEqual(waits, [1, 0, 0])

    def test_forgotten(self) -> None:
        """Somebody who logs in elsewhere some minutes later would have to wait."""
        for _ in range(5):
            self.brake.happened(ALICE)
        self.clock.advance(15.1)
        self.assertEqual(self.brake.wait(ALICE), 0)
        self.brake.happened(ALICE)
        self.assertEqual(self.brake.wait(ALICE), 1)
