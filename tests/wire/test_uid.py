"""Uids as people type them."""

from __future__ import annotations

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire.uid import possible_uid


class PossibleUidTests(SynchronousTestCase):
    """Uids that admins type."""

    def test_range(self) -> None:
        """An admin's uid that no store can hold, or that is none, would be taken, or one that can be refused."""
        for word in (
            str(2**63),
            str(-(2**63) - 1),
            "1" + "0" * 400,
            "１",
            "1_0",
            "0x10",
            "1.5",
            "",
            " 1",
        ):
            self.assertIsNone(possible_uid(word), word)
        for word in ("0", "-1", str(-(2**63)), str(2**63 - 1), "007"):
            self.assertEqual(possible_uid(word), int(word))
