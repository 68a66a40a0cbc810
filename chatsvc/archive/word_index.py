"""
The index of words, ``chat_word``, brought level with the messages.

A message that is new or has changed has a row in ``chat_unindexed``, until its words are in the index.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chatsvc.archive.segmenter import tokens_of
from chatsvc.storage.sql import Row, Transaction
from chatsvc.storage.upsert import insert_absent
from chatsvc.storage.value_lists import padded, parts, places

_ROWS = 2048
"""Rows of an INSERT: three times as many values, of which SQLite takes 32,766."""

_MESSAGES = 128
"""Messages that are read in one statement."""

_KEYS = 512
"""Keys of a list: MariaDB makes another plan for one with 1,000 or more."""


def index_some(
    transaction: Transaction,
    limit: int,
    also: Callable[[Transaction, Sequence[int], set[Row]], object] = lambda *_: None,
) -> int:
    """
    Put the words of up to ``limit`` messages into the index, those with the lowest serials.

    Messages that are gone or were retracted have no words there. Who changes one of them meanwhile, and has taken its
    row of ``chat_unindexed`` before, is waited for. ``also`` does what else is to be done with messages, given as
    the serials of all, and conversation, serial and text of each that has words.

    :return: how many were taken; fewer than ``limit``: no more are waiting, or another node has just taken some.
    """
    query = "SELECT serial FROM chat_unindexed ORDER BY serial LIMIT ?"
    waiting = [serial for (serial,) in transaction.all(query, (limit,))]
    # One statement for each: of a list that has much of the table MariaDB locks all of it, and its end. So nobody could
    # send anything meanwhile.
    take = "DELETE FROM chat_unindexed WHERE serial = ?"
    taken = [serial for serial in waiting if transaction.execute(take, (serial,))]
    for serials in parts(taken, _MESSAGES):
        messages = texts(transaction, serials)
        _insert(
            transaction,
            [
                (conversation, token, serial)
                for conversation, serial, text in messages
                for token in tokens_of(text)
            ],
        )
        also(transaction, serials, messages)
    return len(taken)


def remove_words(transaction: Transaction, messages: Sequence[tuple[int, int, str]]) -> None:
    """Remove the words of texts from the index: conversation, serial and text of each message."""
    for conversation, serial, text in messages:
        # One statement a message: it is one range of the key, while a list of whole keys costs MariaDB much more.
        for tokens in parts(sorted(tokens_of(text)), _KEYS):
            some = padded(tokens)
            transaction.execute(
                f"DELETE FROM chat_word WHERE conversation = ? AND serial = ? AND token IN {places(some)}",  # noqa: S608
                (conversation, serial, *some),
            )


def texts(transaction: Transaction, serials: Sequence[int]) -> set[Row]:
    """
    Read messages as they are now, and not when the transaction began: conversation, serial and text of each.

    Those that are gone or were retracted are left out.
    """
    some = padded(serials)
    query = "SELECT conversation, serial, text FROM chat_message WHERE retracted = 0 AND serial "
    if transaction.backend == "sqlite":
        return {*transaction.all(f"{query}IN {places(some)}", some)}
    one = f"({query}= ? LOCK IN SHARE MODE)"
    return {*transaction.all(" UNION ALL ".join([one] * len(some)), some)}


def _insert(transaction: Transaction, rows: list[tuple[int, int, int]]) -> None:
    """Insert rows, in the order of the key; those that are there stay."""
    for part in parts(sorted(rows), _ROWS):
        insert_absent(transaction, "chat_word", ("conversation", "token", "serial"), padded(part))
