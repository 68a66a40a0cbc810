"""Rooms: making, joining, leaving, changing and listing them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import wraps
from typing import TypeVar

from chatsvc.accounts.authenticator import Denied
from chatsvc.rooms.room import Room
from chatsvc.session import Session
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem

_MOST_WITH_MARKERS = 100
"""Members of a room up to which the list says how far each has read."""

_MOST_LISTED = 1000
"""Rooms or members in an answer at most, whatever the client asks for: a frame holds hundreds."""

C = TypeVar("C", bound=c.Command)


def _about_rooms(
    handler: Callable[[Session, C], Awaitable[None]],
) -> Callable[[Session, C], Awaitable[None]]:
    """
    Make a handler one for clients that have rooms.

    :raise Denied: from the handler, as for a command that is not known: the feature was not granted.
    """

    @wraps(handler)
    async def handle(session: Session, command: C) -> None:
        if not session.connection.rooms:
            raise Denied(Problem.UNKNOWN_COMMAND)
        await handler(session, command)

    return handle


def _changing(
    what: str, change: Callable[[Session, int, C], Awaitable[Room]], slowed: bool = True
) -> Callable[[Session, C], Awaitable[None]]:
    """
    Make a handler that changes a room for the user and says ``what`` was done.

    ``slowed``: past the rate of an account the connection is read more slowly. The handler raises ``RoomRefused`` when
    the user may not do that, or it is not possible, and ``StoreUnavailable`` when nobody knows whether it was done.
    """

    @_about_rooms
    async def handle(session: Session, command: C) -> None:
        uid = _uid(session)
        if slowed:
            _slow_down(session, uid)
        room = await change(session, uid, command)
        session.say(e.RoomDone(what, room.number, room.name, re=command.n))

    return handle


def _slow_down(session: Session, uid: int) -> None:
    session.slow_down("room-command-rate", session.services.rates.room.delay(uid))


def _uid(session: Session) -> int:
    assert session.user is not None
    return session.user.uid


async def _create(session: Session, uid: int, command: c.CreateRoom) -> Room:
    return await session.services.rooms.create(uid, command.name, command.kind, command.topic)


async def _join(session: Session, uid: int, command: c.JoinRoom) -> Room:
    return await session.services.rooms.join(uid, command.room)


async def _leave(session: Session, uid: int, command: c.LeaveRoom) -> Room:
    return await session.services.rooms.leave(uid, command.room)


async def _remove(session: Session, uid: int, command: c.RemoveMember) -> Room:
    return await session.services.rooms.remove(uid, command.room, command.user, command.ban)


async def _unban(session: Session, uid: int, command: c.Unban) -> Room:
    return await session.services.rooms.unban(uid, command.room, command.user)


async def _set_role(session: Session, uid: int, command: c.SetRole) -> Room:
    return await session.services.rooms.set_role(uid, command.room, command.user, command.role)


async def _change(session: Session, uid: int, command: c.ChangeRoom) -> Room:
    return await session.services.rooms.change(
        uid, command.room, command.name, command.topic, command.kind, command.history
    )


async def _close(session: Session, uid: int, command: c.CloseRoom) -> Room:
    return await session.services.rooms.close(uid, command.room)


create = _changing("created", _create)
join = _changing("joined", _join)
leave = _changing("left", _leave, slowed=False)  # who leaves has joined before
remove = _changing("removed", _remove)
unban = _changing("unbanned", _unban)
set_role = _changing("role", _set_role)
change = _changing("changed", _change)
close = _changing("closed", _close)


@_about_rooms
async def invite(session: Session, command: c.Invite) -> None:
    """
    Invite a user, or say that this one is a member; slowed down as other changes are.

    :raise RoomRefused: the user may not do that, or it is not possible.
    :raise StoreUnavailable: nobody knows whether it was done.
    """
    uid = _uid(session)
    _slow_down(session, uid)
    room, is_member = await session.services.rooms.invite(uid, command.room, command.user)
    what = "member" if is_member else "invited"
    session.say(e.RoomDone(what, room.number, room.name, re=command.n))


@_about_rooms
async def list_rooms(session: Session, command: c.ListRooms) -> None:
    """
    Say which rooms there are; past the rate of questions after a name the connection is read more slowly.

    :raise StoreUnavailable: the accounts' database is away.
    """
    services, uid = session.services, _uid(session)
    session.slow_down("find-rate", services.rates.find.delay(uid))
    limit = min(command.limit, _MOST_LISTED)
    rooms, more = await services.rooms.list_rooms(
        uid, command.name, command.after, limit, command.mine
    )
    session.say(e.RoomsListed(tuple(rooms), more, re=command.n))


@_about_rooms
async def list_members(session: Session, command: c.ListMembers) -> None:
    """
    Say who is in a room, and who of them is online.

    :raise RoomRefused: the user may not know that.
    :raise StoreUnavailable: a store is away.
    """
    services, uid = session.services, _uid(session)
    session.slow_down("find-rate", services.rates.find.delay(uid))
    room, members, more = await services.rooms.list_members(
        uid, command.room, command.after, min(command.limit, _MOST_LISTED)
    )
    here = services.online
    elsewhere = await services.inbox.elsewhere([one for one, *_ in members if one not in here])
    markers = {}
    if services.history.is_on and room.members <= _MOST_WITH_MARKERS:
        markers = await services.history.markers(uid, room.number, [one for one, *_ in members])
    listed = tuple(
        e.ListedMember(one, name, role, one in here or one in elsewhere, markers.get(one))
        for one, name, role in members
    )
    session.say(e.MembersListed(room.number, room.name, listed, more, re=command.n))


async def show_help(session: Session, command: c.HelpOnRooms) -> None:
    """Say which commands for rooms there are."""
    session.say(e.HelpOnRoomsShown(re=command.n))
