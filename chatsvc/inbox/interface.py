"""
The contract of an inbox store: where messages wait until their reader has them.

Each user has one inbox. Its messages carry the ids 1, 2, 3, …; they leave it only from the front, when the reader
has acknowledged them. Ids are never given out twice while the inbox's *epoch* lasts. A restored back-up, or a fail-over
that lost messages, begins a new epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred

from chatsvc.wire.events import Message
from chatsvc.wire.record import record

ANOTHER_NODE = "another node"
"""Where a log-in comes from of which no more is known."""

PAGE = 64
"""Messages read at once while a session catches up: at most 512 KiB of text."""

DEVICES = 8
"""Devices of one sender whose last ``n`` an inbox remembers for ``MEMORY_OF_SENDERS``."""

RECENT = 86_400
"""Seconds after its last use in which a device is remembered beside any number of others, up to ``MOST_DEVICES``."""

MOST_DEVICES = 256
"""Devices of one sender that an inbox remembers at most: a bound on memory."""

MEMORY_OF_SENDERS = 30 * 86_400
"""Seconds after its last use that an inbox forgets a sender's device."""

DIGESTS = 64
"""Numbers of a device whose texts are told apart: as many as a client of this project has on their way."""

DIGEST_DIGITS = 6
"""Hexadecimal digits kept of a text's hash: one in 16 million other texts under the same number is not noticed."""


@dataclass(frozen=True)
class InboxLimits:
    """
    Bounds on one inbox.

    ``waiting`` is the most messages in it, ``share`` the most of them from one sender since the reader last
    acknowledged. ``days`` is how long a message waits; 0: until it is read.
    """

    waiting: int = 1000
    share: int = 200
    days: int = 0


@record
class Draft:
    """
    A message on its way into the inbox of ``to``; ``at`` is in milliseconds since 1970.

    With ``n``, it is the ``n``-th message of ``device`` to this recipient. ``again`` asks whether it was stored before:
    the outcome is a duplicate or a gap, and nothing is stored. ``generation`` is that of the sender's session, None if
    the session only sends. ``sending`` is the generation that the session took for its device, None without a device.
    """

    to: int
    sender: int
    name: str
    at: int
    text: str
    device: str = ""
    n: int | None = None
    again: bool = False
    generation: int | None = None
    sending: int | None = None


@record
class Removal:
    """
    The session that claimed ``generation`` has received the messages up to ``up_to``.

    ``leaving``: that session has ended, and nobody reads there any more.
    """

    uid: int
    generation: int
    up_to: int
    leaving: bool = False


@record
class Stored:
    """
    The message was stored under ``id``.

    ``waiting`` messages wait in the inbox now, this one among them. ``elsewhere``: its reader is logged in at another
    node.
    """

    id: int
    waiting: int
    elsewhere: bool = False


@record
class Full:
    """Nothing was stored, because the inbox is full; ``share``: because this sender's share of it is used up."""

    waiting: int
    share: bool


@record
class Duplicate:
    """The message was stored before, under ``id`` if that is still known. The rest is as in :class:`Stored`."""

    id: int | None
    waiting: int
    elsewhere: bool = False


@record
class Gap:
    """
    Nothing was stored: the device's next message has the number ``expected``.

    If ``expected`` is above the number of this message, another text was stored under that number.
    """

    expected: int


@record
class Failed:
    """The store could not take this one message; ``reason`` is for the log."""

    reason: str


@record
class Moved:
    """
    Nothing was stored: the sender has since logged in at another node, or its device has logged in anywhere.

    A message of the older session that comes late must not be taken for one of the newer session with the same number.
    """


Outcome = Stored | Full | Duplicate | Gap | Failed | Moved


@record
class Committed:
    """
    The result of a batch.

    ``outcomes`` has one for each draft, in order. ``refused`` are the removals whose generation was stale, ``taken``
    those whose inbox is held by another node's session. ``expired`` messages had waited too long and were removed.
    ``lost``: the store has lost messages, and the ids it has given out now may be known for others.
    """

    outcomes: list[Outcome]
    refused: list[Removal]
    taken: list[Removal] = field(default_factory=list)
    expired: int = 0
    lost: bool = False


