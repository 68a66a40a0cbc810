"""A batch: messages and removals that reach the store in one round trip."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice

from chatsvc.inbox.outcome import Draft, Outcome, Removal
from chatsvc.wire.events import Message

OnOutcome = Callable[[Outcome | None, Message], None]
"""Tells a sender what became of its message; None: the store is away, so the outcome is unknown."""

BYTES_A_CHARACTER = 3
"""UTF-8's bytes for most Chinese characters: to encode a text only to measure it would cost more than it saves."""


@dataclass(frozen=True)
class BatchLimits:
    """The most ``messages``, and roughly ``bytes`` of text, in one batch: a larger one would hold up the store."""

    messages: int = 256
    bytes: int = 256 * 1024


@dataclass(slots=True)
class Pending:
    """
    A message of about ``size`` bytes whose sender waits for the outcome until ``deadline`` (seconds of the clock).

    ``on_outcome`` is None once the sender has been told.
    """

    draft: Draft
    size: int
    on_outcome: OnOutcome | None
    deadline: float

    def report(self, outcome: Outcome | None, message: Message) -> None:
        """Tell the sender, unless it was told before that the store is away."""
        on_outcome, self.on_outcome = self.on_outcome, None
        if on_outcome is not None:
            on_outcome(outcome, message)

    def give_up(self) -> None:
        """Tell the sender that the outcome is unknown."""
        self.report(None, self.message(0))

    def message(self, id: int, serial: int = 0) -> Message:
        """Make the message that the draft is once it has an id and a serial."""
        draft = self.draft
        return Message(id, draft.sender, draft.name, draft.at, draft.text, serial)

    def copy(self, id: int, serial: int) -> Message:
        """Make the copy for the sender's own inbox, where it has the id ``id``."""
        draft = self.draft
        what = draft.sender, draft.name, draft.at, draft.text, serial
        return Message(id, *what, draft.to, draft.device)


@dataclass(slots=True, eq=False)
class Batch:
    """What one round trip carries."""

    pending: list[Pending]
    removals: list[Removal]


class BatchQueue:
    """
    Messages and removals that wait for the next batch.

    Of several removals of one device (uid and name) the last stands for all. Removals wait until they are ``due``;
    messages never do.
    """

    def __init__(self, limits: BatchLimits) -> None:
        self.waiting: deque[Pending] = deque()
        self.removals: dict[tuple[int, str], Removal] = {}
        self.due = False
        self._limits = limits

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits at all."""
        return not (self.waiting or self.removals)

    @property
    def is_ready(self) -> bool:
        """Whether something waits that the next batch should carry."""
        return bool(self.waiting) or self.due

    def release_removals(self) -> None:
        """Let the removals that have gathered go with the next batch."""
        self.due = bool(self.removals)

    def put_back(self, removals: list[Removal]) -> None:
        """Let removals of a batch that failed go with a later one, unless newer ones have taken their place."""
        for removal in removals:
            self.removals.setdefault((removal.uid, removal.device), removal)
            self.due = True

    def next_batch(self) -> Batch:
        """Take as much as one batch may carry."""
        return Batch(self._take_messages(), self._take_removals())

    def _take_messages(self) -> list[Pending]:
        taken: list[Pending] = []
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
