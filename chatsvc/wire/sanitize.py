"""Text from elsewhere, made safe to show: on a terminal, in the log, among the lines of others."""

from __future__ import annotations

import re
import unicodedata

_PICTURES: dict[int, str] = {
    **{code: chr(0x2400 + code) for code in range(0x20)},
    0x7F: "\u2421",
    # A C1 control is ESC and a letter (ECMA-48, section 5.3), so it is shown as ESC's picture and that letter.
    **{code: "\u241b" + chr(code - 0x40) for code in range(0x80, 0xA0)},
    # Line breaks; what else ends a line somewhere is a control above.
    **dict.fromkeys((0x0A, 0x85, 0x2028, 0x2029), "\n    "),
    # Bidirectional embeddings, overrides and isolates can make a line read as another one (UTR #36), the deprecated
    # U+206A to U+206F and the interlinear annotations likewise. The marks U+200E, U+200F and U+061C do no more than a
    # letter of Hebrew or Arabic does, and their writers need them; joiners make words and emoji.
    **dict.fromkeys(
        (*range(0x202A, 0x202F), *range(0x2066, 0x2070), *range(0xFFF9, 0xFFFC)), "\ufffd"
    ),
}

_MOST_STACKED = 8
"""Characters in a row that take no place of their own: as many as in Tibetan's tallest stack, the Kalachakra's."""

# Marks, format characters, Korean vowels and ends of syllables, tags and variation selectors; not the marks of historic
# scripts, in other planes, each of which would make the search slower.
_WIDTHLESS = "\u1160-\u11ff\ud7b0-\ud7ff\U000e0000-\U000e0fff" + "".join(
    chr(code)
    for code in range(0x80, 0x10000)
    if unicodedata.category(chr(code)) in ("Mn", "Me", "Cf")
)
_STACK = re.compile(f"([{_WIDTHLESS}]{{{_MOST_STACKED}}})[{_WIDTHLESS}]+")
_REPLACED = "".join(map(chr, _PICTURES))
# One class comes first: a text without any character of it is searched at the speed of a loop in C.
_HARMFUL = re.compile(
    f"[{_REPLACED}{_WIDTHLESS}](?:(?<=[{_REPLACED}])|[{_WIDTHLESS}]{{{_MOST_STACKED}}})"
)


def sanitized(text: str) -> str:
    """A text that cannot pass for another sender's header, drive a terminal or run over the lines around it."""
    if (text.isascii() and text.isprintable()) or _HARMFUL.search(text) is None:
        return text
    return _STACK.sub("\\1\ufffd", text.replace("\r\n", "\n")).translate(_PICTURES)


def sanitized_lines(text: str) -> str:
    """Lines of our own, each of them harmless."""
    return "\n".join(map(sanitized, text.split("\n")))
