"""The history in the structured dialect. Each of its commands has a number: the answer comes when it is ready."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire import history_events as h
from chatsvc.wire.entries import ArchivedMessage
from chatsvc.wire.problems import Problem
from chatsvc.wire.structured import fields as f
from chatsvc.wire.structured.fields import Thing

_LAST = 200
"""Characters of a conversation's last message that a list shows."""


# Commands


def _serial(thing: Thing, field: str, default: Any = None) -> Any:
    return f.number(thing, field, 0, c.MAX_N, default)


def _limit(thing: Thing) -> int:
    limit: int = f.number(thing, "limit", 1, c.MAX_N, 50)
    return limit


def _where(thing: Thing, *, needed: bool) -> tuple[int | None, int | None]:
    """Return with whom, or in which room; never both, and one of them if that is ``needed``."""
    other = f.possible_uid(thing, "with") if "with" in thing else None
    room = f.number(thing, "room", 1, c.MAX_N, None)
    if (other is not None and room is not None) or (needed and other is None and room is None):
        raise f.BadField("with")
    return other, room


def _parse_history(thing: Thing, n: int) -> c.Command:
    before, after = _serial(thing, "before"), _serial(thing, "after")
    if before is not None and after is not None:
        raise f.BadField("before")
    return c.ReadHistory(*_where(thing, needed=True), before, after, _limit(thing), n=n)


def _parse_search(thing: Thing, n: int) -> c.Command:
    text = f.text(thing, "text")
    if len(text.encode()) > c.MAX_TEXT:
        raise f.BadField("text")
    sender = f.possible_uid(thing, "from") if "from" in thing else None
    where = _where(thing, needed=False)
    return c.Search(text, *where, sender, _serial(thing, "before"), _limit(thing), n=n)


def _parse_edit(thing: Thing, n: int) -> c.Command:
    serial = f.number(thing, "serial", 1, c.MAX_N)
    text = f.text(thing, "text")
    if not text:
        raise f.BadField("text")
    if len(text.encode()) > c.MAX_TEXT:
        return c.Malformed(Problem.TOO_LONG, c.Edit, n=n)
    return c.Edit(serial, text, n=n)


def _parse_settings(thing: Thing, n: int) -> c.Command:
    receipts = f.flag(thing, "receipts") if "receipts" in thing else None
    muted = f.flag(thing, "muted") if "muted" in thing else None
    where = _where(thing, needed=muted is not None)
    return c.ChangeSettings(receipts, *where, muted, n=n)


def _parse_read(thing: Thing, n: int) -> c.Command:
    serial = f.number(thing, "serial", 0, c.MAX_N)
    return c.MarkRead(serial, *_where(thing, needed=True), n=n)


def _numbered(parse: Callable[[Thing, int], c.Command]) -> Callable[[Thing, int | None], c.Command]:
    """Make the parser of a command that must have a number, or nobody could tell which answer is whose."""

    def parsed(thing: Thing, n: int | None) -> c.Command:
        if n is None:
            raise f.BadField("n")
        return parse(thing, n)

    return parsed


PARSERS: dict[str, Callable[[Thing, int | None], c.Command]] = {
    "history": _numbered(_parse_history),
    "search": _numbered(_parse_search),
    "conversations": _numbered(
        lambda thing, n: c.ListConversations(_serial(thing, "before"), _limit(thing), n=n)
    ),
    "read": _numbered(_parse_read),
    "settings": _numbered(_parse_settings),
    "edit": _numbered(_parse_edit),
    "retract": _numbered(lambda thing, n: c.Retract(f.number(thing, "serial", 1, c.MAX_N), n=n)),
}
"""By the type of a frame."""


# Events


def message_fields(message: ArchivedMessage) -> Thing:
    """
    A message of the history as JSON shows it: in a frame, and wherever a command prints one.

    The keys are ``serial``, ``from`` (a uid), ``name``, ``at`` (ms since 1970), ``text`` and, where there is one,
    ``reply`` (a serial) and ``edited`` (ms since 1970).
    """
    thing: Thing = {
        "serial": message.serial,
        "from": message.sender,
        "name": message.name,
        "at": message.at,
        "text": message.text,
    }
    if message.reply is not None:
        thing["reply"] = message.reply
    if message.edited is not None:
        thing["edited"] = message.edited
    return thing


