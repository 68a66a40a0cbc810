"""
The contract of rooms' logs: messages and events of each room, and beside them its members.

A room's log has the ids 1, 2, 3, …; it keeps the newest entries (``RoomLogLimits``) that are not too old. The truth
about rooms is in SQL; the log follows it event by event, in the order of their *versions*. With an event, and in the
same step, the members beside the log change, who may send being decided by them where a message is stored; and who has
joined gets a mark into the inbox (:class:`~chatsvc.wire.events.Joining`). So the order of the log is the order of
memberships (P5 of docs/protocol.md).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from chatsvc.wire.events import RoomEntry
from chatsvc.wire.record import record

ROOM_BYTES = 1024 * 1024
"""Bytes of names and texts that a room's log keeps at most."""


@dataclass(frozen=True)
class RoomLogLimits:
    """The newest ``window`` entries of a room are kept, as far as they have ``bytes`` of names and texts."""

    window: int = 2000
    bytes: int = ROOM_BYTES


@record
class Invited:
    """An invitation as it goes into the inbox of ``user``: ``sender``, called ``name``, invites into ``room_name``."""

    user: int
    sender: int
    name: str
    room_name: str
    text: str


@record
class LogEvent:
    """
    A change of a room on its way into its log, under the room's ``version``.

    The fields from ``at`` to ``details`` are as in :class:`~chatsvc.wire.events.RoomEvent`. ``event`` is empty for a
    change that gets no entry: an invitation (``invited``), or one that only raises the version. ``members`` says whose
    role changes: uid and role, or None for who is a member no more. ``joins``: ``user`` gets a mark into the inbox.
    ``closes``: the room is closed, and all members go.
    """

    room: int
    version: int
    at: int
    event: str
    by: int
    user: int
    name: str
    details: Mapping[str, Any] = field(default_factory=dict)
    members: tuple[tuple[int, str | None], ...] = ()
    joins: bool = False
    closes: bool = False
    invited: Invited | None = None


@record
class Place:
    """
    Where the event of a ``version`` stands in its room's log.

    ``id`` 0: it has no entry, or had one that is no longer kept; then ``serial`` is one that all entries before it are
    not above. ``full``: it was an invitation, and the inbox it was for is full: it was not stored, and has to be
    withdrawn.
    """

    version: int
    id: int
    serial: int
    full: bool = False


@record
class Applied:
    """
    What became of events: ``places`` in their order.

    ``version`` is that of the log now, None: the log has none, nothing was stored, and its members have to be loaded
    first. A version above the highest of the events means that SQL has gone back.
    """

    places: list[Place]
    version: int | None


@record
class RoomStart:
    """
    Where a session wants to begin in a room: behind the entry ``after`` whose serial is ``serial``.

    None: it does not say, and begins at the account's position, or where there is none, at ``floor``. Never does
    it begin before ``floor``, a serial: entries below it are from before the joining, or the registration of the
    device.
    """

    room: int
    after: int | None = None
    serial: int | None = None
    floor: int = 0


@record
class RoomEnds:
    """
    The ends of a room's log, and where a session begins in it.

    ``version`` is that of the log, 0: it has none. ``front`` is the id before the first entry, ``last`` the last id, 0
    before the first; ``serial`` that of the last entry. ``begin`` is the id behind which the session reads, ``known``
    the serial of the last entry up to there, as far as is known. ``after`` is the id that it knew, by its own word or
    by the account's position; None: it knew none. ``first_serial`` is that of the first entry, 0: there is none, or the
    session has all of the log.
    """

    room: int
    version: int
    front: int
    last: int
    serial: int
    begin: int
    known: int
    after: int | None
    first_serial: int


@record
class Opened:
    """
    The answer to :meth:`RoomLogs.open`.

    ``others`` are further rooms in which the account has a position: rooms that it has left since.
    """

    ends: list[RoomEnds]
    others: list[int]


@record
class RoomPage:
    """Entries of a room's log, oldest first; ``front`` and ``first_serial`` are as in :class:`RoomEnds`."""

    front: int
    first_serial: int
    entries: list[RoomEntry]


class RoomLogs(Protocol):
    """
    The logs of all rooms, in the same store as the inboxes.

    Messages are stored, and positions acknowledged, by :meth:`~chatsvc.inbox.interface.Inbox.commit`. Every method
    raises :class:`~chatsvc.storage.url.StoreUnavailable` as those of inboxes do. What a call stores is told to the
    readers of this node by the :class:`~chatsvc.inbox.interface.StoreWatcher`, and published for those of others.
    """

    async def apply(self, room: int, events: Sequence[LogEvent]) -> Applied:
        """
        Put a room's events into its log, each with what belongs to it in one step; their versions follow each other.

        A version that the log has already changes nothing: its place is looked up. One that does not follow the log's
        version is not stored, nor are those behind it.
        """

    async def load(self, room: int, version: int, members: Mapping[int, str], last: int) -> None:
        """
        Give a log its members, by uid and role, under ``version``, if its own version is below that or it has none.

        Ids go on above ``last`` where the log has no entry: ids that were given out before it was lost.
        """

    async def open(self, uid: int, starts: Sequence[RoomStart]) -> Opened:
        """
        Find where a session of ``uid`` begins in each of some rooms, in one round trip.

        From then on what is stored in them is published for this node.
        """

    async def read(self, room: int, after: int, limit: int) -> RoomPage:
        """A page of a room's log: at most ``limit`` entries whose ids are above ``after``."""

    async def expire(self, rooms: Sequence[int], before: int, limit: int) -> list[int]:
        """
        Let go of what is too old in some rooms, as of what is before the window: whoever lacks it is told so.

        These are the first entries of each log, messages and events, up to one whose serial is not below ``before``. In
        all rooms together it is at most ``limit`` entries, so that nobody waits long.

        :return: the rooms that may have more of them.
        """

    async def close_here(self, rooms: Sequence[int]) -> None:
        """Publish what is stored in these rooms for this node no more: nobody reads them here."""
