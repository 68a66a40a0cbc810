"""Changes of what a room is, and of its members' roles, each within one transaction."""

from __future__ import annotations

from collections.abc import Mapping

from chatsvc.rooms import event as ev
from chatsvc.rooms.members import require_owning_one_more
from chatsvc.rooms.name import room_key
from chatsvc.rooms.room import OWNER, RoomLimits, RoomRefused
from chatsvc.rooms.room_change import OpenChange, Pending, locked_by
from chatsvc.rooms.rules import Action, may_act_on
from chatsvc.rooms.standing import standing
from chatsvc.storage.sql import Transaction
from chatsvc.wire.problems import Problem

_ACTIONS: Mapping[str, Action] = {
    "name": Action.RENAME,
    "topic": Action.TOPIC,
    "kind": Action.KIND,
    "history": Action.HISTORY,
}


def change_room(
    transaction: Transaction, by: int, number: int, wanted: Mapping[str, str], now: int
) -> Pending:
    """
    Change fields of a room, by their names in ``Room``; a name is as ``enforce_room_name`` returns it.

    :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``FORBIDDEN``; ``ROOM_NAME_TAKEN``, with the number of a
        room of one's own.
    """
    change, own = locked_by(transaction, by, number, now)
    room = own.visible()
    assert change is not None
    own.require(*(_ACTIONS[field] for field in wanted))
    new = {field: value for field, value in wanted.items() if getattr(room, field) != value}
    if "name" in new:
        _require_free(change, by, new["name"])
    if new:
        change.set(**new)
        change.append(ev.CHANGED, by, details=new)
    return change.done()


def set_role(
    transaction: Transaction,
    by: int,
    number: int,
    user: int,
    role: str,
    limits: RoomLimits,
    now: int,
) -> Pending:
    """
    Give a member another role.

    :raise RoomRefused: ``UNKNOWN_ROOM``; ``NOT_A_MEMBER``: one of the two; ``FORBIDDEN``, also for the last owner's;
        ``TOO_MANY_ROOMS``: the user owns as many as one may.
    """
    change, own = locked_by(transaction, by, number, now)
    own.visible()
    assert change is not None
    rank, other = own.require(Action.ROLE), change.role(user)
    if other is None:
        raise RoomRefused(Problem.NOT_A_MEMBER)
    if not may_act_on(rank, other):
        raise RoomRefused(Problem.FORBIDDEN)
    if role != other:
        if other == OWNER and not change.other_owners(user):
            raise RoomRefused(Problem.FORBIDDEN)
        if role == OWNER:
            require_owning_one_more(transaction, user, limits)
        transaction.execute(
            "UPDATE chat_member SET role = ? WHERE room = ? AND uid = ?", (role, number, user)
        )
        change.append(ev.ROLE, by, user, {"role": role})
    return change.done()


def _require_free(change: OpenChange, by: int, name: str) -> None:
    if room_key(name) == room_key(change.room.name):
        return
    other = standing(change.sql, by, name, change.now)
    if other.room is not None:
        raise RoomRefused(Problem.ROOM_NAME_TAKEN, other.room.number if other.role else None)
