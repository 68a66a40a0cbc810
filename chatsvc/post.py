"""
The post office: takes messages from sessions, puts them into inboxes, and hands them to readers who are here.

What arrives while one batch is under way forms the next, so one round trip to the store carries many messages, and
nobody waits for company.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from chatsvc.inbox.interface import (
    Committed,
    Draft,
    Failed,
    IInbox,
    IStoreWatcher,
    Outcome,
    Removal,
    Stored,
)
from chatsvc.metrics import Metrics
from chatsvc.store import STORE_PATIENCE, StoreUnavailable
from chatsvc.unexpected import wordless
from chatsvc.wire.events import Message


@dataclass(frozen=True)
class BatchLimits:
    """A batch at most, so that the store is never held up (design section 4)."""

    messages: int = 256
    bytes: int = 256 * 1024


RETRY_DELAY = 0.2
"""Seconds between a batch that found no store and the next."""

REMOVAL_PATIENCE = 1.0
"""Seconds that a log-in waits for each of two batches, so that what was received is not shown again."""

Told = Callable[[Outcome | None, Message], None]
"""Tells a sender what became of its message; None: the store is away, the outcome is unknown."""


class Ear(Protocol):
    """A session's reading side, as the post office knows it."""

    cursor: int
    generation: int

    def news(self, message: Message) -> None:
        """``message`` was stored in this reader's inbox."""

    def look(self) -> None:
        """Something may have been stored that the post office did not see."""

    def superseded(self, generation: int) -> None:
        """A removal was refused because its generation is stale."""

    def inbox_restarted(self) -> None:
        """The inbox has begun a new epoch: what was handed out no longer counts."""


@dataclass(slots=True)
class _Parcel:
    draft: Draft
    size: int
    told: Told | None
    deadline: float

    def tell(self, outcome: Outcome | None, message: Message) -> None:
        told, self.told = self.told, None
        if told is not None:  # else its sender was told that the store is away
            told(outcome, message)

    def give_up(self) -> None:
        self.tell(None, self.message(0))

    def message(self, id: int) -> Message:
        draft = self.draft
        return Message(id, draft.sender, draft.name, draft.at, draft.text)


