"""
The router takes messages from senders, stores them in batches, and gives them to readers who are here.

Messages that arrive while batches are under way form the next one, so one round trip to the store carries many
messages and none waits for company. Two batches may be under way: the store works on one while the outcomes of the
other are reported. A store carries batches out in their order and answers in it. What it has confirmed is reported
as stored, nothing else is (P1 of docs/protocol.md).
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress

from twisted.internet.defer import TimeoutError, maybeDeferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.delivery.batch import (
    Batch,
    BatchLimits,
    BatchQueue,
    OnOutcome,
    Pending,
    PendingRoomMessage,
    size_of,
)
from chatsvc.delivery.broken_reader import end_broken
from chatsvc.delivery.feeds import RoomFeeds
from chatsvc.delivery.online import InboxListener
from chatsvc.delivery.readers_here import ReadersHere
from chatsvc.inbox.interface import ANOTHER_NODE, Inbox
from chatsvc.inbox.outcome import (
    Behind,
    Committed,
    Draft,
    Duplicate,
    Failed,
    Full,
    Gap,
    Gone,
    Moved,
    NotMember,
    Outcome,
    Removal,
    RoomAcknowledgement,
    RoomDraft,
    Stored,
    Unregistered,
)
from chatsvc.observability.log_limiter import LogLimiter
from chatsvc.observability.metrics import Metrics
from chatsvc.observability.redaction import redacted
from chatsvc.storage.url import STORE_PATIENCE, StoreUnavailable
from chatsvc.waiters import Waiters
from chatsvc.wire.events import Message, RoomMessage

_AT_ONCE = 2
"""Batches that may be under way."""

REMOVAL_DELAY = 0.02
"""Seconds for which removals gather; a later one from the same inbox takes the place of an earlier one."""

RETRY_DELAY = 0.2
"""Seconds between a batch that found no store and the next."""

POSITION_DELAY = 2.0
"""Seconds for which acknowledgements of rooms gather."""

REMOVAL_PATIENCE = 1.0
"""Seconds that a log-in waits for each batch, so that what was received is not shown again."""

STATE_LABELS: dict[type[Outcome], str] = {
    Stored: "stored",
    Duplicate: "duplicate",
    Full: "full",
    Gap: "gap",
    Failed: "failed",
    Moved: "moved",
    Unregistered: "unregistered",
    NotMember: "not-member",
    Behind: "behind",
    Gone: "gone",
}
"""The metric's label for each outcome: the label stays when a class gets another name."""


