"""
The contract of an inbox store: where messages wait until their reader has them.

Each user has one inbox. Its messages carry the ids 1, 2, 3, …; they leave it only from the front, when every device
of the user has acknowledged them. A *registered device* has a name. All sessions of a user without one are together the
*unnamed device*. Each has a *position*, up to which it has acknowledged the inbox, and one session at a time. Ids are
never given out twice while the inbox's *epoch* lasts. A restored back-up, or a fail-over that lost messages, begins a
new epoch; registered devices know what they have by the messages' serials instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from twisted.internet.defer import Deferred

from chatsvc.archive.queue import ArchiveQueue
from chatsvc.inbox.claim import (
    Comparison,
    Cursor,
    DeviceClaim,
    InboxClaim,
    Registration,
)
from chatsvc.inbox.notice import Notice
from chatsvc.inbox.outcome import Committed, Draft, Removal, RoomAcknowledgement, RoomDraft
from chatsvc.inbox.room_log import RoomLogs
from chatsvc.wire.events import Device, Message, RoomEntry
from chatsvc.wire.record import record

ANOTHER_NODE = "another node"
"""Where a log-in comes from of which no more is known."""

PAGE = 64
"""Messages read at once while a session catches up: at most 512 KiB of text."""


@record
class Backlog:
    """
    The messages that wait for one user.

    There are ``waiting`` of them, and the newest has the id ``last_id``. ``oldest`` is when the oldest was accepted, in
    ms since 1970, 0 if that is not known.
    """

    uid: int
    waiting: int
    last_id: int
    oldest: int


class StoreWatcher(Protocol):
    """Receives what happens to inboxes behind this node's back."""

    def cursors(self) -> list[Cursor]:
        """The cursor of every session that reads here."""

    def store_returned(self, found: Comparison) -> None:
        """React to a store that was away and is back, or that may have published what was not received."""

    def stored_elsewhere(self, messages: list[tuple[int, Message]]) -> list[int]:
        """
        Take messages that another node has stored, each with its reader's uid.

        :return: the uids of those who do not read here.
        """

    def taken_over(
        self, uid: int, generation: int, by: str = ANOTHER_NODE, device: str = ""
    ) -> None:
        """React to another node's claim of a device under ``generation``, for a log-in from ``by``."""

    def room_entries(self, entries: list[RoomEntry]) -> list[int]:
        """
        Take entries of rooms' logs that another node has stored, or an event of this one, each room's in their order.

        :return: the rooms that nobody reads here.
        """

    def noticed(self, notices: Sequence[Notice]) -> None:
        """Pass notices on to the devices that are logged in here."""

    def forgotten(self, uid: int, device: str, on_request: bool = False) -> None:
        """
        React to a device (empty: the unnamed one) that is not registered any more.

        ``on_request``: somebody asked for that, so it must not come back by itself. Otherwise the store decided it, or
        nobody knows why.
        """


class NullWatcher:
    """A :class:`StoreWatcher` of a process in which nobody reads."""

    def cursors(self) -> list[Cursor]:
        """No cursor."""
        return []

    def store_returned(self, found: Comparison) -> None:
        """Do nothing."""

    def stored_elsewhere(self, messages: list[tuple[int, Message]]) -> list[int]:
        """Name nobody as absent: a process without readers has no session to give up."""
        return []

    def taken_over(
        self, uid: int, generation: int, by: str = ANOTHER_NODE, device: str = ""
    ) -> None:
        """Do nothing."""

    def room_entries(self, entries: list[RoomEntry]) -> list[int]:
        """Name no room as unread."""
        return []

    def noticed(self, notices: Sequence[Notice]) -> None:
        """Do nothing."""

    def forgotten(self, uid: int, device: str, on_request: bool = False) -> None:
        """Do nothing."""


