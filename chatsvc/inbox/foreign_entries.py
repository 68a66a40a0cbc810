"""Entries of an inbox that another program put there: they are passed over, and logged once."""

from __future__ import annotations

from cachetools import LRUCache
from twisted.logger import Logger

from chatsvc.wire.entries import Mark
from chatsvc.wire.events import Message

_MOST = 2**63 - 1
"""The largest uid or time: what SQL and JSON's readers can hold."""

_REMEMBERED = 1000
"""Foreign entries of which it is remembered that they were logged."""


class ForeignEntries:
    """Makes messages of an inbox's entries, also of those that are none."""

    _log = Logger()

    def __init__(self) -> None:
        self._logged: LRUCache[tuple[int, int], None] = LRUCache(_REMEMBERED)

    def message(
        self,
        uid: int,
        id: int,
        *fields: object,
        serial: int = 0,
        to: int = 0,
        device: str = "",
        mark: Mark | None = None,
    ) -> Message:
        """
        The message of an entry with ``fields`` (sender, name, time in ms, text) in the inbox of ``uid``.

        ``serial``, ``to``, ``device`` and ``mark`` are as in :class:`Message`. If the fields are no message's, it has
        an empty text.
        """
        try:
            sender, name, at, text = fields
            words = _number(sender), _text(name), _number(at), _text(text)
            return Message(id, *words, serial, to, device, mark)
        except (ValueError, OverflowError, TypeError):
            # The errors quote the entry, so their words are not logged.
            self._log_once(uid, id)
            return Message(id, 0, "", 0, "")

    def _log_once(self, uid: int, id: int) -> None:
        if (uid, id) not in self._logged:
            self._logged[uid, id] = None
            text = "a foreign entry in the inbox, {id}: it is passed over"
            self._log.warn(text, event="foreign-entry", uid=uid, id=id)


def _number(word: object) -> int:
    number = int(word) if isinstance(word, str | int) else int(float(str(word)))
    if abs(number) > _MOST:
        raise ValueError("out of range")
    return number


def _text(word: object) -> str:
    if not isinstance(word, str):
        raise TypeError("no text")
    return word
