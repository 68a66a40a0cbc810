"""A batch: messages and removals that reach the store in one round trip."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Generic, TypeVar

from chatsvc.inbox.mark import change_event
from chatsvc.inbox.outcome import Draft, Outcome, Removal, RoomAcknowledgement, RoomDraft
from chatsvc.wire.events import Message, RoomEntry, RoomMessage

M = TypeVar("M", Message, RoomMessage)

OnOutcome = Callable[[Outcome | None, M], None]
"""Tells a sender what became of its message; None: the store is away, so the outcome is unknown."""

_BYTES_A_CHARACTER = 3
"""UTF-8's bytes for most Chinese characters: to encode a text only to measure it would cost more than it saves."""


def size_of(draft: Draft | RoomDraft) -> int:
    """About how many bytes of text a message has."""
    return (len(draft.text) + len(draft.name)) * _BYTES_A_CHARACTER


@dataclass(frozen=True)
class BatchLimits:
    """The most ``messages``, and roughly ``bytes`` of text, in one batch: a larger one would hold up the store."""

    messages: int = 256
    bytes: int = 256 * 1024


@dataclass(slots=True)
class Awaited(Generic[M]):
    """
    A message of about ``size`` bytes whose sender waits for the outcome until ``deadline`` (seconds of the clock).

    ``on_outcome`` is None once the sender has been told.
    """

    size: int
    on_outcome: OnOutcome[M] | None
    deadline: float

    def report(self, outcome: Outcome | None, message: M) -> None:
        """Tell the sender, unless it was told before that the store is away."""
        on_outcome, self.on_outcome = self.on_outcome, None
        if on_outcome is not None:
            on_outcome(outcome, message)

    def report_refusal(self, outcome: Outcome | None, serial: int = 0) -> None:
        """Tell the sender an outcome with which the message got no id; None: it is unknown."""
        self.report(outcome, self.message(0, serial))

    def message(self, id: int, serial: int = 0) -> M:
        """Make the message that the draft is once it has an id and a serial."""
        raise NotImplementedError


@dataclass(slots=True)
class Pending(Awaited[Message]):
    """A message to a user."""

    draft: Draft

    def message(self, id: int, serial: int = 0) -> Message:
        draft = self.draft
        what = draft.sender, draft.name, draft.at, draft.text, serial
        return Message(id, *what, mark=draft.reference)

    def copy(self, id: int, serial: int) -> Message:
        """Make the copy for the sender's own inbox, where it has the id ``id``."""
        draft = self.draft
        what = draft.sender, draft.name, draft.at, draft.text, serial
        return Message(id, *what, draft.to, draft.device, draft.reference)


@dataclass(slots=True)
class PendingRoomMessage(Awaited[RoomMessage]):
    """A message into a room."""

    draft: RoomDraft

    def message(self, id: int, serial: int = 0) -> RoomMessage:
        draft = self.draft
        reply = draft.reference.serial if draft.reference is not None else 0
        what = draft.sender, draft.name, draft.at, draft.text, draft.mark, reply
        return RoomMessage(draft.room, id, serial, *what)

    def entry(self, id: int, serial: int) -> RoomEntry:
        """Make the entry of the room's log that the draft is once it is stored."""
        draft = self.draft
        reference = draft.reference
        if reference is None or not reference.changes:
            return self.message(id, serial)
        place = (draft.room, id, serial)
        return change_event(place, draft.at, draft.sender, draft.name, draft.text, reference)


@dataclass(slots=True, eq=False)
class Batch:
    """What one round trip carries."""

    pending: list[Pending | PendingRoomMessage]
    removals: list[Removal]
    acknowledgements: list[RoomAcknowledgement]

    def concerns(self, uid: int, device: str) -> bool:
        """Whether it has a removal of this device, or what this user has acknowledged in a room."""
        removes = any(one.uid == uid and one.device == device for one in self.removals)
        return removes or any(one.uid == uid for one in self.acknowledgements)


class BatchQueue:
    """
    Messages and removals that wait for the next batch.

    Of several removals of one device (uid and name) the last stands for all, and so does the furthest of several
    acknowledgements of one user in one room. They wait until they are ``due``, or ``positions_due``; messages never do.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self.waiting: deque[Pending | PendingRoomMessage] = deque()
        self.acknowledgements: dict[tuple[int, int], RoomAcknowledgement] = {}
        self.removals: dict[tuple[int, str], Removal] = {}
        self.due = False
        self.positions_due = False
        self._limits = limits

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits at all."""
        return not (self.waiting or self.removals or self.acknowledgements)

    @property
    def is_ready(self) -> bool:
        """Whether something waits that the next batch should carry."""
        return bool(self.waiting) or self.due or self.positions_due

    def concerns(self, uid: int, device: str) -> bool:
        """Whether a removal of this device waits, or what this user has acknowledged in a room."""
        return (uid, device) in self.removals or any(one == uid for one, _ in self.acknowledgements)

    def release_removals(self) -> None:
        """Let the removals that have gathered go with the next batch."""
        self.due = bool(self.removals)

    def release_acknowledgements(self) -> None:
        """Let the acknowledgements of rooms that have gathered go with the next batch."""
        self.positions_due = bool(self.acknowledgements)

    def acknowledge(self, one: RoomAcknowledgement) -> None:
        """Let a room's acknowledgement wait, unless one of another session is further."""
        before = self.acknowledgements.get((one.uid, one.room))
        if before is None or (before.id, before.over) < (one.id, one.over):
            self.acknowledgements[one.uid, one.room] = one

    def put_back(self, batch: Batch) -> None:
        """Let what a failed batch removed and acknowledged go with a later one, unless newer ones took its place."""
        for removal in batch.removals:
            self.removals.setdefault((removal.uid, removal.device), removal)
            self.due = True
        for one in batch.acknowledgements:
            self.acknowledge(one)
            self.positions_due = True

    def next_batch(self) -> Batch:
        """Take as much as one batch may carry."""
        return Batch(self._take_messages(), self._take_removals(), self._take_acknowledgements())

    def _take_messages(self) -> list[Pending | PendingRoomMessage]:
        taken: list[Pending | PendingRoomMessage] = []
        left = self._limits.bytes
        while self.waiting and len(taken) < self._limits.messages:
            left -= self.waiting[0].size
            if left < 0 and taken:
                break
            taken.append(self.waiting.popleft())
        return taken

    def _take_removals(self) -> list[Removal]:
        if not self.due:
            return []
        devices = list(islice(self.removals, self._limits.messages))
        removals = [self.removals.pop(device) for device in devices]
        self.due = bool(self.removals)
        return removals

    def _take_acknowledgements(self) -> list[RoomAcknowledgement]:
        if not self.positions_due:
            return []
        rooms = list(islice(self.acknowledgements, self._limits.messages))
        acknowledgements = [self.acknowledgements.pop(room) for room in rooms]
        self.positions_due = bool(self.acknowledgements)
        return acknowledgements
