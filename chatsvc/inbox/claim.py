"""A session's hold on its inbox: claims, registered devices, cursors."""

from __future__ import annotations

from dataclasses import field

from chatsvc.wire.events import Missed
from chatsvc.wire.record import record


@record
class Cursor:
    """
    How far the session that claimed ``generation`` has read the inbox of ``uid``.

    ``id`` is the last message that it was handed and ``at`` that message's time in ms, None if it was handed none.
    ``shown`` is the id up to which its client had shown messages before. ``device`` is a registered device, empty for
    the unnamed one. For a registered one ``serial`` is that of the message ``id``, or, if the session was handed none,
    the one up to which its claim says that all is known.
    """

    uid: int
    id: int
    generation: int
    at: int | None
    shown: int = 0
    device: str = ""
    serial: int = 0


@record
class SteppedBack:
    """
    A session of a registered device reads on behind the message ``id``, under a new ``generation``.

    The store has lost what the session was handed after that message.
    """

    uid: int
    device: str
    id: int
    generation: int


@record
class Comparison:
    """
    The result of a comparison of this node's readers with a store that was away.

    ``stale`` are the uids whose unnamed device's cursor lies beyond their inbox's last id, or at another message than
    it was handed: those inboxes have begun a new epoch, and that session's generation is stale. ``taken`` are the
    sessions that other nodes have taken over: uid, device, the generation of that claim. ``stepped_back`` are
    registered devices that go on further back. ``forgotten`` are sessions whose device is not registered any more: uid
    and device. ``is_other_data``: the store does not hold the data that it held.
    """

    stale: list[int] = field(default_factory=list)
    taken: list[tuple[int, str, int]] = field(default_factory=list)
    stepped_back: list[SteppedBack] = field(default_factory=list)
    forgotten: list[tuple[int, str]] = field(default_factory=list)
    is_other_data: bool = False


@record
class Registration:
    """
    What a session says of its registered device when it claims the inbox.

    ``client`` is the name and version of the program. ``serial`` is that of the last message that it has shown, None if
    it does not say.
    """

    client: str
    serial: int | None = None


@record
class InboxClaim:
    """
    A session's hold on its inbox.

    ``generation`` grows with each claim; removals that carry an older one are refused. ``last_id`` is the id given out
    last, 0 before the first; ``acknowledged`` is the device's position. ``waiting`` messages have been acknowledged by
    no device. ``expired`` messages had waited too long and were removed.

    For a registered device, reading begins behind the message ``begin``, whose serial, or that of the last message that
    the client is known to have, is ``serial``; ``missed`` is what it should be told of. ``epoch`` is empty. For the
    unnamed device ``begin`` is the position. ``registered_at`` is the store's serial when the device was registered; 0:
    that is not known, or it is the unnamed one.
    """

    generation: int
    epoch: str
    last_id: int
    waiting: int
    acknowledged: int
    expired: int = 0
    begin: int = 0
    serial: int = 0
    missed: Missed | None = None
    registered_at: int = 0


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


class NotRegistered(Exception):
    """The device whose claim is to be renewed is not registered any more."""


class TooManyDevices(Exception):
    """As many registered devices as may be are online, so none can be forgotten for a new one."""
