"""The end of messages that are older than the history is to be, with their words in the index."""

from __future__ import annotations

from chatsvc.archive.word_index import padded, places, remove_words
from chatsvc.archive.writing import raise_mark
from chatsvc.storage.sql import Transaction

_OLD = (
    "SELECT serial, conversation, text FROM chat_message WHERE serial < ? ORDER BY serial LIMIT ?"
)


def expire_some(transaction: Transaction, before: int, limit: int) -> int:
    """
    Remove up to ``limit`` messages with serials below ``before``, the oldest first, and let none of them come back.

    :return: how many were removed; fewer than ``limit``: there are no more.
    """
    rows = transaction.all(_OLD, (before, limit))
    if not rows:
        return 0
    serials = [serial for serial, _, _ in rows]
    raise_mark(transaction, "kept", serials[-1])
    remove_words(transaction, [(conversation, serial, text) for serial, conversation, text in rows])
    some = padded(serials)
    for table in ("chat_unindexed", "chat_message"):
        transaction.execute(f"DELETE FROM {table} WHERE serial IN {places(some)}", some)  # noqa: S608
    return len(rows)
