"""What users have set: of all that they do, and of one conversation."""

from __future__ import annotations

from collections.abc import Sequence

from chatsvc.accounts.name_index import HIGHEST, LOWEST
from chatsvc.accounts.shown_names import shown_names
from chatsvc.archive.entry import Pair
from chatsvc.archive.reading import NOTHING, mute, readings
from chatsvc.archive.writing import numbers_of
from chatsvc.history.access import Conversation, scope_of
from chatsvc.rooms.room import RoomRefused
from chatsvc.storage.sql import Transaction
from chatsvc.storage.upsert import set_value
from chatsvc.storage.value_lists import padded, places
from chatsvc.wire.problems import Problem

RECEIPTS = "receipts"


def have_receipts(transaction: Transaction, uids: Sequence[int]) -> set[int]:
    """Who of these users tells others how far they have read, and is told it: all who have not said otherwise."""
    some = padded(sorted(set(uids)))
    query = (
        f"SELECT uid FROM chat_user_setting WHERE name = ? AND value = 0 AND uid IN {places(some)}"  # noqa: S608
    )
    off = {uid for (uid,) in transaction.all(query, (RECEIPTS, *some))}
    return set(uids) - off


def set_receipts(transaction: Transaction, uid: int, value: bool) -> None:
    """Set whether a user has receipts."""
    key = {"uid": uid, "name": RECEIPTS}
    set_value(transaction, "chat_user_setting", key, "value", int(value))


def settings(
    transaction: Transaction,
    uid: int,
    receipts: bool | None,
    where: Conversation | None,
    muted: bool | None,
    now: int,
) -> tuple[bool, bool | None]:
    """
    Change what is not None; ``now`` is in ms.

    :return: whether the user has receipts, and whether the conversation is muted, None if none was named.
    :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``UNKNOWN_USER``.
    """
    if receipts is not None:
        set_receipts(transaction, uid, receipts)
    has_receipts = uid in have_receipts(transaction, [uid])
    if where is None:
        return has_receipts, None
    number = _number(transaction, uid, where, now, make=muted is True)
    if number is None:
        return has_receipts, False
    if muted is not None:
        mute(transaction, uid, number, muted)
    known = readings(transaction, [(uid, number)]).get((uid, number), NOTHING)
    return has_receipts, known.muted


def _number(
    transaction: Transaction, uid: int, where: Conversation, now: int, make: bool
) -> int | None:
    """Find the number of a conversation; ``make`` one for two who have not written to each other yet, or give None."""
    room, scope = scope_of(transaction, uid, where, now)
    if scope is not None or not make:
        return None if scope is None else scope.conversation
    assert room is None and where.other is not None
    if not LOWEST <= where.other <= HIGHEST or not shown_names(transaction, [where.other]):
        raise RoomRefused(Problem.UNKNOWN_USER)
    pair = Pair.between(uid, where.other)
    return numbers_of(transaction, [pair])[pair]
