"""
A reader: one log-in's cursor over its user's inbox.

It *catches up* page by page until a page comes back short; then it is *live* and takes messages as they are stored.
A live reader takes only the message after its cursor. Any other id means that something was stored which this
process did not see, so it catches up again. While its connection can take no more it is *paused*, and messages stay
in the inbox. A reader that missed nothing meanwhile is live at once. By the cursor each message is delivered once
and in order (P2 of docs/protocol.md); a reader that is paused keeps nothing in memory (P8).
"""

from __future__ import annotations

from collections.abc import Callable
from enum import Enum, auto
from typing import Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.delivery.router import MessageRouter
from chatsvc.inbox.claim import Cursor, InboxClaim, TakenOver
from chatsvc.inbox.interface import ANOTHER_NODE, PAGE, Inbox
from chatsvc.observability.metrics import Tally
from chatsvc.observability.redaction import redacted
from chatsvc.storage.url import StoreUnavailable
from chatsvc.transport.backoff import Backoff
from chatsvc.wire.events import Message

_FIRST_RETRY, _LAST_RETRY = 0.2, 2.0
"""Seconds before a page is asked for again while the store is away."""


class _State(Enum):
    CATCHING_UP = auto()
    LIVE = auto()
    PAUSED = auto()
    CLOSED = auto()


class _Input(Enum):
    MISSED = auto()
    """The inbox may hold messages that this reader has not seen."""
    CAUGHT_UP = auto()
    """All that the inbox holds was delivered."""
    PAUSE = auto()
    RESUME = auto()
    """The connection can take messages, and none was missed."""
    RESUME_BEHIND = auto()
    """The connection can take messages, and some were missed."""
    CLOSE = auto()


_TRANSITIONS: dict[_State, dict[_Input, _State]] = {
    _State.PAUSED: {
        _Input.RESUME: _State.LIVE,
        _Input.RESUME_BEHIND: _State.CATCHING_UP,
        _Input.CLOSE: _State.CLOSED,
    },
    _State.CATCHING_UP: {
        _Input.CAUGHT_UP: _State.LIVE,
        _Input.PAUSE: _State.PAUSED,
        _Input.CLOSE: _State.CLOSED,
    },
    _State.LIVE: {
        _Input.MISSED: _State.CATCHING_UP,
        _Input.PAUSE: _State.PAUSED,
        _Input.CLOSE: _State.CLOSED,
    },
    _State.CLOSED: {},
}
"""All transitions of a reader. An input that a state does not name changes nothing."""


class ReaderOwner(Protocol):
    """The session that a reader reads for."""

    def poll_acks(self) -> None:
        """Acknowledge what the peer has received by now."""

    def taken_over(self, by: str = "") -> None:
        """End the log-in: another one took over, which comes ``by`` there (empty: nobody knows)."""

    def inbox_restarted(self) -> None:
        """Forget the ids of delivered messages: the inbox began a new epoch."""

    def failed(self) -> None:
        """End the connection: this inbox cannot be read any further."""


