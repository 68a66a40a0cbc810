"""The archive's queue in Redis: the stream ``chat:archive``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatsvc.archive.entry import ArchiveEntry, Pair, Said
from chatsvc.archive.queue import Done, Ends, Queued
from chatsvc.inbox.redis.lease import ScriptCall

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
        return [_queued(id, fields) for id, fields in page[0]] if is_here else None

    async def leave(self) -> None:
        """Delete the lease."""
        await self._call(b"leave_archive", {})

    async def ends(self) -> Ends:
        """Ask for both ends at one time."""
        return Ends(*await self._call(b"archive_ends", {}))


def _queued(id: str, fields: Sequence[str]) -> Queued:
    note = fields[-1] if fields else ""
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
    serial, place = note.split(" ")
    uid = int(sender)
    where = int(place[1:]) if place.startswith("#") else Pair.between(int(place), uid)
    return Said(int(serial), where, uid, name, int(at), text)
