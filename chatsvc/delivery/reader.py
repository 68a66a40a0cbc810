"""
A reader: the cursor of one log-in, on one device, over its user's inbox.

It *catches up* page by page until a page comes back short; then it is *live* and takes messages as they are stored.
A live reader takes only the message after its cursor. Any other id means that something was stored which this
process did not see, so it catches up again. While its connection can take no more it is *paused*, and messages stay
in the inbox. A reader that missed nothing meanwhile is live at once. By the cursor each message is delivered once
and in order (P2 of docs/protocol.md); a reader that is paused keeps nothing in memory (P8).

What is not for its device, it *passes over*: copies of what its own device has sent, on the unnamed device all copies,
what changes an earlier message if its client knows of no such thing, and the marks of rooms that the user has joined,
of which the session is told. That counts as acknowledged as soon as everything before it is.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.delivery.reader_owner import ReaderOwner
from chatsvc.delivery.reader_state import TRANSITIONS, Input, State
from chatsvc.delivery.router import MessageRouter
from chatsvc.inbox.claim import Cursor, InboxClaim, NotRegistered, Registration, TakenOver
from chatsvc.inbox.interface import ANOTHER_NODE, PAGE, Inbox
from chatsvc.observability.metrics import Tally
from chatsvc.observability.redaction import redacted
from chatsvc.storage.url import StoreUnavailable
from chatsvc.transport.backoff import Backoff
from chatsvc.wire.events import Event, Joining, Message, Reference

_FIRST_RETRY, _LAST_RETRY = 0.2, 2.0
"""Seconds before a page is asked for again while the store is away."""


class Reader:
    """
    Reads the inbox of ``uid`` for one log-in, whose client was ``shown`` messages up to an id before.

    ``deliver`` sends a message to the client; ``delivered`` counts them. ``registration`` is that of a registered
    device, None on the unnamed one. ``speaks_as`` is the device as which the log-in sends, registered or not. People
    (``for_people``) are told what changes an earlier message, as registered devices are.
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
        registration: Registration | None = None,
        speaks_as: str = "",
        for_people: bool = False,
    ) -> None:
        self._clock = clock
        self._inbox = inbox
        self._router = router
        self.uid = uid
        self.speaks_as = speaks_as
        self.device = speaks_as if registration is not None else ""
        self._knows_changes = for_people or registration is not None
        self._registration = registration
        self.claimed = self.generation = claim.generation
        self.cursor = claim.acknowledged if registration is None else claim.begin
        self._shown = shown
        self._last: Message | None = None
        self._serial = claim.serial
        self._acknowledged = claim.acknowledged
        # On a registered device: the last message that was acknowledged by the client, not by being passed over.
        self._last_shown = 0
        # Acknowledgements up to this id count for nothing: they may be of messages that the store has lost.
        self._void = 0
        # Runs of entries that were passed over before all before them was acknowledged: the id before, the last id.
        self._passed_over: list[tuple[int, int]] = []
        self._owner = owner
        self._deliver_to_client = deliver
        self._delivered = delivered
        self._state = State.PAUSED
        # Whether the inbox may hold something that no page has shown.
        self._missed = claim.last_id > self.cursor
        # The highest id that is known to be stored.
        self._newest = 0
        self._reading = False
        self._claiming = False
        self._retry: Deferred[None] | None = None

    def stored(self, message: Message) -> None:
        """Take ``message``, which was stored in this inbox just now."""
        if self._state is State.LIVE:
            if message.id == self.cursor + 1:
                if (message.to or message.mark) and self._is_for_others(message):
                    self._pass_over(message)
                else:
                    self._deliver(message)
                return
            if message.id <= self.cursor:
                self._check_claim()  # an id given out twice: the store has lost the first
                return
        self._newest = max(self._newest, message.id)
        self._input(Input.MISSED)

    def stored_elsewhere(self, message: Message) -> None:
        """
        Take ``message`` from another node.

        That is told on another connection, so a page may have shown it before.
        """
        is_next = self._state is State.LIVE and message.id == self.cursor + 1
        if is_next and not (message.to or message.mark):
            self._deliver(message)
        elif message.id > self.cursor:
            self.stored(message)

    @property
    def is_live(self) -> bool:
        """Whether all that the inbox has was delivered."""
        return self._state is State.LIVE

    def where(self) -> Cursor:
        """Say how far this reader is."""
        last = self._last
        at = last.at if last is not None else None
        where = self.uid, self.cursor, self.generation, at
        if not self.device:
            return Cursor(*where, self._shown)
        return Cursor(*where, device=self.device, serial=self._known_serial())

    def resync(self) -> None:
        """Read again: something may have been stored that nobody told."""
        self._missed = True
        self._input(Input.MISSED)

    def pause(self) -> None:
        """Deliver nothing for now: the connection can take no more."""
        if self._state is State.CATCHING_UP:
            self._missed = True
        self._input(Input.PAUSE)

    def resume(self) -> None:
        """Deliver messages (again). Every reader begins paused."""
        behind = self._missed or self._newest > self.cursor
        self._input(Input.RESUME_BEHIND if behind else Input.RESUME)

    def close(self) -> None:
        """End the log-in. What was not acknowledged stays in the inbox."""
        if self._input(Input.CLOSE):
            where = self.uid, self.generation, self._acknowledged
            self._router.leave(*where, self.device, self._last_shown)

    def acknowledge(self, up_to: int) -> bool:
        """
        Take note that the client has recorded all messages up to an id.

        Only what this reader has delivered counts. Returns whether that was news.
        """
        shown = up_to = min(up_to, self.cursor)
        if up_to <= self._acknowledged or up_to <= self._void or self._state is State.CLOSED:
            return False
        runs = self._passed_over
        while runs and runs[0][0] <= up_to:
            before, last = runs.pop(0)
            if last >= up_to:
                shown, up_to = before, last
        if self.device:
            self._last_shown = shown
        self._acknowledged = up_to
        self._router.remove(self.uid, self.generation, up_to, self.device, self._last_shown)
        return True

    def poll_acks(self) -> None:
        """Have all acknowledged that the client has received by now."""
        self._owner.poll_acks()

    def taken_over(self, by: str = "") -> None:
        """End, and leave the inbox to another log-in, from ``by`` (empty: nobody knows)."""
        self._input(Input.CLOSE)
        self._owner.taken_over(by)

    def superseded(self, generation: int) -> None:
        """
        Claim the inbox anew if the store holds a newer generation, or nothing would ever be removed.

        Nobody took over: a claim that was given up ran after all, for a log-in that failed.
        """
        if generation == self.generation:
            self._check_claim()

    def stay(self) -> None:
        """Claim the device anew: a log-in that was given up has taken it, and this one goes on."""
        self._check_claim()

    def inbox_restarted(self) -> None:
        """Begin anew: the inbox has a new epoch, so what was delivered no longer counts."""
        self._start_over()
        self._check_claim()

    def step_back(self, id: int, generation: int) -> None:
        """
        Read on behind the message ``id``, under ``generation``: the store has lost what was delivered after it.

        What got the same ids since is told apart by its serials, so the client goes on. Its acknowledgements do not
        say which message they mean, so only one of an id above all that it has seen counts.
        """
        self.generation = generation
        self._serial, self._last = self._known_serial(), None
        self._void = max(self._void, self.cursor)
        self.cursor = min(self.cursor, id)
        self._acknowledged = min(self._acknowledged, id)
        self._last_shown = min(self._last_shown, id)
        self._newest = 0
        self._passed_over.clear()
        self.resync()

    def noticed(self, event: Event) -> None:
        """Tell the client something that is kept for nobody, unless its connection can take nothing."""
        if self._state is not State.PAUSED:
            self._owner.say(event)

    def forgotten(self, on_request: bool = False) -> None:
        """End: the device is not registered any more; ``on_request``: as somebody asked."""
        self._input(Input.CLOSE)
        self._owner.forgotten(on_request)

    def failed(self, failure: Failure) -> None:
        """
        End the connection.

        A reader that only seems to be here would be worse than a client that has to come again.
        """
        self._log.failure(
            "reading the inbox failed", redacted(failure), event="inbox-unreadable", uid=self.uid
        )
        self._input(Input.PAUSE)
        self._owner.failed()

    def _input(self, given: Input) -> bool:
        """Change the state as the table says; whether it has changed."""
        state = TRANSITIONS[self._state].get(given)
        if state is None:
            return False
        self._state = state
        if state is State.CATCHING_UP:
            self._read_on()
        elif state is State.CLOSED and self._retry is not None:
            self._retry.cancel()
        elif given is Input.CAUGHT_UP:
            self._owner.caught_up()
        return True

    def _deliver(self, message: Message) -> None:
        before = self.cursor, self._last
        if not message.serial:
            self._serial = self._known_serial()
        self.cursor, self._last = message.id, message
        self._delivered.count += 1
        try:
            self._deliver_to_client(message)
        except BaseException:
            self.cursor, self._last = before  # P2: nothing later may acknowledge it
            raise

    def _pass_over(self, message: Message) -> None:
        """Skip a message that is not for this device, or that nobody can read."""
        before = self.cursor
        if not message.serial:
            self._serial = self._known_serial()
        self.cursor, self._last = message.id, message
        runs = self._passed_over
        if self._acknowledged >= before:
            if self._acknowledged < message.id:
                self._acknowledged = message.id
                self._remove()
        elif runs and runs[-1][1] == before:
            runs[-1] = runs[-1][0], message.id
        else:
            runs.append((before, message.id))
        if type(message.mark) is Joining:
            self._owner.joined(message.mark)

    def _is_for_others(self, message: Message) -> bool:
        """Whether a message is a copy that is not for this device, or only marks a joining."""
        mark = message.mark
        if type(mark) is Reference and mark.changes and not self._knows_changes:
            return True
        if message.to:
            return not self.device or message.device == self.device
        return type(mark) is Joining

    def _remove(self) -> None:
        where = self.uid, self.generation, self._acknowledged
        self._router.remove(*where, self.device, self._last_shown)

    def _known_serial(self) -> int:
        """Return the serial up to which the client was delivered all there is, as far as this reader knows."""
        # The last one has none if a server of before there were serials, or another program, has stored it.
        return self._last.serial or self._serial if self._last is not None else self._serial

    def _start_over(self) -> None:
        self.cursor = self._acknowledged = self._newest = self._shown = 0
        self._last = None
        self._passed_over.clear()
        self._missed = True
        self._owner.inbox_restarted()

    def _check_claim(self) -> None:
        if self._state is not State.CLOSED and not self._claiming:
            self._claiming = True
            Deferred.fromCoroutine(self._claim_anew()).addErrback(self.failed)

    async def _claim_anew(self) -> None:
        registration = self._registration
        if registration is not None:
            registration = Registration(registration.client, self._known_serial())
        try:
            claim = await self._inbox.claim(
                *(self.uid, self.cursor, self.generation, self.device), registration=registration
            )
        except StoreUnavailable:
            return  # the next removal will be refused and lead here again
        except TakenOver:
            self.taken_over(ANOTHER_NODE)
            return
        except NotRegistered:
            self.forgotten()
            return
        finally:
            self._claiming = False
        self._router.expired(claim.expired)
        if self._state is State.CLOSED:
            return
        self.generation = claim.generation
        if registration is not None and claim.begin < self.cursor:
            self.step_back(claim.begin, claim.generation)
        elif registration is None and claim.last_id < self.cursor:
            self._start_over()
        if self._acknowledged:
            self._remove()
        self.resync()

    def _read_on(self) -> None:
        if not self._reading:
            self._reading = True
            Deferred.fromCoroutine(self._read_pages()).addErrback(self.failed)

    async def _read_pages(self) -> None:
        try:
            while self._state is State.CATCHING_UP:
                self._missed, known, generation = False, self._newest, self.generation
                page = await self._read_page()
                if generation != self.generation:
                    continue  # the page may hold what the store has lost since
                last = self._take(page) and not self._missed
                # What was known before the page was read is in it, or is gone for good.
                if last and (self.cursor >= self._newest or known == self._newest):
                    self._input(Input.CAUGHT_UP)
        finally:
            self._reading = False

    async def _read_page(self) -> list[Message]:
        backoff = Backoff(_FIRST_RETRY, _LAST_RETRY, spread=(1.0, 1.0))
        while self._state is State.CATCHING_UP:
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
            if self._state is not State.CATCHING_UP:
                return False
            if message.id <= self.cursor:
                continue
            if self._is_for_others(message) or not (message.text or message.mark):
                self._pass_over(message)
            else:
                self._deliver(message)
        return self._state is State.CATCHING_UP and len(page) < PAGE
