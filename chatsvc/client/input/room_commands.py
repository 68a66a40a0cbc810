"""
Tells which lines are commands about rooms or the history.

This client has none of them, and must not say such a line to anybody.
"""

from __future__ import annotations

import re
from itertools import islice

from chatsvc.client.input.likeness import resembles
from chatsvc.client.input.words import words

_OF_A_ROOM = ("create", "join", "leave", "members", "invite", "remove", "topic", "msg")
"""Commands behind which a room's name stands; without it, they are words like others."""

_HASH = "#"
"""How a room's name begins; one of full width is folded to it."""

_STUCK = re.compile(rf"({'|'.join(_OF_A_ROOM)}){_HASH}.*")

_SIGNS = re.compile(r"[\W_]*")


def is_room_command(line: str, start: int = 0) -> bool:
    """Whether a line is such a command from ``start`` on, behind the slash; it need not be a whole one."""
    texts = [word.text for word in islice(words(line, start), 3)]
    if len(texts) > 1 and texts[0] == "history":
        return texts[1].startswith(_HASH) or texts[1].isdecimal()
    if texts[:1] == ["search"]:
        return len(texts) > 1
    if texts[:1] == ["rooms"]:
        return len(texts) < 3
    if texts in (["help", "rooms"], ["help", "room"], ["help", "history"]):
        return True
    return len(texts) > 1 and texts[0] in _OF_A_ROOM and texts[1].startswith(_HASH)


def looks_like_room_command(line: str) -> bool:
    """Whether a line is a command about rooms or the history but for a slip of the fingers, or signs before it."""
    found = [word.text for word in islice(words(line), 4)]
    if found and _is_signs(found[0]):
        del found[0]
    if not found:
        return False
    word = _without_signs(found[0])
    if _STUCK.fullmatch(word):
        return True
    if len(found) == 1:
        return word in ("rooms", "history", "search")
    if word == "history":
        return len(found) == 2
    named = found[1].startswith(_HASH)
    return named and any(word == one or resembles(word, one) for one in _OF_A_ROOM)


def _without_signs(word: str) -> str:
    signs = _SIGNS.match(word)
    return word[signs.end() :] if signs else word


def _is_signs(word: str) -> bool:
    return not _without_signs(word)
