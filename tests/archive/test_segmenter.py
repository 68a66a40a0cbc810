"""What of a text is in the index, and what of it a query finds."""

from __future__ import annotations

import time
import unicodedata
from itertools import combinations

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.archive.segmenter import Query, folded, query_of, tokens_of

REPEATABLE = settings(derandomize=True, deadline=None, database=None)

HAN = "你好世界中国人𠮷〇々㐀豈"
OTHER_CJK = "がカッー한글ㅋ"
LETTERS = "aZß1é٣क्"
SYMBOLS = "😂👍🏽🇨🇳"
SPACES = " ,。·_'-/\n"

MOST_BYTES = 8192

MOST_SECONDS = 0.03
"""Several times what any such text takes."""


def found(looked_for: str, text: str) -> bool:
    """Whether a text is found, by the index and then by its text."""
    query = query_of(looked_for)
    return is_candidate(query, text) and query.matches(text)


def is_candidate(query: Query, text: str) -> bool:
    """Whether the index leads to a text."""
    tokens = tokens_of(text)
    return query.tokens <= tokens and all(
        any(lowest <= token <= highest for token in tokens) for lowest, highest in query.ranges
    )


def naive(looked_for: str, text: str) -> bool:
    """Whether a text of the alphabets above has what is looked for, by the definition."""
    words = naive_words(looked_for)
    there = naive_words(text)
    return bool(words) and all(
        any(word in one if kind != "letters" else word == one for k, one in there if k == kind)
        for kind, word in words
    )


def naive_words(text: str) -> list[tuple[str, str]]:
    """The runs of a text of the alphabets above, each with its kind."""
    runs: list[tuple[str, str]] = []
    last = ""
    for character in unicodedata.normalize("NFKC", text).casefold():
        kind = naive_kind(character)
        if kind and kind == last:
            runs[-1] = (kind, runs[-1][1] + character)
        elif kind:
            runs.append((kind, character))
        last = kind
    return runs


def naive_kind(character: str) -> str:
    """The kind of a character, by its name; empty: it ends words."""
    name = unicodedata.name(character, "")
    if character in "ー〇々" or name.startswith(("CJK", "HIRAGANA", "KATAKANA", "HANGUL")):
        return "cjk"
    if unicodedata.category(character)[0] in "LMN":
        return "letters"
    return "symbols" if character in SYMBOLS else ""


