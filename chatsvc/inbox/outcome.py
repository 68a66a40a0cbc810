"""What reaches an inbox store in one batch, and what becomes of it: drafts, removals, outcomes."""

from __future__ import annotations

from dataclasses import field

from chatsvc.wire.entries import Reference
from chatsvc.wire.record import record


@record
class Draft:
    """
    A message on its way into the inbox of ``to``; ``at`` is in milliseconds since 1970.

    With ``n``, it is the ``n``-th message of ``device`` to this recipient. ``again`` asks whether it was stored before:
    the outcome is a duplicate or a gap, and nothing is stored. ``generation`` is that of the sender's session on the
    unnamed device, None if the session only sends or is a registered device's. ``sending`` is the generation that the
    session took for its device, None without a device. ``registered``: the session is that of the registered
    ``device``, and receives.

    ``reference`` is what it has to do with an earlier message. An edit or a retraction goes only into inboxes with a
    registered device; ``text`` is then what that message reads from now on.

    A session that receives has a copy of its messages to others put into its user's own inbox, if a registered device
    other than ``device`` is there.
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
    registered: bool = False
    reference: Reference | None = None


@record
class RoomDraft:
    """
    A message on its way into the log of ``room``.

    The fields are as in :class:`Draft`. ``version`` is that of the room in SQL, as this node has read it since it
    last connected to the store: a log that is below it knows members of before. ``mark`` says which device is not
    handed the message: the name of a registered one, ``-`` for the unnamed device, empty if none is to be left out.
    """

    room: int
    sender: int
    name: str
    at: int
    text: str
    device: str = ""
    n: int | None = None
    again: bool = False
    generation: int | None = None
    sending: int | None = None
    registered: bool = False
    version: int = 0
    mark: str = ""
    reference: Reference | None = None


@record
class RoomAcknowledgement:
    """
    A session of ``uid`` has acknowledged the log of ``room`` up to ``id``; the account's position there only grows.

    ``over``: that was the end of its membership, so no position is kept any more.
    """

    uid: int
    room: int
    id: int
    over: bool = False


@record
class Removal:
    """
    The session that claimed ``generation`` for a device has received the messages up to ``up_to``.

    ``leaving``: that session has ended, and nobody reads there any more. ``device`` is a registered device, empty for
    the unnamed one. ``shown`` is the last id that its client has acknowledged; what lies between that and ``up_to``
    is not for this device.
    """

    uid: int
    generation: int
    up_to: int
    leaving: bool = False
    device: str = ""
    shown: int = 0


@record
class Stored:
    """
    The message was stored under ``id`` and ``serial``; ``id`` 0: its recipient's inbox gets no such entry.

    ``waiting`` messages wait in the inbox now, this one among them. ``elsewhere``: a device of its reader is logged in
    at another node; ``taken``: the unnamed one is. ``copy`` is the id of the copy in the sender's own inbox, 0 if there
    is none.
    """

    id: int
    waiting: int
    elsewhere: bool = False
    serial: int = field(default=0, compare=False)
    taken: bool = False
    copy: int = 0


@record
class Full:
    """Nothing was stored, because the inbox is full; ``share``: because this sender's share of it is used up."""

    waiting: int
    share: bool


@record
class Duplicate:
    """
    The message was stored before, under ``id`` if that is still known.

    ``serial`` is 0 if the message has left the inbox. The rest is as in :class:`Stored`.
    """

    id: int | None
    waiting: int
    elsewhere: bool = False
    serial: int = field(default=0, compare=False)


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


@record
class Unregistered:
    """Nothing was stored: the sender's session is that of a device which is not registered any more."""


@record
class NotMember:
    """Nothing was stored: the sender is no member of the room at this point of its log."""


@record
class Behind:
    """
    Nothing was stored: the room's log is below the version that the draft names, or has none.

    It has lost events. They, or the members whole, have to be stored again first.
    """


@record
class Gone:
    """Nothing was stored: the message that it changes was retracted before."""


Outcome = (
    Stored | Full | Duplicate | Gap | Failed | Moved | Unregistered | NotMember | Behind | Gone
)


@record
class Committed:
    """
    The result of a batch.

    ``outcomes`` has one for each draft, in order. ``refused`` are the removals whose generation was stale, ``taken``
    those whose device is held by another node's session. ``expired`` messages had waited too long and were removed.
    ``lost``: the store has lost messages, and the ids it has given out now may be known for others. ``forgotten`` has
    the uid and the device (empty: the unnamed one) of each session of this node whose device is not registered any
    more, as the step found or decided.
    """

    outcomes: list[Outcome]
    refused: list[Removal]
    taken: list[Removal] = field(default_factory=list)
    expired: int = 0
    lost: bool = False
    forgotten: list[tuple[int, str]] = field(default_factory=list)
