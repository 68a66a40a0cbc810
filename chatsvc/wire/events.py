"""What the server says. Both dialects encode these into frames."""

from __future__ import annotations

from dataclasses import field

from chatsvc.wire.problems import Problem
from chatsvc.wire.record import record


@record
class Message:
    """
    A message in an inbox.

    ``id`` counts 1, 2, 3, … for each inbox; ``at`` is the time of acceptance in milliseconds since 1970.
    ``sender`` 0 marks a message that the older server left: ``text`` is then the whole of what it would have shown.

    ``text_frame`` is the text dialect's: its frame, once somebody has asked, for reader and sender see the same.
    """

    id: int
    sender: int
    name: str
    at: int
    text: str
    text_frame: list[bytes] = field(default_factory=list, init=False, repr=False, compare=False)


@record
class Event:
    """``re`` is the number of the request that this answers."""

    re: int | None = field(default=None, kw_only=True)


@record
class Greeting(Event):
    """Said in the text dialect to every new connection."""


@record
class Welcome(Event):
    """The answer to ``hello``."""

    registration: bool


@record
class LoggedIn(Event):
    """``epoch`` names the life of the inbox's ids; ``waiting`` counts the messages in it."""

    uid: int
    name: str
    token: str
    epoch: str
    waiting: int


@record
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


@record
class Registered(Event):
    uid: int


@record
class PasswordChanged(Event):
    """``token`` is empty where none was asked for."""

    token: str = ""


@record
class Found(Event):
    """``users``: (uid, is online) of everybody of that name."""

    name: str
    users: tuple[tuple[int, bool], ...]


@record
class LoggedOut(Event):
    pass


@record
class Pong(Event):
    pass


@record
class HelpShown(Event):
    pass


@record
class LangSet(Event):
    pass


@record
class Farewell(Event):
    """The answer to ``quit``."""


@record
class Kicked(Event):
    """The account logged in elsewhere."""


@record
class Bye(Event):
    """The server is about to close; come back after ``retry_after`` seconds."""

    retry_after: float


@record
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
