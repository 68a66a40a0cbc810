"""
Words of messages, as the index has them and as somebody looks for them.

Chinese, Japanese and Korean are written without spaces, or with few. So each two characters of theirs that stand
together are in the index, and the last character before something else, by itself: a pair begins with every other
one. All other words are in it whole; a symbol, such as an emoji, is a word. What two people may write in two ways is
one way here: full-width and half-width, capitals, accents that are composed or not.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise

_IGNORED = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""What nobody sees: Unicode's ``Default_Ignorable_Code_Point``, with the joiners and variants of emoji."""

_KEPT_APART = re.compile(r"[\u3131-\u318e\uffa1-\uffdc]|[^\w\s\x00-\x7f]{32}")
"""
After what a character without effect is put while a text is normalized.

Letters of Korean that were typed alone (``ㅋㅠ``) would become a syllable; and the time of a row of accents grows with
the square of its length.
"""

_JOINER = "\u034f"

_CJK = (
    *(
        0x1100,
        0x1200,
        0x2E80,
        0x2FE0,
        0x3005,
        0x3008,
        0x3021,
        0x3030,
        0x3031,
        0x3036,
        0x3038,
        0x303D,
    ),
    *(
        0x3041,
        0x309B,
        0x309D,
        0x30A0,
        0x30A1,
        0x30FB,
        0x30FC,
        0x3190,
        0x31A0,
        0x3200,
        0x3400,
        0x4DC0,
    ),
    *(0x4E00, 0xA000, 0xA960, 0xA980, 0xAC00, 0xD800, 0xF900, 0xFB00, 0x1AFF0, 0x1B170),
    *(0x20000, 0x40000),
)
"""Where Han, kana, bopomofo and Hangul begin and end, by turns, also what Unicode will only put there."""

_CACHED = 0x20000
"""Code points whose kind is remembered; those above are few kinds, and could fill the memory."""

_PAIR, _WORD, _SYMBOL, _NONE = "pws "
_RUNS = re.compile(f"{_PAIR}+|{_WORD}+|{_SYMBOL}+")

_SHIFT = 21
_HASHED = 1 << 62


def folded(text: str) -> str:
    """Return the one way of writing a text: what is found in each other has parts of this in common."""
    if text.isascii():
        return text.lower()
    text = _KEPT_APART.sub(rf"\g<0>{_JOINER}", _IGNORED.sub("", text))
    text = unicodedata.normalize("NFKC", text)
    lower = text.casefold()
    if lower != text:
        # The Turkish capital İ has its dot beside the i, and nobody types that.
        text = unicodedata.normalize("NFKC", lower.replace("i\u0307", "i"))
    return text.replace(_JOINER, "")


def tokens_of(text: str) -> frozenset[int]:
    """
    Return what the index has of a text.

    A pair of characters is ``first << 21 | second``, the last one of a run ``first << 21``; what is a word by itself
    is at least 2**62. All are below 2**63.
    """
    tokens: set[int] = set()
    for kind, piece in set(_pieces(folded(text))):
        tokens.update(_tokens_in(kind, piece))
        if kind == _PAIR:
            tokens.add(ord(piece[-1]) << _SHIFT)
    return frozenset(tokens)


@dataclass(frozen=True, slots=True)
class Word:
    """
    A word that is looked for, ``text``, folded.

    A message that has it has all of ``tokens`` in the index; if there are none, then one or more of those from
    ``lowest`` to ``highest``. ``whole``: it must be a word there, and not a part of one.
    """

    text: str
    tokens: frozenset[int]
    whole: bool
    lowest: int = 0
    highest: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """What is looked for: messages that have all of some ``words``, wherever they stand."""

    words: tuple[Word, ...]

    @property
    def is_empty(self) -> bool:
        """Whether nothing is looked for, as when only punctuation was typed; then nothing is found."""
        return not self.words

    @property
    def tokens(self) -> frozenset[int]:
        """All tokens that a message must have, without those of words that only have a range of them."""
        return frozenset().union(*(word.tokens for word in self.words))

    @property
    def ranges(self) -> tuple[tuple[int, int], ...]:
        """Ranges of tokens, lowest and highest, of each of which a message must have one."""
        return tuple((word.lowest, word.highest) for word in self.words if not word.tokens)

    def matches(self, text: str) -> bool:
        """Return whether a message's text, as it was sent, has what is looked for; the index may say so wrongly."""
        if not self.words:
            return False
        text = folded(text)
        if not all(word.text in text for word in self.words):
            return False
        whole = {word.text for word in self.words if word.whole}
        return not whole or whole <= {piece for _, piece in _pieces(text)}


def query_of(text: str) -> Query:
    """Take apart what somebody looks for; what stands together in Chinese must stand together in the message."""
    pieces = dict.fromkeys(_pieces(folded(text)))
    return Query(tuple(_word(kind, piece) for kind, piece in pieces))


def _word(kind: str, piece: str) -> Word:
    tokens = frozenset(_tokens_in(kind, piece))
    if tokens:
        return Word(piece, tokens, kind == _WORD)
    lowest = ord(piece) << _SHIFT
    return Word(piece, tokens, False, lowest, lowest + (1 << _SHIFT) - 1)


def places_of(text: str) -> Iterator[tuple[int, int]]:
    """Give where the words of a folded text begin and end; Chinese, and symbols, as far as they stand together."""
    return (run.span() for run in _runs(text))


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """The runs of one kind of characters in a folded text, each with its kind."""
    for run in _runs(text):
        yield run.group()[0], text[run.start() : run.end()]


def _runs(text: str) -> Iterator[re.Match[str]]:
    return _RUNS.finditer(text.translate(_KINDS))


def _tokens_in(kind: str, piece: str) -> Iterable[int]:
    """The tokens of a piece wherever it stands: a character alone has none, for it may begin any pair."""
    if kind == _PAIR:
        return [first << _SHIFT | second for first, second in pairwise(map(ord, piece))]
    return map(_hash, set(piece)) if kind == _SYMBOL else (_hash(piece),)


def _hash(word: str) -> int:
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) % _HASHED | _HASHED


def _kind(code: int) -> str:
    if bisect_right(_CJK, code) % 2:
        return _PAIR
    category = unicodedata.category(chr(code))
    if category[0] in "LMN":
        return _WORD
    return _SYMBOL if _is_symbol(code, category) else _NONE


def _is_symbol(code: int, category: str) -> bool:
    if category == "Cn":
        return 0x1F000 <= code < 0x20000  # an emoji that this Python is too old for
    is_skin = 0x1F3FB <= code <= 0x1F3FF
    return is_skin or category in ("So", "Co") or (code > 0x7F and category in ("Sm", "Sc"))


class _Kinds(dict[int, str]):
    """The kind of each character, found out when it is first asked for."""

    def __missing__(self, code: int) -> str:
        kind = _kind(code)
        if code < _CACHED:
            self[code] = kind
        return kind


_KINDS = _Kinds()