@record
class Cursor:
    """
    How far the session that claimed ``generation`` has read the inbox of ``uid``.

    ``id`` is the last message that it was handed and ``at`` that message's time in ms, None if it was handed none.
    ``shown`` is the id up to which its client had shown messages before.
    """

    uid: int
    id: int
    generation: int
    at: int | None
    shown: int = 0


@record
class InboxClaim:
    """
    A session's hold on its inbox.

    ``generation`` grows with each claim; removals that carry an older one are refused. ``last_id`` is the id given out
    last, 0 before the first; ``acknowledged`` is the one before the first that waits. ``expired`` messages had waited
    too long and were removed.
    """

    generation: int
    epoch: str
    last_id: int
    waiting: int
    acknowledged: int
    expired: int = 0


@record
class DeviceClaim:
    """
    The hold on its device of a session that only sends.

    Messages of an older ``generation`` are refused. ``waiting`` messages wait for the user.
    """

    generation: int
    waiting: int


class TakenOver(Exception):
    """Another node's session holds the inbox."""


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

    def store_returned(self, stale: list[int], taken: list[tuple[int, int]]) -> None:
        """
        React to a store that was away and is back, or that may have published what was not received.

        ``stale`` are the uids whose cursor lies beyond their inbox's last id, or at another message than they were
        handed: those inboxes have begun a new epoch, and their sessions' generations are stale. ``taken`` are the users
        whom other nodes have taken over, each with the generation of that claim.
        """

    def stored_elsewhere(self, messages: list[tuple[int, Message]]) -> list[int]:
        """
        Take messages that another node has stored, each with its reader's uid.

        :return: the uids of those who do not read here.
        """

    def taken_over(self, uid: int, generation: int, by: str = ANOTHER_NODE) -> None:
        """React to another node's claim of an inbox under ``generation``, for a log-in from ``by``."""


class NullWatcher:
    """A :class:`StoreWatcher` of a process in which nobody reads."""

    def cursors(self) -> list[Cursor]:
        """No cursor."""
        return []

    def store_returned(self, stale: list[int], taken: list[tuple[int, int]]) -> None:
        """Do nothing."""

    def stored_elsewhere(self, messages: list[tuple[int, Message]]) -> list[int]:
        """Name nobody as absent: a process without readers has no session to give up."""
        return []

    def taken_over(self, uid: int, generation: int, by: str = ANOTHER_NODE) -> None:
        """Do nothing."""


class Inbox(Protocol):
    """
    All inboxes of one store.

    Every method raises :class:`~chatsvc.storage.url.StoreUnavailable` if the store is away or does not answer in
    time. Whether it did what was asked is then unknown.
    """

    async def open(self, watcher: StoreWatcher) -> list[str]:
        """
        Connect and prepare the store.

        :return: warnings about settings that endanger messages, one line each.
        :raise StoreMisconfigured: it cannot be used; the text is one line for the admin.
        """

    def close(self) -> Deferred[None]:
        """Let go of the store."""

    def commit(self, drafts: Sequence[Draft], removals: Sequence[Removal]) -> Deferred[Committed]:
        """
        Remove received messages, then store new ones, in one round trip.

        It may take longer than ``STORE_PATIENCE`` and still succeed: a store that was frozen does it when it thaws.
        """

    async def claim(
        self,
        uid: int,
        after: int | None,
        renewed: int | None = None,
        device: str = "",
        origin: str = "",
    ) -> InboxClaim:
        """
        Take hold of an inbox for a new session, and of ``device`` under the same generation.

        ``after`` is the last id that the client knows; one beyond the inbox's last id begins a new epoch. A session of
        another node is notified that it was taken over, by a log-in that comes from ``origin``. A claim that only
        renews the one of the generation ``renewed`` takes nothing from another node.

        :raise TakenOver: another node has claimed the inbox since ``renewed``.
        """

    async def claim_device(self, uid: int, device: str) -> DeviceClaim:
        """Take hold of a device for a session of ``uid`` that only sends."""

    async def elsewhere(self, uids: Sequence[int]) -> set[int]:
        """Which of these users are logged in at other nodes."""

    async def read(self, uid: int, after: int, limit: int) -> list[Message]:
        """
        A page of an inbox, oldest first: at most ``limit`` messages whose ids are above ``after``.

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
