"""The contract of the archive's queue: what a store has confirmed, and the archive does not have yet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from chatsvc.archive.entry import ArchiveEntry
from chatsvc.wire.record import record


@record
class Queued:
    """
    An entry of the queue, under its ``id``.

    ``note`` is what tells it from another one that may get that id later; only the last one of a page has one.
    ``entry`` None: another program put it there, and nobody can read it.
    """

    id: str
    note: str
    entry: ArchiveEntry | None


@record
class Done:
    """All up to the entry ``last`` is in the archive, but for those with the ids ``refused``: it does not take them."""

    last: Queued
    refused: Sequence[str] = ()


@record
class Ends:
    """
    The queue as it is: the ids of its ``first`` and its ``last`` entry (empty: there is none).

    It has ``length`` entries, of about so many ``bytes``.
    """

    first: str
    last: str
    length: int
    bytes: int

    def has_passed(self, id: str) -> bool:
        """Whether all up to ``id`` has left the queue."""
        return not self.first or _place(self.first) > _place(id)


def _place(id: str) -> tuple[int, ...]:
    return tuple(map(int, id.split("-")))


class ArchiveQueue(Protocol):
    """
    The queue, in the store where messages wait.

    Every method raises :class:`~chatsvc.storage.url.StoreUnavailable` if the store is away.
    """

    async def take(self, done: Done | None, limit: int) -> list[Queued] | None:
        """
        Hold the lease for some seconds, let go of what is ``done``, and return what comes next, in order.

        :return: None: another node has the lease, and nothing was let go of.
        """

    async def leave(self) -> None:
        """Give up the lease, if this node has it."""

    async def ends(self) -> Ends:
        """Say how far the queue goes."""
