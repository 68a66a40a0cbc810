"""Messages into rooms: at once where the room is known here, else when it was found."""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from functools import lru_cache, partial

from chatsvc.accounts.authenticator import Denied
from chatsvc.accounts.names import MAX_BYTES
from chatsvc.inbox.features import REFERENCES
from chatsvc.inbox.outcome import (
    Behind,
    Duplicate,
    Gap,
    Moved,
    NotMember,
    Outcome,
    RoomDraft,
    Stored,
    Unregistered,
)
from chatsvc.logged_in import LoggedIn
from chatsvc.rooms.name import room_key
from chatsvc.rooms.room import PUBLIC, Room
from chatsvc.session import Session
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem

_OVERLOADED = 0.05
"""Seconds for which a sender waits whose room has more to hand over than it should."""

_key = lru_cache(maxsize=10_000)(room_key)


def send_at_once(session: Session, command: c.SendToRoom, size: int) -> bool:
    """Give a message to the router if nothing has to be waited for; whether it was."""
    user, features = session.user, session.services.features
    if user is None or session.device is None or (command.again and not session.device):
        return False
    if command.reply is not None and not features.is_known(REFERENCES):
        return False
    if user.rooms is None and not session.connection.rooms:
        return False
    number = command.room if isinstance(command.room, int) else _number_of(user, command.room)
    room = session.services.rooms.known(number) if number is not None else None
    if room is None or not _may_be_known(session, user, room):
        return False
    _route(session, user, room, command, size)
    return True


async def send(session: Session, command: c.SendToRoom) -> None:
    """
    Send a message when its room was found and is ready.

    :raise Denied: the client has no rooms; or ``again`` without a device, so that nobody could tell whether the message
        was stored before.
    :raise RoomRefused: there is no room that the user may, or once could, know of.
    :raise StoreUnavailable: a store is away, or the device could not be claimed.
    """
    user = session.user
    assert user is not None
    if not session.connection.rooms:
        raise Denied(Problem.UNKNOWN_COMMAND)
    if session.device is None:
        raise StoreUnavailable("the device could not be claimed")
    if command.again and not session.device:
        raise Denied(Problem.BAD_FIELD)
    if command.reply is not None and not await session.services.features.all_know(REFERENCES):
        command = replace(command, reply=None)  # a node could not read it
    room, is_visible = await session.services.rooms.find(user.uid, command.room)
    if session.user is None:  # logged out by another log-in meanwhile
        session.refuse(command, Problem.NOT_LOGGED_IN)
    else:
        _route(session, session.user, room, command, session.keep_unanswered(), is_visible)


def _number_of(user: LoggedIn, name: str) -> int | None:
    """Find a room by its name among those that the session reads."""
    if len(name) > MAX_BYTES:  # such names must not fill the cache either
        return None
    rooms, key = user.rooms, _key(name)
    for number, subscription in rooms.subscriptions.items() if rooms else ():
        if key and _key(subscription.feed.name) == key:
            return number
    return None


def _may_be_known(session: Session, user: LoggedIn, room: Room) -> bool:
    """Whether a room is no secret to a user; where nobody reads it, this process does not hear of its changes."""
    if user.rooms is not None and room.number in user.rooms.subscriptions:
        return True
    return room.kind == PUBLIC and session.services.feeds.feed(room.number) is not None


def _route(
    session: Session,
    user: LoggedIn,
    room: Room,
    command: c.SendToRoom,
    size: int,
    is_visible: bool | None = None,
) -> None:
    """Give a message to the router; ``is_visible``: whether the user may know of the room; None: SQL was not asked."""
    services, number = session.services, room.number
    generation, sending, registered = user.generations
    draft = RoomDraft(
        *(number, user.uid, user.name, int(services.now() * 1000), command.text),
        device=session.device or "",
        n=command.n if session.device else None,
        again=command.again,
        generation=generation,
        sending=sending,
        registered=registered,
        version=room.version,
        mark=_mark(user),
        reference=None if command.reply is None else e.reply_to(command.reply),
    )
    session.count_sent()
    answer = partial(_answer, session, room, is_visible)
    services.router.send_to_room(draft, partial(session.on_outcome, command, size, answer))
    session.charge_message(user.uid)
    wait_for_room(session, number)


def wait_for_room(session: Session, number: int) -> None:
    """Slow down who says something in a room, or changes it, that has more to hand over than it should."""
    feed = session.services.feeds.feed(number)
    if feed is not None and feed.is_overloaded:
        session.slow_down("room-rate", _OVERLOADED)


def _mark(user: LoggedIn) -> str:
    """Say which device is not handed the message: the one that sends it, if it reads."""
    if user.reader is None:
        return ""
    return user.reader.device or "-"


def _answer(
    session: Session,
    room: Room,
    is_visible: bool | None,
    command: c.SendToRoom,
    outcome: Outcome | None,
    message: e.RoomMessage,
    online: Container[int],
) -> e.Event:
    """
    Give the answer to a message into a room; ``outcome`` None: the store did not answer in time, so nobody knows.

    One that was stored counts towards the room's rate. ``is_visible`` is as in :func:`_route`.
    """
    number, n, services = room.number, command.n, session.services
    if isinstance(outcome, Stored | Duplicate):
        repeated = type(outcome) is Duplicate
        if not repeated:  # nobody who is no member slows a room down
            session.slow_down("room-rate", services.rates.into_room.delay(number))
        return e.RoomSent(number, room.name, outcome.id, message, repeated, re=n)
    if isinstance(outcome, Gap):
        return e.Refused(Problem.GAP, room=number, expected=outcome.expected, re=n)
    if isinstance(outcome, Moved | Unregistered):
        return e.Refused(Problem.NOT_LOGGED_IN, room=number, re=n)
    if isinstance(outcome, NotMember):
        if is_visible is None:
            is_visible = room.kind == PUBLIC
        problem = Problem.NOT_A_MEMBER if is_visible else Problem.UNKNOWN_ROOM
        return e.Refused(problem, room=number, re=n)
    if isinstance(outcome, Behind):
        services.rooms.lost_events(number)
    return e.Refused(Problem.MAYBE_NOT_STORED, room=number, re=n)
