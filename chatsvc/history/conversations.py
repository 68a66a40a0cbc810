"""The list of a user's conversations, those with the newest messages first."""

from __future__ import annotations

from collections.abc import Sequence

from chatsvc.accounts.shown_names import shown_names
from chatsvc.archive.message import ArchivedMessage
from chatsvc.archive.pages import ENDLESS, messages_at
from chatsvc.archive.reading import NOTHING, Reading, count_unread, is_mentioned, readings
from chatsvc.history.access import Readable, last_messages
from chatsvc.history.settings import have_receipts
from chatsvc.storage.sql import Transaction
from chatsvc.wire.history_events import ListedConversation


def conversations(
    transaction: Transaction, uid: int, before: int | None, limit: int, with_rooms: bool = True
) -> tuple[list[ListedConversation], bool]:
    """
    List the conversations of ``uid`` whose last message is below ``before``, ``limit`` at most.

    :return: the conversations, and whether there are no older ones.
    """
    until = ENDLESS if before is None else before
    found = [
        (last, one) for last, one in last_messages(transaction, uid, with_rooms) if last < until
    ]
    found.sort(key=lambda pair: pair[0], reverse=True)
    page = found[:limit]
    messages = _messages(transaction, [last for last, _ in page])
    listed = _listed(
        transaction, uid, [(messages[last], one) for last, one in page if last in messages]
    )
    return listed, len(found) <= limit


def _messages(transaction: Transaction, serials: Sequence[int]) -> dict[int, ArchivedMessage]:
    if not serials:
        return {}
    return {one.serial: one for one in messages_at(transaction, serials)}


def _listed(
    transaction: Transaction, uid: int, page: Sequence[tuple[ArchivedMessage, Readable]]
) -> list[ListedConversation]:
    others = {one.other for _, one in page if one.other is not None}
    names = shown_names(transaction, sorted(others))
    mine = [(uid, one.scope.conversation) for _, one in page]
    theirs = [(one.other, one.scope.conversation) for _, one in page if one.other is not None]
    marks = readings(transaction, [*mine, *theirs])
    tell = have_receipts(transaction, [uid, *others])
    listed = []
    for last, one in page:
        reading = marks.get((uid, one.scope.conversation), NOTHING)
        name = one.name if one.other is None else names.get(one.other, f"UID{one.other}")
        unread = count_unread(transaction, uid, one.scope, reading.seen)
        seen = _seen(marks, uid, one) if {uid, one.other} <= tell else None
        what = (last, one.other, one.room, name, reading.seen, unread)
        mentioned = unread > 0 and is_mentioned(transaction, uid, one.scope, reading.seen)
        listed.append(
            ListedConversation(*what, mentioned=mentioned, muted=reading.muted, seen=seen)
        )
    return listed


def _seen(marks: dict[tuple[int, int], Reading], uid: int, one: Readable) -> int | None:
    """How far the other has read; None in a room, and of what one writes to oneself."""
    if one.other is None or one.other == uid:
        return None
    return marks.get((one.other, one.scope.conversation), NOTHING).seen
