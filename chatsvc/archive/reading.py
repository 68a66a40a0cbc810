"""
How far users have read conversations: a marker each, which only grows (P7 of docs/protocol.md).

Behind it, ``chat_mention`` has each message that mentions them. Whoever indexes makes those rows; others only remove
them, one by one and in the order of the key. So nobody waits for a place between two rows in MariaDB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from chatsvc.archive.pages import IN_ORDER
from chatsvc.archive.scope import Scope
from chatsvc.storage.sql import Row, Transaction
from chatsvc.storage.upsert import raise_value, set_value
from chatsvc.storage.value_lists import padded, places
from chatsvc.wire.record import record

UNREAD = 100
"""Messages that are counted as unread at most."""

_FORGOTTEN = 200
"""Mentions that are removed at most when a marker rises; what is left goes when it rises again."""

_NEWEST = (
    "SELECT serial FROM chat_message WHERE conversation = ? AND retracted = 0 AND serial >= ?"
    " ORDER BY serial DESC LIMIT 1"
)

_UNREAD = (
    f"SELECT COUNT(*) FROM (SELECT 1 AS one FROM {IN_ORDER}"  # noqa: S608
    " WHERE conversation = ? AND serial > ? AND sender <> ? AND retracted = 0 LIMIT ?) AS unread"
)

_READ = (
    "SELECT uid, conversation, serial FROM chat_mention"
    " WHERE uid = ? AND conversation = ? AND serial <= ? ORDER BY serial LIMIT ?"
)

_MENTIONED = (
    "SELECT 1 FROM chat_mention AS c JOIN chat_message AS m ON m.serial = c.serial"
    " WHERE c.uid = ? AND c.conversation = ? AND c.serial > ? AND m.retracted = 0 LIMIT 1"
)

# MySQL reads the comments, SQLite does not. Without them MariaDB finds the row by its serial alone and locks the gaps
# beside it: nobody could be mentioned by other messages meanwhile.
_REMOVE = (
    "DELETE /*! c */ FROM chat_mention /*! AS c FORCE INDEX (PRIMARY) */"
    " WHERE uid = ? AND conversation = ? AND serial = ?"
)


@record
class Reading:
    """
    What is known of one user and one conversation.

    ``seen`` is the serial up to which it counts as read. ``muted``: the user's clients are not to ring for it.
    """

    seen: int = 0
    muted: bool = False


NOTHING = Reading()


def readings(
    transaction: Transaction, users: Sequence[tuple[int, int]]
) -> dict[tuple[int, int], Reading]:
    """Read the markers of users in conversations, (uid, conversation) each; those that have none are left out."""
    if not users:
        return {}
    some = padded(users)
    uids = padded(sorted({uid for uid, _ in users}))
    query = (
        "SELECT uid, conversation, seen, muted FROM chat_reading"  # noqa: S608
        f" WHERE uid IN {places(uids)} AND conversation IN {places(some)}"
    )
    rows = transaction.all(query, [*uids, *[conversation for _, conversation in some]])
    return {
        (uid, conversation): Reading(seen, bool(muted)) for uid, conversation, seen, muted in rows
    }


def mark_read(transaction: Transaction, uid: int, scope: Scope, serial: int) -> int | None:
    """
    Raise a user's marker to ``serial``, but not above the newest message.

    :return: where it is now, None if it was there already.
    """
    row = transaction.one(_NEWEST, (scope.conversation, scope.since))
    wanted = min(serial, row[0]) if row else 0
    known = readings(transaction, [(uid, scope.conversation)])
    if wanted <= known.get((uid, scope.conversation), NOTHING).seen:
        return None
    key = {"uid": uid, "conversation": scope.conversation}
    raise_value(transaction, "chat_reading", key, "seen", wanted)
    remove_mentions(transaction, transaction.all(_READ, (*key.values(), wanted, _FORGOTTEN)))
    return wanted


def mute(transaction: Transaction, uid: int, conversation: int, muted: bool) -> None:
    """Set whether a conversation is muted for a user."""
    key = {"uid": uid, "conversation": conversation}
    set_value(transaction, "chat_reading", key, "muted", int(muted))


def count_unread(transaction: Transaction, uid: int, scope: Scope, seen: int) -> int:
    """Count messages of others above ``seen``, ``UNREAD`` at most."""
    above = max(seen, scope.since - 1)
    row = transaction.one(_UNREAD, (scope.conversation, above, uid, UNREAD))
    return int(row[0]) if row else 0


def is_mentioned(transaction: Transaction, uid: int, scope: Scope, seen: int) -> bool:
    """Whether a message above ``seen``, one that is not retracted, mentions a user."""
    above = max(seen, scope.since - 1)
    return transaction.one(_MENTIONED, (uid, scope.conversation, above)) is not None


def remove_mentions(transaction: Transaction, mentions: Iterable[Row]) -> None:
    """Remove mentions: uid, conversation and serial of each."""
    for mention in sorted(mentions):
        transaction.execute(_REMOVE, mention)
