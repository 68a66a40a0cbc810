"""
Sends what the outbox holds until the server has confirmed or refused it, in order for each recipient.

Messages to one recipient follow one another without waiting. When one of them is not confirmed, nothing more is sent
to that recipient until all that are on their way are answered: so an answer's (recipient, number) always names one
message, although numbers change after that.

The outbox may be an older one than the server knows, or a copy. Then a message that was never sent is a duplicate, or
one meets a gap that ends above it; or another process has logged in as the same device. The device is given up: what
was sent under it is only asked about, never stored, and when all of that is decided, the rest is sent under another.
So that this is known before anything overtakes the message that shows it, the first one to a recipient goes alone, but
under a device that is new.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chatsvc.client.conversation.requests import request_backoff
from chatsvc.client.state.outbox import Outbox, OutboxEntry
from chatsvc.transport.backoff import Backoff
from chatsvc.wire.client_codec import Confirmed, Rejected
from chatsvc.wire.commands import Send

WINDOW = 64
"""Messages to one recipient that may be on their way."""


@dataclass(frozen=True, slots=True)
class _InFlight:
    """A message on its way. ``first``: the server certainly did not have it before."""

    entry: OutboxEntry
    first: bool


@dataclass(slots=True)
class _Lane:
    """
    The messages to one recipient.

    ``held``: nothing more is sent until all is answered, and perhaps a delay is over. ``tried``: the device's numbers
    are not used by anybody else, as far as the server's answers tell. ``sent_up_to`` is the key of the last entry that
    was sent, ``expected`` the number that the server wants next. ``unavailable``: its store was away.
    """

    to: int
    tried: bool = False
    in_flight: dict[int, _InFlight] = field(default_factory=dict)
    sent_up_to: int = 0
    held: bool = False
    unavailable: bool = False
    expected: int | None = None
    retry: IDelayedCall | None = None
    backoff: Backoff = field(default_factory=request_backoff)


class Sender:
    """
    The messages of one outbox on their way.

    :param send: sends a command
    :param on_result: called once with the result of each message
    :param on_postponed: called for a message that will be sent again because the store is away
    :param switch_device: called when messages wait for the connection to speak as the outbox's device; :meth:`start`
        says when it does
    """

    def __init__(
        self,
        clock: IReactorTime,
        outbox: Outbox,
        send: Callable[[Send], None],
        on_result: Callable[[OutboxEntry, Confirmed | Rejected], None],
        on_postponed: Callable[[OutboxEntry, Rejected], None],
        switch_device: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._outbox = outbox
        self._send = send
        self._on_result = on_result
        self._on_postponed = on_postponed
        self._switch_device = switch_device
        self._lanes: dict[int, _Lane] = {}
        self._open = False
        self.device = ""
        # Devices and recipients to which the server has accepted a number that was new to it.
        self._accepted: set[tuple[str, int]] = set()
        # Keys of what the server certainly does not have. Only this process knows: an outbox may be a copy from before
        # they were sent.
        self._absent: set[int] = set()

    def start(self, device: str) -> None:
        """Send what is unconfirmed and numbered as ``device``'s: the connection speaks as that device now."""
        self.stop()
        self._open, self.device = True, device
        for to in self._outbox.recipients():
            self._advance(self._lane(to))
        self._switch_if_decided()

    def pause(self) -> None:
        """Send nothing more; what is on its way will be answered."""
        self._open = False

    def stop(self) -> None:
        """Stop, as the connection is gone or logged out: what is unconfirmed stays in the outbox."""
        self.pause()
        for lane in self._lanes.values():
            if lane.retry is not None:
                lane.retry.cancel()
        self._lanes.clear()

    def post(self, to: int, text: str) -> OutboxEntry:
        """Record a message, and send it as soon as the window allows."""
        entry = self._outbox.add(to, text)
        self._absent.add(entry.key)
        self._advance(self._lane(to))
        self._switch_if_decided()
        return entry

    def device_taken(self) -> None:
        """Give the device up: another process has logged in as it, and uses its numbers."""
        self.pause()
        if not self._only_asks:
            self._outbox.change_device(self._absent)

    def withdraw(self, key: int) -> bool:
        """Forget a message if the server certainly does not have it; return whether that is so."""
        absent = key in self._absent
        if absent:
            self._absent.discard(key)
            self._outbox.refuse(key)
        return absent

    def answered(self, answer: Confirmed | Rejected) -> None:
        """Take the server's answer to a message; one that belongs to no message on its way is ignored."""
        lane = self._lanes.get(answer.to) if answer.to is not None else None
        flight = lane.in_flight.pop(answer.re, None) if lane and answer.re is not None else None
        if lane is None or flight is None:
            return
        if isinstance(answer, Rejected):
            lane.held = True
            _REACTIONS.get(answer.code, Sender._refused)(self, lane, flight, answer)
        elif answer.duplicate and flight.first:
            self._not_stored(flight.entry)  # but another message, under its number
        else:
            self._confirmed(lane, flight.entry, answer)
        if lane.held and not lane.in_flight:
            self._begin_again(lane)
        else:
            self._advance(lane)
        self._switch_if_decided()

    @property
    def in_flight(self) -> bool:
        """Whether messages are on their way."""
        return any(lane.in_flight for lane in self._lanes.values())

    @property
    def _only_asks(self) -> bool:
        """Whether the connection speaks as a device that was given up, whose messages are only asked about."""
        return self.device != self._outbox.present_device

    def _confirmed(self, lane: _Lane, entry: OutboxEntry, answer: Confirmed) -> None:
        self._outbox.confirm(entry.key)
        self._absent.discard(entry.key)
        lane.backoff.reset()
        if not answer.duplicate:
            self._accepted.add((self.device, lane.to))
        lane.tried = self._is_tried(lane.to)
        self._on_result(entry, answer)

    def _not_stored(self, entry: OutboxEntry) -> None:
        """A message is certainly not stored, and its number is not this outbox's to use."""
        self._absent.add(entry.key)
        if self._only_asks:
            self._outbox.move(entry.key)
        else:
            self._outbox.change_device(self._absent)

    def _switch_if_decided(self) -> None:
        """When everything about one device is decided, go on with another one."""
        if not self._only_asks or not self._open or self.in_flight or not self._outbox.count():
            return
        if self._outbox.device != self.device:
            self.pause()
            self._switch_device()

    def _lane(self, to: int) -> _Lane:
        if to not in self._lanes:
            self._lanes[to] = _Lane(to, self._is_tried(to))
        return self._lanes[to]

    def _is_tried(self, to: int) -> bool:
        return self._outbox.is_new or (self.device, to) in self._accepted

    def _advance(self, lane: _Lane) -> None:
        if not self._open or lane.held:
            return
        asks = self._only_asks
        room = (WINDOW if lane.tried or asks else 1) - len(lane.in_flight)
        if room <= 0:
            return
        for entry in self._outbox.numbered(self.device, lane.to, lane.sent_up_to, room):
            lane.in_flight[entry.n] = _InFlight(entry, entry.key in self._absent)
            lane.sent_up_to = entry.key
            self._absent.discard(entry.key)
            self._send(Send(lane.to, entry.text, again=asks, n=entry.n))

    def _begin_again(self, lane: _Lane) -> None:
        """Everything sent is answered: go on from the first message that is unconfirmed."""
        if not self._open or lane.retry is not None:
            return
        delay = 0.0
        if lane.expected is not None and not self._only_asks:
            # A second gap in a row: do not turn in circles at full speed.
            delay = lane.backoff.delay() if lane.backoff.tried else 0.0
            self._outbox.renumber(lane.to, lane.expected)
        if lane.unavailable:
            delay = lane.backoff.delay()
        lane.expected, lane.unavailable, lane.sent_up_to = None, False, 0
        if delay:
            lane.retry = self._clock.callLater(delay, self._resume, lane)
        else:
            self._resume(lane)

    def _resume(self, lane: _Lane) -> None:
        lane.retry, lane.held = None, False
        self._advance(lane)

    # What a refusal means

    def _refused(self, lane: _Lane, flight: _InFlight, answer: Rejected) -> None:
        self._outbox.refuse(flight.entry.key)
        if flight.first:  # its number was not used up, so what came after it can only meet a gap
            entries = (other.entry for other in lane.in_flight.values())
            self._absent.update(other.key for other in entries if other.n > flight.entry.n)
        self._on_result(flight.entry, answer)

    def _gap(self, lane: _Lane, flight: _InFlight, answer: Rejected) -> None:
        entry = flight.entry
        if self._only_asks or (answer.expected is not None and answer.expected > entry.n):
            self._not_stored(entry)
            return
        lane.expected = answer.expected
        if answer.expected is not None:
            self._absent.add(entry.key)

    def _unavailable(self, lane: _Lane, flight: _InFlight, answer: Rejected) -> None:
        lane.unavailable = True
        self._on_postponed(flight.entry, answer)

    def _not_logged_in(self, lane: _Lane, flight: _InFlight, answer: Rejected) -> None:
        """Keep it for the next log-in: another client took over."""
        self._open = False
        if flight.first:
            self._absent.add(flight.entry.key)
            if self._only_asks:
                self._outbox.move(flight.entry.key)


_REACTIONS: dict[str, Callable[[Sender, _Lane, _InFlight, Rejected], None]] = {
    "gap": Sender._gap,
    "store-unavailable": Sender._unavailable,
    "not-logged-in": Sender._not_logged_in,
}
