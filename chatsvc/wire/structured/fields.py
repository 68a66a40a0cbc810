"""The fields of a program's frame: each of its type and within its range, or :class:`BadField`."""

from __future__ import annotations

import re
from typing import Any

from chatsvc.wire.commands import MAX_N, NO_UID

Thing = dict[str, Any]
"""A frame's JSON object."""


class BadField(Exception):
    """A field is missing or has a value of the wrong kind."""


_REQUIRED: Any = object()

_DEVICE = re.compile(r"[0-9a-fA-F]{16,32}", re.ASCII)

_ROOM = re.compile(r"[1-9][0-9]{0,15}", re.ASCII)


def number(thing: Thing, field: str, least: int, most: int, default: Any = _REQUIRED) -> Any:
    """Return a whole number from ``least`` to ``most``; ``default`` if it is not there."""
    value = thing.get(field, default)
    if value is default and default is not _REQUIRED:
        return default
    if type(value) is not int or not least <= value <= most:
        raise BadField(field)
    return value


def text(thing: Thing, field: str, default: Any = _REQUIRED) -> Any:
    """Return a text; ``default`` if it is not there."""
    value = thing.get(field, default)
    if type(value) is not str and (value is not default or default is _REQUIRED):
        raise BadField(field)
    return value


def one_of(thing: Thing, field: str, words: tuple[str, ...], default: Any = _REQUIRED) -> Any:
    """Return one of some words; ``default`` if it is not there."""
    word = text(thing, field, default)
    if word not in words and (word is not default or default is _REQUIRED):
        raise BadField(field)
    return word


def flag(thing: Thing, field: str, default: bool = False) -> bool:
    """Return true or false; ``default`` if it is not there."""
    value = thing.get(field, default)
    if type(value) is not bool:
        raise BadField(field)
    return value


def uid(thing: Thing, field: str) -> int:
    """Return any whole number that a frame can have."""
    # orjson reads an integer past 64 bits as a float: which one it was, nobody knows, so no answer could repeat it.
    value = thing.get(field)
    if type(value) is not int:
        raise BadField(field)
    return value


def possible_uid(thing: Thing, field: str) -> int:
    """Return a uid; ``NO_UID`` if it is out of range, where no answer repeats it."""
    value = uid(thing, field)
    return value if -NO_UID <= value < NO_UID else NO_UID


def words(thing: Thing, field: str) -> tuple[str, ...] | None:
    """Return a list of texts, None if it is not there."""
    value = thing.get(field, ())
    if value == ():
        return None
    if type(value) is not list or not all(type(word) is str for word in value):
        raise BadField(field)
    return tuple(value)


def device(thing: Thing, default: Any = _REQUIRED) -> str:
    """Return a device's name in lower case; ``default`` if it is not there."""
    name: str = text(thing, "device", default)
    if name != default and not _DEVICE.fullmatch(name):
        raise BadField("device")
    return name.lower()


def positions(thing: Thing, field: str) -> dict[int, tuple[int, int]] | None:
    """Return an id and a serial for each room, by its number, None if the field is not there."""
    if field not in thing:
        return None
    value = thing[field]
    if type(value) is not dict:
        raise BadField(field)
    return {_room(key): _position(pair) for key, pair in value.items()}


def _room(key: str) -> int:
    if not _ROOM.fullmatch(key) or int(key) > MAX_N:
        raise BadField(key)
    return int(key)


def _position(pair: Any) -> tuple[int, int]:
    if type(pair) is not list or len(pair) != 2:
        raise BadField("position")
    if not all(type(one) is int and 0 <= one <= MAX_N for one in pair):
        raise BadField("position")
    return pair[0], pair[1]
