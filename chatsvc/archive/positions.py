"""Where a message has the words that somebody looks for, so that they can be shown."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

from chatsvc.archive.segmenter import Query, folded, places_of

MOST = 16
"""Positions that are given of one message."""

_SHORT = 8
"""Code points of a character that is likely to be seen again."""

_JOINS = ("\u1160", "\u11ff")
_HALF_WIDTH_MARKS = "\uff9e\uff9f"

Position = tuple[int, int]


def positions(query: Query, text: str) -> tuple[Position, ...]:
    """
    Return where a text has the words of a query: beginning and end, in code points, ascending, ``MOST`` at most.

    What overlaps is one position. In the few texts whose folding cannot be followed character by character, nothing is
    said to be anywhere.
    """
    edges = [*_characters(text), len(text)]
    parts = [_folded(text[start:end]) for start, end in pairwise(edges)]
    whole = "".join(parts)
    if whole != folded(text):
        return ()
    origin = [place for place, part in enumerate(parts) for _ in part]
    shown = [
        (edges[origin[start]], edges[origin[end - 1] + 1]) for start, end in _found(query, whole)
    ]
    return tuple(_joined(sorted(shown)))[:MOST]


def _characters(text: str) -> Iterator[int]:
    """Where a character begins, as people see it: with what is written above it, or joined to it."""
    for place, character in enumerate(text):
        if not place or not _goes_on(character):
            yield place


def _folded(character: str) -> str:
    # One with thousands of marks is kept by nobody.
    return _folded_before(character) if len(character) <= _SHORT else folded(character)


_folded_before = lru_cache(4096)(folded)


@lru_cache(4096)
def _goes_on(character: str) -> bool:
    if character.isascii():
        return False
    is_jamo = _JOINS[0] <= character <= _JOINS[1]
    is_mark = unicodedata.category(character)[0] == "M" or character in _HALF_WIDTH_MARKS
    return is_jamo or is_mark or not folded(character)


def _found(query: Query, text: str) -> Iterator[Position]:
    """Where a folded text has each word."""
    whole = {word.text for word in query.words if word.whole}
    parts = [word.text for word in query.words if not word.whole]
    for start, end in places_of(text) if whole else ():
        if text[start:end] in whole:
            yield start, end
    for part in parts:
        start = text.find(part)
        while start >= 0:
            yield start, start + len(part)
            start = text.find(part, start + len(part))


def _joined(found: list[Position]) -> Iterator[Position]:
    last: Position | None = None
    for start, end in found:
        if last is not None and start < last[1]:
            last = (last[0], max(last[1], end))
            continue
        if last is not None:
            yield last
        last = (start, end)
    if last is not None:
        yield last