@implementer(IStoreWatcher)
class PostOffice:
    """``ears`` maps the uid of everybody who reads here to its reading side."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        inbox: IInbox,
        ears: Mapping[int, Ear],
        metrics: Metrics | None = None,
        limits: BatchLimits = BatchLimits(),
    ) -> None:
        self._limits = limits
        self._metrics = metrics or Metrics()
        self._clock = clock
        self._inbox = inbox
        self._ears = ears
        self._waiting: deque[_Parcel] = deque()
        self._removals: dict[int, Removal] = {}
        self._under_way: list[_Parcel] = []
        self._removing: list[Removal] = []
        self._busy = False
        self._delay = 0.0
        self._began = 0.0
        self._start: IDelayedCall | None = None
        self._watch: IDelayedCall | None = None
        self._batch_ends: list[Deferred[None]] = []

    def send(self, draft: Draft, told: Told) -> None:
        """
        Put a message into its recipient's inbox with the next batch.

        ``told`` is called once, with the outcome, or with None when the store has not answered in time.
        """
        size = len(draft.text) * 3 + len(draft.name) * 3
        self._waiting.append(_Parcel(draft, size, told, self._clock.seconds() + STORE_PATIENCE))
        self._schedule()
        if self._watch is None:
            self._watch = self._clock.callLater(STORE_PATIENCE, self._give_up)

    def remove(self, uid: int, generation: int, up_to: int) -> None:
        """Remove a user's messages up to an id, with the next batch."""
        self._removals[uid] = Removal(uid, generation, up_to)
        self._schedule()

    async def settled(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while self._busy or self._waiting or self._removals:
            await self._batch_end()

    async def removed(self, uid: int) -> None:
        """Wait until this user's removals have been tried: what follows then finds them done."""
        for _ in ("the batch under way", "the one that forms"):
            if uid in self._removals or any(removal.uid == uid for removal in self._removing):
                with suppress(TimeoutError):
                    await self._batch_end().addTimeout(REMOVAL_PATIENCE, self._clock)

    def _batch_end(self) -> Deferred[None]:
        end: Deferred[None] = Deferred()
        self._batch_ends.append(end)
        return end

    def cursors(self) -> list[tuple[int, int, int]]:
        return [(uid, ear.cursor, ear.generation) for uid, ear in self._ears.items()]

    def store_returned(self, stale: list[int]) -> None:
        for uid in stale:
            self._removals.pop(uid, None)
            ear = self._ears.get(uid)
            if ear is not None:
                ear.inbox_restarted()
        for ear in list(self._ears.values()):
            ear.look()

    def _schedule(self) -> None:
        # Not at once: what else this turn of the reactor brings goes along.
        if not self._busy and self._start is None and (self._waiting or self._removals):
            self._start = self._clock.callLater(self._delay, self._next_batch)

    def _next_batch(self) -> None:
        self._start = None
        self._busy = True
        self._under_way = self._fill()
        self._removing = list(self._removals.values())
        self._removals = {}
        drafts = [parcel.draft for parcel in self._under_way]
        self._metrics.batch_messages.observe(len(drafts))
        self._began = self._clock.seconds()
        stored: Deferred[Any] = maybeDeferred(self._inbox.commit, drafts, self._removing)
        stored.addCallbacks(self._stored, self._not_stored)
        stored.addErrback(self._broken)
        stored.addCallback(self._done)

    def _fill(self) -> list[_Parcel]:
        batch: list[_Parcel] = []
        room = self._limits.bytes
        while self._waiting and len(batch) < self._limits.messages:
            room -= self._waiting[0].size
            if room < 0 and batch:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _stored(self, committed: Committed) -> None:
        self._delay = 0.0
        for parcel, outcome in zip(self._under_way, committed.outcomes, strict=True):
            try:
                self._settle(parcel, outcome)
            except Exception:
                # One connection's trouble is not that of the others in the batch.
                self._log.failure("Telling what became of a message failed", wordless())
        for removal in committed.refused:
            ear = self._ears.get(removal.uid)
            if ear is not None:
                ear.superseded(removal.generation)

    def _settle(self, parcel: _Parcel, outcome: Outcome) -> None:
        self._metrics.message_states[type(outcome).__name__].inc()
        if isinstance(outcome, Stored):
            message = parcel.message(outcome.id)
            # The reader first: for who writes to oneself in the text dialect, the message is the answer.
            ear = self._ears.get(parcel.draft.to)
            if ear is not None:
                ear.news(message)
            parcel.tell(outcome, message)
        elif isinstance(outcome, Failed):
            self._log.error("The store refused a message: {reason}", reason=outcome.reason)
            parcel.give_up()
        else:
            parcel.tell(outcome, parcel.message(0))

    def _not_stored(self, failure: Failure) -> None:
        failure.trap(StoreUnavailable)
        self._put_back()
        self._metrics.message_states["unknown"].inc(len(self._under_way))
        for parcel in self._under_way:
            parcel.give_up()
            # It may have been stored all the same.
            ear = self._ears.get(parcel.draft.to)
            if ear is not None:
                ear.look()

    def _put_back(self) -> None:
        """The removals go with a later batch."""
        self._delay = RETRY_DELAY
        for removal in self._removing:
            self._removals.setdefault(removal.uid, removal)

    def _broken(self, failure: Failure) -> None:
        self._log.failure("A batch failed", wordless(failure))
        self._put_back()
        for parcel in self._under_way:
            parcel.give_up()

    def _done(self, _: object) -> None:
        self._metrics.store_seconds.observe(self._clock.seconds() - self._began)
        self._busy = False
        self._under_way, self._removing = [], []
        self._schedule()
        ends, self._batch_ends = self._batch_ends, []
        for end in ends:
            end.callback(None)

    def _give_up(self) -> None:
        """Tell everybody whose message has waited too long. One that is under way may still be stored."""
        self._watch = None
        now = self._clock.seconds()
        for parcel in self._under_way:
            if parcel.deadline <= now:
                parcel.give_up()
        while self._waiting and self._waiting[0].deadline <= now:
            self._waiting.popleft().give_up()
        untold = [parcel for parcel in self._under_way if parcel.told] or self._waiting
        if untold:
            self._watch = self._clock.callLater(untold[0].deadline - now, self._give_up)
