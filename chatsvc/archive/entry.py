"""What goes into the archive: messages, and what changes them."""

from __future__ import annotations

from typing import NamedTuple

from chatsvc.wire.record import record


class Pair(NamedTuple):
    """The conversation of two users, the lower uid first; the same twice: somebody writes to themselves."""

    low: int
    high: int

    @classmethod
    def between(cls, one: int, other: int) -> Pair:
        """Put two uids in order."""
        return cls(one, other) if one <= other else cls(other, one)

    def other(self, uid: int) -> int:
        """Whom ``uid``, one of the two, talks with."""
        return self.high if uid == self.low else self.low


Place = Pair | int
"""Where something was said: between two users, or in the room of this number."""


@record
class Said:
    """
    A message that was confirmed, on its way into the archive.

    ``at`` is in ms since 1970, ``reply`` the serial of the message that it answers (None: none).
    """

    serial: int
    place: Place
    sender: int
    name: str
    at: int
    text: str
    reply: int | None = None


@record
class Edited:
    """The message ``target`` reads ``text`` since ``at`` (ms); the change itself has ``serial``."""

    serial: int
    target: int
    at: int
    text: str


@record
class Retracted:
    """The message ``target`` is in no history any more; the change itself has ``serial``."""

    serial: int
    target: int


ArchiveEntry = Said | Edited | Retracted
