"""Visible characters, and the columns that they take."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from prompt_toolkit.utils import get_cwidth
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.input.graphemes import (
    bar,
    begin_before,
    cut,
    end_after,
    graphemes,
    shortened,
    width,
)
from chatsvc.client.screen.stand_ins import StandIns

FAMILY, FLAG, THUMB, HEART = "👩‍👩‍👧", "🇨🇳", "👍🏽", "❤️"
KSHI, NI, KEYCAP, E_ACUTE = "क्षि", "நி", "1️⃣", "e\u0301"

_TEXTS = st.lists(
    st.sampled_from(
        [FAMILY, FLAG, THUMB, HEART, KSHI, NI, KEYCAP, E_ACUTE, "a", "你", "\ue000", "\U0003f000"]
    )
    | st.characters(exclude_categories=["Cc", "Cs"]),
    max_size=12,
).map("".join)


class Graphemes(SynchronousTestCase):
    def test_one_each(self) -> None:
        """One Backspace would leave half a family, or a flag's other letter."""
        for shown in (FAMILY, FLAG, THUMB, HEART, KSHI, NI, KEYCAP, E_ACUTE, "你", "a"):
            text = f"x{shown}"
            self.assertEqual(
                (begin_before(text, len(text)), end_after(text, 1)), (1, len(text)), shown
            )
        self.assertEqual((begin_before("", 0), end_after("", 0)), (0, 0))

    def test_width(self) -> None:
        """The status line would be longer than the terminal is wide, and break."""
        for shown, columns in {
            FAMILY: 2,
            FLAG: 2,
            THUMB: 2,
            HEART: 2,
            KSHI: 2,
            KEYCAP: 2,
            E_ACUTE: 1,
        }.items():
            self.assertEqual(width(shown), columns, shown)
        self.assertEqual(cut(FAMILY * 9, 10), FAMILY * 4 + "…")
        self.assertEqual(shortened(FAMILY * 9, 3), FAMILY * 2 + "…")
        self.assertEqual(shortened(FAMILY * 3, 3), FAMILY * 3)

    @given(_TEXTS, st.integers(2, 30))
    def test_bar(self, text: str, columns: int) -> None:
        """A line would not fill its row, or go beyond it, with some name in it."""
        self.assertEqual(width(bar(text, columns)), columns)

    @given(_TEXTS)
    def test_stand_ins(self, text: str) -> None:
        """The cursor would stand elsewhere than where one types, or another text be shown."""
        stand_ins = StandIns()
        laid_out = stand_ins.put_in(text)
        self.assertEqual(stand_ins.written(laid_out), text)
        self.assertEqual(len(laid_out), len(list(graphemes(text))))
        self.assertEqual(
            [get_cwidth(stand_in) for stand_in in laid_out],
            [width(shown) if width(shown) or len(shown) == 1 else 1 for shown in graphemes(text)],
        )

    def test_too_many(self) -> None:
        """After thousands of different ones the client would break."""
        stand_ins = StandIns()
        for code in range(0xE000, 0xE000 + 7000):
            shown = stand_ins.put_in(f"a{chr(0x300 + code % 64)}{chr(0x300 + code // 64 % 112)}")
            self.assertEqual(len(shown), 1)
