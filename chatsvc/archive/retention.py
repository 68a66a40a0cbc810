"""The end of messages that are older than the history is to be, with their words in the index and their mentions."""

from __future__ import annotations

from chatsvc.archive.reading import remove_mentions
from chatsvc.archive.word_index import remove_words, texts
from chatsvc.archive.writing import raise_mark
from chatsvc.storage.sql import Transaction
from chatsvc.storage.value_lists import padded, places

_OLD = "SELECT serial FROM chat_message WHERE serial < ? ORDER BY serial LIMIT ?"

_MENTIONS = (
    "SELECT uid, conversation, serial FROM chat_mention WHERE serial <= ? ORDER BY serial LIMIT ?"
)

_MENTIONED = 10
"""Users that a message mentions, as a rule at most; where there are more, the next step removes what is left."""


def expire_some(transaction: Transaction, before: int, limit: int) -> int:
    """
    Remove up to ``limit`` messages with serials below ``before``, the oldest first, and let none of them come back.

    :return: how many were removed; fewer than ``limit``: there are no more.
    """
    serials = [serial for (serial,) in transaction.all(_OLD, (before, limit))]
    if not serials:
        return 0
    raise_mark(transaction, "kept", serials[-1])
    # First, so that who indexes one of them at this moment is waited for. One statement each: of a list that has much
    # of the table MariaDB locks all of it, and nobody could send anything meanwhile.
    for serial in serials:
        transaction.execute("DELETE FROM chat_unindexed WHERE serial = ?", (serial,))
    remove_words(transaction, [(one[0], one[1], one[2]) for one in texts(transaction, serials)])
    most = limit * _MENTIONED
    remove_mentions(transaction, transaction.all(_MENTIONS, (serials[-1], most)))
    some = padded(serials)
    transaction.execute(f"DELETE FROM chat_message WHERE serial IN {places(some)}", some)  # noqa: S608
    return len(serials)
