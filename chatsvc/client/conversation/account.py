"""One user's log-in, over all its connections: the messages that they send and receive."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from chatsvc.client.conversation.credentials import Credentials
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.conversation.reading import Reading, ReadingByEpoch, reading_of_device
from chatsvc.client.conversation.receiver import MessageQuota, Receiver
from chatsvc.client.conversation.sender import Sender
from chatsvc.client.state.outbox import Outbox, OutboxEntry
from chatsvc.client.state.shown import Position
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Rejected
from chatsvc.wire.problems import Problem

DeliveryResult = Confirmed | Rejected


@dataclass(frozen=True)
class LoginIntent:
    """
    What somebody logs in for.

    ``receive``: to read messages. A client that does not only sends: it ends no other log-in and is given no message.
    ``devices``: as a registered device, where the server grants that, so that the user's other devices stay logged in.
    ``quota``: how many messages it reads. ``resumes``: what it sends is what an earlier process left unconfirmed, in
    the same order, as long as recipients and texts are the same.
    """

    receive: bool = True
    devices: bool = False
    quota: MessageQuota = field(default_factory=MessageQuota)
    resumes: bool = False


class AccountSession:
    """
    One user's log-in, from the first connection until they log out.

    :param notify: sends a command whose answer, if any, carries no request number; drops it without a connection
    :param switch_device: called when messages wait for the connection to speak as the outbox's device
    :param ask_epoch: called when only the inbox's epoch tells what was shown
        (:class:`~chatsvc.client.conversation.reading.FirstReading`)
    :param is_copied: whether the user is shown a confirmed message as a copy, so that the confirmation need not show it
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
        ask_epoch: Callable[[Position], None] = lambda place: None,
        is_copied: Callable[[Confirmed], bool] = lambda answer: False,
    ) -> None:
        self.uid = uid
        self.name = name
        self.outbox = outbox
        self.credentials = Credentials(uid)
        self._clock = clock
        self._presenter = presenter
        self._notify = notify
        self._intent = intent
        self._ask_epoch = ask_epoch
        self._is_copied = is_copied
        self._sender = Sender(
            clock, outbox, notify, self._on_result, self._on_postponed, switch_device
        )
        # The device under which the last message to each recipient was confirmed.
        self._confirmed_as: dict[int, str] = {}
        self._receiver: Receiver | None = None
        self._results: dict[int, Deferred[DeliveryResult]] = {}
        self._left_over: deque[tuple[OutboxEntry, Deferred[DeliveryResult]]] = deque()
        if intent.resumes:
            self._left_over.extend(self._adopt())
        self._repeats: dict[tuple[int, int], Deferred[DeliveryResult | None]] = {}
        self._postponed: set[int] = set()

    @property
    def awaited(self) -> int:
        """How many of the messages that waited at log-in have not come yet."""
        return max(0, self._receiver.awaited) if self._receiver else 0

    @property
    def owed(self) -> bool:
        """Whether the server has messages that it has neither confirmed nor refused."""
        return self._sender.in_flight or bool(self._repeats)

    # The connection

    def logged_in(self, event: e.LoggedIn, device: str, *, registered: bool = False) -> None:
        """A connection is logged in, and speaks as a device; ``registered``: as a registered one."""
        if self._intent.receive:
            self._receiver = Receiver(
                self._clock,
                self._reading(event.epoch, registered=registered),
                event.waiting,
                self._presenter.view,
                lambda id: self._notify(c.Ack(id)),
                lambda failure: self._presenter.fail(failure.value),
                self._intent.quota,
            )
        self._sender.start(device)

    def _reading(self, epoch: str, *, registered: bool) -> Reading:
        shown = self.outbox.shown
        if registered:
            return reading_of_device(shown, self._ask_epoch)
        shown.enter(epoch)
        return ReadingByEpoch(shown, epoch, at_terminal=self._intent.devices)

    def connection_lost(self) -> None:
        """The connection is gone; what is unconfirmed is sent on the next one."""
        self._sender.stop()
        if self._receiver is not None:
            self._receiver.retire()
        repeats, self._repeats = self._repeats, {}
        for answer in repeats.values():
            answer.callback(None)

    def logged_out(self) -> None:
        """The user is logged out; what is unconfirmed is sent after the next log-in."""
        self.connection_lost()
        for result in list(self._results.values()):
            result.callback(self._presenter.rejection("not-logged-in", Problem.NOT_LOGGED_IN))

    # Devices

    def pause(self) -> None:
        """Send no messages: the connection is about to speak as another device."""
        self._sender.pause()

    def use_device(self, device: str) -> None:
        """Send again: the connection speaks as this device now."""
        self._sender.start(device)

    def device_taken(self) -> None:
        """Another process has logged in as the same device."""
        self._sender.device_taken()

    def confirmed_as(self, to: int) -> str:
        """The device under which the last message to a recipient was confirmed."""
        return self._confirmed_as.get(to, self.outbox.device)

    # Sending

    def send(self, to: int, text: str) -> Deferred[DeliveryResult]:
        """Record a message and send it; fires with the server's decision."""
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
        Send a message once more that was confirmed under number ``n``, the last one to its recipient.

        :return: fires with what the server says now of it and of its reader; None: the connection was lost
        """
        answer: Deferred[DeliveryResult | None] = Deferred()
        self._repeats[to, n] = answer
        self._notify(c.Send(to, text, again=True, n=n))
        return answer

    def withdraw(self) -> int:
        """
        Take back what the server certainly does not have, of all that was to be sent.

        :return: how many are left: they are unconfirmed, and the first of those without a result
        """
        self._forget_left_over()
        return sum(not self._sender.withdraw(key) for key in list(self._results))

    def answered(self, answer: DeliveryResult) -> None:
        """The server has decided on a message."""
        repeat = None
        if answer.to is not None and answer.re is not None:
            repeat = self._repeats.pop((answer.to, answer.re), None)
        if repeat is None:
            self._sender.answered(answer)
        else:
            repeat.callback(answer)

    def _adopt(self) -> Iterator[tuple[OutboxEntry, Deferred[DeliveryResult]]]:
        """What an earlier process left, each with a result to come."""
        for to in self.outbox.recipients():
            for entry in self.outbox.unconfirmed(to):
                result = self._results[entry.key] = Deferred()
                yield entry, result

    def _forget_left_over(self) -> None:
        """What an earlier process left is not what is being sent now."""
        for entry, _ in self._left_over:
            self._results.pop(entry.key, None)
        self._left_over.clear()

    def _on_result(self, entry: OutboxEntry, answer: DeliveryResult) -> None:
        self._postponed.discard(entry.key)
        if isinstance(answer, Confirmed):
            self._confirmed_as[entry.to] = self._sender.device
            if not self._is_copied(answer):
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
            self._presenter.postponed(entry.text, answer)

    # Receiving

    def received(self, message: e.Message) -> None:
        """The server has delivered a message."""
        if self._receiver is not None:
            self._receiver.received(message)

    def drained(self) -> Deferred[None]:
        """Fires when all that has arrived is recorded."""
        return self._receiver.drained() if self._receiver else succeed(None)