class SegmenterTests(SynchronousTestCase):
    """Each text finds itself, and nothing finds what it should not."""

    def assert_finds(self, looked_for: str, *texts: str) -> None:
        """Check that each text is found."""
        for text in texts:
            self.assertTrue(found(looked_for, text), (looked_for, text))

    def assert_misses(self, looked_for: str, *texts: str) -> None:
        """Check that no text is found."""
        for text in texts:
            self.assertFalse(found(looked_for, text), (looked_for, text))

    @REPEATABLE
    @given(st.text(HAN, min_size=1, max_size=12))
    def test_every_part_of_chinese(self, text: str) -> None:
        """A part of what somebody wrote in Chinese would not be found."""
        for start, end in combinations(range(len(text) + 1), 2):
            self.assert_finds(text[start:end], text, f"x{text}", f"上{text}下", f"😂{text}, y")

    @REPEATABLE
    @given(st.lists(st.text(LETTERS, min_size=1, max_size=5), min_size=1, max_size=5), st.data())
    def test_every_whole_word(self, words: list[str], data: st.DataObject) -> None:
        """A word of another language would not be found for what stands beside it."""
        beside = st.sampled_from(SPACES + HAN + SYMBOLS)
        text = "".join(data.draw(beside) + word for word in words) + data.draw(beside)
        for word in words:
            self.assert_finds(word, text)
        self.assert_finds(" ".join(words[::-1]), text)

    @REPEATABLE
    @given(
        st.text(HAN[:4] + OTHER_CJK[:3] + LETTERS + SYMBOLS + SPACES, max_size=6),
        st.text(HAN[:4] + OTHER_CJK[:3] + LETTERS + SYMBOLS + SPACES, max_size=12),
    )
    def test_naive(self, looked_for: str, text: str) -> None:
        """What is found would be another thing than the definition says."""
        self.assertEqual(found(looked_for, text), naive(looked_for, text))

    @REPEATABLE
    @given(st.text(max_size=20), st.integers(0, 20), st.integers(0, 20))
    def test_index_misses_nothing(self, text: str, start: int, end: int) -> None:
        """The index would not lead to a message that has what is looked for, in whatever characters."""
        for looked_for in (text[start:end], text):
            query = query_of(looked_for)
            self.assertEqual(query.is_empty, not query.words)
            if query.matches(text):
                self.assertTrue(is_candidate(query, text))
        self.assertTrue(query.is_empty or query.matches(text))

    @REPEATABLE
    @given(st.text(max_size=30))
    def test_tokens_are_numbers(self, text: str) -> None:
        """A token would not fit into the column, or be taken for one of the other kind."""
        for token in tokens_of(text):
            self.assertTrue(0 <= token < 2**63)
            if token < 2**62:
                self.assertLess(token >> 21, 0x110000)
                self.assertLess(token % 2**21, 0x110000)

    def test_tokens(self) -> None:
        """What is in the index already would be looked for under other numbers."""
        first, second = ord("你"), ord("好")
        self.assertEqual(tokens_of("你好"), {first << 21 | second, second << 21})
        self.assertEqual(tokens_of("你"), {first << 21})
        self.assertEqual(tokens_of("Deploy"), {0x72531F535EB3E606})
        self.assertEqual(query_of("你").ranges, ((first << 21, (first + 1 << 21) - 1),))

    def test_folding(self) -> None:
        """What is the same to people would not be found, written otherwise."""
        for one, other in {
            "ＡＢＣ１２３": "abc123",
            "Straße": "STRASSE",
            "İstanbul": "istanbul",
            "ΣΊΣΥΦΟΣ": "σίσυφος",
            "ﾊﾟｿｺﾝ": "パソコン",
            "が": "か\u3099",
            "한국어": unicodedata.normalize("NFD", "한국어"),
            "café": "CAFE\u0301",
            "ﬁle": "file",
            "㈱": "株",
            "金": "\uf90a",
            "❤": "❤\ufe0f",
            "soft\u00adhyphen": "softhyphen",
            "你\u200b好": "你好",
        }.items():
            self.assert_finds(one, other)
            self.assert_finds(other, one)
            self.assertEqual(folded(folded(one)), folded(one))

    def test_kana_and_hangul(self) -> None:
        """Only Chinese would be found by a part of what has no spaces."""
        self.assert_finds("ソコ", "新しいパソコンです")
        self.assert_finds("です", "新しいパソコンです")
        self.assert_finds("학교", "우리학교에서")
        self.assert_finds("ㅠㅠ", "ㅋㅋㅠㅠ")
        self.assert_misses("パコ", "新しいパソコンです")

    def test_emoji(self) -> None:
        """An emoji would not be found beside another one or a word, or another one would."""
        text = "好👍🏽😂😂ok🇨🇳"
        self.assert_finds("😂", text)
        self.assert_finds("👍", text)
        self.assert_finds("👍🏽", text)
        self.assert_finds("🇨🇳 ok 😂", text)
        self.assert_misses("🇳🇨", text)
        self.assert_misses("👍🏿", text)
        self.assert_finds("👩", "👨\u200d👩\u200d👧")
        self.assert_finds("\U0001fae8", "new \U0001fae8!")

    def test_mixed_runs(self) -> None:
        """A word would not be found because another script stands beside it without a space."""
        text = "iPhone手机15代,见https://example.com/a_b?c=我们的"
        for word in (
            "iphone",
            "手机",
            "15",
            "代",
            "iPhone手机",
            "example",
            "example.com",
            "a_b",
            "我们",
        ):
            self.assert_finds(word, text)
        for word in ("phone", "机代", "1", "https2", "手机 x"):
            self.assert_misses(word, text)
        self.assert_finds("don't", "I don’t know", "DON'T")
        self.assert_finds("हिन्दी", "यह हिन्दी है")
        self.assert_misses("हि", "यह हिन्दी है")

    def test_nothing(self) -> None:
        """Punctuation alone would find every message, or raise."""
        for text in ("", " \n", "，。!?…", "---", "\u200b", "\ufe0f"):
            query = query_of(text)
            self.assertTrue(query.is_empty, text)
            self.assertFalse(query.matches(f"hi {text}"))
        self.assertFalse(query_of("a").is_empty)

    def test_time(self) -> None:
        """One message could keep the server from all others."""
        accents = "\u0301\u0323"
        for text in (
            *(
                "国" * 2730,
                "中国" * 1365,
                "a" * MOST_BYTES,
                "a " * 4096,
                "😂" * 2048,
                "\ufdfa" * 2730,
            ),
            *(accents * 2048, "a" + accents * 2047, "ㅋㅠ" * 1365, "국" * 2730, "İ" * 4096),
            "".join(map(chr, range(0x4E00, 0x4E00 + 2730))),
            " ".join(map(str, range(1700))),
        ):
            self.assertLessEqual(len(text.encode()), MOST_BYTES)
            for times in (1, 8):
                took = min(self.timed(text * times) for _ in range(3))
                self.assertLess(took, MOST_SECONDS * times, (text[:4], times, took))

    def timed(self, text: str) -> float:
        """Seconds of this thread that the words of a text take."""
        began = time.thread_time()
        tokens_of(text)
        return time.thread_time() - began
