"""Tells what was meant for a command, and is none by a slip of the fingers."""

from __future__ import annotations

import re

from chatsvc.client.input.words import next_word
from chatsvc.wire.uid import parse_uid

_SIGNS = re.compile(r"[\W_]*")
_STUCK = re.compile(r"(msg|to|reply)[^\w\s]*\d+")
"""A command and a number without anything between them, or with a sign."""

_LEAST_DIGITS = 4
"""Of a number that is a uid rather than a count, where nothing else says so."""


def looks_like_command(line: str) -> bool:
    """Whether a line that is no command begins, or ends, as one does; those that take a password are not looked for."""
    word = next_word(line, 0)
    if word is None:
        return False
    following = next_word(line, word.end)
    signs = _SIGNS.match(word.text)
    text = word.text[signs.end() :] if signs else word.text
    if not text and following is not None:  # signs that stand alone
        text, following = following.text, next_word(line, following.end)
    if text == "msg" or _STUCK.fullmatch(text):
        return True
    if following is None:
        return text in ("find", "lang", "help", "quit", "logout")
    if parse_uid(following.text) is None:
        return text == "lang" and text == word.text
    counted = len(following.text) >= _LEAST_DIGITS
    more = next_word(line, following.end) is not None
    return (
        text in ("to", "reply")
        or resembles(text, "msg")
        or (counted and (resembles(text, "reply") or (resembles(text, "to") and not more)))
    )


def resembles(word: str, meant: str) -> bool:
    """Whether ``word`` is ``meant`` with one letter missing, added, replaced, or two neighbours swapped."""
    if word == meant or abs(len(word) - len(meant)) > 1:
        return False
    begin = _common(word, meant)
    word, meant = word[begin:], meant[begin:]
    if len(word) != len(meant):
        return word[1:] == meant or word == meant[1:]
    swapped = word[:2] == meant[1::-1] and word[2:] == meant[2:]
    return word[1:] == meant[1:] or swapped


def _common(one: str, other: str) -> int:
    length = 0
    while length < min(len(one), len(other)) and one[length] == other[length]:
        length += 1
    return length
