"""
Writing messages into the archive, in a transaction of its database.

All of it may be done again, in whole or in part, and changes nothing then (P6 of docs/protocol.md): a message is
inserted once, by its serial.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import chain

from chatsvc.archive.entry import Pair, Place, Said
from chatsvc.storage.sql import Transaction
from chatsvc.storage.upsert import insert_absent, raise_value
from chatsvc.storage.value_lists import parts, places, rows_of_places

_SOME = 1000
"""Rows in one statement, or keys: SQLite takes 32,766 values (https://www.sqlite.org/limits.html)."""

_MESSAGE = "serial, conversation, sender, name, at, text, reply, changed"
_COLUMNS = 8


def insert_new(transaction: Transaction, said: Sequence[Said]) -> None:
    """Insert messages whose serials were just given out by the same transaction: none of them is there."""
    if said:
        _insert_rows(transaction, said, numbers_of(transaction, {one.place for one in said}))


def numbers_of(transaction: Transaction, wanted: Iterable[Place]) -> dict[Place, int]:
    """
    Find the numbers of conversations; those of two users who have none yet are made.

    Nothing of this is remembered from one transaction to the next: a restored database gives numbers out again.
    """
    rooms: dict[Place, int] = {}
    pairs: list[Pair] = []
    for place in wanted:
        if isinstance(place, Pair):
            pairs.append(place)
        else:
            rooms[place] = -place
    found = _known(transaction, pairs)
    missing = [pair for pair in pairs if pair not in found]
    for some in parts(missing, _SOME):
        insert_absent(transaction, "chat_conversation", ("low", "high"), some)
    # Somebody else may have made them since this transaction began: they are read as they are now.
    return {**rooms, **found, **_known(transaction, missing, now=True)}


def _known(transaction: Transaction, pairs: Sequence[Pair], now: bool = False) -> dict[Place, int]:
    lock = " LOCK IN SHARE MODE" if now and transaction.backend == "mysql" else ""
    found: dict[Place, int] = {}
    # SQLite reads the whole table where a pair is looked for in a list of pairs.
    found_in = "SELECT low, high, conversation FROM "
    for some in parts(pairs, _SOME):
        values = [*chain.from_iterable(some)]
        rows = rows_of_places(2, len(some))
        if transaction.backend == "sqlite":
            query = f"{found_in}(VALUES {rows}) CROSS JOIN chat_conversation ON low = column1 AND high = column2"
        else:
            query = f"{found_in}chat_conversation WHERE (low, high) IN ({rows})"
        for low, high, conversation in transaction.all(query + lock, values):
            found[Pair(low, high)] = conversation
    return found


def insert(transaction: Transaction, said: Sequence[Said]) -> list[Said]:
    """
    Insert the messages that are not there, and not older than the retention.

    :return: those whose serial is another message's: they are not written.
    """
    kept = kept_from(transaction)
    wanted = [one for one in said if one.serial > kept]
    numbers = numbers_of(transaction, {one.place for one in wanted})
    there = _there(transaction, [one.serial for one in wanted])
    new: dict[int, Said] = {}
    clashing = []
    for one in wanted:
        same = (numbers[one.place], one.sender, one.at)
        known = there.get(one.serial)
        if known is None:
            there[one.serial] = same
            new[one.serial] = one
        elif known != same:
            clashing.append(one)
    if new:
        _insert_rows(transaction, list(new.values()), numbers)
    return clashing


def _there(transaction: Transaction, serials: Sequence[int]) -> dict[int, tuple[int, int, int]]:
    """What is there under these serials: conversation, sender and time of each."""
    found: dict[int, tuple[int, int, int]] = {}
    for some in parts(serials, _SOME):
        query = f"SELECT serial, conversation, sender, at FROM chat_message WHERE serial IN {places(some)}"  # noqa: S608
        for serial, *same in transaction.all(query, some):
            found[serial] = (same[0], same[1], same[2])
    return found


def _insert_rows(transaction: Transaction, said: Sequence[Said], numbers: dict[Place, int]) -> None:
    # Another node may do the same at this moment: what is there stays as it is, and any other error shows.
    ignore = " ON DUPLICATE KEY UPDATE serial = serial" if transaction.backend == "mysql" else ""
    for some in parts(said, _SOME):
        rows = [
            (one.serial, numbers[one.place], one.sender, one.name, one.at, one.text, one.reply)
            for one in some
        ]
        values = [*chain.from_iterable((*row, row[0]) for row in rows)]
        row_places = rows_of_places(_COLUMNS, len(some))
        sql = f"INSERT INTO chat_message ({_MESSAGE}) VALUES {row_places}{ignore}"  # noqa: S608
        transaction.execute(sql, values)
        insert_absent(transaction, "chat_unindexed", ("serial",), [(one.serial,) for one in some])


def kept_from(transaction: Transaction) -> int:
    """The serial up to which messages were removed because of their age."""
    row = transaction.one("SELECT value FROM chat_archive WHERE name = 'kept'")
    return int(row[0]) if row else 0


def greatest_serial(transaction: Transaction) -> int:
    """The greatest serial that the archive has heard of, of messages and of changes."""
    row = transaction.one("SELECT value FROM chat_archive WHERE name = 'serial'")
    return int(row[0]) if row else 0


def raise_mark(transaction: Transaction, name: str, value: int) -> None:
    """Raise a row of chat_archive, which never falls."""
    raise_value(transaction, "chat_archive", {"name": name}, "value", value)
