"""The structured dialect, for programs: one JSON object a frame, in UTF-8. This is the server's half."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from chatsvc import __version__
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.older_server import parse_old
from chatsvc.wire.phrases import LANGUAGES, PHRASES
from chatsvc.wire.problems import Problem, code_of
from chatsvc.wire.structured import fields as f
from chatsvc.wire.structured import history, rooms
from chatsvc.wire.text.dialect import refusal_text

SERVER = "chatsvc/" + ".".join(__version__.split(".")[:2])
"""The name of this server in ``welcome``."""

Parser = Callable[[f.Thing, int | None], c.Command]


class StructuredDialect:
    """
    One connection's structured dialect; ``lang`` is the language of the errors' texts.

    Serials and copies are for those to whom ``bring_devices`` was granted: without it, all frames are as they were
    before there were registered devices. Rooms are for those to whom ``bring_rooms`` was granted as well: without it,
    nothing is said of them. Commands for rooms are parsed in any case, as the answer to ``hello`` may be under way; the
    session refuses them.
    """

    acknowledges = True
    """Whether its clients can acknowledge messages."""

    def __init__(self, lang: str) -> None:
        self.lang = lang
        self.rooms = False
        """Whether this client has rooms."""
        self._encoders = _ENCODERS

    def bring_devices(self) -> None:
        """Say from now on what the feature ``devices`` brings."""
        self._encoders = _ENCODERS_WITH_DEVICES

    def bring_rooms(self) -> None:
        """Say from now on what the features ``devices`` and ``rooms`` bring."""
        self.rooms = True
        self._encoders = _ENCODERS_WITH_ROOMS

    def parse(self, frame: bytes) -> c.Command:
        """Return the command in a frame, ``Malformed`` if it is none."""
        try:
            thing = orjson.loads(frame)
        except orjson.JSONDecodeError:
            return c.Malformed(_why_no_json(frame))
        if type(thing) is not dict:
            return c.Malformed(Problem.NOT_JSON)
        return _command(thing, _PARSERS_WITH_ROOM if "room" in thing else _PARSERS)

    def encode(self, event: e.Event | e.Message) -> list[bytes]:
        """Return the frames of an event: one, or none if programs have no use for it."""
        encoder = self._encoders.get(type(event))
        if encoder is None:
            return []
        thing = encoder(event, self.lang)
        if thing is None:
            return []  # it needs what was not granted
        if isinstance(event, e.Event) and event.re is not None:
            thing["re"] = event.re
        frame = orjson.dumps(thing)
        return [frame if len(frame) <= c.MAX_FRAME else _shortened(event, thing)]

    def encode_entry(self, entry: e.RoomEntry, room_name: str) -> bytes | None:
        """Return the frame of an entry of the log of the room that is called ``room_name``; None: it is not shown."""
        return rooms.encode_entry(entry) if self.rooms else None


def _shortened(event: e.Event | e.Message, thing: dict[str, Any]) -> bytes:
    """
    Shorten a list, or cut the longer of text and name until the frame fits.

    Only messages of the older server, and lists, can be too long.
    """
    if isinstance(event, e.Event) and "complete" in thing:
        return orjson.dumps(history.fitting(event, thing, c.MAX_FRAME))
    if "more" in thing:
        return orjson.dumps(rooms.fitting_list(thing, c.MAX_FRAME))
    frame = orjson.dumps(thing)
    while len(frame) > c.MAX_FRAME:
        longer = max("text", "name", key=lambda field: len(thing.get(field, "")))
        thing[longer] = thing[longer][: len(thing[longer]) * 3 // 4] + "…"
        frame = orjson.dumps(thing)
    return frame


def _why_no_json(frame: bytes) -> Problem:
    try:
        frame.decode()
    except UnicodeDecodeError:
        return Problem.NOT_UTF8
    return Problem.NOT_JSON


def _command(thing: f.Thing, parsers: dict[str, Parser]) -> c.Command:
    kind = thing.get("type")
    parser = parsers.get(kind) if isinstance(kind, str) else None
    try:
        n = f.number(thing, "n", 1, c.MAX_N, None)
    except f.BadField:
        return _bad_field(thing, None)
    if parser is None:
        return c.Malformed(Problem.UNKNOWN_COMMAND, n=n)
    try:
        return parser(thing, n)
    except f.BadField:
        return _bad_field(thing, n)


def _bad_field(thing: f.Thing, n: int | None) -> c.Malformed:
    """Return what a frame with a wrong field is; a message's answer repeats whom, or which room, it was for."""
    to, room = thing.get("to"), thing.get("room")
    if thing.get("type") != "msg":
        to = room = None
    return c.Malformed(
        Problem.BAD_FIELD,
        to=to if type(to) is int else None,
        room=room if type(room) is int else None,
        n=n,
    )


