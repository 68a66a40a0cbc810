"""What has been put into rooms' logs, and what not yet; and what to put there where a log or SQL has lost some."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from chatsvc.inbox.room_log import Place
from chatsvc.rooms import event as ev
from chatsvc.rooms.event import COLUMNS, RoomChange, before, from_row
from chatsvc.rooms.room_change import (
    MOST_UNFINISHED,
    NOBODY,
    Pending,
    insert_event,
    locked,
    members_of,
    read,
    unfinished,
)
from chatsvc.storage.sql import Transaction


def pending(transaction: Transaction, number: int) -> Pending | None:
    """Read a room and its unfinished changes; None: there is no such room."""
    room = read(transaction, number)
    return None if room is None else Pending(room, unfinished(transaction, number))


def rooms_with_unfinished(transaction: Transaction, until: int, most: int) -> list[int]:
    """Read the numbers of rooms with unfinished changes from ``until``, in ms since 1970, or before."""
    query = "SELECT DISTINCT room FROM chat_room_event WHERE serial IS NULL AND at <= ? LIMIT ?"
    return [number for (number,) in transaction.all(query, (until, most))]


def write_places(
    transaction: Transaction, number: int, places: Sequence[Place], again: bool
) -> list[int]:
    """
    Write down where changes stand in the log; withdraw invitations whose inbox was full.

    ``again``: they may stand elsewhere than before.

    :return: the uids of those whose invitations were withdrawn.
    """
    withdrawn: list[int] = []
    for place in places:
        only_new = "" if again and place.id else " AND serial IS NULL"
        transaction.execute(
            f"UPDATE chat_room_event SET id = ?, serial = ? WHERE room = ? AND version = ?{only_new}",  # noqa: S608
            (place.id, place.serial, number, place.version),
        )
        if place.full:
            which = (number, place.version)
            row = transaction.one(
                "SELECT uid FROM chat_room_event WHERE room = ? AND version = ?", which
            )
            (uid,) = row or (NOBODY,)
            transaction.execute(
                "DELETE FROM chat_invitation WHERE room = ? AND version = ? AND uid = ?",
                (*which, uid),
            )
            withdrawn.append(uid)
    return withdrawn


def lost(transaction: Transaction, number: int, version: int | None) -> Pending:
    """
    Read what a log lacks that is at ``version`` (None: there is none), or a first part of it.

    Where there is no log, or SQL has not kept all changes since, that is the members before the unfinished ones.
    """
    found = pending(transaction, number)
    assert found is not None  # no row is ever deleted
    room, waiting = found.room, found.changes
    if version is not None:
        changes = _since(transaction, number, version)
        if changes and (changes[0].version == version + 1 or changes[0].event == ev.RAISED):
            return Pending(room, changes, last=_last(transaction, number), again=True)
    members = before(members_of(transaction, number), waiting)
    base = waiting[0].version - 1 if waiting else room.version
    return Pending(room, waiting, (base, members), _last(transaction, number))


def raise_above(transaction: Transaction, number: int, version: int, now: int) -> Pending | None:
    """
    Make a change that changes nothing, above the ``version`` of the log; None: SQL has that version.

    SQL was restored from a back-up: what came after it is lost, but for the log. Changes that are not finished were
    made since, or are taken for such: they follow, under new versions.
    """
    change = locked(transaction, number, now)
    assert change is not None
    room = change.room
    if room.version >= version:
        return None
    waiting = unfinished(transaction, number)
    members = before(members_of(transaction, number), waiting)
    raised = RoomChange(version + 1, now, ev.RAISED, NOBODY, NOBODY, "", {"members": members})
    highest = raised.version
    if waiting:
        by = raised.version + 1 - waiting[0].version
        _renumber(transaction, number, waiting[0].version, by)
        waiting = [replace(one, version=one.version + by) for one in waiting]
        highest = waiting[-1].version
    insert_event(transaction, number, raised)
    transaction.execute("UPDATE chat_room SET version = ? WHERE room = ?", (highest, number))
    return Pending(
        replace(room, version=highest), [raised, *waiting], last=_last(transaction, number)
    )


def _renumber(transaction: Transaction, number: int, first: int, by: int) -> None:
    """Make the versions of all changes of a room from ``first`` on greater."""
    for table, column in (
        ("chat_room_event", "version"),
        ("chat_invitation", "version"),
        ("chat_member", "version"),
        ("chat_room", "closed"),
    ):
        transaction.execute(
            f"UPDATE {table} SET {column} = {column} + ? WHERE room = ? AND {column} >= ?",  # noqa: S608
            (by, number, first),
        )


def _since(transaction: Transaction, number: int, version: int) -> list[RoomChange]:
    query = f"SELECT {COLUMNS} FROM chat_room_event WHERE room = ? AND version > ? ORDER BY version LIMIT ?"  # noqa: S608
    rows = transaction.all(query, (number, version, MOST_UNFINISHED))
    return [from_row(row) for row in rows]


def _last(transaction: Transaction, number: int) -> int:
    (last,) = transaction.one("SELECT MAX(id) FROM chat_room_event WHERE room = ?", (number,)) or (
        None,
    )
    return int(last or 0)
