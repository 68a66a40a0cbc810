"""
Sends what the outbox holds until the server has confirmed or refused it, in order for each recipient.

Messages to one recipient follow one another without waiting. When one of them is not confirmed, nothing more is sent
to that recipient until all that are on their way are answered: so an answer's (recipient, number) always names one
message, although numbers change after that.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from chatsvc.client.backoff import Backoff
from chatsvc.client.outbox import Entry, Outbox
from chatsvc.wire.commands import Send
from chatsvc.wire.structured_client import Confirmed, Rejected

WINDOW = 64
"""Messages to one recipient that may be on their way."""

_FIRST_RETRY, _LAST_RETRY = 0.5, 15.0


@dataclass(slots=True)
class _Lane:
    """The way to one recipient. ``held``: nothing more is sent until all is answered, and perhaps a delay is over."""

    to: int
    in_flight: dict[int, Entry] = field(default_factory=dict)
    sent_up_to: int = 0
    held: bool = False
    unavailable: bool = False
    expected: int | None = None
    retry: IDelayedCall | None = None
    backoff: Backoff = field(default_factory=lambda: Backoff(_FIRST_RETRY, _LAST_RETRY))


class Posting:
    """
    The messages of one outbox on their way.

    ``send`` sends a command; ``settled`` hears the fate of each message once; ``postponed`` hears that one will be sent
    again because the store is away.
    """

    def __init__(
        self,
        clock: IReactorTime,
        outbox: Outbox,
        send: Callable[[Send], None],
        settled: Callable[[Entry, Confirmed | Rejected], None],
        postponed: Callable[[Entry, Rejected], None],
    ) -> None:
        self._clock = clock
        self._outbox = outbox
        self._send = send
        self._settled = settled
        self._postponed = postponed
        self._lanes: dict[int, _Lane] = {}
        self._open = False
        self._absent: set[int] = set()  # keys of what the server certainly does not have

    def start(self) -> None:
        """Logged in: send everything that is unconfirmed."""
        self._open = True
        for to in self._outbox.recipients():
            self._advance(self._lane(to))

    def stop(self) -> None:
        """Logged out, or the connection is lost: what is unconfirmed stays in the outbox."""
        self._open = False
        for lane in self._lanes.values():
            if lane.retry is not None:
                lane.retry.cancel()
        self._lanes.clear()

    def post(self, to: int, text: str) -> Entry:
        """Record a message and send it as soon as may be."""
        entry = self._outbox.add(to, text)
        self._absent.add(entry.key)
        self._advance(self._lane(to))
        return entry

    def take_back(self, key: int) -> bool:
        """Forget a message if the server certainly does not have it; False: it may have it."""
        absent = key in self._absent
        if absent:
            self._absent.discard(key)
            self._outbox.refuse(key)
        return absent

    def answered(self, answer: Confirmed | Rejected) -> None:
        """The server's answer to a message."""
        lane = self._lanes.get(answer.to) if answer.to is not None else None
        entry = lane.in_flight.pop(answer.re, None) if lane and answer.re is not None else None
        if lane is None or entry is None:
            return
        if isinstance(answer, Confirmed):
            self._outbox.confirm(entry.key)
            lane.backoff.reset()
            self._settled(entry, answer)
        else:
            lane.held = True
            _REACTIONS.get(answer.code, Posting._refused)(self, lane, entry, answer)
        if lane.held and not lane.in_flight:
            self._begin_again(lane)
        else:
            self._advance(lane)

    def _lane(self, to: int) -> _Lane:
        return self._lanes.setdefault(to, _Lane(to))

    def _advance(self, lane: _Lane) -> None:
        if not self._open or lane.held:
            return
        room = WINDOW - len(lane.in_flight)
        for entry in self._outbox.unconfirmed(lane.to, lane.sent_up_to, room):
            lane.in_flight[entry.n] = entry
            lane.sent_up_to = entry.key
            self._absent.discard(entry.key)
            self._send(Send(lane.to, entry.text, n=entry.n))

    def _begin_again(self, lane: _Lane) -> None:
        """Everything sent is answered: go on from the first message that is unconfirmed."""
        if not self._open or lane.retry is not None:
            return
        delay = 0.0
        if lane.expected is not None:
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

    def _refused(self, lane: _Lane, entry: Entry, answer: Rejected) -> None:
        self._outbox.refuse(entry.key)
        # Its number was not used up, so what came after it can only meet a gap.
        later = (other.key for other in lane.in_flight.values() if other.n > entry.n)
        self._absent.update(later)
        self._settled(entry, answer)

    def _gap(self, lane: _Lane, entry: Entry, answer: Rejected) -> None:
        lane.expected = answer.expected
        if answer.expected is not None and answer.expected <= entry.n:
            self._absent.add(entry.key)

    def _unavailable(self, lane: _Lane, entry: Entry, answer: Rejected) -> None:
        lane.unavailable = True
        self._postponed(entry, answer)

    def _not_logged_in(self, lane: _Lane, entry: Entry, answer: Rejected) -> None:
        """Somebody took over: it is sent after the next log-in."""
        self._open = False


_REACTIONS: dict[str, Callable[[Posting, _Lane, Entry, Rejected], None]] = {
    "gap": Posting._gap,
    "store-unavailable": Posting._unavailable,
    "not-logged-in": Posting._not_logged_in,
}
