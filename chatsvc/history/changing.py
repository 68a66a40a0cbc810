"""Who may edit or retract which message. One that somebody may not read is answered as one that is not there."""

from __future__ import annotations

from chatsvc.archive.pages import MESSAGE, messages_of
from chatsvc.history.access import Conversation, pair_of, scope_of
from chatsvc.rooms.room import RoomRefused
from chatsvc.rooms.rules import Action, may
from chatsvc.rooms.standing import standing
from chatsvc.storage.sql import Transaction
from chatsvc.wire.record import record

_ONE = f"SELECT {MESSAGE}, m.retracted FROM chat_message AS m WHERE m.serial = ?"  # noqa: S608

_MINUTE_MS = 60_000


@record
class Original:
    """
    A message that a user may change: it was said to the user ``to``, or, if that is None, in ``room``.

    ``is_done``: it reads so already, or was retracted.
    """

    to: int | None
    room: int | None
    is_done: bool


class NotAllowed(Exception):
    """The user may not change this message, or there is none."""


def editable(
    transaction: Transaction, uid: int, serial: int, text: str, now: int, minutes: int
) -> Original:
    """
    Find a message that ``uid`` has sent, and may still edit; ``now`` is in ms.

    :raise NotAllowed: otherwise.
    """
    original, sender, at, old, retracted = _find(transaction, uid, serial, now)
    if retracted or sender != uid or now - at > minutes * _MINUTE_MS:
        raise NotAllowed
    return Original(original.to, original.room, old == text)


def retractable(
    transaction: Transaction, uid: int, serial: int, now: int, minutes: int
) -> Original:
    """
    Find a message that ``uid`` may retract: an own one for some time, others' as a moderator of the room.

    :raise NotAllowed: otherwise.
    """
    original, sender, at, _, retracted = _find(transaction, uid, serial, now)
    is_own = sender == uid and now - at <= minutes * _MINUTE_MS
    if not is_own and not _moderates(transaction, uid, original.room, now):
        raise NotAllowed
    return Original(original.to, original.room, retracted)


def _find(
    transaction: Transaction, uid: int, serial: int, now: int
) -> tuple[Original, int, int, str, bool]:
    """Find a message that a user may read: where it was said, sender, time, text, whether it was retracted."""
    row = transaction.one(_ONE, (serial,))
    if row is None:
        raise NotAllowed
    *columns, retracted = row
    (message,) = messages_of([tuple(columns)])
    original = _place(transaction, uid, message.conversation)
    try:
        _, scope = scope_of(transaction, uid, Conversation(original.to, original.room), now)
    except RoomRefused:
        raise NotAllowed from None
    if scope is None or message.serial < scope.since:
        raise NotAllowed
    return original, message.sender, message.at, message.text, bool(retracted)


def _place(transaction: Transaction, uid: int, conversation: int) -> Original:
    """Say whom a conversation of ``uid`` is with, or in which room it is."""
    if conversation < 0:
        return Original(None, -conversation, False)
    pair = pair_of(transaction, conversation)
    if pair is None or uid not in pair:
        raise NotAllowed
    return Original(pair.other(uid), None, False)


def _moderates(transaction: Transaction, uid: int, room: int | None, now: int) -> bool:
    if room is None:
        return False
    role = standing(transaction, uid, room, now).role
    return role is not None and may(role, Action.RETRACT)
