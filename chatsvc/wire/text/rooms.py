"""Rooms in the text dialect. A room's name stands behind a ``#``, which may be of full width."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.phrases import Phrases
from chatsvc.wire.problems import Problem
from chatsvc.wire.room_phrases import RoomPhrases
from chatsvc.wire.sanitize import sanitized
from chatsvc.wire.text.lines import fitting, frames, stamp, user
from chatsvc.wire.uid import parse_uid

HASHES = ("#", "＃")
"""How a room's name begins; the second is what a Chinese keyboard types."""

_MOST_LISTED = 1000
"""Rooms or members that are asked for: all that usually are there. A frame holds hundreds."""


# Commands


def _names_a_room(word: str) -> bool:
    return word[:1] in HASHES and len(word) > 1 and " " not in word


def _parse_room(kind: type[c.JoinRoom | c.LeaveRoom], usage: Problem) -> Callable[[str], c.Command]:
    """Make the parser of a command that takes a room."""
    return lambda rest: kind(rest[1:]) if _names_a_room(rest) else c.Malformed(usage, kind)


def _parse_member(
    kind: type[c.Invite | c.RemoveMember], usage: Problem
) -> Callable[[str], c.Command]:
    """Make the parser of a command that takes a room and a uid."""

    def parse(rest: str) -> c.Command:
        word, _, typed = rest.partition(" ")
        if not _names_a_room(word) or not typed or " " in typed:
            return c.Malformed(usage, kind)
        uid = parse_uid(typed)
        return c.Malformed(Problem.UID_NOT_INTEGER, kind) if uid is None else kind(word[1:], uid)

    return parse


def _parse_create(rest: str) -> c.Command:
    word, space, kind = rest.partition(" ")
    if not _names_a_room(word) or (space and kind != "private"):
        return c.Malformed(Problem.CREATE_USAGE, c.CreateRoom)
    return c.CreateRoom(word[1:], kind or "public")


def _parse_members(rest: str) -> c.Command:
    if not _names_a_room(rest):
        return c.Malformed(Problem.MEMBERS_USAGE, c.ListMembers)
    return c.ListMembers(rest[1:], limit=_MOST_LISTED)


def _parse_topic(rest: str) -> c.Command:
    word, _, topic = rest.partition(" ")
    if not _names_a_room(word) or not topic:
        return c.Malformed(Problem.TOPIC_USAGE, c.ChangeRoom)
    if len(topic.encode()) > c.MAX_TOPIC:
        return c.Malformed(Problem.LONG_TOPIC, c.ChangeRoom)
    return c.ChangeRoom(word[1:], topic=topic)


def _parse_rooms(rest: str) -> c.Command:
    name = rest[1:] if rest[:1] in HASHES else rest
    return c.ListRooms(name if name.strip() else "", limit=_MOST_LISTED, mine=not rest.strip())


def _parse_send(rest: str) -> c.Command:
    word, _, text = rest.partition(" ")
    if not text or len(word) < 2:
        return c.Malformed(Problem.ROOM_SEND_USAGE, c.SendToRoom)
    if len(text) * 4 > c.MAX_TEXT and len(text.encode()) > c.MAX_TEXT:
        return c.Malformed(Problem.TOO_LONG, c.SendToRoom)
    return c.SendToRoom(word[1:], text)


_HELP: dict[str, type[c.Command]] = {
    "rooms": c.HelpOnRooms,
    "room": c.HelpOnRooms,
    "history": c.HelpOnHistory,
}


def _parse_help(rest: str) -> c.Command:
    about = rest.split()[:1]
    return _HELP.get(about[0], c.Help)() if about else c.Help()


PARSERS: dict[str, Callable[[str], c.Command]] = {
    "rooms": _parse_rooms,
    "create": _parse_create,
    "join": _parse_room(c.JoinRoom, Problem.JOIN_USAGE),
    "leave": _parse_room(c.LeaveRoom, Problem.LEAVE_USAGE),
    "members": _parse_members,
    "invite": _parse_member(c.Invite, Problem.INVITE_USAGE),
    "remove": _parse_member(c.RemoveMember, Problem.REMOVE_USAGE),
    "topic": _parse_topic,
    "help": _parse_help,
}
"""By the first word."""

PARSERS_OF_A_ROOM: dict[str, Callable[[str], c.Command]] = {"msg": _parse_send}
"""Those whose first word has another meaning where no room's name follows."""


# Entries of a room's log


@lru_cache(maxsize=4096)
def _head(room: str, sender: int, name: str) -> str:
    return f"[ #{sanitized(room)}|{user(sender, name)} ]:"


