"""The form of a password: what it is, and which texts have none."""

from __future__ import annotations

import time
import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from precis_i18n import get_profile
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.accounts.opaque_string import BadPassword, enforce, form_of

SEARCHED_FOR = st.text(
    "lא\u05f3·\u0375α\u30fbア\u0661\u0662\u06f1\u200c\u200d\u0628क् e\u0301\u3000\t"
)
"""Texts full of characters that depend on others."""


class FormTests(SynchronousTestCase):
    def test_forms(self) -> None:
        """One password would be several, depending on the keyboard."""
        for raw, form in (
            ("secret", "secret"),
            ("cafe\u0301", "caf\u00e9"),
            ("caf\u00e9", "caf\u00e9"),
            ("a\u3000b\u00a0c\u2003d", "a b c d"),
            ("  ", "  "),
            ("Ａ①ﬁ", "Ａ①ﬁ"),  # no compatibility mapping, no case mapping (RFC 8265, section 4.2.2)
            ("密码", "密码"),
            ("x" * 1024, "x" * 1024),
            ("密" * 341, "密" * 341),
        ):
            self.assertEqual(enforce(raw), form, ascii(raw))

    def test_refused(self) -> None:
        """An account could get a password that nobody can type, that is lost on its way, or that costs too much."""
        for length in ("", "x" * 1025, "密" * 342, "x\ud800", "\U0001d15e" * 256):
            self.assertIn("1 to 1024 bytes", self.refusal(length))
        for raw in (
            *"\t\n\r\0\x1b\x7f\x85",
            "\u2028",
            "\u200b",
            "\ufeff",
            "\u00ad",
            "\u202e",
            "\ue000",
            "\uffff",
        ):
            for text in (raw, f"{raw}a", f"a{raw}", f"é{raw}"):
                line = self.refusal(text)
                self.assertIn("leave it out", line)
                self.assertEqual(line, self.refusal("\n"), "it would show a part of the password")
                self.assertEqual(form_of(text), text)

    def refusal(self, raw: str) -> str:
        """What is said of a text that no password may be."""
        with self.assertRaises(BadPassword) as caught:
            enforce(raw)
        return str(caught.exception)

    @given(st.one_of(SEARCHED_FOR, st.text()))
    def test_as_the_profile(self, raw: str) -> None:
        """A password could be had here and not in another program that keeps to RFC 8265."""
        try:
            expected = get_profile("OpaqueString").enforce(raw)
        except UnicodeEncodeError:
            with self.assertRaises(BadPassword):
                enforce(raw)
            return
        self.assertEqual(enforce(raw), expected)
        self.assertEqual(enforce(expected), expected)
        self.assertEqual(enforce(unicodedata.normalize("NFD", raw)), expected)

    def test_quick(self) -> None:
        """A stranger's registrations would hold up everybody's messages, 30 ms each."""
        for hostile in ("\u0661" * 511 + "\t", "\u06f1" * 512, "\u30fb" * 340 + "ア"):
            form_of(hostile)
            began = time.thread_time()
            form_of(hostile)
            self.assertLess(time.thread_time() - began, 0.008)
