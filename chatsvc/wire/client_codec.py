"""
The client's half of the structured dialect: commands to frames, and the server's frames to events.

An ``ok`` does not repeat what was asked; ``understand`` interprets it together with the command.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import orjson

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.record import record


class NotUnderstood(Exception):
    """A frame of the server breaks the dialect; the text is one line."""


@record
class Accepted(e.Event):
    """A command was carried out; ``fields`` are the whole answer."""

    fields: Mapping[str, Any]


@record
class Confirmed(e.Event):
    """The store has the message that ``re`` and ``to`` name; the fields are those of ``Sent``, without the text."""

    to: int
    id: int | None
    at: int
    online: bool
    waiting: int
    duplicate: bool


@record
class Rejected(e.Event):
    """A command was refused; ``text`` is for people, ``to`` the recipient if it was a ``Send``."""

    code: str
    text: str
    to: int | None = None
    expected: int | None = None
    retry_after: float = 0.0


Heard = e.Event | e.Message
"""What a server sends."""


def encode(command: c.Command) -> bytes:
    """Return the frame of a command."""
    kind, encoder = _ENCODERS[type(command)]
    thing = {"type": kind, **encoder(command)}
    if command.n is not None:
        thing["n"] = command.n
    return orjson.dumps(thing)


def parse(frame: bytes) -> Heard | None:
    """
    Return what is in a frame, or None if it is no structured frame (the greeting), of an unknown type, or about a room.

    :raise NotUnderstood: when it breaks the dialect.
    """
    if not frame.startswith(b"{"):
        return None
    try:
        thing = orjson.loads(frame)
        kind = thing["type"]
        parser = None if kind in _OF_ROOMS_TOO and "room" in thing else _PARSERS.get(kind)
        return parser(thing) if parser else None
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError) as problem:
        raise NotUnderstood(f"{type(problem).__name__}: {problem}") from None


def understand(command: c.Command, answer: e.Event) -> e.Event:
    """
    Return the event that an answer to a command stands for.

    :raise NotUnderstood: when it is no answer to that command.
    """
    if not isinstance(answer, Accepted):
        return answer
    try:
        return _INTERPRETERS[type(command)](command, answer.fields)
    except (KeyError, TypeError, ValueError) as problem:
        raise NotUnderstood(f"{type(problem).__name__}: {problem}") from None


_OF_ROOMS_TOO = frozenset(("msg", "event", "sent", "missed"))
"""Types of frames that are about an inbox unless they name a room: this client has none."""

_LONGEST_WAIT = 300.0
"""Seconds; a client waits no longer before it connects again, whatever the server asks for."""


def _given(**fields: Any) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _encode_hello(command: c.Hello) -> dict[str, Any]:
    return _given(
        version=command.version,
        client=command.client,
        device=command.device or None,
        lang=command.lang,
        features=None if command.features is None else list(command.features),
    )


def _encode_auth(command: c.Auth) -> dict[str, Any]:
    who: dict[str, Any] = {"uid": command.uid} if command.name is None else {"name": command.name}
    more = _given(
        password=command.password,
        token=command.token,
        after=command.after,
        serial=command.serial,
        receive=None if command.receive else False,
    )
    return {**who, **more}


_ENCODERS: dict[type, tuple[str, Callable[[Any], dict[str, Any]]]] = {
    c.Hello: ("hello", _encode_hello),
    c.Auth: ("auth", _encode_auth),
    c.Send: (
        "msg",
        lambda command: _given(to=command.to, text=command.text, again=command.again or None),
    ),
    c.Ack: ("ack", lambda command: {"id": command.id}),
    c.Register: (
        "register",
        lambda command: {"name": command.name, "password": command.password},
    ),
    c.Passwd: (
        "passwd",
        lambda command: _given(old=command.old, new=command.new, token=command.token or None),
    ),
    c.Renew: ("renew", lambda command: {"token": command.token}),
    c.Find: ("find", lambda command: {"name": command.name}),
    c.Devices: ("devices", lambda command: {}),
    c.Forget: ("forget", lambda command: {"device": command.device}),
    c.Logout: ("logout", lambda command: {}),
    c.Ping: ("ping", lambda command: {}),
}


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError("a whole number is expected")
    return value


def _text(value: Any) -> str:
    if type(value) is not str:
        raise TypeError("a text is expected")
    return value


def _optional(value: Any) -> int | None:
    return None if value is None else _whole(value)


def _parse_message(thing: dict[str, Any]) -> e.Message:
    return e.Message(
        _whole(thing["id"]),
        _whole(thing["from"]),
        _text(thing["name"]),
        _whole(thing["at"]),
        _text(thing["text"]),
        _whole(thing.get("serial", 0)),
        _whole(thing.get("to", 0)),
    )


def _parse_event(thing: dict[str, Any]) -> e.Message:
    """
    Parse an event of the inbox: an edit or a retraction.

    One of a kind that nobody knows here is a message without a text: it is passed over.
    """
    kind, sender, other = thing["event"], _whole(thing["by"]), _whole(thing["with"])
    known = kind in ("edited", "retracted")
    return e.Message(
        _whole(thing["id"]),
        sender,
        "",
        _whole(thing["at"]),
        _text(thing.get("text", "")),
        _whole(thing["serial"]),
        0 if other == sender else other,
        mark=e.Reference(kind, _whole(thing["target"])) if known else None,
    )


def _parse_welcome(thing: dict[str, Any]) -> e.Welcome:
    features = thing.get("features")
    return e.Welcome(
        thing.get("registration") == "open",
        None if features is None else tuple(map(_text, features)),
        re=_optional(thing.get("re")),
    )


def _parse_missed(thing: dict[str, Any]) -> e.Missed:
    return e.Missed(_whole(thing["after"]), _whole(thing["until"]), _optional(thing.get("serial")))


def _parse_sent(thing: dict[str, Any]) -> Confirmed:
    return Confirmed(
        _whole(thing["to"]),
        _optional(thing.get("id")),
        _whole(thing["at"]),
        thing["state"] == "online",
        _whole(thing.get("waiting", 0)),
        bool(thing.get("duplicate", False)),
        re=_optional(thing.get("re")),
    )


def _parse_bye(thing: dict[str, Any]) -> e.Bye:
    retry_after = max(0.0, min(_LONGEST_WAIT, float(thing.get("retry_after", 0.0))))
    return e.Bye(retry_after, thing.get("forgotten") is True)


def _parse_error(thing: dict[str, Any]) -> Rejected:
    return Rejected(
        _text(thing["code"]),
        _text(thing["text"]),
        _optional(thing.get("to")),
        _optional(thing.get("expected")),
        float(thing.get("retry_after", 0.0)),
        re=_optional(thing.get("re")),
    )


_PARSERS: dict[str, Callable[[dict[str, Any]], Heard]] = {
    "welcome": _parse_welcome,
    "ok": lambda thing: Accepted(thing, re=_optional(thing.get("re"))),
    "pong": lambda thing: e.Pong(re=_optional(thing.get("re"))),
    "sent": _parse_sent,
    "msg": _parse_message,
    "event": _parse_event,
    "missed": _parse_missed,
    "error": _parse_error,
    "kicked": lambda thing: e.Kicked(),
    "bye": _parse_bye,
}


def _interpret_login(command: c.Auth, fields: Mapping[str, Any]) -> e.LoggedIn:
    return e.LoggedIn(
        _whole(fields["uid"]),
        _text(fields["name"]),
        _text(fields["token"]),
        _text(fields["epoch"]),
        _whole(fields["waiting"]),
        max(0, _whole(fields.get("token_seconds", 0))),
    )


def _interpret_devices(command: c.Devices, fields: Mapping[str, Any]) -> e.DevicesListed:
    listed = fields["devices"]
    this = [_text(one["device"]) for one in listed if one.get("this")]
    devices = (
        e.Device(
            _text(one["device"]),
            _text(one.get("client", "")),
            _whole(one["first"]),
            _whole(one["last"]),
            bool(one["online"]),
        )
        for one in listed
    )
    return e.DevicesListed(tuple(devices), this[0] if this else "")


_INTERPRETERS: dict[type, Callable[[Any, Mapping[str, Any]], e.Event]] = {
    c.Auth: _interpret_login,
    c.Register: lambda command, fields: e.Registered(_whole(fields["uid"])),
    c.Passwd: lambda command, fields: e.PasswordChanged(_text(fields.get("token", ""))),
    c.Renew: lambda command, fields: e.Renewed(_text(fields["token"])),
    c.Find: lambda command, fields: e.Found(
        command.name,
        tuple((_whole(user["uid"]), bool(user["online"])) for user in fields["users"]),
    ),
    c.Devices: _interpret_devices,
    c.Forget: lambda command, fields: e.DeviceForgotten(),
    c.Logout: lambda command, fields: e.LoggedOut(),
}
