"""Where a message has the words that were looked for."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.archive.positions import MOST, positions
from chatsvc.archive.segmenter import folded, query_of

REPEATABLE = settings(derandomize=True, deadline=None, database=None)

ALPHABET = "你好世が가カﾞｶー한aZßﬁİ\u0301é٣क्\u1161\u0327ㅋ😂👍🏽\u200d\ufe0f ,。１Ａ"


class PositionsTests(SynchronousTestCase):
    """Positions of words in a text."""

    def shown(self, looked_for: str, text: str) -> list[str]:
        """What would be marked in a text."""
        return [text[start:end] for start, end in positions(query_of(looked_for), text)]

    def test_words(self) -> None:
        """Something else would be marked than what was found, or not all of it."""
        for looked_for, text, shown in (
            ("预算", "明天的预算会议, 预算!", ["预算", "预算"]),
            ("预算 会议", "预算会议", ["预算", "会议"]),
            ("预算会 算会议", "预算会议", ["预算会议"]),
            ("deploy", "Deploy, redeploy, DEPLOY", ["Deploy", "DEPLOY"]),
            ("好 ok", "ok好ok okay", ["ok", "好", "ok"]),
            ("😂", "a😂b👍🏽", ["😂"]),
            ("abc", "ＡＢＣ x", ["ＡＢＣ"]),
            ("ガ", "ｶﾞ ガ か\u3099", ["ｶﾞ", "ガ"]),
            ("é", "e\u0301 é e", ["e\u0301", "é"]),
            ("strasse", "die Straße", ["Straße"]),
            ("fi", "ﬁ x", ["ﬁ"]),
            ("ab", "x a\u200bb y", ["a\u200bb"]),
            ("각", "\u1100\u1161\u11a8!", ["\u1100\u1161\u11a8"]),
            ("x", "y", []),
            ("...", "...", []),
        ):
            self.assertEqual(self.shown(looked_for, text), shown, looked_for)

    def test_most(self) -> None:
        """A message that has a word everywhere would bring a list that is longer than itself."""
        found = positions(query_of("好"), "好," * 100)
        self.assertEqual(found, tuple((2 * n, 2 * n + 1) for n in range(MOST)))

    @REPEATABLE
    @given(st.text(ALPHABET, max_size=12), st.integers(0, 12), st.integers(0, 12))
    def test_each_word(self, text: str, start: int, end: int) -> None:
        """A word of a message that was found would not be marked, or something without one be."""
        query = query_of(text[start:end])
        found = positions(query, text)
        self.assertEqual(list(found), sorted(found))
        for first, (_, before), (after, _) in zip(found, found, found[1:], strict=False):
            self.assertLess(first[0], first[1])
            self.assertLessEqual(before, after)
        marked = [folded(text[one:other]) for one, other in found]
        for shown in marked:
            self.assertTrue(any(word.text in shown for word in query.words), (text, shown))
        if query.matches(text) and found:
            for word in query.words:
                self.assertTrue(any(word.text in shown for shown in marked), (text, word))

    @REPEATABLE
    @given(st.text(max_size=20))
    def test_any_text(self, text: str) -> None:
        """A position would lie outside of a text, in whatever characters, or break the search."""
        for start, end in positions(query_of(text), text):
            self.assertTrue(0 <= start < end <= len(text))

    @REPEATABLE
    @given(st.text("你好世界aé한が,。😂 1Ａ", min_size=1, max_size=12))
    def test_always_there(self, text: str) -> None:
        """In an everyday text nothing would be marked."""
        query = query_of(text)
        self.assertEqual(bool(positions(query, text)), not query.is_empty)
