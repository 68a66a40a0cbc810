"""
Parses a line typed at a terminal.

It is a command, with or without a slash, or a message to the person whom the user is talking to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from chatsvc.wire import commands as c
from chatsvc.wire.problems import Problem
from chatsvc.wire.text import TextDialect
from chatsvc.wire.uid import parse_uid

SECRET = frozenset({"auth", "login", "register", "passwd"})
"""Commands that take a password."""


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


Typed = c.Command | TalkTo | Reply | Ask


def _log_in(rest: str) -> Typed:
    uid, _, password = rest.partition(" ")
    if password or parse_uid(uid) is None:
        return _DIALECT.parse(f"auth {rest}".encode("utf-8", "surrogatepass"))
    return Ask(c.Auth, uid)


def _change_password(rest: str) -> Typed:
    return Ask(c.Passwd) if not rest else _parse(f"passwd {rest}")


def _register(rest: str) -> Typed:
    return Ask(c.Register, rest) if rest and " " not in rest else _parse(f"register {rest}")


_DIALECT = TextDialect("en")

_OWN: dict[str, Callable[[str], Typed]] = {
    "to": lambda rest: TalkTo(rest.strip()),
    "reply": Reply,
    "login": _log_in,
    "auth": _log_in,
    "passwd": _change_password,
    "register": _register,
}

_ALONE = frozenset({"help", "?", "quit", "logout"})
"""Commands of one word: with more words after it, the line is a message."""

WORDS = (
    "to",
    "reply",
    "msg",
    "login",
    "register",
    "passwd",
    "find",
    "lang",
    "help",
    "logout",
    "quit",
)
"""All commands, for completion."""


def _parse(body: str) -> Typed:
    return _DIALECT.parse(body.encode("utf-8", "surrogatepass"))


def interpret(line: str, talking_to: int | None) -> Typed:
    """
    Tell what a line means, while plain lines go to ``talking_to``.

    A slash makes it a command, two slashes a message that begins with one. Without a slash, and with somebody to talk
    to, it is a command only if it is a whole one, or if it could have a password in it.
    """
    if not is_unicode(line):
        return c.Malformed(Problem.NOT_UTF8)
    if talking_to is not None and line.startswith("//"):
        return _message(talking_to, line[1:])
    slash = line.startswith("/")
    body = line[1:] if slash else line
    word, _, rest = body.partition(" ")
    own = _OWN.get(word)
    typed = own(rest) if own else _parse(body)
    if slash or talking_to is None or word in SECRET:
        return typed
    if isinstance(typed, c.Malformed) or (word in _ALONE and rest):
        return _message(talking_to, line)
    return typed


def is_unicode(text: str) -> bool:
    """Whether the terminal sent UTF-8: other bytes come as lone surrogates (PEP 383)."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _message(to: int, text: str) -> c.Command:
    command = _DIALECT.parse(f"msg {to} {text}".encode("utf-8", "surrogatepass"))
    assert isinstance(command, c.Send | c.Malformed)
    return command
