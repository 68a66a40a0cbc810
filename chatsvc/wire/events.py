"""What the server says. Both dialects encode these into frames."""

from __future__ import annotations

from dataclasses import dataclass

from chatsvc.wire.problems import Problem


@dataclass(frozen=True, slots=True)
class Message:
    """
    A message in an inbox.

    ``id`` counts 1, 2, 3, … for each inbox; ``at`` is the time of acceptance in milliseconds since 1970.
    ``sender`` 0 marks a message that the older server left: ``text`` is then the whole of what it would have shown.
    """

    id: int
    sender: int
    name: str
    at: int
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Event:
    """``re`` is the number of the request that this answers."""

    re: int | None = None


@dataclass(frozen=True, slots=True)
class Greeting(Event):
    """Said in the text dialect to every new connection."""


@dataclass(frozen=True, slots=True)
class Welcome(Event):
    """The answer to ``hello``."""

    registration: bool


@dataclass(frozen=True, slots=True)
class LoggedIn(Event):
    """``epoch`` names the life of the inbox's ids; ``waiting`` counts the messages in it."""

    uid: int
    name: str
    token: str
    epoch: str
    waiting: int


@dataclass(frozen=True, slots=True)
class Sent(Event):
    """
    The store has the message. ``waiting`` counts what waits for a reader who is away.

    ``duplicate``: it had it before; ``id`` is None where the first one's id is no longer known.
    """

    to: int
    id: int | None
    message: Message
    online: bool
    waiting: int
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Registered(Event):
    uid: int


@dataclass(frozen=True, slots=True)
class PasswordChanged(Event):
    """``token`` is empty where none was asked for."""

    token: str = ""


@dataclass(frozen=True, slots=True)
class Found(Event):
    """``users``: (uid, is online) of everybody of that name."""

    name: str
    users: tuple[tuple[int, bool], ...]


@dataclass(frozen=True, slots=True)
class LoggedOut(Event):
    pass


@dataclass(frozen=True, slots=True)
class Pong(Event):
    pass


@dataclass(frozen=True, slots=True)
class HelpShown(Event):
    pass


@dataclass(frozen=True, slots=True)
class LangSet(Event):
    pass


@dataclass(frozen=True, slots=True)
class Farewell(Event):
    """The answer to ``quit``."""


@dataclass(frozen=True, slots=True)
class Kicked(Event):
    """The account logged in elsewhere."""


@dataclass(frozen=True, slots=True)
class Bye(Event):
    """The server is about to close; come back after ``retry_after`` seconds."""

    retry_after: float


@dataclass(frozen=True, slots=True)
class Refused(Event):
    """
    A command was refused.

    ``to``: the recipient, where it was a ``msg``; ``waiting``: messages in the full inbox; ``expected``: the ``n`` that
    would be accepted; ``retry_after``: seconds.
    """

    problem: Problem
    to: int | None = None
    waiting: int | None = None
    expected: int | None = None
    retry_after: float | None = None
