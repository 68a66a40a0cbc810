"""
A reader: one log-in's cursor over its user's inbox.

It *catches up* page by page until a page comes back short, then it is *live* and is handed messages as they are
stored. A live reader takes only the message after its cursor: anything else means that something was stored which
this process did not see, and it catches up again. A reader whose connection cannot take more is *paused*; what comes
meanwhile stays in the inbox. One that misses nothing, because its inbox was empty or nothing came while it paused, is
live at once.
"""

from __future__ import annotations

from enum import Enum, auto
from itertools import count
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.inbox.interface import PAGE, Cursor, IInbox, InboxClaim, TakenOver
from chatsvc.observability.redaction import redacted
from chatsvc.router import MessageRouter
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Message

_RETRY_DELAYS = (0.2, 0.5, 1.0, 2.0)


class _State(Enum):
    CATCHING_UP = auto()
    LIVE = auto()
    PAUSED = auto()
    CLOSED = auto()


class ReaderOwner(Protocol):
    """The session that a reader reads for."""

    def deliver(self, message: Message) -> None:
        """A message for the user."""

    def poll_acks(self) -> None:
        """Acknowledge what has been received by now."""

    def taken_over(self) -> None:
        """Another log-in took over."""

    def inbox_restarted(self) -> None:
        """The inbox began a new epoch."""

    def failed(self) -> None:
        """This inbox cannot be read any further."""