class MessageRouter(ReadersHere):
    """
    Takes messages from senders, stores them in batches, and gives them to readers who are here.

    ``listeners`` maps the uid of everybody who reads here to the readers of that user's devices, ``feeds`` are those of
    rooms; ``after_batch`` is called when the outcomes of a batch have been reported.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        inbox: Inbox,
        listeners: Mapping[int, tuple[InboxListener, ...]],
        feeds: RoomFeeds,
        metrics: Metrics | None = None,
        limits: BatchLimits | None = None,
        after_batch: Callable[[], None] = lambda: None,
    ) -> None:
        super().__init__(listeners, BatchQueue(limits or BatchLimits()), feeds)
        self._after_batch = after_batch
        self._metrics = metrics or Metrics()
        self._clock = clock
        self._inbox = inbox
        self._under_way: deque[Batch] = deque()
        self._delay = 0.0
        self._start: IDelayedCall | None = None
        self._gathering: IDelayedCall | None = None
        self._positions: IDelayedCall | None = None
        self._watch: IDelayedCall | None = None
        self._batch_end = Waiters[None]()
        self._refused = LogLimiter(clock.seconds)
        self._expired = LogLimiter(clock.seconds)

    def send(self, draft: Draft, on_outcome: OnOutcome[Message]) -> None:
        """
        Put a message into its recipient's inbox with the next batch.

        ``on_outcome`` is called once, with the outcome, or with None when the store has not answered in time.
        """
        self._wait(Pending(size_of(draft), on_outcome, self._deadline(), draft))

    def send_to_room(self, draft: RoomDraft, on_outcome: OnOutcome[RoomMessage]) -> None:
        """Put a message into a room's log with the next batch; ``on_outcome`` is called as in ``send``."""
        self._wait(PendingRoomMessage(size_of(draft), on_outcome, self._deadline(), draft))

    def _deadline(self) -> float:
        return self._clock.seconds() + STORE_PATIENCE

    def _wait(self, pending: Pending | PendingRoomMessage) -> None:
        """Have a message wait for the next batch, and for no longer than the store has time to answer."""
        self._queue.waiting.append(pending)
        self._schedule()
        if self._watch is None:
            self._watch = self._clock.callLater(STORE_PATIENCE, self._give_up)

    def acknowledge_room(self, uid: int, room: int, id: int, over: bool = False) -> None:
        """Take note that an account has a room's log up to an id, with the next positions."""
        self._queue.acknowledge(RoomAcknowledgement(uid, room, id, over))
        if self._positions is None:
            self._positions = self._clock.callLater(POSITION_DELAY, self._send_positions)

    def _send_positions(self) -> None:
        positions, self._positions = self._positions, None
        if positions is not None and positions.active():
            positions.cancel()
        self._queue.release_acknowledgements()
        self._schedule()

    def remove(
        self, uid: int, generation: int, up_to: int, device: str = "", shown: int = 0
    ) -> None:
        """
        Take note that a device has all up to an id, with a batch of the next ``REMOVAL_DELAY`` seconds.

        ``device`` and ``shown`` are as in :class:`~chatsvc.inbox.outcome.Removal`.
        """
        self._queue.removals[uid, device] = Removal(uid, generation, up_to, False, device, shown)
        if self._gathering is None and not self._queue.due:
            self._gathering = self._clock.callLater(REMOVAL_DELAY, self.send_now)

    def leave(
        self, uid: int, generation: int, up_to: int, device: str = "", shown: int = 0
    ) -> None:
        """Remove what an ended session has received, at once, so that the next one finds the inbox as it was left."""
        self._queue.removals[uid, device] = Removal(uid, generation, up_to, True, device, shown)
        self._send_positions()
        self.send_now()

    async def drained(self) -> None:
        """Wait until nothing waits and nothing is under way."""
        while self._under_way or not self._queue.is_empty:
            self._send_positions()
            self.send_now()
            await self._batch_end.wait()

    async def removed(self, uid: int, device: str = "") -> None:
        """
        Wait until the removals of this user's device have been tried, so that a claim finds them done.

        So it is with what the user has acknowledged in rooms.
        """
        for _ in range(_AT_ONCE + 1):  # those under way, and the one that forms
            if self._queue.concerns(uid, device):
                self._send_positions()
                self.send_now()
            elif not any(batch.concerns(uid, device) for batch in self._under_way):
                return
            with suppress(TimeoutError):
                await self._batch_end.wait().addTimeout(REMOVAL_PATIENCE, self._clock)

    def send_now(self) -> None:
        """Let the removals that have gathered go with the next batch."""
        gathering, self._gathering = self._gathering, None
        if gathering is not None and gathering.active():
            gathering.cancel()
        self._queue.release_removals()
        self._schedule()

    def _schedule(self) -> None:
        # Not at once: what else this turn of the reactor brings goes along.
        if self._start is None and len(self._under_way) < _AT_ONCE and self._queue.is_ready:
            self._start = self._clock.callLater(self._delay, self._next_batch)

    def _next_batch(self) -> None:
        self._start = None
        batch = self._queue.next_batch()
        self._under_way.append(batch)
        drafts = [one.draft for one in batch.pending]
        self._metrics.batch_messages.observe(len(drafts))
        rest = (batch.acknowledgements,) if batch.acknowledgements else ()
        stored = maybeDeferred(self._inbox.commit, drafts, batch.removals, *rest)
        dispatched = stored.addCallbacks(
            self._stored, self._not_stored, callbackArgs=(batch,), errbackArgs=(batch,)
        )
        dispatched.addErrback(self._broken, batch)
        dispatched.addCallback(self._done, batch)
        self._schedule()

    def _stored(self, committed: Committed, batch: Batch) -> None:
        self._delay = 0.0
        for one, outcome in zip(batch.pending, committed.outcomes, strict=True):
            try:
                if type(one) is Pending:
                    self._dispatch(one, outcome, committed.lost)
                elif type(one) is PendingRoomMessage:
                    self._dispatch_to_room(one, outcome, committed.lost)
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
            listener = self._listener(removal.uid, removal.device)
            if listener is not None:
                listener.superseded(removal.generation)
        for removal in committed.taken:
            self.taken_over(removal.uid, removal.generation + 1, device=removal.device)
        for uid, device in committed.forgotten:
            self.forgotten(uid, device)

    def expired(self, count: int) -> None:
        """Count and log messages that had waited too long and were removed unread."""
        if not count:
            return
        self._metrics.expired.inc(count)
        said = self._expired.hit(count)
        if said:
            text = "{count} messages had waited longer than --inbox-days allows and were removed"
            self._log.warn(text, event="expired", count=said)

    def _dispatch(self, one: Pending, outcome: Outcome, lost: bool) -> None:
        """Give a stored message to its readers, and report to its sender whatever the readers do."""
        if type(outcome) is Stored:
            message = one.message(outcome.id, outcome.serial)
            listeners = self._listeners.get(one.draft.to, ()) if outcome.id else ()
            # The readers first: to a user who writes to himself in the text dialect, the message is the answer.
            for listener in listeners:
                try:
                    if outcome.taken and not listener.device:
                        listener.taken_over(ANOTHER_NODE)  # it has not heard that it was taken over
                    elif not lost:  # else readers are compared with the store first
                        listener.stored(message)
                except Exception:
                    end_broken(listener, self._log)
            if outcome.copy:
                self._metrics.copies.count += 1
                if not lost:
                    self._dispatch_copy(one, outcome)
            one.report(outcome, message)
        else:
            self._report(one, outcome)

    def _dispatch_to_room(self, one: PendingRoomMessage, outcome: Outcome, lost: bool) -> None:
        """Give a stored message to the room's feed here, and report to its sender."""
        if type(outcome) is Stored:
            if not lost:
                self._feeds.stored(one.entry(outcome.id, outcome.serial))
            one.report(outcome, one.message(outcome.id, outcome.serial))
        else:
            self._report(one, outcome)

    def _report(self, one: Pending | PendingRoomMessage, outcome: Outcome) -> None:
        """Report that a message was not stored now."""
        if type(outcome) is Moved:
            self._dispatch_moved(one, outcome)
        elif isinstance(outcome, Failed):
            self._log_refused(one, outcome)
            one.report_refusal(None)
        else:
            serial = outcome.serial if type(outcome) is Duplicate else 0
            one.report_refusal(outcome, serial)

    def _dispatch_copy(self, one: Pending, outcome: Stored) -> None:
        """Give the copy of a message to the readers of its sender's devices."""
        copy = one.copy(outcome.copy, outcome.serial)
        for listener in self._listeners.get(one.draft.sender, ()):
            try:
                listener.stored(copy)
            except Exception:
                end_broken(listener, self._log)

    def _dispatch_moved(self, one: Pending | PendingRoomMessage, outcome: Moved) -> None:
        """Report that nothing was stored, because another session has the sender's device, and end the older one."""
        draft, sending = one.draft, one.draft.sending or 0
        if not draft.registered:
            one.report_refusal(outcome)
            self.taken_over(draft.sender, (draft.generation or 0) + 1)
            return
        listener = self._listener(draft.sender, draft.device)
        if listener is not None and listener.claimed <= sending < listener.generation:
            one.report_refusal(
                None
            )  # the same session has claimed its device anew since: it may try again
            return
        one.report_refusal(outcome)
        self.taken_over(draft.sender, sending + 1, device=draft.device)

    def _log_refused(self, one: Pending | PendingRoomMessage, outcome: Failed) -> None:
        count, draft = self._refused.hit(), one.draft
        if count:
            self._log.error(
                "the store refused a message to {to}: {reason} ({count} since this was said last)",
                event="message-refused",
                uid=draft.sender,
                to=f"room {draft.room}" if isinstance(draft, RoomDraft) else draft.to,
                count=count,
                reason=outcome.reason,
            )

    def _not_stored(self, failure: Failure, batch: Batch) -> None:
        failure.trap(StoreUnavailable)
        self._put_back(batch)
        self._report_unknown(batch.pending)
        for one in batch.pending:
            # It may have been stored all the same, and so may its copy.
            draft = one.draft
            if isinstance(draft, RoomDraft):
                self._feeds.resync_room(draft.room)
                continue
            for listener in self._listeners.get(draft.to, ()):
                listener.resync()
            for listener in self._listeners.get(draft.sender, ()):
                if listener.device:
                    listener.resync()

    def _put_back(self, batch: Batch) -> None:
        self._delay = RETRY_DELAY
        self._queue.put_back(batch)

    def _broken(self, failure: Failure, batch: Batch) -> None:
        self._log.failure("A batch failed", redacted(failure), event="batch-failed")
        self._put_back(batch)
        self._report_unknown(batch.pending)

    def _report_unknown(self, pending: Iterable[Pending | PendingRoomMessage]) -> None:
        """Tell senders that nobody knows what became of their messages, unless they were told before."""
        unreported = [one for one in pending if one.on_outcome]
        self._metrics.message_states["unknown"].inc(len(unreported))
        for one in unreported:
            try:
                one.report_refusal(None)
            except Exception:
                # The others wait for their answers, too.
                text = "Telling that nobody knows failed"
                self._log.failure(text, redacted(), event="telling-failed")

    def _done(self, _: object, batch: Batch) -> None:
        self._under_way.remove(batch)
        self._schedule()
        self._batch_end.fire(None)

    def _give_up(self) -> None:
        """Report the messages that have waited too long. One that is under way may still be stored."""
        self._watch = None
        now, waiting = self._clock.seconds(), self._queue.waiting
        under_way = [one for batch in self._under_way for one in batch.pending]
        late = [one for one in under_way if one.deadline <= now]
        while waiting and waiting[0].deadline <= now:
            late.append(waiting.popleft())
        self._report_unknown(late)
        unreported = [one for one in under_way if one.on_outcome] or waiting
        if unreported:
            self._watch = self._clock.callLater(unreported[0].deadline - now, self._give_up)
