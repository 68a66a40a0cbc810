"""The archive's queue in Redis: the stream ``chat:archive``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatsvc.archive.entry import ArchiveEntry, Pair
from chatsvc.archive.queue import Done, Ends, Queued
from chatsvc.inbox.archiving import archive_entry
from chatsvc.inbox.mark import parse_mark
from chatsvc.inbox.redis.lease import ScriptCall
from chatsvc.wire.entries import Reference

LEASE_MS = 5000
"""Milliseconds after which another node archives, if the one that did has not been heard of."""

_FIELDS = ("f", "u", "a", "t", "x")


class RedisArchiveQueue:
    """The queue in one Redis; an :class:`~chatsvc.archive.queue.ArchiveQueue`. ``call`` reaches the script."""

    def __init__(self, call: ScriptCall) -> None:
        self._call = call

    async def take(self, done: Done | None, limit: int) -> list[Queued] | None:
        """Take by one call of the script."""
        arguments: dict[str, Any] = {"lease": LEASE_MS, "limit": limit}
        if done is not None:
            arguments["done"] = [done.last.id, done.last.note, list(done.refused)]
        is_here, *page = await self._call(b"take_archive", arguments)
        return [_queued(*entry) for entry in page[0]] if is_here else None

    async def leave(self) -> None:
        """Delete the lease."""
        await self._call(b"leave_archive", {})

    async def ends(self) -> Ends:
        """Ask for both ends at one time."""
        return Ends(*await self._call(b"archive_ends", {}))


def _queued(id: str, note: str, fields: Sequence[str]) -> Queued:
    try:
        return Queued(id, note, _entry(fields))
    except (ValueError, TypeError):
        return Queued(id, note, None)


def _entry(fields: Sequence[str]) -> ArchiveEntry:
    """
    Read an entry as ``lua/batch.lua`` writes it.

    :raise ValueError: it is not written so.
    """
    if tuple(fields[::2]) != _FIELDS:
        raise ValueError("other fields")
    sender, name, at, text, note = fields[1::2]
    serial, place, *word = note.split(" ")
    uid = int(sender)
    where = int(place[1:]) if place.startswith("#") else Pair.between(int(place), uid)
    reference = parse_mark(word[0]) if word else None
    if word and not isinstance(reference, Reference):
        raise ValueError("another reference")
    what = (uid, name, int(at), text, reference if isinstance(reference, Reference) else None)
    return archive_entry(int(serial), where, *what)
