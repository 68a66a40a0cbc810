"""
The router: takes messages from sessions, puts them into inboxes, and hands them to readers who are here.

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
    Duplicate,
    Failed,
    Full,
    Gap,
    IInbox,
    IStoreWatcher,
    Moved,
    Outcome,
    Removal,
    Stored,
)
from chatsvc.observability.log_limiter import LogLimiter
from chatsvc.observability.metrics import Metrics
from chatsvc.observability.redaction import redacted
from chatsvc.storage.url import STORE_PATIENCE, StoreUnavailable
from chatsvc.wire.events import Message


@dataclass(frozen=True)
class BatchLimits:
    """A batch at most, so that the store is never held up (design section 4)."""

    messages: int = 256
    bytes: int = 256 * 1024


STATE_LABELS: dict[type[Outcome], str] = {
    Stored: "stored",
    Duplicate: "duplicate",
    Full: "full",
    Gap: "gap",
    Failed: "failed",
    Moved: "moved",
}
"""The metric's label for each outcome: the label stays when a class gets another name."""

_AT_ONCE = 2
"""Batches under way."""

REMOVAL_DELAY = 0.02
"""Seconds that a removal waits for others, most of all for later ones of the same inbox, which take its place."""

RETRY_DELAY = 0.2
"""Seconds between a batch that found no store and the next."""

REMOVAL_PATIENCE = 1.0
"""Seconds that a log-in waits for each batch, so that what was received is not shown again."""

OnOutcome = Callable[[Outcome | None, Message], None]
"""Tells a sender what became of its message; None: the store is away, the outcome is unknown."""


class InboxListener(Protocol):
    """A session's reading side, as the router knows it."""

    generation: int

    def position(self) -> Cursor:
        """How far this reader is."""

    def stored(self, message: Message) -> None:
        """``message`` was stored in this reader's inbox."""

    def stored_elsewhere(self, message: Message) -> None:
        """``message`` was stored there by another node."""

    def resync(self) -> None:
        """Something may have been stored that the router did not see."""

    def superseded(self, generation: int) -> None:
        """A removal was refused because its generation is stale."""

    def inbox_restarted(self) -> None:
        """The inbox has begun a new epoch: what was handed out no longer counts."""

    def taken_over(self) -> None:
        """Another log-in has the inbox now."""


@dataclass(slots=True)
class _Pending:
    draft: Draft
    size: int
    on_outcome: OnOutcome | None
    deadline: float

    def report(self, outcome: Outcome | None, message: Message) -> None:
        on_outcome, self.on_outcome = self.on_outcome, None
        if on_outcome is not None:  # else its sender heard that the store is away
            on_outcome(outcome, message)

    def give_up(self) -> None:
        self.report(None, self.message(0))

    def message(self, id: int) -> Message:
        draft = self.draft
        return Message(id, draft.sender, draft.name, draft.at, draft.text)


@dataclass(slots=True, eq=False)
class _Batch:
    pending: list[_Pending]
    removals: list[Removal]