def message_frame(message: e.RoomMessage, room: str) -> bytes:
    """Return the frame of a message, for its readers and as its confirmation; it is encoded once for each name."""
    key = "#" + room
    frame = message.frames.get(key)
    if frame is None:
        head = _head(room, message.sender, message.name)
        line = f"{stamp(message.at // 1000)}\n{head}{sanitized(message.text)}"
        frame = message.frames[key] = fitting(line)
    return frame


def event_frame(event: e.RoomEvent, room: str, lang: str, words: Phrases) -> bytes | None:
    """Return the frame of an event, encoded once for each language and name; None: people are not told."""
    key = f"{lang}#{room}"
    frame = event.frames.get(key)
    if frame is None and event.event in words.rooms.events:
        line = _sentence(event, room, words.rooms)
        frame = event.frames[key] = fitting(f"{stamp(event.at // 1000)}\n* {line}")
    return frame


def _sentence(event: e.RoomEvent, room: str, words: RoomPhrases) -> str:
    details = event.details
    kind = "banned" if event.event == "removed" and details.get("ban") else event.event
    who = event.user or event.by
    return words.events[kind].format(
        who=user(who, event.name) if who else words.admin,
        by=f"UID:{event.by}" if event.by else words.admin,
        room=sanitized(room),
        role=words.values.get(details.get("role", ""), ""),
        changes=", ".join(_changes(event, words)),
        text=sanitized(str(details.get("text", ""))),
    )


def _changes(event: e.RoomEvent, words: RoomPhrases) -> Iterable[str]:
    """Say what has changed; the topic stands last, so that it cannot pass for another change."""
    for field, sentence in words.fields.items():
        value = event.details.get(field)
        if value == "":
            yield words.no_topic
        elif value is not None:
            said = words.values[value] if field in ("kind", "history") else _one_line(value)
            yield sentence.format(value=said)


def _one_line(text: str) -> str:
    return sanitized(" ".join(text.split()))


# Answers


def _encode_sent(event: e.RoomSent, words: Phrases) -> list[bytes]:
    return [message_frame(event.message, event.name)]


def _encode_missed(event: e.RoomMissed, words: Phrases) -> list[bytes]:
    count = event.until - event.after
    sentence = words.rooms.one_missed if count == 1 else words.rooms.missed
    return frames("* " + sentence.format(room=sanitized(event.name), count=count))


def _encode_done(event: e.RoomDone, words: Phrases) -> list[bytes]:
    return frames(words.rooms.done[event.what].format(room=sanitized(event.name)))


def _encode_rooms(event: e.RoomsListed, words: Phrases) -> list[bytes]:
    if not event.rooms:
        return frames(words.rooms.no_rooms)
    return [_list(map(_room_line(words.rooms), event.rooms), event.more, words.rooms)]


def _room_line(words: RoomPhrases) -> Callable[[e.ListedRoom], str]:
    sentences = {
        (False, False): words.listed,
        (True, False): words.listed_joined,
        (False, True): words.listed_one,
        (True, True): words.listed_one_joined,
    }

    def line(one: e.ListedRoom) -> str:
        sentence = sentences[one.joined, one.members == 1]
        name, topic = sanitized(one.name), _one_line(one.topic)
        return sentence.format(room=name, members=one.members, topic=topic).rstrip(" ")

    return line


def _encode_members(event: e.MembersListed, words: Phrases) -> list[bytes]:
    def line(one: e.ListedMember) -> str:
        return words.rooms.member.format(
            who=user(one.uid, one.name),
            role=words.rooms.values.get(one.role, ""),
            state=words.online if one.online else words.away,
        )

    head = words.rooms.members_of.format(room=sanitized(event.name))
    return [_list([head, *map(line, event.members)], event.more, words.rooms)]


def _list(lines: Iterable[str], more: bool, words: RoomPhrases) -> bytes:
    """Return a frame with as many lines as fit, and one that says so if that are not all."""
    left = c.MAX_FRAME - len(words.more.encode())
    shown = []
    for line in lines:
        left -= len(line.encode()) + 1
        if left < 0:
            more = True
            break
        shown.append(line)
    return "\n".join([*shown, *([words.more] if more else [])]).encode()


def _nothing(event: e.Event, words: Phrases) -> list[bytes]:
    """Say nothing: people read it in the room's events, or have no use for it."""
    return []


ENCODERS: dict[type, Callable[[Any, Phrases], list[bytes]]] = {
    e.RoomShown: _nothing,
    e.RoomLeft: _nothing,
    e.RoomMissed: _encode_missed,
    e.Synced: _nothing,
    e.RoomSent: _encode_sent,
    e.RoomDone: _encode_done,
    e.RoomsListed: _encode_rooms,
    e.MembersListed: _encode_members,
    e.HelpOnRoomsShown: lambda event, words: frames(words.rooms.help),
}
