"""PHC strings: what can be told from a stored value alone."""

from __future__ import annotations

from argon2 import PasswordHasher
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.accounts.phc import is_hashed, is_locked, is_sound, lock, unlock

PHC = PasswordHasher(1, 16, 1).hash("secret")


class StoredValueTests(SynchronousTestCase):
    """What can be told from a stored value alone."""

    def test_hashes(self) -> None:
        """A hash would be taken for a plain password, and so for a password itself."""
        for stored in (PHC, "!" + PHC, "$argon2i$v=19$m=8,t=1,p=1$c2FsdA$aGFzaA", "$argon2id$"):
            self.assertTrue(is_hashed(stored))
        for stored in ("", "secret", "$argon2", "$2b$12$x", "!secret", "!!" + PHC, " " + PHC):
            self.assertFalse(is_hashed(stored))

    def test_locked(self) -> None:
        """An old plain password that begins with ! would lock its owner out."""
        self.assertTrue(is_locked("!" + PHC))
        for stored in ("", "!", "!secret", PHC, "!!" + PHC):
            self.assertFalse(is_locked(stored))

    def test_lock_and_unlock(self) -> None:
        """An unlocked account would not have its old password back."""
        self.assertTrue(is_locked(lock(PHC)))
        self.assertEqual(lock(lock(PHC)), lock(PHC))
        self.assertEqual(unlock(lock(PHC)), PHC)
        self.assertEqual(unlock(PHC), PHC)

    def test_sound(self) -> None:
        """A damaged hash would be moved over, and nobody could log in with it."""
        for phc in (PHC, lock(PHC)):
            self.assertTrue(is_sound(phc))
        for damaged in (PHC[:20], f"!{PHC[:20]}", "$argon2id$", "plain", ""):
            self.assertFalse(is_sound(damaged), damaged)

    def test_lock_of_plain_text(self) -> None:
        """Locking an old account would merely change its password."""
        self.assertRaises(ValueError, lock, "secret")

    @given(st.text(st.characters(exclude_categories=()), max_size=9))
    def test_plain_text_stays(self, stored: str) -> None:
        """A plain password would lose its first character."""
        self.assertEqual(unlock(stored), stored)