@implementer(IStoreWatcher)
class MessageRouter:
    """
    Takes messages from senders, stores them in batches, and gives them to readers who are here.

    ``listeners`` maps the uid of everybody who reads here to its reader; ``after_batch`` is called when the outcomes of
    a batch have been reported.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        inbox: IInbox,
        listeners: Mapping[int, InboxListener],
        metrics: Metrics | None = None,
        limits: BatchLimits = BatchLimits(),
        after_batch: Callable[[], None] = lambda: None,
    ) -> None:
        self._after_batch = after_batch
        self._limits = limits
        self._metrics = metrics or Metrics()
        self.handed = self._metrics.handed
        self._clock = clock
        self._inbox = inbox
        self._listeners = listeners
        self._waiting: deque[_Pending] = deque()
        self._removals: dict[int, Removal] = {}
        self._removals_due = False
        self._under_way: deque[_Batch] = deque()
        self._delay = 0.0
        self._start: IDelayedCall | None = None
        self._gathering: IDelayedCall | None = None
        self._watch: IDelayedCall | None = None
        self._batch_ends: list[Deferred[None]] = []
        self._refused = LogLimiter(clock.seconds)
        self._expired = LogLimiter(clock.seconds)

    def send(self, draft: Draft, on_outcome: OnOutcome) -> None:
        """
        Put a message into its recipient's inbox with the next batch.

        ``on_outcome`` is called once, with the outcome, or with None when the store has not answered in time.
        """
        size = len(draft.text) * 3 + len(draft.name) * 3
        self._waiting.append(
            _Pending(draft, size, on_outcome, self._clock.seconds() + STORE_PATIENCE)
        )
        self._schedule()
        if self._watch is None:
            self._watch = self._clock.callLater(STORE_PATIENCE, self._give_up)

    def remove(self, uid: int, generation: int, up_to: int) -> None:
        """Remove a user's messages up to an id, before long."""
        self._removals[uid] = Removal(uid, generation, up_to)
        if self._gathering is None and not self._removals_due:
            self._gathering = self._clock.callLater(REMOVAL_DELAY, self.send_now)

    def leave(self, uid: int, generation: int, up_to: int) -> None:
        """A session has ended: who is told that it is gone shall find the inbox as it was left."""
        self._removals[uid] = Removal(uid, generation, up_to, leaving=True)
        self.send_now()

    async def drained(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while self._under_way or self._waiting or self._removals:
            self.send_now()
            await self._batch_end()

    async def removed(self, uid: int) -> None:
        """Wait until this user's removals have been tried: what follows then finds them done."""
        for _ in range(_AT_ONCE + 1):  # those under way, and the one that forms
            if uid in self._removals:
                self.send_now()
            elif not self._is_removing(uid):
                return
            with suppress(TimeoutError):
                await self._batch_end().addTimeout(REMOVAL_PATIENCE, self._clock)

    def _is_removing(self, uid: int) -> bool:
        return any(removal.uid == uid for batch in self._under_way for removal in batch.removals)

    def send_now(self) -> None:
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
        return [listener.position() for listener in self._listeners.values()]

    def store_returned(self, stale: list[int], taken: list[tuple[int, int]]) -> None:
        for uid in stale:
            self._removals.pop(uid, None)
            listener = self._listeners.get(uid)
            if listener is not None:
                listener.inbox_restarted()
        for uid, generation in taken:
            self.taken_over(uid, generation)
        for listener in list(self._listeners.values()):
            listener.resync()

    def stored_elsewhere(self, news: list[tuple[int, Message]]) -> list[int]:
        absent = []
        for uid, message in news:
            listener = self._listeners.get(uid)
            if listener is None:
                absent.append(uid)
            else:
                listener.stored_elsewhere(message)
        # Not flushed here: the answers of a batch may come in the same turn, and leave with it.
        return absent

    def taken_over(self, uid: int, generation: int) -> None:
        listener = self._listeners.get(uid)
        if listener is not None and listener.generation < generation:
            listener.taken_over()

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
        drafts = [one.draft for one in batch.pending]
        self._metrics.batch_messages.observe(len(drafts))
        stored: Deferred[Any] = maybeDeferred(self._inbox.commit, drafts, batch.removals)
        stored.addCallbacks(
            self._stored, self._not_stored, callbackArgs=(batch,), errbackArgs=(batch,)
        )
        stored.addErrback(self._broken, batch)
        stored.addCallback(self._done, batch)
        self._schedule()

    def _fill(self) -> list[_Pending]:
        batch: list[_Pending] = []
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
        for one, outcome in zip(batch.pending, committed.outcomes, strict=True):
            try:
                self._dispatch(one, outcome, committed.lost)
            except Exception:
                # One connection's trouble is not that of the others in the batch.
                text = "Telling what became of a message failed"
                self._log.failure(text, redacted(), event="telling-failed")
        self._after_batch()
        taken_at = self._clock.seconds() + STORE_PATIENCE
        self._metrics.message_seconds.add([taken_at - one.deadline for one in batch.pending])
        for kind, count in Counter(map(type, committed.outcomes)).items():
            self._metrics.message_states[STATE_LABELS[kind]].inc(count)
        self.expired(committed.expired)
        for removal in committed.refused:
            listener = self._listeners.get(removal.uid)
            if listener is not None:
                listener.superseded(removal.generation)
        for removal in committed.taken:
            self.taken_over(removal.uid, removal.generation + 1)

    def expired(self, count: int) -> None:
        """So many messages had waited too long and were removed, unread."""
        if not count:
            return
        self._metrics.expired.inc(count)
        said = self._expired.hit(count)
        if said:
            text = "{count} messages had waited longer than --inbox-days allows and were removed"
            self._log.warn(text, event="expired", count=said)

    def _dispatch(self, one: _Pending, outcome: Outcome, lost: bool) -> None:
        if type(outcome) is Stored:
            message = one.message(outcome.id)
            # The reader first: for who writes to oneself in the text dialect, the message is the answer.
            listener = self._listeners.get(one.draft.to)
            if listener is not None:
                if outcome.elsewhere:
                    listener.taken_over()  # it has not heard that it was taken over
                elif not lost:  # else readers are compared with the store first
                    listener.stored(message)
            one.report(outcome, message)
        elif type(outcome) is Moved:
            one.report(outcome, one.message(0))
            self.taken_over(one.draft.sender, (one.draft.generation or 0) + 1)
        elif isinstance(outcome, Failed):
            self._say_refused(one, outcome)
            one.give_up()
        else:
            one.report(outcome, one.message(0))

    def _say_refused(self, one: _Pending, outcome: Failed) -> None:
        count = self._refused.hit()
        if count:
            self._log.error(
                "the store refused a message to {to}: {reason} ({count} since this was said last)",
                event="message-refused",
                uid=one.draft.sender,
                to=one.draft.to,
                count=count,
                reason=outcome.reason,
            )

    def _not_stored(self, failure: Failure, batch: _Batch) -> None:
        failure.trap(StoreUnavailable)
        self._put_back(batch)
        self._report_unknown(batch.pending)
        for one in batch.pending:
            # It may have been stored all the same.
            listener = self._listeners.get(one.draft.to)
            if listener is not None:
                listener.resync()

    def _put_back(self, batch: _Batch) -> None:
        """The removals go with a later batch."""
        self._delay = RETRY_DELAY
        for removal in batch.removals:
            self._removals.setdefault(removal.uid, removal)
            self._removals_due = True

    def _broken(self, failure: Failure, batch: _Batch) -> None:
        self._log.failure("A batch failed", redacted(failure), event="batch-failed")
        self._put_back(batch)
        self._report_unknown(batch.pending)

    def _report_unknown(self, pending: Iterable[_Pending]) -> None:
        """Tell senders, but for those who heard it before, that nobody knows what became of their messages."""
        untold = [one for one in pending if one.on_outcome]
        self._metrics.message_states["unknown"].inc(len(untold))
        for one in untold:
            one.give_up()

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
        under_way = [one for batch in self._under_way for one in batch.pending]
        late = [one for one in under_way if one.deadline <= now]
        while self._waiting and self._waiting[0].deadline <= now:
            late.append(self._waiting.popleft())
        self._report_unknown(late)
        untold = [one for one in under_way if one.on_outcome] or self._waiting
        if untold:
            self._watch = self._clock.callLater(untold[0].deadline - now, self._give_up)
