"""Rooms in the structured dialect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from chatsvc.wire.structured import fields as f
from chatsvc.wire.structured.fields import Thing

_KINDS = ("public", "private")
_HISTORIES = ("all", "joined")
_ROLES = ("owner", "moderator", "member")

_FRAME = "json"
"""The key of an entry's frame: it is the same in all languages, and under every name of the room."""


# Commands


def _room(thing: Thing) -> int:
    room: int = f.number(thing, "room", 1, c.MAX_N)
    return room


def _parse_send(thing: Thing, n: int | None) -> c.Command:
    room = _room(thing)
    text = f.text(thing, "text")
    if not text or "to" in thing:
        raise f.BadField("text")
    if len(text) * 4 > c.MAX_TEXT and len(text.encode()) > c.MAX_TEXT:
        return c.Malformed(Problem.TOO_LONG, c.SendToRoom, room=room, n=n)
    again = f.flag(thing, "again")
    if again and n is None:
        raise f.BadField("again")
    reply = f.number(thing, "reply", 1, c.MAX_N) if "reply" in thing else None
    return c.SendToRoom(room, text, again, reply, n=n)


def _parse_create(thing: Thing, n: int | None) -> c.Command:
    name = f.text(thing, "name")
    kind = f.one_of(thing, "kind", _KINDS, _KINDS[0])
    topic = f.text(thing, "topic", "")
    if len(topic.encode()) > c.MAX_TOPIC:
        return c.Malformed(Problem.LONG_TOPIC, c.CreateRoom, n=n)
    return c.CreateRoom(name, kind, topic, n=n)


def _parse_join(thing: Thing, n: int | None) -> c.Command:
    name = f.text(thing, "name", None)
    if name is None:
        return c.JoinRoom(_room(thing), n=n)
    if "room" in thing or not name:
        raise f.BadField("name")
    if (
        name[0] in "#＃"
    ):  # how people type it: no name begins so, and "unknown-room" would not tell what is wrong
        return c.Malformed(Problem.BAD_ROOM_NAME, c.JoinRoom, n=n)
    return c.JoinRoom(name, n=n)


def _parse_change(thing: Thing, n: int | None) -> c.Command:
    room = _room(thing)
    name, topic = f.text(thing, "name", None), f.text(thing, "topic", None)
    kind = f.one_of(thing, "kind", _KINDS, None)
    history = f.one_of(thing, "history", _HISTORIES, None)
    if name is None and topic is None and kind is None and history is None:
        raise f.BadField("name")
    if topic is not None and len(topic.encode()) > c.MAX_TOPIC:
        return c.Malformed(Problem.LONG_TOPIC, c.ChangeRoom, n=n)
    return c.ChangeRoom(room, name, topic, kind, history, n=n)


def _user(thing: Thing) -> int:
    return f.possible_uid(thing, "user")


PARSERS: dict[str, Callable[[Thing, int | None], c.Command]] = {
    "create": _parse_create,
    "join": _parse_join,
    "leave": lambda thing, n: c.LeaveRoom(_room(thing), n=n),
    "invite": lambda thing, n: c.Invite(_room(thing), _user(thing), n=n),
    "remove": lambda thing, n: c.RemoveMember(
        _room(thing), _user(thing), f.flag(thing, "ban"), n=n
    ),
    "unban": lambda thing, n: c.Unban(_room(thing), _user(thing), n=n),
    "role": lambda thing, n: c.SetRole(
        _room(thing), _user(thing), f.one_of(thing, "role", _ROLES), n=n
    ),
    "change": _parse_change,
    "close": lambda thing, n: c.CloseRoom(_room(thing), n=n),
    "rooms": lambda thing, n: c.ListRooms(
        f.text(thing, "name", ""),
        f.number(thing, "after", 0, c.MAX_N, 0),
        f.number(thing, "limit", 1, c.MAX_N, 50),
        n=n,
    ),
    "members": lambda thing, n: c.ListMembers(
        _room(thing),
        f.number(thing, "after", -c.NO_UID, c.NO_UID - 1, None),
        f.number(thing, "limit", 1, c.MAX_N, 100),
        n=n,
    ),
}
"""By the type of a frame."""

