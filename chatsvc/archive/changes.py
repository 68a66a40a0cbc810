"""
Writing all that the archive's queue brings, in a transaction: messages, and what changes them.

A change carries a serial above that of all that changed its message before, or does nothing (P6 of docs/protocol.md).
"""

from __future__ import annotations

from collections.abc import Sequence

from chatsvc.archive.entry import ArchiveEntry, Edited, Retracted, Said
from chatsvc.archive.word_index import remove_words
from chatsvc.archive.writing import insert, insert_new, raise_mark
from chatsvc.storage.sql import Transaction
from chatsvc.storage.upsert import insert_absent

_UNCHANGED = (
    "SELECT conversation, text FROM chat_message WHERE serial = ? AND changed < ? AND retracted = 0"
)


def write_new(transaction: Transaction, entries: Sequence[ArchiveEntry]) -> None:
    """Write what was stored by the same transaction: its serials were just given out, so nothing of it is there."""
    insert_new(transaction, [entry for entry in entries if isinstance(entry, Said)])
    _change(transaction, entries)


def write(transaction: Transaction, entries: Sequence[ArchiveEntry]) -> list[Said]:
    """
    Write what is not there yet, in order.

    What is older than the retention, or changes a message that is not there, is left out.

    :return: messages whose serial is another message's: they are not written.
    """
    if not entries:
        return []
    said = [entry for entry in entries if isinstance(entry, Said)]
    clashing = insert(transaction, said) if said else []
    _change(transaction, entries)
    raise_mark(transaction, "serial", max(entry.serial for entry in entries))
    return clashing


def _change(transaction: Transaction, entries: Sequence[ArchiveEntry]) -> None:
    for entry in entries:
        if isinstance(entry, Edited):
            _edit(transaction, entry)
        elif isinstance(entry, Retracted):
            _retract(transaction, entry)


def _edit(transaction: Transaction, edited: Edited) -> None:
    before = _take(transaction, edited.target, edited.serial)
    if before is None:
        return
    transaction.execute(
        "UPDATE chat_message SET text = ?, edited = ?, changed = ? WHERE serial = ?",
        (edited.text, edited.at, edited.serial, edited.target),
    )
    remove_words(transaction, [before])


def _retract(transaction: Transaction, retracted: Retracted) -> None:
    before = _take(transaction, retracted.target, retracted.serial)
    if before is None:
        return
    transaction.execute(
        "UPDATE chat_message SET text = '', retracted = 1, changed = ? WHERE serial = ?",
        (retracted.serial, retracted.target),
    )
    remove_words(transaction, [before])


def _take(transaction: Transaction, target: int, serial: int) -> tuple[int, int, str] | None:
    """
    Have a message indexed anew, if a change with this serial is one; its conversation, its serial and its text.

    Its place among those that wait to be indexed is taken first: who indexes it at this moment is waited for.
    """
    if transaction.one(_UNCHANGED, (target, serial)) is None:
        return None
    insert_absent(transaction, "chat_unindexed", ("serial",), [(target,)])
    lock = " FOR UPDATE" if transaction.backend == "mysql" else ""
    row = transaction.one(_UNCHANGED + lock, (target, serial))
    return None if row is None else (row[0], target, row[1])
