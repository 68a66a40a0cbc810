"""
The text dialect: commands that people type and answers that they read, in Chinese or English; older clients use it.

A frame is one command or answer in UTF-8. Words are separated by single spaces; a message's text is everything after
the second space, unchanged.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.older_server import rendered_old
from chatsvc.wire.phrases import PHRASES, Phrases
from chatsvc.wire.problems import Problem
from chatsvc.wire.sanitize import sanitized
from chatsvc.wire.text import history, rooms
from chatsvc.wire.text.lines import fitting, frames, stamp, user
from chatsvc.wire.uid import parse_uid


class TextDialect:
    """
    One connection's text dialect; ``lang`` is ``zh`` or ``en``.

    Without ``rooms`` it is as it was before there were rooms: our own client reads what its user types by it.
    """

    acknowledges = False
    """Whether its clients can acknowledge messages."""

    def __init__(self, lang: str, rooms: bool = True) -> None:
        self.lang = lang
        self.rooms = rooms
        """Whether this client has rooms."""
        self._parsers = _PARSERS_WITH_ROOMS if rooms else _PARSERS
        self._parsers_of_a_room = _PARSERS_OF_A_ROOM if rooms else _PARSERS

    def parse(self, frame: bytes) -> c.Command:
        """Return the command in a frame, ``Malformed`` if it is none."""
        try:
            line = frame.decode()
        except UnicodeDecodeError:
            return c.Malformed(Problem.NOT_UTF8)
        word, _, rest = line.partition(" ")
        parsers = self._parsers_of_a_room if rest[:1] in rooms.HASHES else self._parsers
        parser = parsers.get(word)
        return parser(rest) if parser else c.Malformed(Problem.UNKNOWN_COMMAND)

    def encode(self, event: e.Event | e.Message) -> list[bytes]:
        """Return the frames of an event: mostly one, sometimes two, or none."""
        return _ENCODERS[type(event)](event, PHRASES[self.lang])

    def encode_entry(self, entry: e.RoomEntry, room_name: str) -> bytes | None:
        """Return the frame of an entry of the log of the room that is called ``room_name``; None: it is not shown."""
        if isinstance(entry, e.RoomMessage):
            return rooms.message_frame(entry, room_name)
        return rooms.event_frame(entry, room_name, self.lang, PHRASES[self.lang])


def _parse_auth(rest: str) -> c.Command:
    words = rest.split(" ")
    if len(words) != 2:
        return c.Malformed(Problem.AUTH_USAGE, c.Auth)
    uid = parse_uid(words[0])
    if uid is None:
        return c.Malformed(Problem.UID_NOT_INTEGER, c.Auth)
    return c.Auth(uid, password=words[1])


def _parse_send(rest: str) -> c.Command:
    word, _, text = rest.partition(" ")
    if not text:
        return c.Malformed(Problem.SEND_USAGE, c.Send)
    to = parse_uid(word)
    if to is None:
        return c.Malformed(Problem.UID_NOT_INTEGER, c.Send)
    if len(text) * 4 > c.MAX_TEXT and len(text.encode()) > c.MAX_TEXT:
        return c.Malformed(Problem.TOO_LONG, c.Send)
    return c.Send(to, text)


def _parse_pair(
    kind: Callable[[str, str], c.Command], usage: Problem
) -> Callable[[str], c.Command]:
    def parse(rest: str) -> c.Command:
        words = rest.split(" ")
        if len(words) != 2 or not all(words):
            return c.Malformed(usage, kind if isinstance(kind, type) else None)
        return kind(*words)

    return parse


def _parse_find(rest: str) -> c.Command:
    return c.Find(rest) if rest.strip() else c.Malformed(Problem.FIND_USAGE, c.Find)


def _parse_lang(rest: str) -> c.Command:
    return c.SetLang(rest) if rest in PHRASES else c.Malformed(Problem.LANG_USAGE, c.SetLang)


_PARSERS: dict[str, Callable[[str], c.Command]] = {
    "auth": _parse_auth,
    "msg": _parse_send,
    "logout": lambda rest: c.Logout(),
    "register": _parse_pair(c.Register, Problem.REGISTER_USAGE),
    "passwd": _parse_pair(c.Passwd, Problem.PASSWD_USAGE),
    "find": _parse_find,
    "lang": _parse_lang,
    "help": lambda rest: c.Help(),
    "?": lambda rest: c.Help(),
    "quit": lambda rest: c.Quit(),
}

_PARSERS_WITH_ROOMS: dict[str, Callable[[str], c.Command]] = {
    **_PARSERS,
    **rooms.PARSERS,
    **history.PARSERS,
}

_PARSERS_OF_A_ROOM: dict[str, Callable[[str], c.Command]] = {
    **_PARSERS_WITH_ROOMS,
    **rooms.PARSERS_OF_A_ROOM,
}


@lru_cache(maxsize=4096)
def _head(sender: int, name: str) -> str:
    return f"[ {user(sender, name)} ]:"


def show(message: e.Message, words: Phrases) -> str:
    """Return a message as its reader sees it; some that the older server left have no time."""
    if not message.sender:
        return rendered_old(message.text)
    mark = message.mark
    if mark is not None and isinstance(mark, e.Reference) and mark.changes:
        return history.change_line(message, mark, words)
    when = f"{stamp(message.at // 1000)}\n" if message.at else ""
    return f"{when}{_head(message.sender, message.name)}{sanitized(message.text)}"


def _encode_message(message: e.Message, words: Phrases) -> list[bytes]:
    if message.mark is not None:
        return [
            fitting(show(message, words))
        ]  # it may be one that differs from language to language
    if not message.text_frame:
        message.text_frame.append(fitting(show(message, words)))
    return message.text_frame


def whole_seconds(seconds: float | None) -> int:
    """Return seconds as shown to people: rounded up, so that nobody comes too early."""
    return math.ceil(seconds or 0)


def _encode_sent(event: e.Sent, words: Phrases) -> list[bytes]:
    if event.to == event.message.sender:
        return []  # the message that arrives is the answer
    if event.online:
        return _encode_message(event.message, words)
    return frames(f"{words.offline}\n{show(event.message, words)}")


def _encode_found(event: e.Found, words: Phrases) -> list[bytes]:
    name = sanitized(event.name)
    if not event.users:
        return frames(words.found_nobody.format(name=name))
    users = ", ".join(
        f"{uid} ({words.online if here else words.away})" for uid, here in event.users
    )
    return frames(words.found.format(name=name, users=users))


def refusal_text(event: e.Refused, words: Phrases) -> str:
    """Return the text of a refusal, which both dialects show."""
    return words.problems[event.problem].format(
        waiting=words.many if event.waiting is None else event.waiting,
        expected=event.expected,
        retry_after=whole_seconds(event.retry_after),
    )


def _encode_refused(event: e.Refused, words: Phrases) -> list[bytes]:
    line = refusal_text(event, words)
    if event.problem is Problem.BAD_CREDENTIALS:
        return frames(line, words.please_log_in)
    return frames(line)


_ENCODERS: dict[type, Callable[[Any, Phrases], list[bytes]]] = {
    e.Message: _encode_message,
    e.Sent: _encode_sent,
    e.Greeting: lambda event, words: frames(words.please_log_in),
    e.Welcome: lambda event, words: [],
    e.LoggedIn: lambda event, words: frames(words.logged_in),
    e.Registered: lambda event, words: frames(words.registered.format(uid=event.uid)),
    e.PasswordChanged: lambda event, words: frames(words.password_changed),
    e.Renewed: lambda event, words: [],
    e.Found: _encode_found,
    e.DevicesListed: lambda event, words: [],
    e.DeviceForgotten: lambda event, words: [],
    e.Missed: lambda event, words: [],
    e.LoggedOut: lambda event, words: frames(words.logged_out, words.please_log_in),
    e.Kicked: lambda event, words: frames(words.kicked),
    e.Pong: lambda event, words: frames(words.pong),
    e.HelpShown: lambda event, words: frames(words.help),
    e.LangSet: lambda event, words: frames(words.lang_set),
    e.Farewell: lambda event, words: frames(words.farewell),
    e.Bye: lambda event, words: frames(
        words.bye.format(retry_after=whole_seconds(event.retry_after))
    ),
    e.Refused: _encode_refused,
    **rooms.ENCODERS,
    **history.ENCODERS,
}
