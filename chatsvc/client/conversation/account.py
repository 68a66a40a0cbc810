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
from chatsvc.wire.text import harmless

DeliveryResult = Confirmed | Rejected


@dataclass(frozen=True)
class LoginIntent:
    """
    What somebody logs in for.

    Who does not ``receive`` only sends: nobody is logged out for it, and nothing is read. Of who does, ``quota``
    says how much they read. Who ``resumes`` what an earlier process left unconfirmed means the same messages, in
    order, as long as recipients and texts are the same.
    """

    receive: bool = True
    quota: MessageQuota = field(default_factory=MessageQuota)
    resumes: bool = False


class AccountSession:
    """
    One user's log-in, from the first connection until they log out.

    :param notify: sends a command whose answer, if any, does not carry a request number; drops it without a connection
    :param switch_device: called when messages wait for the connection to speak as the outbox's device
    """

    def __init__(
        self,
        clock: IReactorTime,
        uid: int,
        name: str,
        outbox: Outbox,
        presenter: Presenter,
        notify: Callable[[c.Command], None],
        switch_device: Callable[[], None],
        intent: LoginIntent,
    ) -> None:
        self.uid = uid
        self.outbox = outbox
        self.token = ""
        self._clock = clock
        self.name = name
        self._presenter = presenter
        self._notify = notify
        self._intent = intent
        self._sender = Sender(
            clock, outbox, notify, self._on_result, self._on_postponed, switch_device
        )
        # As which device the last message to each recipient was confirmed.
        self._confirmed_as: dict[int, str] = {}
        self._receiver: Receiver | None = None
        self._results: dict[int, Deferred[DeliveryResult]] = {}
        self._left_over: deque[tuple[OutboxEntry, Deferred[DeliveryResult]]] = deque()
        if intent.resumes:
            self._left_over.extend(self._adopt())
        self._repeated: dict[tuple[int, int], Deferred[DeliveryResult | None]] = {}
        self._postponed: set[int] = set()

    @property
    def awaited(self) -> int:
        """How many of the messages that waited at log-in have not come yet."""
        return max(0, self._receiver.awaited) if self._receiver else 0

    def logged_in(self, event: e.LoggedIn, device: str) -> None:
        """A connection is logged in, as a device."""
        self.token = event.token
        if self._intent.receive:
            self.outbox.logged_in(event.epoch)
            self._receiver = self._make_receiver(event)
        self._sender.start(device)

    def pause(self) -> None:
        """Send no messages: as which device the session speaks is about to change."""
        self._sender.pause()

    def use_device(self, device: str) -> None:
        """The session speaks as another device now."""
        self._sender.start(device)

    def device_taken(self) -> None:
        """Another process has logged in as the same device."""
        self._sender.device_taken()

    def confirmed_as(self, to: int) -> str:
        """As which device the last message to a recipient was confirmed."""
        return self._confirmed_as.get(to, self.outbox.device)

    def _make_receiver(self, event: e.LoggedIn) -> Receiver:
        return Receiver(
            self._clock,
            self.outbox,
            event.epoch,
            event.waiting,
            self._presenter.view,
            lambda id: self._notify(c.Ack(id)),
            lambda failure: self._presenter.fail(failure.value),
            self._intent.quota,
        )

    def connection_lost(self) -> None:
        """The connection is gone."""
        self._sender.stop()
        if self._receiver is not None:
            self._receiver.retire()
        repeated, self._repeated = self._repeated, {}
        for answer in repeated.values():
            answer.callback(None)

    def logged_out(self) -> None:
        """Logged out: what is unconfirmed is sent after the next log-in."""
        self.connection_lost()
        for result in list(self._results.values()):
            result.callback(self._presenter.rejection("not-logged-in", Problem.NOT_LOGGED_IN))

    def drained(self) -> Deferred[None]:
        """Fires when all that has arrived is recorded."""
        return self._receiver.drained() if self._receiver else succeed(None)

    def send(self, to: int, text: str) -> Deferred[DeliveryResult]:
        """Put a message on record and on its way; fires with its result when that is decided."""
        if abs(to) >= c.NO_UID:  # no outbox could hold it either
            return succeed(self._presenter.rejection("unknown-user", Problem.UNKNOWN_USER))
        if not text or len(text.encode()) > c.MAX_TEXT:
            return succeed(self._presenter.rejection("too-long", Problem.TOO_LONG))
        if self._left_over:
            entry, result = self._left_over[0]
            if (entry.to, entry.text) == (to, text):
                self._left_over.popleft()
                return result
            self._forget_left_over()
        result = Deferred()
        self._results[self._sender.post(to, text).key] = result
        return result

    def repeat(self, to: int, n: int, text: str) -> Deferred[DeliveryResult | None]:
        """
        Say a message once more that was confirmed under ``n``, the last one to its recipient: the server's word on it,
        and on the reader, now; None: the connection was lost.
        """
        answer: Deferred[DeliveryResult | None] = Deferred()
        self._repeated[to, n] = answer
        self._notify(c.Send(to, text, again=True, n=n))
        return answer

    def withdraw(self) -> int:
        """
        Take back what the server certainly does not have, of all that was to be sent; how many are left. They are
        unconfirmed, and the first of those without a result.
        """
        self._forget_left_over()
        return sum(not self._sender.withdraw(key) for key in list(self._results))

    def _adopt(self) -> Iterator[tuple[OutboxEntry, Deferred[DeliveryResult]]]:
        """What an earlier process left, with its results."""
        for to in self.outbox.recipients():
            for entry in self.outbox.unconfirmed(to):
                result = self._results[entry.key] = Deferred()
                yield entry, result

    def _forget_left_over(self) -> None:
        """What is left over is not what is being sent now."""
        for entry, _ in self._left_over:
            self._results.pop(entry.key, None)
        self._left_over.clear()

    def answered(self, answer: DeliveryResult) -> None:
        """The server's word on a message."""
        repeated = None
        if answer.to is not None and answer.re is not None:
            repeated = self._repeated.pop((answer.to, answer.re), None)
        if repeated is None:
            self._sender.answered(answer)
        else:
            repeated.callback(answer)

    def received(self, message: e.Message) -> None:
        """A message for them."""
        if self._receiver is not None:
            self._receiver.received(message)

    def _on_result(self, entry: OutboxEntry, answer: DeliveryResult) -> None:
        self._postponed.discard(entry.key)
        if isinstance(answer, Confirmed):
            self._confirmed_as[entry.to] = self._sender.device
            self._presenter.show_result(self._sent(entry, answer))
        else:
            self._presenter.view.not_sent(entry.to, entry.text, answer.text)
        result = self._results.pop(entry.key, None)
        if result is not None:
            result.callback(answer)

    def _sent(self, entry: OutboxEntry, answer: Confirmed) -> e.Sent:
        message = e.Message(answer.id or 0, self.uid, self.name, answer.at, entry.text)
        online, waiting, repeated = answer.online, answer.waiting, answer.duplicate
        return e.Sent(entry.to, answer.id, message, online, waiting, repeated)

    def _on_postponed(self, entry: OutboxEntry, answer: Rejected) -> None:
        if entry.key not in self._postponed:
            self._postponed.add(entry.key)
            text = self._presenter.client_messages.postponed.format(text=harmless(entry.text))
            self._presenter.view.say(text)
