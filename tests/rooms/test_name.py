"""The names of rooms."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.accounts.names import MAX_BYTES, BadName, fold
from chatsvc.handlers import room_messages
from chatsvc.rooms import name as module
from chatsvc.rooms.name import enforce_room_name, room_key

GOOD = {
    "dev": "dev",
    "Dev-2.0": "Dev-2.0",
    "运维": "运维",
    "ｄｅｖ": "dev",
    "a" * 32: "a" * 32,
    "𝕺" * 32: "O" * 32,
}
BAD = (
    *("", " ", "a b", "a\u3000b", "#dev", "＃dev", "a#", "a[", "a]", "a|b", "a｜b"),
    *("a" * 33, "a\nb", "a\0", "\u0301a", "uid7", "\ud800", "a\u200bb", "\u2800"),
)
EQUAL = (("dev", "DEV"), ("dev", "ｄｅｖ"), ("cafe\u0301", "CAFÉ"), ("ﬁ", "fi"))


class NameTests(SynchronousTestCase):
    def test_good(self) -> None:
        """A room could not be called so, or be called something else than what is shown."""
        for raw, stored in GOOD.items():
            self.assertEqual(enforce_room_name(raw), stored)
            self.assertEqual(enforce_room_name(stored), stored)

    def test_bad(self) -> None:
        """A name could be taken for another part of a message's header, or not be typed in a command."""
        for raw in BAD:
            with self.assertRaises(BadName, msg=ascii(raw)):
                enforce_room_name(raw)

    def test_equal(self) -> None:
        """Two rooms could have names that look alike, as two users cannot."""
        for one, other in EQUAL:
            self.assertEqual(room_key(one), room_key(other))
            self.assertNotEqual(room_key(one), b"")
        self.assertNotEqual(room_key("dev"), room_key("dév"))
        self.assertEqual(room_key("x" * 1000), b"")

    def setUp(self) -> None:
        self.folded: list[str] = []

    def fold(self, raw: str) -> str:
        """Note what is folded."""
        self.folded.append(raw)
        return fold(raw)

    def test_as_long_as_a_frame(self) -> None:
        """Such a name would be folded for a second, and kept in a cache with thousands of others (P8)."""
        self.patch(module, "fold", self.fold)
        subscription = SimpleNamespace(feed=SimpleNamespace(name="dev"))
        user = cast(Any, SimpleNamespace(rooms=SimpleNamespace(subscriptions={7: subscription})))
        before = room_messages._key.cache_info().currsize
        for name in ("a" + "\u0301\u0327" * 15_000, "a" * (MAX_BYTES + 1)):
            self.assertEqual(room_key(name), b"")
            self.assertIsNone(room_messages._number_of(user, name))
        self.assertEqual((self.folded, room_messages._key.cache_info().currsize), ([], before))
        self.assertEqual(room_messages._number_of(user, "ＤＥＶ"), 7)
        self.assertIsNone(room_messages._number_of(user, "e" * MAX_BYTES))
