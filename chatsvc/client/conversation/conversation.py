"""
The client's side of the conversation: what was asked, who is logged in, what is said of it. It does no I/O but that of
its outbox.

A connection hands it frames and takes frames from it; a front end performs commands on it and is told what to show. A
program may be the front end: it gives an :class:`~chatsvc.client.conversation.presenter.View`, logs in by
:meth:`Conversation.enter` and sends by :meth:`Conversation.send`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from chatsvc.client.conversation.account import AccountSession, DeliveryResult, LoginIntent
from chatsvc.client.conversation.commands import find, perform
from chatsvc.client.conversation.hello import HelloSession
from chatsvc.client.conversation.presenter import Presenter, View
from chatsvc.client.conversation.requests import RequestLost, RequestTracker
from chatsvc.client.i18n.client_messages import ClientMessages
from chatsvc.client.state.outbox import Outbox, StateUnusable
from chatsvc.client.state.saved_login import SavedAccount, SavedLogin
from chatsvc.client.transport.backoff import Backoff
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Heard, Rejected, parse
from chatsvc.wire.problems import Problem

_MOST_DEVICE_TAKINGS = 8
"""How often a program that only sends logs in again after others with its device, before something is confirmed."""

TEMPORARY = frozenset({"throttled", "store-unavailable"})
"""Refusals of a log-in that say nothing against it."""


class Conversation:
    """
    ``open_outbox`` opens the state of a uid; ``lang`` is ``zh`` or ``en``. ``server`` names the server in
    ``saved_login``, which learns of every log-in.
    """

    def __init__(
        self,
        clock: IReactorTime,
        open_outbox: Callable[[int], Outbox],
        view: View,
        lang: str,
        intent: LoginIntent | None = None,
        saved_login: SavedLogin | None = None,
        server: str = "",
    ) -> None:
        self._clock = clock
        self._intent = intent or LoginIntent()
        self._saved_login = saved_login
        self._server = server
        self._saved_account: SavedAccount | None = None
        self._open_outbox = open_outbox
        self._presenter = Presenter(view, lang)
        self._requests = RequestTracker()
        self._hello = HelloSession(clock, self._requests, self._presenter)
        self._outboxes: dict[int, Outbox] = {}
        self._connection = 0
        self._greeted = False
        self._waiting: list[Deferred[None]] = []
        self._account: AccountSession | None = None
        self._last_account: AccountSession | None = None
        self._retry_after: float | None = None
        self._device_takings = 0
        self._return_backoff = Backoff(0.5, 15.0)
        self.welcomed = False
        self.connected = False
        self.frames_received = 0

    # What a front end wants to know

    @property
    def lang(self) -> str:
        """The language of what is shown."""
        return self._presenter.lang

    @property
    def client_messages(self) -> ClientMessages:
        """The client's own words in that language."""
        return self._presenter.client_messages

    @property
    def logged_in(self) -> bool:
        """Whether somebody is logged in, even if the connection is lost just now."""
        return self._account is not None

    @property
    def uid(self) -> int | None:
        """Who is logged in."""
        return self._account.uid if self._account else None

    @property
    def me(self) -> str:
        """Who is logged in, as ``NAME(UID)``; empty: nobody."""
        return f"{self._account.name}({self._account.uid})" if self._account else ""

    @property
    def unconfirmed(self) -> int:
        """How many messages of who is logged in the server has not confirmed."""
        return self._account.outbox.count() if self._account else 0

    @property
    def awaited(self) -> int:
        """How many of the messages that waited at log-in have not come yet."""
        return self._account.awaited if self._account else 0

    def ready(self) -> Deferred[None]:
        """Fires when the server has welcomed us for the first time, and who was to log in by itself has tried."""
        waiting: Deferred[None] = Deferred()
        if self._greeted:
            waiting.callback(None)
        else:
            self._waiting.append(waiting)
        return waiting

    # The connection

    def connection_made(self, write: Callable[[bytes], None]) -> None:
        """There is a connection; ``write`` sends a frame."""
        self._connection += 1
        self._retry_after = None
        if self._account is not None:
            self._hello.device = self._account.outbox.device
        self._requests.connected(write)
        self._hello.hello().addCallbacks(self._welcomed, _ignore_lost_request)

    def frame(self, frame: bytes) -> None:
        """
        A frame has come.

        :raise NotUnderstood: it breaks the dialect.
        """
        try:
            received = parse(frame)
            if received is not None:
                self.frames_received += 1
                self._dispatch(received)
        except sqlite3.Error as problem:
            self._presenter.fail(problem)

    def connection_lost(self) -> float | None:
        """The connection is gone; the seconds after which the server wants to be asked again, where it said so."""
        self.welcomed = self.connected = False
        self._connection += 1
        if self._account is not None:
            self._account.connection_lost()
        self._requests.lost()
        return self._retry_after

    async def close(self) -> None:
        """Let go of the state, when all that has arrived is recorded. Whoever waits for a message's result waits on."""
        if self._account is not None:
            self._account.connection_lost()
        await self._drained()
        self._account = None
        for outbox in self._outboxes.values():
            outbox.close()
        self._outboxes.clear()

    # What can be done

    def perform(self, command: c.Command) -> Deferred[bool]:
        """Carry out what a user typed, and say what comes of it; fires with whether it was carried out."""
        performing = Deferred.fromCoroutine(perform(self, self._presenter, command))
        return performing.addErrback(self._not_performed)

    async def find(self, name: str) -> list[int]:
        """The uids of a name; what is wrong is said."""
        return await find(self, self._presenter, name)

    async def ask(self, command: c.Command) -> e.Event:
        """
        Ask for something that is neither a log-in nor a message: the server's answer.

        :raise Lost: the connection was lost, and it is not known whether the command was carried out.
        """
        answer = await self._requests.ask(command)
        if isinstance(answer, Rejected) and answer.code == "not-logged-in":
            self._leave()
        return answer

    def set_lang(self, lang: str) -> None:
        """Use another language from now on, and ask the server to."""
        self._presenter.lang = lang
        if self.connected:
            self._hello.hello().addErrback(_ignore_lost_request)

    def log_in_by_itself(self, account: SavedAccount) -> None:
        """Log in by a remembered token as soon as there is a connection."""
        self._saved_account = account

    async def log_in(self, command: c.Auth, *, at_once: bool = False) -> e.Event:
        """
        Log in and say nothing of it: the server's answer. ``at_once``: on the connection that there is, ready or not.

        :raise StateUnusable: there is no place for what must not be forgotten.
        """
        await self._drained()
        outbox = self._outbox(command.uid)
        self._hello.device = outbox.device
        if self.connected or at_once:
            self._hello.hello().addErrback(_ignore_lost_request)
        ask = self._requests.ask_at_once if at_once else self._requests.ask
        answer = await ask(self._proof(command, outbox))
        if isinstance(answer, e.LoggedIn):
            who = answer.uid, answer.name, outbox, self._presenter
            callbacks = self._requests.notify, self._switch_device
            self._account = AccountSession(self._clock, *who, *callbacks, self._intent)
            self._logged_in(self._account, answer)
        return answer

    def renew_token(self, token: str) -> None:
        """Who is logged in has another token from now on."""
        if self._account is not None:
            self._account.token = token
            if self._saved_login is not None:
                self._saved_login.keep(SavedAccount(self._server, self._account.uid, token))

    def send(self, to: int, text: str) -> Deferred[DeliveryResult]:
        """
        Put a message on record and on its way; fires with its result when the server has decided it. ``not-logged-in``
        means that nobody is logged in, or no longer: then a message that was on record is sent after the next log-in.
        """
        if self._account is None:
            return succeed(self._presenter.rejection("not-logged-in", Problem.NOT_LOGGED_IN))
        return self._account.send(to, text)

    def repeat(self, to: int, n: int, text: str) -> Deferred[DeliveryResult | None]:
        """
        Say a message once more that was confirmed under ``n``, the last one to its recipient: the server's word on it,
        and on the reader, now; None: the connection was lost.
        """
        if self._account is None or not self.connected:
            return succeed(None)
        return Deferred.fromCoroutine(self._hello.repeat(self._account, to, n, text))

    def withdraw(self) -> int:
        """
        Take back what the server certainly does not have, of all that was to be sent; how many are left. They are
        unconfirmed, and the first of those without a result.
        """
        account = self._account or self._last_account
        return account.withdraw() if account else 0

    async def log_out(self) -> None:
        """Let nobody be logged in, now or by a token later."""
        if self._account is not None:
            self._forget(self._account.uid)
        await self.log_out_quietly()
        self._leave()

    async def log_out_quietly(self) -> None:
        """Say goodbye to the server, if it is there, when all that has arrived is acknowledged."""
        await self._drained()
        if self._account is not None and self.connected:
            try:
                await self._requests.ask(c.Logout())
            except RequestLost:
                return

    def _not_performed(self, failure: Failure) -> bool:
        if failure.check(RequestLost):
            self._presenter.view.say(self.client_messages.undecided)
        else:
            failure.trap(sqlite3.Error, StateUnusable)
            self._presenter.fail(failure.value)
        return False

    # What the server says

    def _dispatch(self, received: Heard) -> None:
        if isinstance(received, Confirmed | Rejected) and received.to is not None:
            if isinstance(received, Confirmed):
                self._device_takings = 0
                self._return_backoff.reset()
            if self._account is not None:
                self._account.answered(received)
        elif isinstance(received, e.Event) and received.re is not None:
            self._requests.answered(received)
        elif type(received) in _HANDLERS:
            _HANDLERS[type(received)](self, received)

    def _on_message(self, message: e.Message) -> None:
        if self._account is not None:
            self._account.received(message)

    def _on_kicked(self, event: e.Kicked) -> None:
        if (
            self._account is None
            or self._intent.receive
            or self._device_takings >= _MOST_DEVICE_TAKINGS
        ):
            self._presenter.show_result(event)
            self._leave()
        else:
            # Nobody else reads: another process has a copy of this state.
            self.connected = False
            self._device_takings += 1
            self._account.device_taken()
            logging_in = Deferred.fromCoroutine(self._log_in_as_new_device(self._account))
            logging_in.addErrback(self._not_performed)

    def _on_bye(self, event: e.Bye) -> None:
        self._retry_after = event.retry_after
        self._presenter.show_result(event)

    def _on_rejected(self, event: Rejected) -> None:
        if event.code != "not-logged-in":  # an acknowledgement that came too late
            self._presenter.view.say(event.text)

    # Logging in and out

    def _welcomed(self, answer: e.Event) -> None:
        if not isinstance(answer, e.Welcome):
            return
        self.welcomed = True
        if self._account is not None:
            again = Deferred.fromCoroutine(self._log_in_again(self._account))
            again.addErrback(self._not_performed)
        elif self._saved_account is not None:
            logging_in = Deferred.fromCoroutine(self._log_in_by_token(self._saved_account))
            logging_in.addErrback(self._not_performed)
        else:
            self._ready()

    def _ready(self) -> None:
        """The connection is ready for what a user asks."""
        self.connected = True
        self._requests.ready()
        if not self._greeted:
            self._greeted = True
            if self._account is None:
                self._presenter.show_result(e.Greeting())
            waiters, self._waiting = self._waiting, []
            for waiting in waiters:
                waiting.callback(None)

    async def _log_in_by_token(self, account: SavedAccount) -> None:
        """For the first time, by a remembered token."""
        try:
            answer = await self.log_in(c.Auth(account.uid, token=account.token), at_once=True)
        except RequestLost:
            return  # the next connection tries again
        self._saved_account = None
        if isinstance(answer, e.LoggedIn):
            self._presenter.show_result(answer)
        elif isinstance(answer, Rejected) and answer.code == "bad-credentials":
            self._forget(account.uid)
            self._presenter.view.say(self.client_messages.forgotten.format(uid=account.uid))
        else:
            self._presenter.reject_login(answer)
        self._ready()

    def _proof(self, command: c.Auth, outbox: Outbox) -> c.Auth:
        receive = self._intent.receive
        after = outbox.last_shown if receive else None
        return replace(command, after=after, receive=receive)

    def _logged_in(self, account: AccountSession, answer: e.LoggedIn) -> None:
        account.logged_in(answer, self._hello.device)
        self.renew_token(answer.token)

    def _forget(self, uid: int) -> None:
        if self._saved_login is not None:
            self._saved_login.forget(self._server, uid)

    async def _log_in_again(self, account: AccountSession) -> None:
        """On a new connection, by token."""
        connection, backoff = self._connection, Backoff(0.5, 15.0)
        await self._drained()
        while self._connection == connection and self._account is account:
            auth = c.Auth(account.uid, token=account.token)
            try:
                answer = await self._requests.ask_at_once(self._proof(auth, account.outbox))
            except RequestLost:
                return
            if isinstance(answer, Rejected) and answer.code in TEMPORARY:
                await deferLater(self._clock, max(answer.retry_after, backoff.delay()))
                continue
            if isinstance(answer, e.LoggedIn):
                self._presenter.view.say(self.client_messages.back)
                self._logged_in(account, answer)
            else:
                self._forget(account.uid)
                self._leave()
                self._presenter.reject_login(answer)
            self._ready()
            return
        if self._connection == connection:  # the user has logged out meanwhile
            self._ready()

    # Devices

    def _switch_device(self) -> None:
        """Messages wait for the session to speak as the outbox's device."""
        if self._account is not None:
            account, connection = self._account, self._connection
            switching = self._hello.switch_device(
                account, lambda: self._connection == connection and self._account is account
            )
            Deferred.fromCoroutine(switching).addErrback(self._not_performed)

    async def _log_in_as_new_device(self, account: AccountSession) -> None:
        """Log in again, when all that was on its way is answered: the server has not stored what it refused."""
        connection = self._connection
        with suppress(RequestLost):
            await self._requests.ask_at_once(c.Ping())
            if self._device_takings > 1:
                # Two that take the device from each other do not turn in circles at full speed.
                await deferLater(self._clock, self._return_backoff.delay())
            if self._connection == connection:
                self._hello.device = account.outbox.device
                self._hello.hello().addErrback(_ignore_lost_request)
                await self._log_in_again(account)

    def _leave(self) -> None:
        """Nobody is logged in any more."""
        account, self._account = self._account, None
        if account is not None:
            self._last_account = account
            account.logged_out()

    async def _drained(self) -> None:
        """Wait until all that has arrived is recorded, or a new log-in might bring it once more."""
        for account in (self._account, self._last_account):
            if account is not None:
                await account.drained()

    def _outbox(self, uid: int) -> Outbox:
        """Kept until the end: who logs in again has the same device."""
        if uid not in self._outboxes:
            self._outboxes[uid] = self._open_outbox(uid)
        return self._outboxes[uid]


def _ignore_lost_request(failure: Failure) -> None:
    """The next connection begins with a hello of its own."""
    failure.trap(RequestLost)


_HANDLERS: dict[type, Callable[[Conversation, Any], None]] = {
    e.Message: Conversation._on_message,
    e.Kicked: Conversation._on_kicked,
    e.Bye: Conversation._on_bye,
    Rejected: Conversation._on_rejected,
}
