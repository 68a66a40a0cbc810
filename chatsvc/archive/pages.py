"""Pages of a conversation, between two serials."""

from __future__ import annotations

from collections.abc import Sequence

from chatsvc.archive.message import ArchivedMessage
from chatsvc.archive.scope import Scope
from chatsvc.storage.sql import Row, Transaction
from chatsvc.storage.value_lists import padded, places

MESSAGE = "m.conversation, m.serial, m.sender, m.name, m.at, m.text, m.reply, m.edited"
"""The columns of which :func:`messages_of` makes messages; ``m`` is ``chat_message``."""

IN_ORDER = "chat_message AS m /*! FORCE INDEX (chat_message_page) */"
"""
The messages of a conversation, in order. MySQL reads the comment, SQLite does not.

Without it MariaDB takes the conversation alone from the key, where the serials are those of much of the table, and
reads from one end of it until a serial fits.
"""

_PAGE = (
    f"SELECT {MESSAGE} FROM {IN_ORDER}"  # noqa: S608
    " WHERE m.conversation = ? AND m.serial >= ? AND m.serial < ? AND m.retracted = 0 ORDER BY m.serial "
)

ENDLESS = 2**63 - 1
"""Above every serial."""

LARGE = 256 * 1024
"""Characters in one page; a page that has as many ends, so that no memory is filled by asking (P8)."""

_PORTION = 50
"""Messages that are read at once."""


def page(
    transaction: Transaction, scope: Scope, before: int | None, after: int | None, limit: int
) -> tuple[list[ArchivedMessage], bool]:
    """
    Read up to ``limit`` messages, ascending: the first ones above ``after``, else the last ones below ``before``.

    A page of ``LARGE`` texts ends before the limit.

    :return: the messages, and whether nothing lies beyond them in that direction.
    """
    since = scope.since if after is None else max(scope.since, after + 1)
    until = ENDLESS if before is None or after is not None else before
    found: list[ArchivedMessage] = []
    size, is_complete = 0, False
    while len(found) < limit and size < LARGE and not is_complete:
        most = min(limit - len(found), _PORTION)
        args = (scope.conversation, since, until, most + 1)
        rows = transaction.all(_PAGE + ("DESC LIMIT ?" if after is None else "LIMIT ?"), args)
        some = messages_of(rows[:most])
        is_complete = len(rows) <= most
        found += some
        size += sum(len(message.text) for message in some)
        if some and after is None:
            until = some[-1].serial
        elif some:
            since = some[-1].serial + 1
    return found[::-1] if after is None else found, is_complete


def messages_at(
    transaction: Transaction, serials: Sequence[int], also: str = "", args: Sequence[int] = ()
) -> list[ArchivedMessage]:
    """Read those of some messages, one or more, that are not retracted, in no order; ``also`` is one more condition."""
    some = padded(serials)
    query = f"SELECT {MESSAGE} FROM chat_message AS m WHERE m.serial IN {places(some)} AND m.retracted = 0"  # noqa: S608
    return messages_of(transaction.all(query + also, [*some, *args]))


def messages_of(rows: Sequence[Row]) -> list[ArchivedMessage]:
    """Make messages of rows with the columns ``MESSAGE``."""
    return [ArchivedMessage(*row) for row in rows]
