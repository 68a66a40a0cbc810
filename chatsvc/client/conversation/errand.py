"""
A log-in that sends, before the one that was asked for.

What a process that is gone left unconfirmed is numbered as its device's, and so is what was sent under a device that
was given up (``sender.py``): it can only be settled by whoever speaks as that device. Such a log-in ends no session of
anybody else but one of this very device. ``device_login.py`` says when it is a registered one, which makes copies.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from chatsvc.client.conversation.account import AccountSession, LoginIntent
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.conversation.requests import RequestLost, RequestTracker
from chatsvc.client.state.outbox import Outbox
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Rejected


class Errand:
    """
    Sends what an outbox holds under one device, on a connection that speaks as that device.

    :param answer: the server's answer to the log-in
    :param is_copied: whether the user is shown a confirmed message as a copy
    """

    def __init__(
        self,
        clock: IReactorTime,
        outbox: Outbox,
        presenter: Presenter,
        requests: RequestTracker,
        answer: e.LoggedIn,
        is_copied: Callable[[Confirmed], bool] = lambda answer: False,
    ) -> None:
        self._outbox = outbox
        self._device = outbox.device
        self._over: Deferred[None] = Deferred()
        self._account = AccountSession(
            clock,
            answer.uid,
            answer.name,
            outbox,
            presenter,
            requests.notify,
            lambda: None,
            LoginIntent(receive=False),
            is_copied=is_copied,
        )
        self.taken = False
        """Whether another process took the device meanwhile."""
        self._account.logged_in(answer, self._device)
        self._look()

    def done(self) -> Deferred[None]:
        """Fires when nothing of this device is left, or it was taken; fails with :class:`RequestLost`."""
        return self._over

    @property
    def owed(self) -> bool:
        """Whether the server has messages that it has neither confirmed nor refused."""
        return self._account.owed

    def answered(self, answer: Confirmed | Rejected) -> None:
        """The server has decided on a message."""
        self._account.answered(answer)
        self._look()

    def device_taken(self) -> None:
        """Another process has logged in as the same device, which is given up for that."""
        self.taken = True
        self._account.device_taken()
        self._end()

    def connection_lost(self) -> None:
        """The connection is gone; what is unconfirmed stays in the outbox."""
        self._account.connection_lost()
        if not self._over.called:
            self._over.errback(RequestLost())

    def _look(self) -> None:
        left = any(self._outbox.numbered(self._device, to) for to in self._outbox.recipients())
        if not left:
            self._end()

    def _end(self) -> None:
        self._account.connection_lost()
        if not self._over.called:
            self._over.callback(None)
