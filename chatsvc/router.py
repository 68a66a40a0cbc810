"""
The post office: takes messages from sessions, puts them into inboxes, and hands them to readers who are here.

What arrives while batches are under way forms the next, so one round trip to the store carries many messages, and
nobody waits for company. Two may be under way: the store works on one while the answers of the other are told. A store
runs them in their order and answers in it.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from twisted.internet.defer import Deferred, TimeoutError, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from zope.interface import implementer

from chatsvc.inbox.interface import (
    Committed,
    Cursor,
    Draft,
    Failed,
    IInbox,
    IStoreWatcher,
    Moved,
    Outcome,
    Removal,
    Stored,
)
from chatsvc.observability.log_limiter import Seldom
from chatsvc.observability.metrics import Metrics
from chatsvc.observability.redaction import wordless
from chatsvc.storage.url import STORE_PATIENCE, StoreUnavailable
from chatsvc.wire.events import Message


@dataclass(frozen=True)
class BatchLimits:
    """A batch at most, so that the store is never held up (design section 4)."""

    messages: int = 256
    bytes: int = 256 * 1024


_AT_ONCE = 2
"""Batches under way."""

REMOVAL_DELAY = 0.02
"""Seconds that a removal waits for others, most of all for later ones of the same inbox, which take its place."""

RETRY_DELAY = 0.2
"""Seconds between a batch that found no store and the next."""

REMOVAL_PATIENCE = 1.0
"""Seconds that a log-in waits for each batch, so that what was received is not shown again."""

Told = Callable[[Outcome | None, Message], None]
"""Tells a sender what became of its message; None: the store is away, the outcome is unknown."""


class Ear(Protocol):
    """A session's reading side, as the post office knows it."""

    generation: int

    def place(self) -> Cursor:
        """How far this reader is."""

    def news(self, message: Message) -> None:
        """``message`` was stored in this reader's inbox."""

    def heard(self, message: Message) -> None:
        """``message`` was stored there by another node."""

    def look(self) -> None:
        """Something may have been stored that the post office did not see."""

    def superseded(self, generation: int) -> None:
        """A removal was refused because its generation is stale."""

    def inbox_restarted(self) -> None:
        """The inbox has begun a new epoch: what was handed out no longer counts."""

    def kick(self) -> None:
        """Another log-in has the inbox now."""


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


@dataclass(slots=True, eq=False)
class _Batch:
    parcels: list[_Parcel]
    removals: list[Removal]


