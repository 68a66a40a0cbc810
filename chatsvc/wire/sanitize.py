"""Sanitizing: text from elsewhere is made safe to show on a terminal, in the log and between other lines."""

from __future__ import annotations

import re
import unicodedata

_PICTURES: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "\u2421",
    # A C1 control stands for ESC and a letter (ECMA-48, section 5.3): shown as ESC's picture and that letter.
    **{code: "\u241b" + chr(code - 0x40) for code in range(0x80, 0xA0)},
    # Line breaks; other characters that end a line somewhere are controls above.
    **dict.fromkeys((0x0A, 0x85, 0x2028, 0x2029), "\n    "),
    # Bidirectional embeddings, overrides and isolates can make a line read as another one (UTR #36), the deprecated
    # U+206A to U+206F and the interlinear annotations too. The marks U+200E, U+200F and U+061C stay: they act like a
    # letter of Hebrew or Arabic, whose writers need them. Joiners stay: they make words and emoji.
    **dict.fromkeys(
        (*range(0x202A, 0x202F), *range(0x2066, 0x2070), *range(0xFFF9, 0xFFFC)), "\ufffd"
    ),
}

_MOST_STACKED = 8
"""Characters without width in a row: as many as in the tallest stack of Tibetan, the Kalachakra's."""

# Marks, format characters, Korean vowels and final consonants, tags and variation selectors. Marks of historic scripts,
# in other planes, are left out, for each would make the search slower.
_WIDTHLESS = "\u1160-\u11ff\ud7b0-\ud7ff\U000e0000-\U000e0fff" + "".join(
    chr(code)
    for code in range(0x80, 0x10000)
    if unicodedata.category(chr(code)) in ("Mn", "Me", "Cf")
)
_STACK = re.compile(f"([{_WIDTHLESS}]{{{_MOST_STACKED}}})[{_WIDTHLESS}]+")
_REPLACED = "".join(map(chr, _PICTURES))
# The pattern begins with one class: a text without its characters is searched at the speed of a loop in C.
_HARMFUL = re.compile(
    f"[{_REPLACED}{_WIDTHLESS}](?:(?<=[{_REPLACED}])|[{_WIDTHLESS}]{{{_MOST_STACKED}}})"
)


def sanitized(text: str) -> str:
    """
    Return a text that can neither fake another sender's header, nor control a terminal, nor cover the lines around it.

    Controls become their pictures (U+2400 …), further lines are indented by four spaces, characters that reorder a
    line and stacks of marks become U+FFFD.
    """
    if (text.isascii() and text.isprintable()) or _HARMFUL.search(text) is None:
        return text
    return _STACK.sub("\\1\ufffd", text.replace("\r\n", "\n")).translate(_PICTURES)


def sanitized_lines(text: str) -> str:
    """Return a text of our own with each line sanitized; its line breaks stay."""
    return "\n".join(map(sanitized, text.split("\n")))
