"""Pages of a conversation, between two serials."""

from __future__ import annotations

from collections.abc import Sequence

from chatsvc.archive.message import ArchivedMessage
from chatsvc.archive.scope import Scope
from chatsvc.storage.sql import Row, Transaction

MESSAGE = "m.conversation, m.serial, m.sender, m.name, m.at, m.text, m.reply, m.edited"
"""The columns of which :func:`message_of` makes a message; ``m`` is ``chat_message``."""

_PAGE = (
    f"SELECT {MESSAGE} FROM chat_message AS m"  # noqa: S608
    " WHERE m.conversation = ? AND m.serial >= ? AND m.serial < ? AND m.retracted = 0 ORDER BY m.serial "
)

ENDLESS = 2**63 - 1
"""Above every serial."""


def page(
    transaction: Transaction, scope: Scope, before: int | None, after: int | None, limit: int
) -> tuple[list[ArchivedMessage], bool]:
    """
    Read up to ``limit`` messages, ascending: the first ones above ``after``, else the last ones below ``before``.

    :return: the messages, and whether nothing lies beyond them in that direction.
    """
    if after is not None:
        since = max(scope.since, after + 1)
        rows = transaction.all(_PAGE + "LIMIT ?", (scope.conversation, since, ENDLESS, limit + 1))
        return messages_of(rows[:limit]), len(rows) <= limit
    until = ENDLESS if before is None else before
    args = (scope.conversation, scope.since, until, limit + 1)
    rows = transaction.all(_PAGE + "DESC LIMIT ?", args)
    return messages_of(rows[:limit][::-1]), len(rows) <= limit


def messages_of(rows: Sequence[Row]) -> list[ArchivedMessage]:
    """Make messages of rows with the columns ``MESSAGE``."""
    return [ArchivedMessage(*row) for row in rows]
