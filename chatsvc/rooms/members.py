"""Changes of who belongs to a room, each within one transaction. What is so already changes nothing."""

from __future__ import annotations

from dataclasses import replace

from chatsvc.accounts.shown_names import shown_names
from chatsvc.rooms import event as ev
from chatsvc.rooms.name import room_key
from chatsvc.rooms.room import (
    ALL,
    JOINED,
    MEMBER,
    OWNER,
    PUBLIC,
    Room,
    RoomLimits,
    RoomRefused,
)
from chatsvc.rooms.room_change import NOBODY, OpenChange, Pending, locked, locked_by
from chatsvc.rooms.rules import Action, inviting, may_act_on
from chatsvc.rooms.standing import standing
from chatsvc.storage.sql import Transaction
from chatsvc.wire.problems import Problem

_HEIRS = 200
"""Members who are looked at for one who can become the owner."""


def create(
    transaction: Transaction,
    by: int,
    name: str,
    kind: str,
    topic: str,
    limits: RoomLimits | None,
    now: int,
) -> Pending:
    """
    Make a room, whose ``name`` is as ``enforce_room_name`` returns it; without ``limits``, whatever its owner has.

    :raise RoomRefused: ``ROOM_NAME_TAKEN``, with the number of a room of one's own; ``TOO_MANY_ROOMS``;
        ``UNKNOWN_USER``.
    """
    other = standing(transaction, by, name, now)
    if other.room is not None:
        raise RoomRefused(Problem.ROOM_NAME_TAKEN, other.room.number if other.role else None)
    if not shown_names(transaction, [by]):
        raise RoomRefused(Problem.UNKNOWN_USER)
    if limits is not None:
        _require_room_for_one_more(transaction, by, limits)
        require_owning_one_more(transaction, by, limits)
    history = ALL if kind == PUBLIC else JOINED
    number = transaction.insert(
        "INSERT INTO chat_room (name, folded, topic, kind, history, version, members, created)"
        " VALUES (?, ?, ?, ?, ?, 0, 0, ?)",
        (name, room_key(name), topic, kind, history, now),
    )
    change = OpenChange(transaction, Room(number, name, kind, topic, history, 0, 0), now)
    _enter(change, by, OWNER)
    change.append(ev.CREATED, by, by)
    return change.done()


def join(transaction: Transaction, uid: int, number: int, limits: RoomLimits, now: int) -> Pending:
    """
    Become a member.

    :raise RoomRefused: ``UNKNOWN_ROOM``, ``BANNED``, ``ROOM_FULL``, ``TOO_MANY_ROOMS``.
    """
    change, own = locked_by(transaction, uid, number, now)
    room = own.visible()
    assert change is not None
    if own.role is None:
        if own.banned:
            raise RoomRefused(Problem.BANNED)
        if room.members >= limits.members:
            raise RoomRefused(Problem.ROOM_FULL)
        _require_room_for_one_more(transaction, uid, limits)
        change.delete("chat_invitation", uid)
        _enter(change, uid, MEMBER)
        change.append(ev.JOINED, uid, uid)
    return change.done()


def leave(transaction: Transaction, uid: int, number: int, now: int) -> Pending:
    """
    Be a member no longer: the last owner hands over, the last member closes the room.

    :raise RoomRefused: ``UNKNOWN_ROOM``, or ``NOT_A_MEMBER``: one never was.
    """
    change, own = locked_by(transaction, uid, number, now)
    own.known()
    assert change is not None
    if own.role is None:
        if not own.once:
            raise RoomRefused(Problem.NOT_A_MEMBER)
        return change.done()
    if own.role == OWNER and change.room.members > 1 and not change.other_owners(uid):
        _hand_over(change, uid)
    _go(change, uid)
    change.append(ev.LEFT, uid, uid)
    if not change.room.members:
        change.close(uid)
    return change.done()


def remove(
    transaction: Transaction, by: int, number: int, user: int, ban: bool, now: int
) -> Pending:
    """
    Remove a member, or withdraw the invitation of who is none yet; ``ban``: who may then not join.

    :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``FORBIDDEN``; ``UNKNOWN_USER``: nobody to ban has that uid.
    """
    change, own = locked_by(transaction, by, number, now)
    own.visible()
    assert change is not None
    role = own.require(Action.BAN if ban else Action.REMOVE)
    other = change.role(user)
    if user == by or not may_act_on(role, other):
        raise RoomRefused(Problem.FORBIDDEN)
    is_new = ban and _ban(change, by, user, other is not None)
    withdrawn = change.delete("chat_invitation", user)
    if other is not None:
        _go(change, user)
        change.append(ev.REMOVED, by, user, {"ban": True} if ban else None)
    elif is_new:
        change.append(ev.BANNED, by, user)
    elif withdrawn:
        change.append(ev.WITHDRAWN, by, user)
    return change.done()


