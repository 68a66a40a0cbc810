"""Commands: what a client can ask. Both dialects parse frames into these."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field

from chatsvc.wire.problems import Problem
from chatsvc.wire.record import record

PROTOCOL_VERSION = 1
"""The structured dialect's version, which client and server tell each other in ``hello`` and ``welcome``."""

MAX_FRAME = 65_535
"""Bytes of a frame at most: its length is sent in two bytes."""

BYTE_ORDER_MARK = b"\xef\xbb\xbf"
"""What some programs put before a text in UTF-8; at the beginning of a frame it means nothing."""

MAX_TEXT = 8_192
"""UTF-8 bytes of a message text at most, so that it fits a frame however a dialect escapes it."""

MAX_TOPIC = 512
"""UTF-8 bytes of a room's topic at most."""

MAX_N = 2**53 - 1
"""The largest request number: the largest integer that every JSON parser keeps (RFC 8259, section 6)."""

NO_UID = 2**63
"""Stands for every uid out of range: no database can hold it, so there is no such user."""


@record
class Command:
    """A command; ``n`` is the client's number for the request, which the answer repeats (None: it gave none)."""

    n: int | None = field(default=None, kw_only=True)


@record
class Hello(Command):
    """
    A program introduces itself.

    ``device`` is 16 to 32 hex digits or empty, ``lang`` is ``zh``, ``en`` or None. ``features`` are the words of those
    that it asks for; None: it knows of none.
    """

    version: int = PROTOCOL_VERSION
    client: str = ""
    device: str = ""
    lang: str | None = None
    features: tuple[str, ...] | None = None


@record
class Auth(Command):
    """
    Log in by password or by token, as the user ``uid`` or, if that is ``NO_UID``, as the only one called ``name``.

    ``after`` is the id of the last message that the client has shown, ``serial`` that message's serial. Without
    ``receive`` the client only sends. ``rooms`` says for each room, by number, the id and the serial of the last entry
    that it has shown; None: it does not say. ``backlog`` is the most entries of each room that it wants to be handed.
    """

    uid: int
    password: str | None = None
    token: str | None = None
    after: int | None = None
    receive: bool = True
    name: str | None = None
    serial: int | None = None
    rooms: Mapping[int, tuple[int, int]] | None = None
    backlog: int | None = None


@record
class Send(Command):
    """
    Send a message to ``to``; with ``again``, only ask about one that was confirmed before, and store nothing.

    ``reply`` is the serial of the message that it answers, None if it answers none.
    """

    to: int
    text: str
    again: bool = False
    reply: int | None = None


@record
class Ack(Command):
    """Acknowledge message ``id`` and all before it: the reader has recorded them."""

    id: int


@record
class RoomCommand(Command):
    """A command about one room, given by its number or, in the text dialect, by its name."""

    room: int | str


@record
class SendToRoom(RoomCommand):
    """Send a message into a room; ``again`` and ``reply`` as in ``Send``."""

    text: str
    again: bool = False
    reply: int | None = None


@record
class AckRoom(Command):
    """Acknowledge the entry ``id`` of a room's log and all before it."""

    room: int
    id: int


@record
class CreateRoom(Command):
    """Make a room; ``kind`` is ``public`` or ``private``."""

    name: str
    kind: str = "public"
    topic: str = ""


@record
class JoinRoom(RoomCommand):
    """Become a member of a room."""


@record
class LeaveRoom(RoomCommand):
    """Be a member of a room no longer."""


@record
class Invite(RoomCommand):
    """Invite ``user`` into a room."""

    user: int


@record
class RemoveMember(RoomCommand):
    """Remove ``user`` from a room; ``ban``: who may not join again."""

    user: int
    ban: bool = False


@record
class Unban(RoomCommand):
    """Let ``user`` join again."""

    user: int


@record
class SetRole(RoomCommand):
    """Give a member another ``role``: ``owner``, ``moderator`` or ``member``."""

    user: int
    role: str


