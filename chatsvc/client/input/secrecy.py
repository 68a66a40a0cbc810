"""
Tells what may be a password in what was typed.

Masking, the history, sending and pasting all ask here: what is hidden on the screen is neither kept nor said.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

from chatsvc.client.input.likeness import resembles
from chatsvc.client.input.words import Word, offset_in, words
from chatsvc.wire.uid import parse_uid

SECRET = frozenset({"auth", "login", "register", "passwd"})
"""Commands that take a password."""

_COMMAND = re.compile(r"([\W_]*)(auth|login|register|passwd)(?![^\W\d_])")
"""
A command at the beginning of a word.

Signs may stand before it (a slash, ``、`` for one, a copied ``>>>``), signs and digits may be stuck to it.
"""

_SIGNS = re.compile(r"[\W_]+")


class _Found(NamedTuple):
    """A command in a line, and where its own letters end."""

    command: str
    end: int
    word: Word
    following: Word | None


def may_be_secret(text: str) -> bool:
    """Whether a text, of one line or more, may have a password in it, or is about to."""
    return any(_find(line) is not None for line in (*text.split("\n"), *text.splitlines()))


def secret_start(line: str) -> int | None:
    """Return where in a line a password may begin; None if it has none, or none yet."""
    found = _find(line)
    if found is None:
        return None
    stuck = found.end < found.word.end
    if found.command == "passwd":
        start = found.end if stuck else found.end + 1
    elif stuck:
        start = found.word.end + 1
    elif found.following is not None:
        start = found.following.end + 1
    else:
        return None
    return start if start <= len(line) else None


def awaits_secret(line: str) -> bool:
    """Whether a line is a command without its password: in what was copied, the lines behind it may have that."""
    if not may_be_secret(line):
        return False
    start = secret_start(line)
    return start is None or not line[start:].strip()


def discreet(text: str) -> str:
    """Replace each character of what may be a password by an asterisk; line breaks stay."""
    lines, awaited = [], False
    for line in text.split("\n"):
        start = 0 if awaited else secret_start(line)
        lines.append(line if start is None else line[:start] + "*" * (len(line) - start))
        awaited = awaited or awaits_secret(line)
    return "\n".join(lines)


def _find(line: str) -> _Found | None:
    found = (word for word in words(line) if _SIGNS.fullmatch(word.text) is None)
    word = next(found, None)
    if word is None:
        return None
    following = next(found, None)
    exact = _COMMAND.match(word.text)
    if exact is not None:
        return _Found(exact[2], offset_in(line, word, exact.end()), word, following)
    slip = _slip(_SIGNS.sub("", word.text), following, found)
    return None if slip is None else _Found(slip, word.end, word, following)


def _slip(text: str, following: Word | None, more: Iterator[Word]) -> str | None:
    """Return the command that was meant, if what follows is like its words."""
    if following is None:
        return None
    if resembles(text, "auth") or resembles(text, "login"):
        return "auth" if parse_uid(following.text) is not None else None
    if resembles(text, "passwd"):
        return "passwd"
    if resembles(text, "register"):
        return "register" if len(list(islice(more, 2))) == 1 else None
    return None