def unban(transaction: Transaction, by: int, number: int, user: int, now: int) -> Pending:
    """
    Let a user join again.

    :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``FORBIDDEN``.
    """
    change, own = locked_by(transaction, by, number, now)
    own.visible()
    assert change is not None
    own.require(Action.UNBAN)
    if change.delete("chat_ban", user):
        change.append(ev.UNBANNED, by, user)
    return change.done()


def invite(transaction: Transaction, by: int, number: int, user: int, now: int) -> Pending:
    """
    Invite a user, once while the invitation admits.

    :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``FORBIDDEN``, ``UNKNOWN_USER``; ``BANNED``: the user is.
    """
    change, own = locked_by(transaction, by, number, now)
    room = own.visible()
    assert change is not None
    own.require(inviting(room.kind))
    names = shown_names(transaction, [by, user])
    if user not in names:
        raise RoomRefused(Problem.UNKNOWN_USER)
    other = standing(transaction, user, number, now)
    if other.role is not None or other.invited:
        return replace(change.done(), is_member=other.role is not None)
    if other.banned:
        raise RoomRefused(Problem.BANNED)
    change.delete("chat_invitation", user)
    inviter = names.get(by, f"UID{by}")
    change.append(ev.INVITED, by, user, {"inviter": inviter, "room_name": room.name})
    transaction.execute(
        "INSERT INTO chat_invitation (room, uid, actor, at, version) VALUES (?, ?, ?, ?, ?)",
        (number, user, by, now, change.room.version),
    )
    return change.done()


def close(transaction: Transaction, by: int, number: int, now: int) -> Pending:
    """
    Close a room for ever.

    :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``FORBIDDEN``.
    """
    change, own = locked_by(transaction, by, number, now)
    room = own.closed_or_visible()
    assert change is not None
    if not room.closed:
        own.require(Action.CLOSE)
        change.close(by)
    return change.done()


def close_by_admin(transaction: Transaction, number: int, now: int) -> Pending:
    """
    Close a room, whoever is in it.

    :raise RoomRefused: ``UNKNOWN_ROOM``.
    """
    change = locked(transaction, number, now)
    if change is None:
        raise RoomRefused(Problem.UNKNOWN_ROOM)
    if not change.room.closed:
        change.close(NOBODY)
    return change.done()


def require_owning_one_more(transaction: Transaction, uid: int, limits: RoomLimits) -> None:
    """
    Check that a user may own another room.

    :raise RoomRefused: ``TOO_MANY_ROOMS``.
    """
    query = "SELECT COUNT(*) FROM chat_member WHERE uid = ? AND role = 'owner'"
    (owned,) = transaction.one(query, (uid,)) or (0,)
    if owned >= limits.owned:
        raise RoomRefused(Problem.TOO_MANY_ROOMS)


def _require_room_for_one_more(transaction: Transaction, uid: int, limits: RoomLimits) -> None:
    (rooms,) = transaction.one("SELECT COUNT(*) FROM chat_member WHERE uid = ?", (uid,)) or (0,)
    if rooms >= limits.per_user:
        raise RoomRefused(Problem.TOO_MANY_ROOMS)


def _enter(change: OpenChange, uid: int, role: str) -> None:
    change.sql.execute(
        "INSERT INTO chat_member (room, uid, role, version, since) VALUES (?, ?, ?, ?, ?)",
        (change.room.number, uid, role, change.room.version + 1, change.now),
    )
    change.set(members=change.room.members + 1)


def _go(change: OpenChange, uid: int) -> None:
    change.delete("chat_member", uid)
    change.set(members=change.room.members - 1)


def _hand_over(change: OpenChange, uid: int) -> None:
    """Make the longest-standing moderator the owner, else the longest-standing member."""
    rows = change.sql.all(
        "SELECT uid FROM chat_member WHERE room = ? AND uid <> ?"
        " ORDER BY CASE role WHEN 'moderator' THEN 0 ELSE 1 END, version LIMIT ?",
        (change.room.number, uid, _HEIRS),
    )
    heirs = [other for (other,) in rows]
    there = shown_names(
        change.sql, heirs
    )  # without those whose account another program has deleted
    heir = next((other for other in heirs if other in there), heirs[0])
    change.sql.execute(
        "UPDATE chat_member SET role = 'owner' WHERE room = ? AND uid = ?",
        (change.room.number, heir),
    )
    change.append(ev.ROLE, uid, heir, {"role": OWNER})


def _ban(change: OpenChange, by: int, user: int, is_member: bool) -> bool:
    """Ban a user; return whether that is new."""
    where = (change.room.number, user)
    if change.sql.one("SELECT 1 FROM chat_ban WHERE room = ? AND uid = ?", where):
        return False
    if not is_member and not shown_names(change.sql, [user]):
        raise RoomRefused(Problem.UNKNOWN_USER)
    change.sql.execute(
        "INSERT INTO chat_ban (room, uid, actor, at) VALUES (?, ?, ?, ?)", (*where, by, change.now)
    )
    return True
