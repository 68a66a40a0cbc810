"""
Parses a line typed at a terminal.

It is a command, with or without a slash, or a message to the person whom the user is talking to.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from chatsvc.client.input.likeness import looks_like_command
from chatsvc.client.input.room_commands import is_room_command, looks_like_room_command
from chatsvc.client.input.secrecy import may_be_secret
from chatsvc.client.input.words import after_blanks, folded, next_word, stripped
from chatsvc.wire import commands as c
from chatsvc.wire.problems import Problem
from chatsvc.wire.text.dialect import TextDialect
from chatsvc.wire.uid import parse_uid


@dataclass(frozen=True)
class TalkTo:
    """Plain lines go to ``whom`` from now on, a uid or a name; to nobody if it is empty."""

    whom: str


@dataclass(frozen=True)
class Reply:
    """Talk to whoever wrote last; ``text`` is for them at once, if there is one."""

    text: str


@dataclass(frozen=True)
class Ask:
    """A command that lacks its passwords: they are asked for without showing them."""

    kind: type[c.Auth] | type[c.Register] | type[c.Passwd]
    whom: str = ""


@dataclass(frozen=True)
class Withheld:
    """What may have a password in it, and is no command: it is said to nobody."""


@dataclass(frozen=True)
class NoRooms:
    """A command about rooms, which this client does not have: it is said to nobody, and not sent."""


@dataclass(frozen=True)
class Doubtful:
    """What looks like a command and is none: the user is asked whether to send ``message``."""

    message: c.Send


Typed = c.Command | TalkTo | Reply | Ask | Withheld | NoRooms | Doubtful

LONGEST = 10_000
"""Characters of a line: more than the longest text (8,192 bytes) and its command."""

WORDS = (
    "to",
    "reply",
    "msg",
    "login",
    "register",
    "passwd",
    "find",
    "devices",
    "forget",
    "lang",
    "help",
    "logout",
    "quit",
)
"""All commands, for completion."""


def interpret(line: str, talking_to: int | None) -> Typed:
    """
    Tell what a line means, while plain lines go to ``talking_to``.

    A slash makes it a command, two slashes a message that begins with one. Without a slash, and with somebody to talk
    to, it is a command only if it is a whole one. What may have a password in it is never said, unless the line begins
    with ``msg`` or ``reply``, which say so.
    """
    if not is_unicode(line):
        return c.Malformed(Problem.NOT_UTF8)
    if len(line) > LONGEST:
        return c.Malformed(Problem.TOO_LONG)
    typed = _meaning(line, talking_to)
    if not isinstance(typed, _NEVER_SAID) and may_be_secret(line):
        return Withheld()
    return typed


def is_unicode(text: str) -> bool:
    """Whether the terminal sent UTF-8: other bytes come as lone surrogates (PEP 383)."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def device_command(line: str) -> c.Command | None:
    """Tell which command about devices a line is, None if it is none: they are no commands of the text dialect."""
    command, _, rest = line.partition(" ")
    return _COMMANDS_OF_DEVICES[command](rest) if command in _COMMANDS_OF_DEVICES else None


def auth_as(whom: str, password: str) -> c.Auth:
    """Make the log-in of a uid, or of the only one who has a name."""
    uid = parse_uid(whom)
    return c.Auth(c.NO_UID, password, name=whom) if uid is None else c.Auth(uid, password)


_NEVER_SAID = (c.Auth, c.Register, c.Passwd, c.Malformed, Ask)

_SLASHES = "/\uff0f"


def _meaning(line: str, talking_to: int | None) -> Typed:
    begin = after_blanks(line, 0)
    behind = begin
    while behind < len(line) and line[behind] in _SLASHES:
        behind += 1
    start = after_blanks(line, behind)
    if (talking_to is None or behind - begin < 2) and is_room_command(line, start):
        return NoRooms()
    if talking_to is None or behind - begin == 1:
        return _command(line, start)
    if behind > begin:
        return _message(talking_to, line[begin + 1 :])
    typed = _command(line, start)
    if not isinstance(typed, c.Malformed) and not _goes_on(line, start):
        return typed
    message = _message(talking_to, line)
    if isinstance(message, c.Send) and (looks_like_command(line) or looks_like_room_command(line)):
        return Doubtful(message)
    return message