class Reader:
    """One log-in's reading of the inbox of ``uid``, whose client was ``shown`` messages up to an id before."""

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        inbox: IInbox,
        post: MessageRouter,
        uid: int,
        claim: InboxClaim,
        owner: ReaderOwner,
        shown: int = 0,
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._post = post
        self.uid = uid
        self.generation = claim.generation
        self.cursor = claim.acknowledged
        self._shown = shown
        self._handed: Message | None = None
        self._acknowledged = self.cursor
        self._count = post.handed
        self._owner = owner
        self._state = _State.PAUSED
        self._behind = claim.last_id > claim.acknowledged
        self._reading = False
        self._claiming = False
        self._look_again = False
        self._newest = 0
        self._nap: Deferred[None] | None = None

    def stored(self, message: Message) -> None:
        """``message`` was stored in this inbox, just now."""
        if message.id <= self.cursor and self._state is _State.LIVE:
            self._check_claim()  # an id given out twice: the store has lost the first
            return
        if self._state is _State.LIVE and message.id == self.cursor + 1:
            self._deliver(message)
            return
        self._newest = max(self._newest, message.id)
        if self._state is _State.LIVE:
            self._catch_up()

    def stored_elsewhere(self, message: Message) -> None:
        """``message`` was stored by another node. That is told on another connection, so that it may be read before."""
        if self._state is _State.LIVE and message.id == self.cursor + 1:
            self._deliver(message)
        elif message.id > self.cursor:
            self.stored(message)

    def position(self) -> Cursor:
        """How far this reader is."""
        handed = self._handed
        at = handed.at if handed is not None else None
        return Cursor(self.uid, self.cursor, self.generation, at, self._shown)

    def resync(self) -> None:
        """Something may have been stored that nobody told."""
        self._look_again = True
        if self._state is _State.LIVE:
            self._catch_up()

    def pause(self) -> None:
        """The connection can take no more for now."""
        if self._state is not _State.CLOSED:
            self._behind = self._behind or self._state is _State.CATCHING_UP
            self._state = _State.PAUSED

    def resume(self) -> None:
        """The connection can take messages; also the start of every reader."""
        if self._state is not _State.PAUSED:
            return
        if self._behind or self._look_again or self._newest > self.cursor:
            self._catch_up()
        else:
            self._state = _State.LIVE

    def close(self) -> None:
        """The log-in is over. What was not acknowledged stays."""
        if self._state is not _State.CLOSED:
            self._end()
            self._post.leave(self.uid, self.generation, self._acknowledged)

    def _end(self) -> None:
        self._state = _State.CLOSED
        if self._nap is not None:
            self._nap.cancel()

    def _deliver(self, message: Message) -> None:
        self.cursor = message.id
        self._handed = message
        self._count.count += 1
        self._owner.deliver(message)

    def _pass_over(self, message: Message) -> None:
        """Nobody can read this one: it goes with what was handed before it."""
        all_received = self._acknowledged == self.cursor
        self.cursor, self._handed = message.id, message
        if all_received:
            self.acknowledge(message.id)

    def acknowledge(self, up_to: int) -> bool:
        """
        The client has recorded all up to an id; only what this very reader was handed counts. Returns whether that was
        news.
        """
        up_to = min(up_to, self.cursor)
        if up_to <= self._acknowledged or self._state is _State.CLOSED:
            return False
        self._acknowledged = up_to
        self._post.remove(self.uid, self.generation, up_to)
        return True

    def poll_acks(self) -> None:
        """Have all acknowledged that has been received by now."""
        self._owner.poll_acks()

    def taken_over(self) -> None:
        """Another log-in took over, and has the inbox."""
        self._end()
        self._owner.taken_over()

    def superseded(self, generation: int) -> None:
        """
        The store holds a newer generation though nobody took over: a claim that was given up ran after all, for a
        log-in that failed. Claim anew, or nothing would ever be removed.
        """
        if generation == self.generation:
            self._check_claim()

    def inbox_restarted(self) -> None:
        """The inbox began a new epoch: what this reader was handed no longer counts."""
        self._start_over()
        self._check_claim()

    def _start_over(self) -> None:
        self.cursor = self._acknowledged = self._newest = self._shown = 0
        self._handed = None
        self._behind = True
        self._owner.inbox_restarted()

    def _check_claim(self) -> None:
        if self._state is not _State.CLOSED and not self._claiming:
            self._claiming = True
            Deferred.fromCoroutine(self._claim_anew()).addErrback(self._failed)

    async def _claim_anew(self) -> None:
        try:
            claim = await self._inbox.claim(self.uid, self.cursor, self.generation)
        except StoreUnavailable:
            return  # the next removal will be refused and lead here again
        except TakenOver:
            self.taken_over()
            return
        finally:
            self._claiming = False
        self._post.expired(claim.expired)
        if self._state is _State.CLOSED:
            return
        self.generation = claim.generation
        if claim.last_id < self.cursor:
            self._start_over()
        elif self._acknowledged:
            self._post.remove(self.uid, self.generation, self._acknowledged)
        self.resync()

    def _catch_up(self) -> None:
        self._state = _State.CATCHING_UP
        if not self._reading:
            self._reading = True
            Deferred.fromCoroutine(self._read_pages()).addErrback(self._failed)

    async def _read_pages(self) -> None:
        try:
            while self._state is _State.CATCHING_UP:
                self._look_again, known = False, self._newest
                page = await self._read_page()
                last = self._take(page) and not self._look_again
                # What was known before the page was read is in it, or is gone for good.
                if last and (self.cursor >= self._newest or known == self._newest):
                    self._state = _State.LIVE
                    self._behind = False
        finally:
            self._reading = False

    async def _read_page(self) -> list[Message]:
        for attempt in count():
            try:
                page: list[Message] = await self._inbox.read(self.uid, self.cursor, PAGE)
                return page
            except StoreUnavailable:
                await self._wait(_RETRY_DELAYS[min(attempt, len(_RETRY_DELAYS) - 1)])
            if self._state is not _State.CATCHING_UP:
                break
        return []

    async def _wait(self, seconds: float) -> None:
        self._nap = deferLater(self._clock, seconds)
        try:
            await self._nap
        except CancelledError:
            pass
        finally:
            self._nap = None

    def _take(self, page: list[Message]) -> bool:
        """Hand out a page, as far as the connection takes it; True: it was the last one."""
        for message in page:
            if self._state is not _State.CATCHING_UP:
                return False
            if message.id <= self.cursor:
                continue
            if message.text:
                self._deliver(message)
            else:
                self._pass_over(message)
        return self._state is _State.CATCHING_UP and len(page) < PAGE

    def _failed(self, failure: Failure) -> None:
        self._log.failure(
            "reading the inbox failed", redacted(failure), event="inbox-unreadable", uid=self.uid
        )
        # A reader that only seems to be here would be worse than one who has to come again.
        self._owner.failed()