def with_reference(thing: Thing, message: e.Message, reference: e.Reference) -> Thing:
    """Return the frame of a message that has to do with an earlier one: an answer, or an event that changes it."""
    if not reference.changes:
        return {**thing, "reply": reference.serial}
    event: Thing = {
        "type": "event",
        "id": message.id,
        "serial": message.serial,
        "at": message.at,
        "event": reference.kind,
        "by": message.sender,
        "with": message.to or message.sender,
        "target": reference.serial,
    }
    if reference.kind == "edited":
        event["text"] = message.text
    return event


def _place(other: int | None, room: int | None) -> Thing:
    if room is not None:
        return {"room": room}
    return {} if other is None or not -c.NO_UID <= other < c.NO_UID else {"with": other}


def _encode_history(event: h.HistoryShown, lang: str) -> Thing:
    return {
        "type": "history",
        **_place(event.other, event.room),
        "messages": [message_fields(message) for message in event.messages],
        "complete": event.complete,
    }


def _encode_searched(event: h.Searched, lang: str) -> Thing:
    return {
        "type": "history",
        "messages": [
            {
                **_place(hit.other, hit.room),
                **message_fields(hit.message),
                "found": hit.found,
            }
            for hit in event.hits
        ],
        "until": event.until,
        "complete": event.complete,
    }


def _encode_conversation(one: h.ListedConversation) -> Thing:
    last = message_fields(one.last)
    thing: Thing = {
        **_place(one.other, one.room),
        "name": one.name,
        "last": {
            **{key: last[key] for key in ("serial", "from", "at")},
            "text": one.last.text[:_LAST],
        },
        "read": one.read,
        "unread": one.unread,
        "mentioned": one.mentioned,
        "muted": one.muted,
    }
    if one.seen is not None:
        thing["seen"] = one.seen
    return thing


def _encode_conversations(event: h.ConversationsListed, lang: str) -> Thing:
    conversations = list(map(_encode_conversation, event.conversations))
    return {"type": "ok", "conversations": conversations, "complete": event.complete}


def _encode_settings(event: h.SettingsShown, lang: str) -> Thing:
    thing: Thing = {"type": "ok", "receipts": event.receipts}
    if event.muted is not None:
        thing |= {**_place(event.other, event.room), "muted": event.muted}
    return thing


def _encode_read_elsewhere(event: h.ReadElsewhere, lang: str) -> Thing:
    return {"type": "read", **_place(event.other, event.room), "serial": event.serial}


def fitting(event: e.Event, thing: Thing, most: int) -> Thing:
    """
    Return a list with as many entries as fit into ``most`` bytes, at least one, and without ``complete`` being true.

    What is left out lies farthest in the direction that was asked for.
    """
    field = "conversations" if "conversations" in thing else "messages"
    entries: list[Thing] = thing[field]
    backwards = isinstance(event, h.HistoryShown) and not event.forwards
    ordered = entries[::-1] if backwards else entries
    left = most - len(orjson.dumps({**thing, field: [], "complete": False}))
    count = 0
    for entry in ordered:
        left -= len(orjson.dumps(entry)) + 1  # and a comma
        if left < -1:  # the last one needs none
            break
        count += 1
    kept = ordered[: max(1, count)]
    short: Thing = {**thing, field: kept[::-1] if backwards else kept, "complete": False}
    if "until" in thing:
        short["until"] = kept[-1]["serial"]
    return short


ENCODERS: dict[type, Callable[[Any, str], Thing | None]] = {
    h.HistoryShown: _encode_history,
    h.Searched: _encode_searched,
    h.ConversationsListed: _encode_conversations,
    h.ReadNoted: lambda event, lang: {"type": "ok"},
    h.Changed: lambda event, lang: {"type": "ok"},
    h.Receipt: lambda event, lang: {"type": "receipt", "with": event.other, "seen": event.seen},
    h.SettingsShown: _encode_settings,
    h.ReadElsewhere: lambda event, lang: (
        None if event.room is not None else _encode_read_elsewhere(event, lang)
    ),
}

ENCODERS_WITH_ROOMS: dict[type, Callable[[Any, str], Thing | None]] = {
    h.ReadElsewhere: _encode_read_elsewhere,
}
"""Those that say more to who has rooms."""
