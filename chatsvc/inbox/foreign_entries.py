"""Entries of an inbox that another program put there: read around, and said once."""

from __future__ import annotations

from cachetools import LRUCache
from twisted.logger import Logger

from chatsvc.wire.events import Message

_MOST = 2**63 - 1
"""The largest uid or time: what SQL and JSON's readers can hold."""

_REMEMBERED = 1000
"""Foreign entries of which it is remembered that they were said."""


class ForeignEntries:
    """Tells the messages of an inbox from what nobody can read."""

    _log = Logger()

    def __init__(self) -> None:
        self._said: LRUCache[tuple[int, int], None] = LRUCache(_REMEMBERED)

    def message(self, uid: int, id: int, *fields: object) -> Message:
        """
        The message of an entry with ``fields`` (sender, name, time in ms, text) in the inbox of ``uid``.

        One that is none has an empty text; an id that is none raises nothing, either.
        """
        try:
            sender, name, at, text = fields
            return Message(id, _number(sender), _text(name), _number(at), _text(text))
        except (ValueError, OverflowError, TypeError):
            # Not in these errors' words: they quote the entry.
            self._say(uid, id)
            return Message(id, 0, "", 0, "")

    def _say(self, uid: int, id: int) -> None:
        if (uid, id) not in self._said:
            self._said[uid, id] = None
            text = "a foreign entry in the inbox, {id}: it is passed over"
            self._log.warn(text, event="foreign-entry", uid=uid, id=id)


def _number(word: object) -> int:
    """:raise ValueError: it is no whole number of 63 bits."""
    number = int(word) if isinstance(word, str | int) else int(float(str(word)))
    if abs(number) > _MOST:
        raise ValueError("out of range")
    return number


def _text(word: object) -> str:
    """:raise TypeError: it is no text."""
    if not isinstance(word, str):
        raise TypeError("no text")
    return word
