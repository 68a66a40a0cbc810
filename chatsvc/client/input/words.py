"""
Reads the words that stand before the text of a typed line, as they look on the screen.

White space of all kinds is white space, full-width ASCII is ASCII, capitals are small letters, and characters that
nobody sees are not there: input methods and copied pages bring all of them along.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass

_FULL_WIDTH = {0xFF01 + offset: 0x21 + offset for offset in range(94)}

_BLANK_CATEGORIES = frozenset({"Zs", "Zl", "Zp", "Cc"})
_BLANK_LETTERS = frozenset("\u115f\u1160\u2800\u3164\uffa0")
"""Fillers of Hangul, and the empty pattern of Braille: letters and symbols that show nothing."""

_UNSEEN = frozenset("\u034f\u180b\u180c\u180d\u180f" + "".join(map(chr, range(0xFE00, 0xFE10))))


@dataclass(frozen=True)
class Word:
    """A word as it looks, ``text``, and where it stands in its line: ``line[start:end]``."""

    text: str
    start: int
    end: int


def words(line: str, start: int = 0) -> Iterator[Word]:
    """Give the words of a line from ``start`` on."""
    begin: int | None = None
    shown: list[str] = []
    for i in range(start, len(line)):
        character = line[i]
        if is_blank(character):
            if begin is not None and shown:
                yield Word("".join(shown), begin, i)
            begin, shown = None, []
            continue
        if begin is None:
            begin = i
        if not _is_unseen(character):
            shown.append(character.translate(_FULL_WIDTH).lower())
    if begin is not None and shown:
        yield Word("".join(shown), begin, len(line))


def next_word(line: str, start: int) -> Word | None:
    """Return the first word from ``start`` on, None if there is none."""
    return next(words(line, start), None)


def offset_in(line: str, word: Word, count: int) -> int:
    """Return where in the line the first ``count`` characters of a word's text end."""
    at = word.start
    while count:
        count -= not _is_unseen(line[at])
        at += 1
    return at


def after_blanks(line: str, start: int) -> int:
    """Return where something stands again from ``start`` on."""
    while start < len(line) and (is_blank(line[start]) or _is_unseen(line[start])):
        start += 1
    return start


def stripped(line: str, start: int) -> str:
    """Return the line from ``start`` on, without what nobody sees at both ends."""
    end = len(line)
    while end > start and (is_blank(line[end - 1]) or _is_unseen(line[end - 1])):
        end -= 1
    return line[after_blanks(line, start) : end]


def folded(word: str) -> str:
    """Return a word as it looks."""
    return " ".join(found.text for found in words(word))


def is_blank(character: str) -> bool:
    """Whether a character looks like white space."""
    if character.isascii():
        return character <= " " or character == "\x7f"
    return unicodedata.category(character) in _BLANK_CATEGORIES or character in _BLANK_LETTERS


def _is_unseen(character: str) -> bool:
    return not character.isascii() and (
        unicodedata.category(character) == "Cf"
        or character in _UNSEEN
        or 0xE0100 <= ord(character) < 0xE01F0
    )