PARSERS_WITH_ROOM: dict[str, Callable[[Thing, int | None], c.Command]] = {
    "msg": _parse_send,
    "ack": lambda thing, n: c.AckRoom(_room(thing), f.number(thing, "id", 0, c.MAX_N), n=n),
}
"""Those whose type has another meaning without a ``room``."""


# Entries of a room's log


def encode_entry(entry: e.RoomEntry) -> bytes:
    """Return the frame of an entry; each is encoded once."""
    frame = entry.frames.get(_FRAME)
    if frame is None:
        thing = _message(entry) if isinstance(entry, e.RoomMessage) else _event(entry)
        frame = entry.frames[_FRAME] = orjson.dumps(thing)
    return frame


def _message(entry: e.RoomMessage) -> Thing:
    thing: Thing = {
        "type": "msg",
        "room": entry.room,
        "id": entry.id,
        "serial": entry.serial,
        "from": entry.sender,
        "name": entry.name,
        "at": entry.at,
        "text": entry.text,
    }
    if entry.reply:
        thing["reply"] = entry.reply
    return thing


def _event(entry: e.RoomEvent) -> Thing:
    thing: Thing = {
        "type": "event",
        "room": entry.room,
        "id": entry.id,
        "serial": entry.serial,
        "at": entry.at,
        "event": entry.event,
        "by": entry.by,
    }
    if entry.user:
        thing["user"] = entry.user
    if entry.event != "changed":  # there the name is the room's, if that has changed
        thing["name"] = entry.name
    return {**thing, **entry.details}


# Events


def _encode_shown(event: e.RoomShown, lang: str) -> Thing:
    return {
        "type": "room",
        "room": event.room,
        "name": event.name,
        "kind": event.kind,
        "topic": event.topic,
        "history": event.history,
        "role": event.role,
        "members": event.members,
        "last": event.last,
        "acked": event.acked,
    }


def _encode_missed(event: e.RoomMissed, lang: str) -> Thing:
    thing: Thing = {
        "type": "missed",
        "room": event.room,
        "after": event.after,
        "until": event.until,
    }
    if event.serial is not None:
        thing["serial"] = event.serial
    return thing


def _encode_sent(event: e.RoomSent, lang: str) -> Thing:
    thing: Thing = {"type": "sent", "room": event.room, "at": event.message.at}
    if event.id is not None:
        thing["id"] = event.id
    if event.message.serial:
        thing["serial"] = event.message.serial
    if event.duplicate:
        thing["duplicate"] = True
    return thing


def _encode_done(event: e.RoomDone, lang: str) -> Thing:
    return {"type": "ok", **({"room": event.room} if event.what in ("created", "joined") else {})}


def _encode_rooms(event: e.RoomsListed, lang: str) -> Thing:
    rooms = [
        {
            "room": one.room,
            "name": one.name,
            "topic": one.topic,
            "members": one.members,
            "joined": one.joined,
        }
        for one in event.rooms
    ]
    return {"type": "ok", "rooms": rooms, "more": event.more}


def _member(one: e.ListedMember) -> Thing:
    thing: Thing = {"uid": one.uid, "name": one.name, "role": one.role, "online": one.online}
    if one.read is not None:
        thing["read"] = one.read
    return thing


def _encode_members(event: e.MembersListed, lang: str) -> Thing:
    members = [_member(one) for one in event.members]
    return {"type": "ok", "members": members, "more": event.more}


def fitting_list(thing: Thing, most: int) -> Thing:
    """Return a list with as many entries as fit into ``most`` bytes, at least one, and ``more`` if that are not all."""
    (field,) = thing.keys() & {"rooms", "members"}
    left = most - len(orjson.dumps({**thing, field: [], "more": True}))
    entries = thing[field]
    count = 0
    for entry in entries:
        left -= len(orjson.dumps(entry)) + 1  # and a comma
        if left < -1:  # the last one needs none
            break
        count += 1
    return {**thing, field: entries[: max(1, count)], "more": True}


ENCODERS: dict[type, Callable[[Any, str], Thing]] = {
    e.RoomShown: _encode_shown,
    e.RoomLeft: lambda event, lang: {"type": "left", "room": event.room, "why": event.why},
    e.RoomMissed: _encode_missed,
    e.Synced: lambda event, lang: {"type": "synced"},
    e.RoomSent: _encode_sent,
    e.RoomDone: _encode_done,
    e.RoomsListed: _encode_rooms,
    e.MembersListed: _encode_members,
}
