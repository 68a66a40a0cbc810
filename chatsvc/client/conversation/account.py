"""Who is logged in, on this connection or the next: the messages that they send and read."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.conversation.receiver import MessageQuota, Receiver
from chatsvc.client.conversation.sender import Sender
from chatsvc.client.state.outbox import Outbox, OutboxEntry
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Rejected
from chatsvc.wire.problems import Problem
from chatsvc.wire.sanitize import sanitized

DeliveryResult = Confirmed | Rejected


@dataclass(frozen=True)
class LoginIntent:
    """
    What somebody logs in for.

    Who does not ``receive`` only sends: nobody is logged out for it, and nothing is read. Of who does, ``appetite``
    says how much they read. Who ``takes_up`` what an earlier process left unconfirmed means the same messages, in
    order, as long as recipients and texts are the same.
    """

    receive: bool = True
    appetite: MessageQuota = field(default_factory=MessageQuota)
    takes_up: bool = False


class AccountSession:
    """
    ``uid``, until they log out. ``tell`` sends a command that is not answered by a number of its own, and drops it when
    there is no connection; ``redirect`` is called when messages wait for the session to speak as the outbox's device.
    """

    def __init__(
        self,
        clock: IReactorTime,
        uid: int,
        name: str,
        outbox: Outbox,
        voice: Presenter,
        tell: Callable[[c.Command], None],
        redirect: Callable[[], None],
        purpose: LoginIntent,
    ) -> None:
        self.uid = uid
        self.outbox = outbox
        self.token = ""
        self._clock = clock
        self.name = name
        self._voice = voice
        self._tell = tell
        self._purpose = purpose
        self._posting = Sender(clock, outbox, tell, self._settled, self._put_off, redirect)
        # As which device the last message to each recipient was confirmed.
        self._confirmed_as: dict[int, str] = {}
        self._reading: Receiver | None = None
        self._fates: dict[int, Deferred[DeliveryResult]] = {}
        self._left: deque[tuple[OutboxEntry, Deferred[DeliveryResult]]] = deque()
        if purpose.takes_up:
            self._left.extend(self._left_over())
        self._repeated: dict[tuple[int, int], Deferred[DeliveryResult | None]] = {}
        self._postponed: set[int] = set()

    @property
    def awaited(self) -> int:
        """How many of the messages that waited at log-in have not come yet."""
        return max(0, self._reading.awaited) if self._reading else 0

    def entered(self, event: e.LoggedIn, device: str) -> None:
        """A connection is logged in, as a device."""
        self.token = event.token
        if self._purpose.receive:
            self.outbox.logged_in(event.epoch)
            self._reading = self._begin_reading(event)
        self._posting.start(device)

    def pause(self) -> None:
        """Send no messages: as which device the session speaks is about to change."""
        self._posting.pause()

    def speaks_as(self, device: str) -> None:
        """The session speaks as another device now."""
        self._posting.start(device)

    def displaced(self) -> None:
        """Another process has logged in as the same device."""
        self._posting.displaced()

    def confirmed_as(self, to: int) -> str:
        """As which device the last message to a recipient was confirmed."""
        return self._confirmed_as.get(to, self.outbox.device)

    def _begin_reading(self, event: e.LoggedIn) -> Receiver:
        return Receiver(
            self._clock,
            self.outbox,
            event.epoch,
            event.waiting,
            self._voice.audience,
            lambda id: self._tell(c.Ack(id)),
            lambda failure: self._voice.fail(failure.value),
            self._purpose.appetite,
        )

    def interrupted(self) -> None:
        """The connection is gone."""
        self._posting.stop()
        if self._reading is not None:
            self._reading.retire()
        repeated, self._repeated = self._repeated, {}
        for answer in repeated.values():
            answer.callback(None)

    def left(self) -> None:
        """Logged out: what is unconfirmed is sent after the next log-in."""
        self.interrupted()
        for fate in list(self._fates.values()):
            fate.callback(self._voice.rejection("not-logged-in", Problem.NOT_LOGGED_IN))

    def read_up(self) -> Deferred[None]:
        """Fires when all that has arrived is recorded."""
        return self._reading.settled() if self._reading else succeed(None)

    def send(self, to: int, text: str) -> Deferred[DeliveryResult]:
        """Put a message on record and on its way; fires with its fate when that is decided."""
        if abs(to) >= c.NO_UID:  # no outbox could hold it either
            return succeed(self._voice.rejection("unknown-user", Problem.UNKNOWN_USER))
        if not text or len(text.encode()) > c.MAX_TEXT:
            return succeed(self._voice.rejection("too-long", Problem.TOO_LONG))
        if self._left:
            entry, fate = self._left[0]
            if (entry.to, entry.text) == (to, text):
                self._left.popleft()
                return fate
            self._disown()
        fate = Deferred()
        self._fates[self._posting.post(to, text).key] = fate
        return fate

    def repeat(self, to: int, n: int, text: str) -> Deferred[DeliveryResult | None]:
        """
        Say a message once more that was confirmed under ``n``, the last one to its recipient: the server's word on it,
        and on the reader, now; None: the connection was lost.
        """
        answer: Deferred[DeliveryResult | None] = Deferred()
        self._repeated[to, n] = answer
        self._tell(c.Send(to, text, again=True, n=n))
        return answer

    def give_up(self) -> int:
        """
        Take back what the server certainly does not have, of all that was to be sent; how many are left. They are
        unconfirmed, and the first of those without a fate.
        """
        self._disown()
        return sum(not self._posting.take_back(key) for key in list(self._fates))

    def _left_over(self) -> Iterator[tuple[OutboxEntry, Deferred[DeliveryResult]]]:
        """What an earlier process left, with its fates."""
        for to in self.outbox.recipients():
            for entry in self.outbox.unconfirmed(to):
                fate = self._fates[entry.key] = Deferred()
                yield entry, fate

    def _disown(self) -> None:
        """What is left over is not what is being sent now."""
        for entry, _ in self._left:
            self._fates.pop(entry.key, None)
        self._left.clear()

    def answered(self, answer: DeliveryResult) -> None:
        """The server's word on a message."""
        repeated = None
        if answer.to is not None and answer.re is not None:
            repeated = self._repeated.pop((answer.to, answer.re), None)
        if repeated is None:
            self._posting.answered(answer)
        else:
            repeated.callback(answer)

    def arrived(self, message: e.Message) -> None:
        """A message for them."""
        if self._reading is not None:
            self._reading.arrived(message)

    def _settled(self, entry: OutboxEntry, answer: DeliveryResult) -> None:
        self._postponed.discard(entry.key)
        if isinstance(answer, Confirmed):
            self._confirmed_as[entry.to] = self._posting.speaks_as
            self._voice.tell(self._sent(entry, answer))
        else:
            self._voice.audience.not_sent(entry.to, entry.text, answer.text)
        fate = self._fates.pop(entry.key, None)
        if fate is not None:
            fate.callback(answer)

    def _sent(self, entry: OutboxEntry, answer: Confirmed) -> e.Sent:
        message = e.Message(answer.id or 0, self.uid, self.name, answer.at, entry.text)
        online, waiting, repeated = answer.online, answer.waiting, answer.duplicate
        return e.Sent(entry.to, answer.id, message, online, waiting, repeated)

    def _put_off(self, entry: OutboxEntry, answer: Rejected) -> None:
        if entry.key not in self._postponed:
            self._postponed.add(entry.key)
            text = self._voice.words.postponed.format(text=sanitized(entry.text))
            self._voice.audience.say(text)
