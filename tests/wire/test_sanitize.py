"""Texts made safe to show."""

from __future__ import annotations

import unicodedata

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire.sanitize import sanitized, sanitized_lines
from tests.wire.samples import ANY, PATIENT


class HarmlessTests(SynchronousTestCase):
    """Texts that would pass for something else."""

    @given(ANY)
    @PATIENT
    def test_no_control_characters(self, text: str) -> None:
        """A text could drive a terminal."""
        shown = sanitized(text)
        controls = {ch for ch in shown if unicodedata.category(ch) in ("Cc", "Zl", "Zp")}
        self.assertLessEqual(controls, {"\n"})
        self.assertNotRegex(shown, "[\u202a-\u202e\u2066-\u206f\ufff9-\ufffb]")

    @given(ANY)
    @PATIENT
    def test_every_further_line_is_indented(self, text: str) -> None:
        """A line of a text could pass for another sender's header."""
        for line in sanitized(text).split("\n")[1:]:
            self.assertTrue(line.startswith("    "), repr(line))
        for line in sanitized(text).splitlines()[1:]:
            self.assertTrue(line.startswith("    "), repr(line))

    @given(ANY)
    @PATIENT
    def test_lines_of_our_own(self, text: str) -> None:
        """What is harmless already would be changed once more, or a line be lost."""
        self.assertEqual(sanitized_lines(sanitized(text)), sanitized(text))
        self.assertEqual(sanitized_lines("a\nb\x1b\n\n"), "a\nb␛\n\n")

    def test_everyday_texts(self) -> None:
        """An ordinary text would be shown otherwise than it was written."""
        for text in (
            "你好\u3000世界",
            unicodedata.normalize("NFD", "tiếng Việt, 한국어"),
            "क्ष्म्य हिन्दी",
            "می‌خواهم",
            "שָׁלוֹם\u200f!",
            "ก็ที่",
            "👨‍👩‍👧‍👦 🏴\U000e0067\U000e0062\U000e0077\U000e006c\U000e0073\U000e007f 1️⃣",
            "\u0f67\u0f90\u0fb5\u0fa8\u0fb3\u0fba\u0fbc\u0fbb\u0f82",
        ):
            self.assertEqual(sanitized(text), text, ascii(text))

    @given(st.text(st.characters(exclude_categories=["C", "Z"]) | st.just(" ")))
    @PATIENT
    def test_printable_is_untouched(self, text: str) -> None:
        """An ordinary text would be shown otherwise than it was written."""
        for part in (text[i : i + 8] for i in range(0, len(text), 8)):
            self.assertEqual(sanitized(part), part)

    def test_stacks(self) -> None:
        """Marks without end would run over the lines around them, and hidden characters carry what nobody sees."""
        self.assertEqual(sanitized("x" + "\u0301" * 9 + "y"), "x" + "\u0301" * 8 + "\ufffdy")
        for piece in (
            "\u0301",
            "\u0301\u200d",
            "\u0e49",
            "\u0489\U000e0101",
            "\U000e0041",
            "\u1161",
        ):
            shown = sanitized("x" + piece * 2000 + "y")
            self.assertLessEqual(len(shown), 11, ascii(piece))
            self.assertTrue(shown.endswith("\ufffdy"))

    def test_pictures(self) -> None:
        """A control character would vanish instead of being shown."""
        self.assertEqual(sanitized("a\x1b[31mb\x07\x7f\t\r"), "a␛[31mb␇␡␉␍")
        self.assertEqual(sanitized("\x9b31m"), "␛[31m")

    def test_line_breaks(self) -> None:
        """One of Unicode's line breaks would begin an unindented line."""
        for line_break in ("\n", "\r\n", "\x85", "\u2028", "\u2029"):
            self.assertEqual(sanitized(f"a{line_break}b"), "a\n    b")