@record
class ChangeRoom(RoomCommand):
    """Change what is not None: ``name``, ``topic``, ``kind`` (public, private), ``history`` (all, joined)."""

    name: str | None = None
    topic: str | None = None
    kind: str | None = None
    history: str | None = None


@record
class CloseRoom(RoomCommand):
    """Close a room for ever."""


@record
class ListRooms(Command):
    """
    List public rooms and one's own whose name contains ``name``, with numbers above ``after``, ``limit`` at most.

    ``mine``: one's own alone (text dialect).
    """

    name: str = ""
    after: int = 0
    limit: int = 50
    mine: bool = False


@record
class ListMembers(RoomCommand):
    """List the members of a room with uids above ``after``, ``limit`` at most."""

    after: int | None = None
    limit: int = 100


@record
class HelpOnRooms(Command):
    """Ask what can be typed about rooms (text dialect)."""


@record
class ReadHistory(Command):
    """
    Read what was said with the user ``other``, or, if that is None, in ``room``.

    The first ``limit`` messages above the serial ``after``, or the last ones below ``before`` (None: the newest).
    """

    other: int | None = None
    room: int | str | None = None
    before: int | None = None
    after: int | None = None
    limit: int = 50


@record
class Search(Command):
    """
    Look for messages that have all words of ``text``, the newest first, with serials below ``before`` if that is there.

    ``other`` is with whom, ``room`` where, ``sender`` whose they are; None: anybody's, anywhere.
    """

    text: str
    other: int | None = None
    room: int | str | None = None
    sender: int | None = None
    before: int | None = None
    limit: int = 50


@record
class ListConversations(Command):
    """List one's conversations, the newest first, as far as their last message is below ``before`` if that is there."""

    before: int | None = None
    limit: int = 50


@record
class MarkRead(Command):
    """Note that one has read what was said with the user ``other``, or in ``room``, up to ``serial``."""

    serial: int
    other: int | None = None
    room: int | None = None


@record
class ChangeSettings(Command):
    """
    Change what is not None, and ask how all is set.

    ``receipts``: whether others are told how far one has read. ``muted`` is about the conversation with the user
    ``other``, or in ``room``.
    """

    receipts: bool | None = None
    other: int | None = None
    room: int | None = None
    muted: bool | None = None


@record
class Edit(Command):
    """Have one's own message ``serial`` read ``text`` from now on."""

    serial: int
    text: str


@record
class Retract(Command):
    """Take the message ``serial`` out of the history."""

    serial: int


@record
class HelpOnHistory(Command):
    """Ask what can be typed about the history (text dialect)."""


@record
class Register(Command):
    """Create an account."""

    name: str
    password: str


@record
class Passwd(Command):
    """Change one's own password; with ``token``, ask for a new token, for the old ones no longer work."""

    old: str
    new: str
    token: bool = False


@record
class Renew(Command):
    """Ask for a new token in place of ``token``, which still works: it is that of the present log-in."""

    token: str


@record
class Find(Command):
    """Ask which uids have this name."""

    name: str


@record
class Devices(Command):
    """Ask which devices are registered."""


@record
class Forget(Command):
    """Forget a registered device, and make its tokens void."""

    device: str


@record
class Logout(Command):
    """Log out and keep the connection."""


@record
class Ping(Command):
    """Ask whether the server is there."""


@record
class Help(Command):
    """Ask what can be typed (text dialect)."""


@record
class SetLang(Command):
    """Change the language to ``lang`` (text dialect)."""

    lang: str


@record
class Quit(Command):
    """Close the connection (text dialect)."""


@record
class Malformed(Command):
    """
    A frame that is no valid command.

    ``kind`` is the command that was meant, as far as that is clear: if it needs a log-in, that is reported before its
    form. ``to`` is the recipient of a malformed ``msg``, ``room`` the room if it was to one.
    """

    problem: Problem
    kind: type[Command] | None = None
    to: int | None = None
    room: int | None = None