class Inbox(Protocol):
    """
    All inboxes of one store.

    Every method raises :class:`~chatsvc.storage.url.StoreUnavailable` if the store is away or does not answer in
    time. Whether it did what was asked is then unknown.
    """

    @property
    def rooms(self) -> RoomLogs:
        """The logs of rooms, in the same store."""

    def go_on_above(self, serial: int) -> None:
        """Before it is opened: give out no serial that is not above this one, which is known from elsewhere."""

    @property
    def archive(self) -> ArchiveQueue | None:
        """The archive's queue; None: there is no archive, or what is stored goes into it in the same step."""

    async def open(self, watcher: StoreWatcher) -> list[str]:
        """
        Connect and prepare the store.

        :return: warnings about settings that endanger messages, one line each.
        :raise StoreMisconfigured: it cannot be used; the text is one line for the admin.
        """

    def close(self) -> Deferred[None]:
        """Let go of the store."""

    def commit(
        self,
        drafts: Sequence[Draft | RoomDraft],
        removals: Sequence[Removal],
        acknowledgements: Sequence[RoomAcknowledgement] = (),
    ) -> Deferred[Committed]:
        """
        Remove received messages, then store new ones, in inboxes and rooms' logs, in one round trip.

        It may take longer than ``STORE_PATIENCE`` and still succeed: a store that was frozen does it when it thaws.
        """

    async def claim(
        self,
        uid: int,
        after: int | None,
        renewed: int | None = None,
        device: str = "",
        origin: str = "",
        registration: Registration | None = None,
    ) -> InboxClaim:
        """
        Take hold of an inbox for a new session, and of ``device`` under the same generation.

        Without ``registration`` the session is of the unnamed device; with it, of the registered ``device``, which the
        first claim registers: behind the message ``after`` if the inbox has it under the serial that the registration
        says, else behind the last one whose serial is not above that; where it says none, at what was acknowledged.
        An older session of the same ``device``, registered or not, is taken over.

        ``after`` is the last id that the client knows; for the unnamed device, one beyond the inbox's last id begins a
        new epoch. A session of another node is notified that it was taken over, by a log-in that comes from ``origin``.
        A claim that only renews the one of the generation ``renewed`` takes nothing from another node, and registers
        nothing.

        :raise TakenOver: another node has claimed the device since ``renewed``.
        :raise NotRegistered: the device of the claim ``renewed`` is not registered any more.
        :raise TooManyDevices: as many as may be registered are online.
        """

    async def claim_device(self, uid: int, device: str) -> DeviceClaim:
        """Take hold of a device for a session of ``uid`` that only sends."""

    async def devices(self, uid: int) -> list[Device]:
        """The registered devices of a user, the first registered first."""

    async def forget(self, uid: int, device: str) -> bool:
        """
        Forget a registered device, and have its session ended at whichever node it is.

        :return: whether there was such a device.
        """

    async def notify(self, notices: Sequence[Notice]) -> None:
        """Give notices to the devices that are logged in, also at this node; one that gets lost is lost."""

    async def elsewhere(self, uids: Sequence[int]) -> set[int]:
        """Which of these users are logged in at other nodes."""

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        """
        A page of an inbox, oldest first: at most ``limit`` messages, copies among them, whose ids are above ``after``.

        An entry that cannot be read, because another program put it there, has an empty text.
        """

    async def examine(self) -> None:
        """Find out whether messages can be stored now; raises if not."""

    async def count(self, uid: int) -> int:
        """How many messages wait for a user."""

    async def nodes(self) -> dict[str, str]:
        """What the nodes that are alive publish about themselves, by name."""

    async def total(self) -> int:
        """How many messages wait in all inboxes. What the older server left counts once it has moved in."""

    async def renew_epoch(self) -> None:
        """Begin a new epoch of all inboxes: a back-up was restored, ids may be given out again."""

    async def about(self) -> str:
        """The store's kind and version, as in ``Redis 7.2.4``."""

    async def backlogs(self, uid: int | None) -> list[Backlog]:
        """
        What waits for one user, or, with None, for everybody; for administration.

        It changes nothing: what the older server left is counted where it is.

        :return: by uid, without those for whom nothing waits.
        """

    async def purge(self, uid: int, up_to: int) -> int:
        """
        Remove what waits for a user up to an id, read or not.

        It has the effect of an acknowledgement: ids are not given out again, sessions and their cursors go on, shares
        begin anew.

        :return: the number of messages removed.
        """
