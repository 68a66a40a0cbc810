"""A room and its members, as SQL has them."""

from __future__ import annotations

from dataclasses import dataclass

from chatsvc.wire.problems import Problem
from chatsvc.wire.record import record

PUBLIC, PRIVATE = "public", "private"
KINDS = (PUBLIC, PRIVATE)
"""A public room is listed, and anybody may join; into a private one people are invited."""

ALL, JOINED = "all", "joined"
HISTORIES = (ALL, JOINED)
"""What members may read of a room's history: all of it, or what was said since they joined last."""

OWNER, MODERATOR, MEMBER = "owner", "moderator", "member"
ROLES = (OWNER, MODERATOR, MEMBER)
"""The highest first."""

MAX_TOPIC = 512
"""UTF-8 bytes of a topic at most."""

INVITATION_DAYS = 30
"""Days for which an invitation admits."""


@dataclass(frozen=True)
class RoomLimits:
    """A room has ``members`` at most; a user is in ``per_user`` rooms, owns ``owned``. ``open``: users make rooms."""

    members: int = 1000
    per_user: int = 200
    owned: int = 20
    open: bool = True


@record
class Room:
    """
    A room; ``members`` is how many it has, ``version`` that of its last change.

    ``closed``: nobody is in it, its name is free, its number is never given out again.
    """

    number: int
    name: str
    kind: str
    topic: str
    history: str
    version: int
    members: int
    closed: bool = False


@record
class Membership:
    """
    From a joining, the entry ``id`` with ``serial``, to the serial of its end; ``until`` 0: it goes on.

    Both ends belong to it. ``why`` is ``left``, ``removed`` or ``closed`` where it has ended.
    """

    id: int
    serial: int
    until: int = 0
    why: str = ""


@record
class RoomOfUser:
    """A room that a user is in, or was (``role`` empty), with the memberships, the oldest first."""

    room: Room
    role: str
    memberships: tuple[Membership, ...]


class RoomRefused(Exception):
    """A command about a room is refused for ``problem``; ``room`` is the number that the answer says, if any."""

    def __init__(
        self, problem: Problem, room: int | None = None, waiting: int | None = None
    ) -> None:
        super().__init__(problem.value)
        self.problem = problem
        self.room = room
        self.waiting = waiting


def is_long_topic(topic: str) -> bool:
    """Whether a topic has more than ``MAX_TOPIC`` bytes; it may have lone surrogates, as arguments of commands may."""
    return len(topic.encode(errors="surrogatepass")) > MAX_TOPIC
