"""
Visible characters: grapheme clusters (UAX #29), and the columns that they take.

An emoji of several people, a flag, a letter of Hindi with its vowel sign are one character each to the eye, and several
to Python. wcwidth knows both their borders and their widths, as newer terminals draw them.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import islice

import wcwidth

_MOST_FOR_A_COLUMN = 8
"""Characters that may share a column; more are ignored, as somebody may have pasted a book."""


def graphemes(text: str) -> Iterator[str]:
    """Give the visible characters of a text."""
    return iter(text) if text.isascii() else wcwidth.iter_graphemes(text)


@lru_cache(maxsize=4096)
def width_of(grapheme: str) -> int:
    """Return how many columns a visible character takes."""
    if len(grapheme) == 1:
        return max(0, wcwidth.wcwidth(grapheme))
    return min(2, wcwidth.width(grapheme, control_codes="ignore"))


def width(text: str) -> int:
    """Return how many columns a text without line breaks takes."""
    if text.isascii() and text.isprintable():
        return len(text)
    return sum(map(width_of, graphemes(text)))


def begin_before(text: str, position: int) -> int:
    """Return where the visible character before a position begins."""
    return wcwidth.grapheme_boundary_before(text, position) if position else 0


def end_after(text: str, position: int) -> int:
    """Return where the visible character at a position ends."""
    return position + len(next(wcwidth.iter_graphemes(text, position), ""))


def cut(line: str, columns: int) -> str:
    """Cut a line to so many columns of a terminal; a Chinese character takes two."""
    begun = line[: _MOST_FOR_A_COLUMN * columns]
    if begun == line and width(line) <= columns:
        return line
    room, fitting = columns - 1, 0
    for grapheme in graphemes(begun):
        room -= width_of(grapheme)
        if room < 0:
            break
        fitting += len(grapheme)
    return line[:fitting] + "…"


def bar(line: str, columns: int) -> str:
    """Cut a line, or fill it up, to the width of a terminal."""
    line = cut(line, columns)
    return line + " " * (columns - width(line))


def shortened(text: str, most: int) -> str:
    """Cut a text to so many visible characters."""
    begun = "".join(islice(graphemes(text[: _MOST_FOR_A_COLUMN * most]), most))
    if begun == text:
        return text
    return "".join(islice(graphemes(begun), most - 1)) + "…"
