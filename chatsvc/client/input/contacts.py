"""Whom this client has seen: their names, for those who type, and a colour for each."""

from __future__ import annotations

from zlib import crc32

from cachetools import LRUCache

_MOST = 1000


class Contacts:
    """The people seen last, by uid."""

    def __init__(self) -> None:
        self._names: LRUCache[int, str] = LRUCache(_MOST)
        self.last: int | None = None
        """Who wrote last."""

    def seen(self, uid: int, name: str) -> None:
        """Somebody was named."""
        self._names.pop(uid, None)  # the order is that in which they were put in
        self._names[uid] = name

    def label(self, uid: int) -> str:
        """``NAME(UID)``, or the uid of somebody not seen."""
        name = self._names.get(uid)
        return f"{name}({uid})" if name else str(uid)

    def called(self, name: str) -> list[int]:
        """The uids of those seen under a name."""
        return [uid for uid, known in self._names.items() if known == name]

    def all(self) -> list[tuple[int, str]]:
        """Everybody as (uid, name), the last seen first."""
        return list(self._names.items())[::-1]


def shade(uid: int, shades: int) -> int:
    """The same number below ``shades`` for a person each time."""
    return crc32(str(uid).encode()) % shades