class Reader:
    """
    Reads the inbox of ``uid`` for one log-in, whose client was ``shown`` messages up to an id before.

    ``deliver`` sends a message to the client; ``delivered`` counts them.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        inbox: Inbox,
        router: MessageRouter,
        uid: int,
        claim: InboxClaim,
        owner: ReaderOwner,
        deliver: Callable[[Message], object],
        delivered: Tally,
        shown: int = 0,
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._router = router
        self.uid = uid
        self.generation = claim.generation
        self.cursor = claim.acknowledged
        self._shown = shown
        self._last: Message | None = None
        self._acknowledged = self.cursor
        self._owner = owner
        self._deliver_to_client = deliver
        self._delivered = delivered
        self._state = _State.PAUSED
        # Whether the inbox may hold something that no page has shown.
        self._missed = claim.last_id > claim.acknowledged
        # The highest id that is known to be stored.
        self._newest = 0
        self._reading = False
        self._claiming = False
        self._retry: Deferred[None] | None = None

    def stored(self, message: Message) -> None:
        """Take ``message``, which was stored in this inbox just now."""
        if self._state is _State.LIVE:
            if message.id == self.cursor + 1:
                self._deliver(message)
                return
            if message.id <= self.cursor:
                self._check_claim()  # an id given out twice: the store has lost the first
                return
        self._newest = max(self._newest, message.id)
        self._input(_Input.MISSED)

    def stored_elsewhere(self, message: Message) -> None:
        """
        Take ``message`` from another node.

        That is told on another connection, so a page may have shown it before.
        """
        if self._state is _State.LIVE and message.id == self.cursor + 1:
            self._deliver(message)
        elif message.id > self.cursor:
            self.stored(message)

    def position(self) -> Cursor:
        """Say how far this reader is."""
        last = self._last
        at = last.at if last is not None else None
        return Cursor(self.uid, self.cursor, self.generation, at, self._shown)

    def resync(self) -> None:
        """Read again: something may have been stored that nobody told."""
        self._missed = True
        self._input(_Input.MISSED)

    def pause(self) -> None:
        """Deliver nothing for now: the connection can take no more."""
        if self._state is _State.CATCHING_UP:
            self._missed = True
        self._input(_Input.PAUSE)

    def resume(self) -> None:
        """Deliver messages (again). Every reader begins paused."""
        behind = self._missed or self._newest > self.cursor
        self._input(_Input.RESUME_BEHIND if behind else _Input.RESUME)

    def close(self) -> None:
        """End the log-in. What was not acknowledged stays in the inbox."""
        if self._input(_Input.CLOSE):
            self._router.leave(self.uid, self.generation, self._acknowledged)

    def acknowledge(self, up_to: int) -> bool:
        """
        Take note that the client has recorded all messages up to an id.

        Only what this reader has delivered counts. Returns whether that was news.
        """
        up_to = min(up_to, self.cursor)
        if up_to <= self._acknowledged or self._state is _State.CLOSED:
            return False
        self._acknowledged = up_to
        self._router.remove(self.uid, self.generation, up_to)
        return True

    def poll_acks(self) -> None:
        """Have all acknowledged that the client has received by now."""
        self._owner.poll_acks()

    def taken_over(self, by: str = "") -> None:
        """End, and leave the inbox to another log-in, from ``by`` (empty: nobody knows)."""
        self._input(_Input.CLOSE)
        self._owner.taken_over(by)

    def superseded(self, generation: int) -> None:
        """
        Claim the inbox anew if the store holds a newer generation, or nothing would ever be removed.

        Nobody took over: a claim that was given up ran after all, for a log-in that failed.
        """
        if generation == self.generation:
            self._check_claim()

    def inbox_restarted(self) -> None:
        """Begin anew: the inbox has a new epoch, so what was delivered no longer counts."""
        self._start_over()
        self._check_claim()

    def failed(self, failure: Failure) -> None:
        """
        End the connection.

        A reader that only seems to be here would be worse than a client that has to come again.
        """
        self._log.failure(
            "reading the inbox failed", redacted(failure), event="inbox-unreadable", uid=self.uid
        )
        self._input(_Input.PAUSE)
        self._owner.failed()

    def _input(self, given: _Input) -> bool:
        """Change the state as the table says; whether it has changed."""
        state = _TRANSITIONS[self._state].get(given)
        if state is None:
            return False
        self._state = state
        if state is _State.CATCHING_UP:
            self._read_on()
        elif state is _State.CLOSED and self._retry is not None:
            self._retry.cancel()
        return True

    def _deliver(self, message: Message) -> None:
        before = self.cursor, self._last
        self.cursor, self._last = message.id, message
        self._delivered.count += 1
        try:
            self._deliver_to_client(message)
        except BaseException:
            self.cursor, self._last = before  # P2: nothing later may acknowledge it
            raise

    def _pass_over(self, message: Message) -> None:
        """Skip a message that nobody can read: it is removed with the one before it."""
        all_received = self._acknowledged == self.cursor
        self.cursor, self._last = message.id, message
        if all_received:
            self.acknowledge(message.id)

    def _start_over(self) -> None:
        self.cursor = self._acknowledged = self._newest = self._shown = 0
        self._last = None
        self._missed = True
        self._owner.inbox_restarted()

    def _check_claim(self) -> None:
        if self._state is not _State.CLOSED and not self._claiming:
            self._claiming = True
            Deferred.fromCoroutine(self._claim_anew()).addErrback(self.failed)

    async def _claim_anew(self) -> None:
        try:
            claim = await self._inbox.claim(self.uid, self.cursor, self.generation)
        except StoreUnavailable:
            return  # the next removal will be refused and lead here again
        except TakenOver:
            self.taken_over(ANOTHER_NODE)
            return
        finally:
            self._claiming = False
        self._router.expired(claim.expired)
        if self._state is _State.CLOSED:
            return
        self.generation = claim.generation
        if claim.last_id < self.cursor:
            self._start_over()
        elif self._acknowledged:
            self._router.remove(self.uid, self.generation, self._acknowledged)
        self.resync()

    def _read_on(self) -> None:
        if not self._reading:
            self._reading = True
            Deferred.fromCoroutine(self._read_pages()).addErrback(self.failed)

    async def _read_pages(self) -> None:
        try:
            while self._state is _State.CATCHING_UP:
                self._missed, known = False, self._newest
                page = await self._read_page()
                last = self._take(page) and not self._missed
                # What was known before the page was read is in it, or is gone for good.
                if last and (self.cursor >= self._newest or known == self._newest):
                    self._input(_Input.CAUGHT_UP)
        finally:
            self._reading = False

    async def _read_page(self) -> list[Message]:
        backoff = Backoff(_FIRST_RETRY, _LAST_RETRY, spread=(1.0, 1.0))
        while self._state is _State.CATCHING_UP:
            try:
                return await self._inbox.read(self.uid, self.cursor, PAGE)
            except StoreUnavailable:
                await self._wait(backoff.delay())
        return []

    async def _wait(self, seconds: float) -> None:
        self._retry = deferLater(self._clock, seconds)
        try:
            await self._retry
        except CancelledError:
            pass
        finally:
            self._retry = None

    def _take(self, page: list[Message]) -> bool:
        """Deliver a page, as far as the connection takes it; True: it was the last one."""
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
