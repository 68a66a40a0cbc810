"""Events: what the server sends. Both dialects encode these, and what stands in logs, into frames."""

from __future__ import annotations

from dataclasses import field

# Under their names here as well: who says events says these too.
from chatsvc.wire.entries import Invitation as Invitation
from chatsvc.wire.entries import Joining as Joining
from chatsvc.wire.entries import Message as Message
from chatsvc.wire.entries import Reference as Reference
from chatsvc.wire.entries import RoomEntry as RoomEntry
from chatsvc.wire.entries import RoomEvent as RoomEvent
from chatsvc.wire.entries import RoomMessage as RoomMessage
from chatsvc.wire.entries import reply_to as reply_to
from chatsvc.wire.problems import Problem
from chatsvc.wire.record import record


@record
class Event:
    """An event; ``re`` is the number of the request that it answers, if there is one and it had a number."""

    re: int | None = field(default=None, kw_only=True)


@record
class Greeting(Event):
    """The first event of every connection; only the text dialect shows it."""


@record
class Welcome(Event):
    """
    The answer to ``Hello``.

    ``registration`` says whether accounts can be created. ``features`` are those that are granted; None: none was asked
    for.
    """

    registration: bool
    features: tuple[str, ...] | None = None


@record
class LoggedIn(Event):
    """
    The answer to ``Auth``.

    ``epoch`` changes when the inbox's ids begin anew, ``waiting`` counts its messages. ``token_seconds`` is for how
    long a token works; 0: the server does not say, as older ones do not.
    """

    uid: int
    name: str
    token: str
    epoch: str
    waiting: int
    token_seconds: int = 0


@record
class Sent(Event):
    """
    The answer to ``Send``: the store has the message.

    ``waiting`` counts the messages in the recipient's inbox. ``online`` says whether the recipient is logged in. With
    ``duplicate`` the store had the message before; ``id`` is None if its id is no longer known. ``message`` has the
    serial, 0 if that is not known.
    """

    to: int
    id: int | None
    message: Message
    online: bool
    waiting: int
    duplicate: bool = False


@record
class Registered(Event):
    """The answer to ``Register``."""

    uid: int


@record
class PasswordChanged(Event):
    """The answer to ``Passwd``; ``token`` is empty unless one was asked for."""

    token: str = ""


@record
class Renewed(Event):
    """The answer to ``Renew``."""

    token: str


@record
class Found(Event):
    """The answer to ``Find``; ``users`` has (uid, is online) of everybody with that name."""

    name: str
    users: tuple[tuple[int, bool], ...]


@record
class Device:
    """
    A registered device of the user, as ``Devices`` lists it.

    ``client`` is the name and version of its program, as that said in ``Hello``. ``first`` and ``last`` are when it was
    registered and last used, in ms since 1970. ``online``: it is logged in, at any node.
    """

    device: str
    client: str
    first: int
    last: int
    online: bool


@record
class DevicesListed(Event):
    """The answer to ``Devices``; ``this`` is the device that asks, empty if it is no registered one."""

    devices: tuple[Device, ...]
    this: str = ""


@record
class DeviceForgotten(Event):
    """The answer to ``Forget``."""


@record
class Missed(Event):
    """
    Messages that the client has not shown are no longer kept: those above ``after``, up to ``until``.

    ``serial`` is that of the first message that is still there; None: there is none.
    """

    after: int
    until: int
    serial: int | None = None


@record
class RoomShown(Event):
    """
    A room of the user, as it is told at the log-in and when the user has joined it (frame ``room``).

    ``last`` is the last id of its log, ``acked`` the id behind which this session reads.
    """

    room: int
    name: str
    kind: str
    topic: str
    history: str
    role: str
    members: int
    last: int
    acked: int


@record
class RoomLeft(Event):
    """The user is no member of the room any more; ``why`` is ``left``, ``removed`` or ``closed``."""

    room: int
    name: str
    why: str


@record
class RoomMissed(Event):
    """
    Entries of a room's log that the client has not shown are left out: they are no longer kept.

    Otherwise as :class:`Missed`; ``name`` is the room's. People are also told of those that a log-in does not go
    back to.
    """

    room: int
    after: int
    until: int
    serial: int | None = None
    name: str = ""


@record
class Synced(Event):
    """All that waited at the log-in, in the inbox and in rooms, was handed over."""


@record
class RoomSent(Event):
    """
    The answer to ``SendToRoom``: the room's log has the message.

    ``name`` is the room's. With ``duplicate`` the log had it before; ``id`` is None if its id is no longer known.
    """

    room: int
    name: str
    id: int | None
    message: RoomMessage
    duplicate: bool = False


@record
class RoomDone(Event):
    """
    The answer to a command that changes a room.

    ``what`` is ``created``, ``joined``, ``left``, ``invited``, ``member`` (who was to be invited is one),
    ``removed``, ``unbanned``, ``role``, ``changed`` or ``closed``; ``name`` is the room's name.
    """

    what: str
    room: int
    name: str


@record
class ListedRoom:
    """A room in a list; ``joined``: the user who asks is a member."""

    room: int
    name: str
    topic: str
    members: int
    joined: bool


@record
class RoomsListed(Event):
    """The answer to ``ListRooms``, by number; ``more``: there are others behind the last one."""

    rooms: tuple[ListedRoom, ...]
    more: bool


@record
class ListedMember:
    """
    A member in a list.

    ``read`` is the serial up to which the member has read the room, None if that is not told.
    """

    uid: int
    name: str
    role: str
    online: bool
    read: int | None = None


@record
class MembersListed(Event):
    """The answer to ``ListMembers``, by uid; ``name`` is the room's, ``more``: there are others behind the last one."""

    room: int
    name: str
    members: tuple[ListedMember, ...]
    more: bool


@record
class LoggedOut(Event):
    """The answer to ``Logout``."""


@record
class Pong(Event):
    """The answer to ``Ping``."""


@record
class HelpShown(Event):
    """The answer to ``Help``."""


@record
class HelpOnRoomsShown(Event):
    """The answer to ``HelpOnRooms``."""


@record
class LangSet(Event):
    """The answer to ``SetLang``."""


@record
class Farewell(Event):
    """The answer to ``Quit``."""


@record
class Kicked(Event):
    """The account has logged in elsewhere; this session is over."""


@record
class Bye(Event):
    """
    The server is about to close the connection; connect again after ``retry_after`` seconds.

    ``forgotten``: somebody had this device forgotten, so it logs in again only when a person does. Programs without
    registered devices are not told.
    """

    retry_after: float
    forgotten: bool = False


@record
class Refused(Event):
    """
    A command was refused.

    ``to`` is the recipient if it was a ``Send``, ``room`` the room if it was a ``SendToRoom``, or the one that has the
    name, if it is one's own. ``waiting`` is the number of messages in a full inbox, ``expected`` the
    ``n`` that would be accepted, and ``retry_after`` the seconds to wait.
    """

    problem: Problem
    to: int | None = None
    waiting: int | None = None
    expected: int | None = None
    retry_after: float | None = None
    room: int | None = None