@implementer(IStoreWatcher)
class PostOffice:
    """
    ``ears`` maps the uid of everybody who reads here to its reading side; ``all_told`` is called when the answers and
    news of a batch have been told.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        inbox: IInbox,
        ears: Mapping[int, Ear],
        metrics: Metrics | None = None,
        limits: BatchLimits = BatchLimits(),
        all_told: Callable[[], None] = lambda: None,
    ) -> None:
        self._all_told = all_told
        self._limits = limits
        self._metrics = metrics or Metrics()
        self.handed = self._metrics.handed
        self._clock = clock
        self._inbox = inbox
        self._ears = ears
        self._waiting: deque[_Parcel] = deque()
        self._removals: dict[int, Removal] = {}
        self._removals_due = False
        self._under_way: deque[_Batch] = deque()
        self._delay = 0.0
        self._start: IDelayedCall | None = None
        self._gathering: IDelayedCall | None = None
        self._watch: IDelayedCall | None = None
        self._batch_ends: list[Deferred[None]] = []
        self._refused = Seldom(clock.seconds)
        self._expired = Seldom(clock.seconds)

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
        """Remove a user's messages up to an id, before long."""
        self._removals[uid] = Removal(uid, generation, up_to)
        if self._gathering is None and not self._removals_due:
            self._gathering = self._clock.callLater(REMOVAL_DELAY, self.hurry)

    def leave(self, uid: int, generation: int, up_to: int) -> None:
        """A session has ended: who is told that it is gone shall find the inbox as it was left."""
        self._removals[uid] = Removal(uid, generation, up_to, leaving=True)
        self.hurry()

    async def settled(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while self._under_way or self._waiting or self._removals:
            self.hurry()
            await self._batch_end()

    async def removed(self, uid: int) -> None:
        """Wait until this user's removals have been tried: what follows then finds them done."""
        for _ in range(_AT_ONCE + 1):  # those under way, and the one that forms
            if uid in self._removals:
                self.hurry()
            elif not self._is_removing(uid):
                return
            with suppress(TimeoutError):
                await self._batch_end().addTimeout(REMOVAL_PATIENCE, self._clock)

    def _is_removing(self, uid: int) -> bool:
        return any(removal.uid == uid for batch in self._under_way for removal in batch.removals)

    def hurry(self) -> None:
        """Let the removals that have gathered go with the next batch."""
        gathering, self._gathering = self._gathering, None
        if gathering is not None and gathering.active():
            gathering.cancel()
        self._removals_due = bool(self._removals)
        self._schedule()

    def _batch_end(self) -> Deferred[None]:
        end: Deferred[None] = Deferred()
        self._batch_ends.append(end)
        return end

    def cursors(self) -> list[Cursor]:
        return [ear.place() for ear in self._ears.values()]

    def store_returned(self, stale: list[int], taken: list[tuple[int, int]]) -> None:
        for uid in stale:
            self._removals.pop(uid, None)
            ear = self._ears.get(uid)
            if ear is not None:
                ear.inbox_restarted()
        for uid, generation in taken:
            self.taken_over(uid, generation)
        for ear in list(self._ears.values()):
            ear.look()

    def news(self, news: list[tuple[int, Message]]) -> list[int]:
        absent = []
        for uid, message in news:
            ear = self._ears.get(uid)
            if ear is None:
                absent.append(uid)
            else:
                ear.heard(message)
        # Not flushed here: the answers of a batch may come in the same turn, and leave with it.
        return absent

    def taken_over(self, uid: int, generation: int) -> None:
        ear = self._ears.get(uid)
        if ear is not None and ear.generation < generation:
            ear.kick()

    def _schedule(self) -> None:
        # Not at once: what else this turn of the reactor brings goes along.
        if self._start is None and len(self._under_way) < _AT_ONCE and self._has_work():
            self._start = self._clock.callLater(self._delay, self._next_batch)

    def _has_work(self) -> bool:
        return bool(self._waiting) or self._removals_due

    def _next_batch(self) -> None:
        self._start = None
        batch = _Batch(self._fill(), self._take_removals())
        self._under_way.append(batch)
        drafts = [parcel.draft for parcel in batch.parcels]
        self._metrics.batch_messages.observe(len(drafts))
        stored: Deferred[Any] = maybeDeferred(self._inbox.commit, drafts, batch.removals)
        stored.addCallbacks(
            self._stored, self._not_stored, callbackArgs=(batch,), errbackArgs=(batch,)
        )
        stored.addErrback(self._broken, batch)
        stored.addCallback(self._done, batch)
        self._schedule()

    def _fill(self) -> list[_Parcel]:
        batch: list[_Parcel] = []
        room = self._limits.bytes
        while self._waiting and len(batch) < self._limits.messages:
            room -= self._waiting[0].size
            if room < 0 and batch:
                break
            batch.append(self._waiting.popleft())
        return batch

    def _take_removals(self) -> list[Removal]:
        if not self._removals_due:
            return []
        uids = list(islice(self._removals, self._limits.messages))
        removals = [self._removals.pop(uid) for uid in uids]
        self._removals_due = bool(self._removals)
        return removals

    def _stored(self, committed: Committed, batch: _Batch) -> None:
        self._delay = 0.0
        for parcel, outcome in zip(batch.parcels, committed.outcomes, strict=True):
            try:
                self._settle(parcel, outcome, committed.lost)
            except Exception:
                # One connection's trouble is not that of the others in the batch.
                text = "Telling what became of a message failed"
                self._log.failure(text, wordless(), event="telling-failed")
        self._all_told()
        taken_at = self._clock.seconds() + STORE_PATIENCE
        self._metrics.message_seconds.add([taken_at - parcel.deadline for parcel in batch.parcels])
        for kind, count in Counter(map(type, committed.outcomes)).items():
            self._metrics.message_states[kind.__name__].inc(count)
        self.expired(committed.expired)
        for removal in committed.refused:
            ear = self._ears.get(removal.uid)
            if ear is not None:
                ear.superseded(removal.generation)
        for removal in committed.taken:
            self.taken_over(removal.uid, removal.generation + 1)

    def expired(self, count: int) -> None:
        """So many messages had waited too long and were removed, unread."""
        if not count:
            return
        self._metrics.expired.inc(count)
        said = self._expired.count(count)
        if said:
            text = "{count} messages had waited longer than --inbox-days allows and were removed"
            self._log.warn(text, event="expired", count=said)

    def _settle(self, parcel: _Parcel, outcome: Outcome, lost: bool) -> None:
        if type(outcome) is Stored:
            message = parcel.message(outcome.id)
            # The reader first: for who writes to oneself in the text dialect, the message is the answer.
            ear = self._ears.get(parcel.draft.to)
            if ear is not None:
                if outcome.elsewhere:
                    ear.kick()  # it has not heard that it was taken over
                elif not lost:  # else readers are compared with the store first
                    ear.news(message)
            parcel.tell(outcome, message)
        elif type(outcome) is Moved:
            parcel.tell(outcome, parcel.message(0))
            self.taken_over(parcel.draft.sender, (parcel.draft.generation or 0) + 1)
        elif isinstance(outcome, Failed):
            self._say_refused(parcel, outcome)
            parcel.give_up()
        else:
            parcel.tell(outcome, parcel.message(0))

    def _say_refused(self, parcel: _Parcel, outcome: Failed) -> None:
        count = self._refused.count()
        if count:
            self._log.error(
                "the store refused a message to {to}: {reason} ({count} since this was said last)",
                event="message-refused",
                uid=parcel.draft.sender,
                to=parcel.draft.to,
                count=count,
                reason=outcome.reason,
            )

    def _not_stored(self, failure: Failure, batch: _Batch) -> None:
        failure.trap(StoreUnavailable)
        self._put_back(batch)
        self._tell_unknown(batch.parcels)
        for parcel in batch.parcels:
            # It may have been stored all the same.
            ear = self._ears.get(parcel.draft.to)
            if ear is not None:
                ear.look()

    def _put_back(self, batch: _Batch) -> None:
        """The removals go with a later batch."""
        self._delay = RETRY_DELAY
        for removal in batch.removals:
            self._removals.setdefault(removal.uid, removal)
            self._removals_due = True

    def _broken(self, failure: Failure, batch: _Batch) -> None:
        self._log.failure("A batch failed", wordless(failure), event="batch-failed")
        self._put_back(batch)
        self._tell_unknown(batch.parcels)

    def _tell_unknown(self, parcels: Iterable[_Parcel]) -> None:
        """Tell senders, but for those who heard it before, that nobody knows what became of their messages."""
        untold = [parcel for parcel in parcels if parcel.told]
        self._metrics.message_states["unknown"].inc(len(untold))
        for parcel in untold:
            parcel.give_up()

    def _done(self, _: object, batch: _Batch) -> None:
        self._under_way.remove(batch)
        self._schedule()
        ends, self._batch_ends = self._batch_ends, []
        for end in ends:
            end.callback(None)

    def _give_up(self) -> None:
        """Tell everybody whose message has waited too long. One that is under way may still be stored."""
        self._watch = None
        now = self._clock.seconds()
        under_way = [parcel for batch in self._under_way for parcel in batch.parcels]
        late = [parcel for parcel in under_way if parcel.deadline <= now]
        while self._waiting and self._waiting[0].deadline <= now:
            late.append(self._waiting.popleft())
        self._tell_unknown(late)
        untold = [parcel for parcel in under_way if parcel.told] or self._waiting
        if untold:
            self._watch = self._clock.callLater(untold[0].deadline - now, self._give_up)
