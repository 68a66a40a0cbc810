"""
Where messages wait until their reader has them.

Each user has one inbox. Its messages carry the ids 1, 2, 3, …; they leave it only from the front, when the reader
has acknowledged them. Ids that were given out are never given out again while the inbox's *epoch* lasts; a restored
back-up or a fail-over that lost some begins a new epoch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from zope.interface import Interface

from chatsvc.wire.events import Message
from chatsvc.wire.record import record

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
"""Hexadecimal digits kept of a text: of 16 million other texts under the same number one is not noticed."""


@dataclass(frozen=True)
class InboxLimits:
    """
    ``waiting``: most messages in one inbox; ``share``: most of them from one sender since the reader last
    acknowledged; ``days``: how long one waits, 0 until it is read.
    """

    waiting: int = 1000
    share: int = 200
    days: int = 0


@record
class Draft:
    """
    A message on its way into the inbox of ``to``; ``at`` in milliseconds since 1970.

    With ``n``, it is the ``n``-th message of ``device`` to this recipient; ``again``: one that was stored before, or
    else a gap. ``generation`` is that of the sender's session, None for one who only sends; ``sending`` is the one that
    the session took for its device, None without a device.
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
    Messages up to ``up_to`` have been received, says the session that claimed ``generation``.

    ``leaving``: it has ended, and nobody reads there any more.
    """

    uid: int
    generation: int
    up_to: int
    leaving: bool = False


@record
class Stored:
    """
    ``waiting``: how many wait in the inbox now, this one among them; ``elsewhere``: its reader is logged in at another
    node.
    """

    id: int
    waiting: int
    elsewhere: bool = False


@record
class Full:
    """Nothing was stored; ``share``: it is this sender's share that is used up."""

    waiting: int
    share: bool


@record
class Duplicate:
    """It was stored before, under ``id`` where that is still known. The rest as in :class:`Stored`."""

    id: int | None
    waiting: int
    elsewhere: bool = False


@record
class Gap:
    """
    Nothing was stored: the device's next message has the number ``expected``. If that is above the number of this one,
    another text was stored under it.
    """

    expected: int


@record
class Failed:
    """The store could not take this one message; ``reason`` is for the log."""

    reason: str


@record
class Moved:
    """
    Nothing was stored: the sender has logged in at another node since, or its device anywhere. What was said before and
    comes late must not be taken for what is said there under the same number.
    """


Outcome = Stored | Full | Duplicate | Gap | Failed | Moved


@record
class Committed:
    """
    What became of a batch: an outcome for each draft, in order, and the removals whose generation was stale; ``taken``:
    those of them whose inbox another node's session holds. ``expired`` messages had waited too long and were removed.
    ``lost``: the store has lost some before; the ids of what it has stored now may be known of other messages.
    """

    outcomes: list[Outcome]
    refused: list[Removal]
    taken: list[Removal] = field(default_factory=list)
    expired: int = 0
    lost: bool = False


@record
class Cursor:
    """
    How far the session that claimed ``generation`` has read the inbox of ``uid``: up to the message ``id``, of the time
    ``at`` (ms), None where it has been handed none. ``shown`` is the id up to which its client was shown messages
    before.
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
    The hold of a session that only sends on its device: messages of an older ``generation`` are refused. ``waiting``
    messages wait for the user.
    """

    generation: int
    waiting: int


class TakenOver(Exception):
    """Another node's session holds the inbox."""


@record
class Backlog:
    """
    What waits for one user: ``waiting`` messages, the newest of which has the id ``last_id``. ``oldest`` is when the
    oldest was accepted, in ms since 1970, 0 where that is not known.
    """

    uid: int
    waiting: int
    last_id: int
    oldest: int


class IStoreWatcher(Interface):
    """Who wants to know what happens to inboxes behind this node's back."""

    def cursors():  # type: ignore[no-untyped-def]
        """The :class:`Cursor` of every session that reads, as a list."""

    def store_returned(stale: list[int], taken: list[tuple[int, int]]):  # type: ignore[no-untyped-def]
        """
        The store was away and is back, or news of it may have been lost.

        ``stale`` are the uids whose cursor lies beyond their inbox's last id, or at another message than they were
        handed: those inboxes have begun a new epoch, and their sessions' generations are stale. ``taken`` are the users
        whom other nodes have taken over, each with the generation of that claim.
        """

    def stored_elsewhere(news: list[tuple[int, Message]]):  # type: ignore[no-untyped-def]
        """
        Another node has stored these messages, each with its reader's uid.

        :return: a list of the uids of those who do not read here.
        """

    def taken_over(uid: int, generation: int):  # type: ignore[no-untyped-def]
        """Another node has claimed the inbox under ``generation``."""