def _parse_send(thing: dict[str, Any], n: int | None) -> c.Command:
    to = f.uid(thing, "to")
    text = f.text(thing, "text")
    if not text:
        raise f.BadField("text")
    if len(text) * 4 > c.MAX_TEXT and len(text.encode()) > c.MAX_TEXT:
        return c.Malformed(Problem.TOO_LONG, c.Send, to, n=n)
    again = f.flag(thing, "again")
    if again and n is None:
        raise f.BadField("again")
    reply = f.number(thing, "reply", 1, c.MAX_N) if "reply" in thing else None
    return c.Send(to, text, again, reply, n=n)


def _parse_hello(thing: dict[str, Any], n: int | None) -> c.Command:
    lang = thing.get("lang")
    return c.Hello(
        f.number(thing, "version", 1, c.MAX_N, 1),
        f.text(thing, "client", ""),
        f.device(thing, ""),
        lang if lang in LANGUAGES else None,
        f.words(thing, "features"),
        n=n,
    )


def _parse_auth(thing: dict[str, Any], n: int | None) -> c.Command:
    password, token = f.text(thing, "password", None), f.text(thing, "token", None)
    if (password is None) == (token is None):
        raise f.BadField("password")
    receive = f.flag(thing, "receive", True)
    after = f.number(thing, "after", 0, c.MAX_N, None)
    serial = f.number(thing, "serial", 0, c.MAX_N, None)
    name = f.text(thing, "name", None)
    if name is not None and "uid" in thing:
        raise f.BadField("name")
    uid = f.uid(thing, "uid") if name is None else c.NO_UID
    positions = f.positions(thing, "rooms")
    backlog = f.number(thing, "backlog", 0, c.MAX_N, None)
    shown = after, receive, name, serial, positions, backlog
    return c.Auth(uid, password, token, *shown, n=n)


_PARSERS: dict[str, Parser] = {
    "hello": _parse_hello,
    "auth": _parse_auth,
    "msg": _parse_send,
    "ack": lambda thing, n: c.Ack(f.number(thing, "id", 0, c.MAX_N), n=n),
    "register": lambda thing, n: c.Register(f.text(thing, "name"), f.text(thing, "password"), n=n),
    "passwd": lambda thing, n: c.Passwd(
        f.text(thing, "old"), f.text(thing, "new"), f.flag(thing, "token"), n=n
    ),
    "renew": lambda thing, n: c.Renew(f.text(thing, "token"), n=n),
    "find": lambda thing, n: c.Find(f.text(thing, "name"), n=n),
    "devices": lambda thing, n: c.Devices(n=n),
    "forget": lambda thing, n: c.Forget(f.device(thing), n=n),
    "logout": lambda thing, n: c.Logout(n=n),
    "ping": lambda thing, n: c.Ping(n=n),
    **rooms.PARSERS,
    **history.PARSERS,
}

_PARSERS_WITH_ROOM: dict[str, Parser] = {**_PARSERS, **rooms.PARSERS_WITH_ROOM}


def message_fields(message: e.Message) -> dict[str, Any]:
    """
    A message as JSON shows it: in a frame, and wherever a command prints one.

    The keys are ``id``, ``from`` (a uid), ``name``, ``at`` (milliseconds since 1970) and ``text``.
    """
    return {
        "id": message.id,
        "from": message.sender,
        "name": message.name,
        "at": message.at,
        "text": message.text,
    }


def _encode_message(message: e.Message, lang: str) -> dict[str, Any]:
    return {"type": "msg", **message_fields(message if message.sender else parse_old(message))}


def _encode_sent(event: e.Sent, lang: str) -> dict[str, Any]:
    thing: dict[str, Any] = {"type": "sent", "to": event.to, "at": event.message.at}
    if event.id is not None:
        thing["id"] = event.id
    if event.online:
        thing["state"] = "online"
    else:
        thing["state"] = "offline"
        thing["waiting"] = event.waiting
    if event.duplicate:
        thing["duplicate"] = True
    return thing


def _encode_message_with_serial(message: e.Message, lang: str) -> dict[str, Any]:
    thing = _encode_message(message, lang)
    if message.serial:
        thing["serial"] = message.serial
    if message.to:
        thing["to"] = message.to
    if message.mark is not None and isinstance(message.mark, e.Reference):
        return history.with_reference(thing, message, message.mark)
    return thing


