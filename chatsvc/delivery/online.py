"""The online-user map: who reads on this node, on which devices."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypeVar

from twisted.python.failure import Failure

from chatsvc.inbox.claim import Cursor
from chatsvc.wire.events import Event, Message


class InboxListener(Protocol):
    """
    A reader, as the map and the router know it.

    ``device`` is its registered device, empty for the unnamed one; ``speaks_as`` is the device as which its session
    sends, registered or not, empty without one. ``claimed`` is the generation of its log-in, ``generation`` that of the
    newest claim which that log-in has made.
    """

    device: str
    speaks_as: str
    claimed: int
    generation: int

    def where(self) -> Cursor:
        """Say how far the reader is."""

    def stored(self, message: Message) -> None:
        """Take a message that was stored in the inbox just now."""

    def stored_elsewhere(self, message: Message) -> None:
        """Take a message that another node has stored in the inbox."""

    def resync(self) -> None:
        """Read again: something may have been stored that the router did not see."""

    def superseded(self, generation: int) -> None:
        """Learn that a removal was refused because ``generation`` is stale."""

    def inbox_restarted(self) -> None:
        """Begin anew: the inbox has a new epoch, and what was delivered no longer counts."""

    def step_back(self, id: int, generation: int) -> None:
        """Read on behind the message ``id``, under ``generation``: the store has lost what was delivered after it."""

    def taken_over(self, by: str = "") -> None:
        """End: another log-in, from ``by``, has the device now."""

    def noticed(self, event: Event) -> None:
        """Tell the client something that is kept for nobody."""

    def forgotten(self, on_request: bool = False) -> None:
        """End: the device is not registered any more; ``on_request``: as somebody asked."""

    def failed(self, failure: Failure) -> None:
        """End reading because of an error of ours: the client has to log in again."""


R = TypeVar("R", bound=InboxListener)


class OnlineUsers(dict[int, tuple[R, ...]]):
    """
    Maps the uid of every user who reads on this node to the readers of that user's devices, one at least.

    It is a dict, because each message asks it for two users and a method of ours would be a call each. The readers are
    a tuple, which stays as it is while it is gone through, whatever they do meanwhile.
    """

    def add(self, uid: int, reader: R) -> None:
        """Take in a reader."""
        self[uid] = (*self.get(uid, ()), reader)

    def discard(self, uid: int, reader: R) -> None:
        """Drop a reader, if it is there."""
        left = tuple(one for one in self.get(uid, ()) if one is not reader)
        if left:
            self[uid] = left
        else:
            self.pop(uid, None)

    def readers(self) -> Iterable[R]:
        """Return all readers."""
        return [reader for readers in self.values() for reader in readers]


def reader_of(readers: Iterable[R], device: str) -> R | None:
    """Find the reader of a device (empty: the unnamed one)."""
    return next((reader for reader in readers if reader.device == device), None)


def holders_of(readers: Iterable[R], device: str, speaks_as: str) -> list[R]:
    """
    Find the readers that a log-in on ``device``, which sends as ``speaks_as``, takes over.

    That is the one of the same device, and one that sends under the same name: their messages have one series of
    numbers.
    """
    return [
        reader
        for reader in readers
        if reader.device == device or (speaks_as and reader.speaks_as == speaks_as)
    ]