class IInbox(Interface):
    """
    All inboxes.

    Every method raises :class:`~chatsvc.storage.url.StoreUnavailable` when the store is away or does not answer in
    time; whether the command ran is then unknown.
    """

    def open(watcher: IStoreWatcher):  # type: ignore[no-untyped-def]
        """
        Connect and prepare the store.

        :return: a coroutine of a list of warnings about settings that endanger messages, one line each.
        :raise BadStore: it cannot be used; one line for the admin.
        """

    def close():  # type: ignore[no-untyped-def]
        """Let go of the store. Returns a Deferred."""

    def commit(drafts: Sequence[Draft], removals: Sequence[Removal]):  # type: ignore[no-untyped-def]
        """
        Remove received messages, then store new ones, in one round trip.

        :return: a Deferred of :class:`Committed`. It may take longer than ``STORE_PATIENCE`` and still succeed: a
            store that was frozen runs it when it thaws.
        """

    def claim(  # type: ignore[no-untyped-def]
        uid: int, after: int | None, renewed: int | None = None, device: str = ""
    ):
        """
        Take hold of an inbox for a new session; ``after`` beyond its last id begins a new epoch. The session sends as
        ``device``, which is claimed under the same generation.

        A session of another node is told that it was taken over. A claim that only renews the one of the generation
        ``renewed`` takes nothing from another node.

        :return: a coroutine of a :class:`InboxClaim`.
        :raise TakenOver: another node has claimed the inbox since ``renewed``.
        """

    def claim_device(uid: int, device: str):  # type: ignore[no-untyped-def]
        """
        Take hold of a device for a session of ``uid`` that only sends.

        :return: a coroutine of a :class:`DeviceClaim`.
        """

    def elsewhere(uids: Sequence[int]):  # type: ignore[no-untyped-def]
        """Which of these users are logged in at other nodes. A coroutine of a set of uids."""

    def read(uid: int, after: int, limit: int):  # type: ignore[no-untyped-def]
        """
        A page of an inbox, oldest first.

        :return: a coroutine of a list of at most ``limit`` :class:`~chatsvc.wire.events.Message` whose ids are above
            ``after``. What nobody can read, because another program put it there, has an empty text.
        """

    def examine():  # type: ignore[no-untyped-def]
        """Find out whether messages can be stored now. A coroutine of None."""

    def count(uid: int):  # type: ignore[no-untyped-def]
        """How many messages wait. A coroutine of an int."""

    def nodes():  # type: ignore[no-untyped-def]
        """What the nodes that are alive say about themselves. A coroutine of a dict of names to texts."""

    def total():  # type: ignore[no-untyped-def]
        """
        How many messages wait in all inboxes. What the older server left counts when it has moved in.

        :return: a coroutine of an int.
        """

    def renew_epoch():  # type: ignore[no-untyped-def]
        """
        Begin a new epoch of all inboxes: a back-up was restored, ids may be given out again. A coroutine of None.
        """

    def about():  # type: ignore[no-untyped-def]
        """The store's kind and version, as in ``Redis 7.2.4``. A coroutine of a str."""

    def backlogs(uid: int | None):  # type: ignore[no-untyped-def]
        """
        What waits for one user, or, without one, for everybody: for administration. Changes nothing; what the older
        server left is counted where it is.

        :return: a coroutine of a list of :class:`Backlog`, by uid, without those for whom nothing waits.
        """

    def purge(uid: int, up_to: int):  # type: ignore[no-untyped-def]
        """
        Remove what waits for a user up to an id, read or not. To everything else it is as if the reader had
        acknowledged it: ids are not given out again, sessions and their cursors go on, shares begin anew.

        :return: a coroutine of an int, the number of messages removed.
        """
