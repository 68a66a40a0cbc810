"""What stands in logs and in the history: messages in inboxes, messages and events in rooms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Any

from chatsvc.wire.record import record


@record
class Invitation:
    """What an invitation in an inbox admits to: the room's number, and its name when it was sent."""

    room: int
    name: str


@record
class Joining:
    """
    Marks in an inbox that its user has joined a room.

    ``id`` and ``serial`` are those of the event in the room's log. It is shown to nobody: a session that comes to it
    begins to read the room from there.
    """

    room: int
    id: int
    serial: int


@record
class Reference:
    """
    What a message has to do with an earlier one, whose ``serial`` this is.

    ``kind`` is ``reply``, ``edited`` (that one reads as this text from now on) or ``retracted``.
    """

    kind: str
    serial: int

    @property
    def changes(self) -> bool:
        """Whether the message is none of its own, but changes the other one."""
        return self.kind != "reply"


def reply_to(serial: int | None) -> Reference | None:
    """Say that a message answers the one with this serial; None: it answers none."""
    return None if serial is None else Reference("reply", serial)


Mark = Invitation | Joining | Reference


@record
class Message:
    """
    A message in an inbox.

    ``id`` counts 1, 2, 3, … in each inbox; ``at`` is the time of acceptance in milliseconds since 1970. ``sender`` 0
    marks a message that the older server left: ``text`` is then all that it would have shown.

    ``serial`` names the message in the whole service and grows in each inbox; 0: it was stored before there were
    serials. A copy of what the inbox's own user sent has its original's serial, says by ``to`` who was written to and
    by ``device`` which device sent it (empty: none that has a name). ``to`` 0: this is no copy. ``mark`` is there if
    this is an invitation to a room, or no message but the note that its user has joined one, or if it has to do with an
    earlier message.

    ``text_frame`` belongs to the text dialect. It holds the message's frame once it was encoded, for reader and sender
    get the same bytes.
    """

    id: int
    sender: int
    name: str
    at: int
    text: str
    # Not compared: two with the same id and text are the same message to whoever counts messages by ids.
    serial: int = field(default=0, compare=False)
    to: int = 0
    device: str = ""
    mark: Mark | None = None
    # A list as a box that is filled later: the record itself is frozen. Encoding once instead of twice is worth it.
    text_frame: list[bytes] = field(default_factory=list, init=False, repr=False, compare=False)


@record
class RoomMessage:
    """
    A message in a room's log.

    ``id`` counts 1, 2, 3, … in each room's log, events included. ``device`` is the device of ``sender`` that sent it,
    which is not handed it: the name of a registered one, ``-`` for the unnamed one, empty if none that reads sent it.
    ``reply`` is the serial of the message that it answers, 0 if it answers none.

    ``frames`` belongs to the dialects: the frame by dialect, once it was encoded.
    """

    room: int
    id: int
    serial: int
    sender: int
    name: str
    at: int
    text: str
    device: str = ""
    reply: int = 0
    frames: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)


@record
class RoomEvent:
    """
    An event in a room's log: what has changed, under the room's ``version``.

    ``event`` is one of ``created``, ``joined``, ``left``, ``removed``, ``role``, ``changed``, ``closed``; ``edited``
    and ``retracted`` change a message, and no room, so they have the version 0. ``by`` is the uid of who did it,
    ``user`` of whom it is about (0: nobody), ``name`` that user's name (of ``by`` where ``user`` is 0). ``details`` are
    the further fields of its frame, such as ``{"role": "moderator"}``, ``{"ban": True}``, or what has changed.
    """

    room: int
    id: int
    serial: int
    version: int
    at: int
    event: str
    by: int
    user: int
    name: str
    details: Mapping[str, Any]
    frames: dict[str, bytes] = field(default_factory=dict, init=False, repr=False, compare=False)


RoomEntry = RoomMessage | RoomEvent


@record
class ArchivedMessage:
    """
    A message of the history, as it reads now.

    ``conversation`` is the number of that of two users, or that of a room below zero. ``at`` is the time of acceptance
    in ms since 1970, ``reply`` the serial of the message that it answers, ``edited`` when it was edited last, in ms
    (None: there is none, or never).
    """

    conversation: int
    serial: int
    sender: int
    name: str
    at: int
    text: str
    reply: int | None = None
    edited: int | None = None
