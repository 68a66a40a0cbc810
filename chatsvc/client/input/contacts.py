"""The people whom this client has seen: their names, for completion, and a colour for each."""

from __future__ import annotations

from dataclasses import replace
from zlib import crc32

from cachetools import LRUCache

from chatsvc.wire.events import Message

_MOST = 1000


class Contacts:
    """The people seen last, by uid."""

    def __init__(self) -> None:
        self._names: LRUCache[int, str] = LRUCache(_MOST)
        self.last: int | None = None
        """The uid of the person who wrote last."""

    def seen(self, uid: int, name: str) -> None:
        """Remember the name of a uid."""
        self._names.pop(uid, None)  # the order is that in which they were put in
        self._names[uid] = name

    def named(self, message: Message) -> Message:
        """Remember who wrote a message; the note of an edit says no name, and gets the one that was seen."""
        if not message.name:
            return replace(message, name=self._names.get(message.sender, ""))
        self.seen(message.sender, message.name)
        return message

    def label(self, uid: int) -> str:
        """``NAME(UID)``, or the uid of somebody not seen."""
        name = self._names.get(uid)
        return f"{name}({uid})" if name else str(uid)

    def called(self, name: str) -> list[int]:
        """The uids that were seen under a name."""
        return [uid for uid, known in self._names.items() if known == name]

    def all(self) -> list[tuple[int, str]]:
        """Everybody as (uid, name), the last seen first."""
        return list(self._names.items())[::-1]


def shade(uid: int, shades: int) -> int:
    """A number below ``shades``, always the same for a person."""
    return crc32(str(uid).encode()) % shades