def _encode_message_with_invitation(message: e.Message, lang: str) -> dict[str, Any]:
    thing = _encode_message_with_serial(message, lang)
    if isinstance(message.mark, e.Invitation):
        thing["invite"] = {"room": message.mark.room, "name": message.mark.name}
    return thing


def _encode_sent_with_serial(event: e.Sent, lang: str) -> dict[str, Any]:
    thing = _encode_sent(event, lang)
    if event.message.serial:
        thing["serial"] = event.message.serial
    return thing


def device_fields(device: e.Device) -> dict[str, Any]:
    """
    A registered device as JSON shows it: in a frame, and wherever a command prints one.

    The keys are ``device``, ``client``, ``first``, ``last`` (milliseconds since 1970) and ``online``.
    """
    return {
        "device": device.device,
        "client": device.client,
        "first": device.first,
        "last": device.last,
        "online": device.online,
    }


def _encode_missed(event: e.Missed, lang: str) -> dict[str, Any]:
    thing: dict[str, Any] = {"type": "missed", "after": event.after, "until": event.until}
    if event.serial is not None:
        thing["serial"] = event.serial
    return thing


def _encode_refused(event: e.Refused, lang: str) -> dict[str, Any]:
    details = {
        "to": event.to,
        "waiting": event.waiting,
        "expected": event.expected,
        "retry_after": event.retry_after,
        "room": event.room,
    }
    return {
        "type": "error",
        "code": code_of(event.problem),
        "text": refusal_text(event, PHRASES[lang]),
        **{field: value for field, value in details.items() if value is not None},
    }


def _encode_bye(event: e.Bye, lang: str) -> dict[str, Any]:
    return {"type": "bye", "retry_after": round(event.retry_after, 1)}


def _encode_bye_with_reason(event: e.Bye, lang: str) -> dict[str, Any]:
    bye = _encode_bye(event, lang)
    return {**bye, "forgotten": True} if event.forgotten else bye


def _ok(event: e.Event, lang: str) -> dict[str, Any]:
    return {"type": "ok"}


_ENCODERS: dict[type, Callable[[Any, str], dict[str, Any] | None]] = {
    e.Message: _encode_message,
    e.Sent: _encode_sent,
    e.Welcome: lambda event, lang: {
        "type": "welcome",
        "version": c.PROTOCOL_VERSION,
        "server": SERVER,
        "max_text": c.MAX_TEXT,
        "registration": "open" if event.registration else "closed",
        **({} if event.features is None else {"features": event.features}),
    },
    e.LoggedIn: lambda event, lang: {
        "type": "ok",
        "uid": event.uid,
        "name": event.name,
        "token": event.token,
        "epoch": event.epoch,
        "waiting": event.waiting,
        **({"token_seconds": event.token_seconds} if event.token_seconds else {}),
    },
    e.Registered: lambda event, lang: {"type": "ok", "uid": event.uid},
    e.PasswordChanged: lambda event, lang: {
        "type": "ok",
        **({"token": event.token} if event.token else {}),
    },
    e.Renewed: lambda event, lang: {"type": "ok", "token": event.token},
    e.Found: lambda event, lang: {
        "type": "ok",
        "users": [{"uid": uid, "online": here} for uid, here in event.users],
    },
    e.DevicesListed: lambda event, lang: {
        "type": "ok",
        "devices": [
            {**device_fields(device), "this": device.device == event.this}
            for device in event.devices
        ],
    },
    e.DeviceForgotten: _ok,
    e.Missed: _encode_missed,
    e.LoggedOut: _ok,
    e.Pong: lambda event, lang: {"type": "pong"},
    e.Kicked: lambda event, lang: {"type": "kicked"},
    e.Bye: _encode_bye,
    e.Refused: _encode_refused,
    **history.ENCODERS,
}

_ENCODERS_WITH_DEVICES: dict[type, Callable[[Any, str], dict[str, Any] | None]] = {
    **_ENCODERS,
    e.Message: _encode_message_with_serial,
    e.Sent: _encode_sent_with_serial,
    e.Bye: _encode_bye_with_reason,
}

_ENCODERS_WITH_ROOMS: dict[type, Callable[[Any, str], dict[str, Any] | None]] = {
    **_ENCODERS_WITH_DEVICES,
    e.Message: _encode_message_with_invitation,
    **rooms.ENCODERS,
    **history.ENCODERS_WITH_ROOMS,
}
