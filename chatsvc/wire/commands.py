"""What a client may ask. Both dialects parse their frames into these."""

from __future__ import annotations

from dataclasses import field

from chatsvc.wire.problems import Problem
from chatsvc.wire.record import record

PROTOCOL_VERSION = 1
"""The structured dialect's version, which client and server tell each other in ``hello`` and ``welcome``."""

MAX_FRAME = 65_535
"""Bytes in a frame at most: what two bytes of length can say."""

MAX_TEXT = 8_192
"""Bytes of UTF-8 in a message text at most, so that it fits a frame however a dialect escapes it."""

MAX_N = 2**53 - 1
"""The largest request number: the largest integer that every JSON reader keeps (RFC 8259, section 6)."""

NO_UID = 2**63
"""Stands for every uid out of range: no database can hold it, so it does not exist."""


@record
class Command:
    """``n`` is the client's number of the request, which its answer carries; None: the client gave none."""

    n: int | None = field(default=None, kw_only=True)


@record
class Hello(Command):
    """A program presents itself; ``device`` is 16 to 32 hex digits or empty."""

    version: int = PROTOCOL_VERSION
    client: str = ""
    device: str = ""
    lang: str | None = None


@record
class Auth(Command):
    """Log in by password or by token; ``after`` is the last message id that the client has shown."""

    uid: int
    password: str | None = None
    token: str | None = None
    after: int | None = None
    receive: bool = True


@record
class Send(Command):
    """A message for ``to``. ``again``: it was confirmed before, and is only asked about: it must not be stored now."""

    to: int
    text: str
    again: bool = False


@record
class Ack(Command):
    """The reader has recorded message ``id`` and all before it."""

    id: int


@record
class Register(Command):
    """Make an account."""

    name: str
    password: str


@record
class Passwd(Command):
    """Change one's own password. ``token``: a token is wanted, for the old ones no longer work."""

    old: str
    new: str
    token: bool = False


@record
class Find(Command):
    """Which uids have this name?"""

    name: str


@record
class Logout(Command):
    """Log out and keep the connection."""


@record
class Ping(Command):
    """Are you there?"""


@record
class Help(Command):
    """Text dialect: what can be typed?"""


@record
class SetLang(Command):
    """Text dialect: speak ``lang`` from now on."""

    lang: str


@record
class Quit(Command):
    """Text dialect: say goodbye and close."""


@record
class Malformed(Command):
    """
    A frame that is no proper command.

    ``kind`` is the command it meant to be, as far as that can be told: a command that needs a log-in says so
    before it complains of its form. ``to`` is the recipient of a malformed ``msg``.
    """

    problem: Problem
    kind: type[Command] | None = None
    to: int | None = None