def _goes_on(line: str, start: int) -> bool:
    """Whether more words stand after a command of one word: then it is a message, such as ``help me``."""
    word = next_word(line, start)
    return word is not None and word.text in _ALONE and next_word(line, word.end) is not None


# Commands, from what stands behind their word


def _command(line: str, start: int) -> Typed:
    word = next_word(line, start)
    parse = _COMMANDS.get(word.text) if word else None
    return parse(line, word.end) if word and parse else c.Malformed(Problem.UNKNOWN_COMMAND)


def _send(line: str, end: int) -> Typed:
    to = next_word(line, end)
    return _dialect(f"msg {to.text} {line[to.end + 1 :]}" if to else "msg")


def _authenticate(line: str, end: int) -> Typed:
    uid = next_word(line, end)
    if uid is None:
        return _dialect("auth")
    password = line[after_blanks(line, uid.end) :]
    if not password and parse_uid(uid.text) is None:
        return c.Malformed(Problem.UID_NOT_INTEGER, c.Auth)  # not how `auth` is written
    if password:
        return _dialect(f"auth {uid.text} {password}".rstrip(" "))
    return Ask(c.Auth, uid.text)


def _log_in(line: str, end: int) -> Typed:
    """Take a name, too, as it is written."""
    whom = next_word(line, end)
    if whom is None or parse_uid(whom.text) is not None:
        return _authenticate(line, end)
    name, password = line[whom.start : whom.end], line[after_blanks(line, whom.end) :]
    if " " in password.rstrip(" "):
        return c.Malformed(Problem.AUTH_USAGE, c.Auth)
    return auth_as(name, password.rstrip(" ")) if password else Ask(c.Auth, name)


def _change_password(line: str, end: int) -> Typed:
    old = next_word(line, end)
    if old is None:
        return Ask(c.Passwd)
    return _dialect(f"passwd {line[old.start : old.end]} {line[after_blanks(line, old.end) :]}")


def _register(line: str, end: int) -> Typed:
    found = next_word(line, end)
    if found is None:
        return _dialect("register")
    name, password = line[found.start : found.end], line[after_blanks(line, found.end) :]
    return _dialect(f"register {name} {password}") if password else Ask(c.Register, name)


def _talk_to(line: str, end: int) -> Typed:
    whom = stripped(line, end)
    uid = folded(whom)
    return TalkTo(whom if parse_uid(uid) is None else uid)


def _reply(line: str, end: int) -> Typed:
    return Reply(line[end + 1 :] if stripped(line, end) else "")


def _find(line: str, end: int) -> Typed:
    return _dialect(f"find {stripped(line, end)}")


def _forget(rest: str) -> c.Command:
    device = folded(rest)
    if _DEVICE.fullmatch(device) is None:
        return c.Malformed(Problem.UNKNOWN_COMMAND, c.Forget)
    return c.Forget(device)


def _set_lang(line: str, end: int) -> Typed:
    return _dialect(f"lang {folded(line[end:])}")


_DEVICE = re.compile("[0-9]{1,3}|[0-9a-f]{8,32}")
"""The number of a device in a list, its id, or how that begins."""

_COMMANDS_OF_DEVICES: dict[str, Callable[[str], c.Command]] = {
    "devices": lambda rest: c.Devices(),
    "forget": _forget,
}

_COMMANDS: dict[str, Callable[[str, int], Typed]] = {
    "msg": _send,
    "to": _talk_to,
    "reply": _reply,
    "auth": _authenticate,
    "login": _log_in,
    "passwd": _change_password,
    "register": _register,
    "find": _find,
    "devices": lambda line, end: c.Devices(),
    "forget": lambda line, end: _forget(line[end:]),
    "lang": _set_lang,
    "logout": lambda line, end: c.Logout(),
    "help": lambda line, end: c.Help(),
    "?": lambda line, end: c.Help(),
    "quit": lambda line, end: c.Quit(),
}

_ALONE = frozenset({"devices", "help", "?", "quit", "logout"})
"""Commands of one word: with more words after it, the line is a message."""

_DIALECT = TextDialect("en", rooms=False)


def _dialect(command: str) -> c.Command:
    return _DIALECT.parse(command.encode())


def _message(to: int, text: str) -> c.Command:
    command = _dialect(f"msg {to} {text}")
    assert isinstance(command, c.Send | c.Malformed)
    return command
