"""Rooms' logs as the script takes them and answers: events, entries, and what stands of rooms in inboxes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson

from chatsvc.inbox.mark import message_or_change, parse_mark
from chatsvc.inbox.notice import Notice
from chatsvc.inbox.room_log import (
    Applied,
    LogEvent,
    Opened,
    Place,
    RoomEnds,
    RoomStart,
)
from chatsvc.wire.entries import Mark
from chatsvc.wire.events import RoomEntry, RoomEvent, RoomMessage
from chatsvc.wire.history_events import ReadElsewhere, Receipt

_NO_DEVICE = "*"
"""Stands in an entry where no device is left out, and in events."""


def key_of(room: int) -> str:
    """The name of a room in its keys."""
    return f"#{room}"


def mark_words(device: str) -> str:
    """The mark of a message that is not handed to ``device``, empty if none is left out."""
    return device or _NO_DEVICE


def encode_event(event: LogEvent) -> dict[str, Any]:
    """An event for the script; lua/room_events.lua says what its fields are."""
    fields: dict[str, Any] = {
        "version": event.version,
        "event": event.event,
        "by": str(event.by),
        "user": str(event.user),
        "name": event.name,
        "at": str(event.at),
        "text": _event_text(event),
        "members": [[str(uid), role or False] for uid, role in event.members],
    }
    if event.joins:
        fields["joins"] = True
    if event.closes:
        fields["closes"] = True
    if event.invited is not None:
        invited = event.invited
        fields["invited"] = {
            "user": str(invited.user),
            "sender": str(invited.sender),
            "name": invited.name,
            "room_name": invited.room_name,
            "text": invited.text,
        }
    return fields


def _event_text(event: LogEvent) -> str:
    # The details have a name of their own where the room's has changed.
    said = {"event": event.event, "user": event.user, "details": dict(event.details)}
    return orjson.dumps(said).decode()


def decode_applied(events: Sequence[LogEvent], places: Any, version: Any) -> Applied:
    """What became of ``events``: the places of those that were looked at, and the log's version."""
    found = [
        Place(event.version, int(id), int(serial), bool(full))
        for event, (id, serial, full) in zip(events, places, strict=False)
    ]
    return Applied(found, None if version is False else int(version))


def encode_start(start: RoomStart) -> list[Any]:
    """The beginning of a session in a room."""
    said = False if start.after is None else start.after
    serial = False if start.serial is None else str(start.serial)
    return [key_of(start.room), said, serial, str(start.floor)]


def decode_opened(ends: Any, others: Any) -> Opened:
    """The ends of rooms' logs, and the other rooms of the account."""
    return Opened(list(map(_ends, ends)), sorted(map(_number, others)))


def _ends(fields: Sequence[Any]) -> RoomEnds:
    room, version, front, last, serial, begin, known, after, first_serial = fields
    return RoomEnds(
        *(_number(room), int(version), int(front), int(last), int(serial)),
        *(int(begin), int(known), None if after is False else int(after), int(first_serial)),
    )


def decode_rooms(names: Iterable[str]) -> list[int]:
    """The numbers of rooms."""
    return list(map(_number, names))


def decode_entry(fields: Sequence[Any]) -> RoomEntry:
    """
    An entry as it is published and read: room, id, and the fields of the stream.

    One that another program put there, and that is none, is a message without text.
    """
    room, id = _number(fields[0]), int(fields[1])
    try:
        sender, name, at, text, note = fields[2:]
        serial, _, mark, *rest = note.split(" ")
        word = rest[0] if rest else ""
        if word.isdigit():
            return _event(room, id, int(serial), int(word), int(sender), name, int(at), text)
        device = "" if mark == _NO_DEVICE else mark
        what = (room, id, int(serial), int(sender), name, int(at), text, device)
        return message_or_change(what, word)
    except (ValueError, TypeError, KeyError, AttributeError):
        return RoomMessage(room, id, 0, 0, "", 0, "")


def _event(
    room: int, id: int, serial: int, version: int, by: int, name: str, at: int, text: str
) -> RoomEvent:
    said: Mapping[str, Any] = orjson.loads(text)
    return RoomEvent(
        *(room, id, serial, version, at, said["event"], by, said["user"], name, said["details"])
    )


def _number(key: str) -> int:
    return int(key[1:])


def encode_notice(notice: Notice) -> list[Any]:
    """
    A notice as it is published.

    It is the user's uid, the device that is left out, and either ``read``, with whom or in which room, and the serial,
    or ``receipt``, of whom, and the serial. Uids and serials are texts: Lua's numbers would round them.
    """
    event, to = notice.event, [str(notice.uid), notice.device]
    if isinstance(event, Receipt):
        return [*to, "receipt", str(event.other), str(event.seen)]
    place = key_of(event.room) if event.room is not None else str(event.other)
    return [*to, "read", place, str(event.serial)]


def decode_notice(fields: Sequence[str]) -> Notice:
    """A notice as it was published."""
    uid, device, kind, place, serial = fields
    event: ReadElsewhere | Receipt
    if kind == "receipt":
        event = Receipt(int(place), int(serial))
    elif place.startswith("#"):
        event = ReadElsewhere(int(serial), room=_number(place))
    else:
        event = ReadElsewhere(int(serial), other=int(place))
    return Notice(int(uid), event, device)


def decode_recipient(to: str | int) -> tuple[int, Mark | None]:
    """
    What an entry of an inbox says behind its device: the recipient of a copy, and what it means besides.

    :return: the recipient's uid, 0 if it is no copy; and its mark.
    """
    if not isinstance(to, str):
        return to, None
    recipient, _, word = to.partition(" ")
    if (word and recipient.isdigit()) or recipient[:1] == "-":
        return int(recipient), parse_mark(word) if word else None
    mark = parse_mark(to)
    return (0, mark) if mark is not None else (int(to or 0), None)
