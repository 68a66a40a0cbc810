"""
The client's side of the conversation: what was asked, who is logged in, what comes of it.

It does no I/O but that of its outbox.

A connection hands it frames and takes frames from it. A front end runs commands on it
(:class:`~chatsvc.client.conversation.commands.CommandRunner`) and gives a
:class:`~chatsvc.client.conversation.presenter.View`. A program may be the front end: it logs in by
:meth:`Conversation.log_in` and sends by :meth:`Conversation.send`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime

from chatsvc.client.conversation.account import DeliveryResult, LoginIntent
from chatsvc.client.conversation.login import LoginFlow
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.conversation.requests import (
    MESSAGE_PATIENCE,
    RequestTracker,
    ignore_lost_request,
)
from chatsvc.client.i18n.client_messages import ClientMessages
from chatsvc.client.state.outbox import Outbox
from chatsvc.client.state.saved_login import SavedAccount, SavedLogin
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Heard, Rejected, parse
from chatsvc.wire.problems import Problem


class Conversation:
    """
    One client's conversation, over all its connections.

    :param open_outbox: opens the state of a uid
    :param saved_login: kept up to date with every log-in
    :param server: ``HOST:PORT``, under which ``saved_login`` keeps the account
    """

    def __init__(
        self,
        clock: IReactorTime,
        open_outbox: Callable[[int], Outbox],
        presenter: Presenter,
        intent: LoginIntent | None = None,
        saved_login: SavedLogin | None = None,
        server: str = "",
    ) -> None:
        self._presenter = presenter
        self._requests = RequestTracker()
        self._login = LoginFlow(
            clock,
            open_outbox,
            presenter,
            self._requests,
            intent or LoginIntent(),
            saved_login,
            server,
        )
        self.frames_received = 0

    # What a front end wants to know

    @property
    def lang(self) -> str:
        """The language of what is shown, ``zh`` or ``en``."""
        return self._presenter.lang

    @property
    def client_messages(self) -> ClientMessages:
        """The client's own texts in that language."""
        return self._presenter.client_messages

    @property
    def welcomed(self) -> bool:
        """Whether the server has welcomed us on the present connection."""
        return self._login.connection.welcomed

    @property
    def connected(self) -> bool:
        """Whether the present connection takes what a user asks."""
        return self._login.connection.ready

    @property
    def renewing(self) -> bool:
        """Whether the connection is being replaced on purpose, which is no news to the user."""
        return self._login.connection.renewed

    @property
    def logged_in(self) -> bool:
        """Whether somebody is logged in, even if the connection is lost just now."""
        return self._login.account is not None

    @property
    def uid(self) -> int | None:
        """Who is logged in."""
        account = self._login.account
        return account.uid if account else None

    @property
    def device(self) -> str:
        """As which device the client speaks; empty: as none."""
        return self._login.hello.device

    @property
    def me(self) -> str:
        """Who is logged in, as ``NAME(UID)``; empty: nobody."""
        account = self._login.account
        return f"{account.name}({account.uid})" if account else ""

    @property
    def unconfirmed(self) -> int:
        """How many messages of the account that is logged in the server has not confirmed."""
        account = self._login.account
        return account.outbox.count() if account else 0

    @property
    def awaited(self) -> int:
        """How many of the messages that waited at log-in have not come yet."""
        account = self._login.account
        return account.awaited if account else 0

    def ready(self) -> Deferred[None]:
        """Fires when a connection is ready for the first time, so after the log-in by a saved token was tried."""
        return self._login.ready()

    # The connection

    def connection_made(
        self, write: Callable[[bytes], None], close: Callable[[], None] = lambda: None
    ) -> None:
        """There is a connection; ``write`` sends a frame, ``close`` closes it when all was sent."""
        self._login.connection_made(write, close)

    def frame(self, frame: bytes) -> None:
        """
        A frame has come.

        :raise NotUnderstood: it breaks the dialect
        """
        try:
            event = parse(frame)
            if event is not None:
                self.frames_received += 1
                self._dispatch(event)
        except sqlite3.Error as problem:
            self._presenter.fail(problem)

    def patience(self) -> float | None:
        """
        How long the server may be silent now before it is taken to hang.

        :return: seconds; None: it owes no answer
        """
        requests, account = self._requests.patience, self._login.account
        errand = self._login.devices.errand
        owed = (account is not None and account.owed) or (errand is not None and errand.owed)
        messages = MESSAGE_PATIENCE if owed else None
        return max((one for one in (requests, messages) if one is not None), default=None)

    def ping(self) -> None:
        """Ask the server for a sign of life."""
        self._requests.ask_at_once(c.Ping()).addErrback(ignore_lost_request)

    def connection_lost(self) -> float | None:
        """
        The connection is gone.

        :return: the seconds after which the server wants to be asked again, where it said so
        """
        return self._login.connection_lost()

    async def close(self) -> None:
        """Close all state when everything that has arrived is recorded. Results of unconfirmed messages never come."""
        await self._login.close()

    # What can be asked

    async def ask(self, command: c.Command) -> e.Event:
        """
        Ask for something that is neither a log-in nor a message.

        :return: the server's answer
        :raise RequestLost: the connection was lost, and it is not known whether the command was carried out
        """
        answer = await self._requests.ask(command)
        if isinstance(answer, Rejected) and answer.code == "not-logged-in":
            self._login.leave()
        return answer

    def set_lang(self, lang: str) -> None:
        """Use another language from now on, and ask the server to."""
        self._presenter.lang = lang
        if self.connected and self._login.hello.granted:
            self._login.reconnect()  # such a connection takes no second hello
        elif self.connected:
            self._login.hello.hello().addErrback(ignore_lost_request)

    # Logging in and out

    def use_saved_login(self, account: SavedAccount) -> None:
        """Log in by a saved token as soon as there is a connection."""
        self._login.use_saved(account)

    async def log_in(self, command: c.Auth) -> e.Event:
        """
        Log in and say nothing of it.

        :return: the server's answer
        :raise StateUnusable: there is no place for what must not be forgotten
        """
        return await self._login.log_in(command)

    def password_changed(self, password: str, token: str | None) -> None:
        """Log in by another password from now on; ``token`` None: whether it was changed is not known."""
        self._login.tokens.password_changed(password, token)

    def keep_login(self) -> None:
        """
        Save this terminal's own token, where one of the account is saved: another device's is about to be void.

        :raise StateUnusable: it cannot be kept
        """
        self._login.tokens.keep()

    async def log_out(self) -> None:
        """Log out, and do not come back by a token."""
        await self._login.log_out()

    async def log_out_quietly(self) -> None:
        """Say goodbye to the server, if it is there, when all that has arrived is acknowledged."""
        await self._login.log_out_quietly()

    # Messages

    def send(self, to: int, text: str) -> Deferred[DeliveryResult]:
        """
        Record a message and send it.

        :return: fires with the server's decision. ``not-logged-in`` means that nobody is logged in, or no longer: then
            a message that was recorded is sent after the next log-in
        """
        if self._login.account is None:
            return succeed(self._presenter.rejection("not-logged-in", Problem.NOT_LOGGED_IN))
        return self._login.account.send(to, text)

    def repeat(self, to: int, n: int, text: str) -> Deferred[DeliveryResult | None]:
        """
        Send a message once more that was confirmed under number ``n``, the last one to its recipient.

        :return: fires with what the server says now of it and of its reader; None: the connection was lost
        """
        account = self._login.account
        if account is None or not self.connected:
            return succeed(None)
        return Deferred.fromCoroutine(self._login.hello.repeat(account, to, n, text))

    def withdraw(self) -> int:
        """
        Take back what the server certainly does not have, of all that was to be sent.

        :return: how many are left: they are unconfirmed, and the first of those without a result
        """
        account = self._login.account or self._login.last_account
        return account.withdraw() if account else 0

    # What the server says

    def _dispatch(self, event: Heard) -> None:
        if isinstance(event, Confirmed | Rejected) and event.to is not None:
            if isinstance(event, Confirmed):
                self._login.confirmed()
            target = self._login.devices.errand or self._login.account
            if target is not None:
                target.answered(event)
        elif isinstance(event, e.Event) and event.re is not None:
            self._requests.answered(event)
        elif type(event) in _HANDLERS:
            _HANDLERS[type(event)](self, event)

    def _on_message(self, message: e.Message) -> None:
        if self._login.account is not None:
            self._login.account.received(message)

    def _on_kicked(self, event: e.Kicked) -> None:
        self._login.taken_over(event)

    def _on_bye(self, event: e.Bye) -> None:
        self._login.connection.retry_after = event.retry_after
        if event.forgotten:
            self._login.forgotten()
        else:
            self._presenter.show_result(event)

    def _on_missed(self, event: e.Missed) -> None:
        count = event.until - event.after
        self._presenter.view.say(self.client_messages.missed.format(count=count))

    def _on_rejected(self, event: Rejected) -> None:
        if event.code != "not-logged-in":  # an acknowledgement that came too late
            self._presenter.view.say(event.text)


_HANDLERS: dict[type, Callable[[Conversation, Any], None]] = {
    e.Message: Conversation._on_message,
    e.Kicked: Conversation._on_kicked,
    e.Bye: Conversation._on_bye,
    e.Missed: Conversation._on_missed,
    Rejected: Conversation._on_rejected,
}
