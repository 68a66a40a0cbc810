"""Rules of the archive, switched off one by one: a campaign without one of them must complain."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from chatsvc.archive import changes, writing
from chatsvc.archive.entry import Edited, Said
from chatsvc.archive.queue import Done, Queued
from chatsvc.history.archiver import Archiver
from chatsvc.inbox.sqlite.room_entries import RoomEntries
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable
from tests.support.script_rules import replace_rule


def commit() -> None:
    """Entries leave the queue before they are committed."""
    honest = Archiver._write

    async def write(self: Archiver, page: Sequence[Queued]) -> list[str]:
        await self._queue.take(Done(page[-1]), 1)
        return await honest(self, page)

    Archiver._write = write  # type: ignore[method-assign]


def twice() -> None:
    """What is in the archive already is archived again, under a serial of its own."""
    honest = writing.insert

    def insert(transaction: Transaction, said: Sequence[Said]) -> list[Said]:
        query = "SELECT serial FROM chat_message WHERE serial = ?"
        there = [one for one in said if transaction.one(query, (one.serial,))]
        again = [replace(one, serial=one.serial + 1) for one in there]
        return honest(transaction, [one for one in said if one not in there] + again)

    vars(changes)["insert"] = insert


def outcome() -> None:
    """What the database has failed to commit, because it was away, counts as committed."""
    honest = Archiver._write

    async def write(self: Archiver, page: Sequence[Queued]) -> list[str]:
        try:
            return await honest(self, page)
        except StoreUnavailable:
            return []

    Archiver._write = write  # type: ignore[method-assign]


def edits() -> None:
    """What was edited reads in the archive as before."""

    def edit(transaction: Transaction, edited: Edited) -> None:
        pass

    vars(changes)["_edit"] = edit


def retractions() -> None:
    """What is retracted stays in its room's log."""
    replace_rule("if kind == 'x' then delete_from_room(room, target) end", "")

    def delete(self: RoomEntries, room: int, target: int) -> None:
        pass

    RoomEntries.delete = delete  # type: ignore[method-assign]


ARCHIVE_RULES: dict[str, Callable[[], None]] = {
    "archive-commit": commit,
    "archive-twice": twice,
    "archive-outcome": outcome,
    "archive-edits": edits,
    "archive-retractions": retractions,
}
