"""
Logs in by password or saved token, and again on a new connection or after another process took the device.

The life of a connection ends in one of two ways: it is *ready* for what a user asks, or lost. Between the server's
welcome and that moment, an account that was logged in before comes back by its token, or by a password that is known.
"""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from chatsvc.client.conversation.account import AccountSession, LoginIntent
from chatsvc.client.conversation.connection_stage import ConnectionStage, Stage
from chatsvc.client.conversation.credentials import TEMPORARY, TokenKeeper
from chatsvc.client.conversation.device_login import DeviceLogin
from chatsvc.client.conversation.hello import DEVICES, HelloSession, NotIntroduced
from chatsvc.client.conversation.presenter import TOO_MANY_DEVICES, Presenter
from chatsvc.client.conversation.requests import (
    RequestLost,
    RequestTracker,
    ignore_lost_request,
    request_backoff,
)
from chatsvc.client.state.outbox import Outbox
from chatsvc.client.state.saved_login import SavedAccount, SavedLogin
from chatsvc.client.state.shown import Position
from chatsvc.waiters import Waiters
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Rejected

_MOST_DEVICE_TAKINGS = 8
"""How often a program that only sends logs in again after others with its device, before something is confirmed."""


class LoginFlow:
    """
    Who is logged in, over all connections.

    ``account`` stays while its connection is lost; ``last_account`` is the one that was logged out last.

    :param open_outbox: opens the state of a uid
    :param saved_login: kept up to date with every log-in
    :param server: ``HOST:PORT``, under which ``saved_login`` keeps the account
    """

    def __init__(
        self,
        clock: IReactorTime,
        open_outbox: Callable[[int], Outbox],
        presenter: Presenter,
        requests: RequestTracker,
        intent: LoginIntent,
        saved_login: SavedLogin | None,
        server: str,
    ) -> None:
        self.account: AccountSession | None = None
        self.last_account: AccountSession | None = None
        self.connection = ConnectionStage()
        self.hello = HelloSession(
            clock, requests, presenter, (DEVICES,) if intent.devices else None
        )
        self.devices = DeviceLogin(clock, requests, self.hello, presenter)
        self._clock = clock
        self._open_outbox = open_outbox
        self._outboxes: dict[int, Outbox] = {}
        self._presenter = presenter
        self._requests = requests
        self._intent = intent
        self._saved_account: SavedAccount | None = None
        self._was_ready = False
        self._readied = Waiters[None]()
        self._device_takings = 0
        self._device_backoff = request_backoff()
        self.tokens = TokenKeeper(clock, requests.ask_at_once, saved_login, server)

    def ready(self) -> Deferred[None]:
        """Fires when a connection is ready for the first time, so after the log-in by a saved token was tried."""
        return succeed(None) if self._was_ready else self._readied.wait()

    # The connection

    def connection_made(
        self, write: Callable[[bytes], None], close: Callable[[], None] = lambda: None
    ) -> None:
        """Say hello on a new connection; ``write`` sends a frame, ``close`` says goodbye."""
        self.connection.made(close)
        self._requests.connected(write)
        self.hello.connection_made()
        if self._intent.devices:
            self.hello.device = ""  # who is what is said when it is known what the server knows
        elif self.account is not None:
            self.hello.device = self.account.outbox.device
        self.hello.begin().addCallbacks(self._welcomed, ignore_lost_request)

    def connection_lost(self) -> float | None:
        """
        Forget the connection.

        :return: the seconds after which the server wants to be asked again, where it said so
        """
        self.connection.lost()
        self.tokens.pause()
        if self.account is not None:
            self.account.connection_lost()
        self.devices.connection_lost()
        self._requests.lost()
        return self.connection.retry_after

    def reconnect(self) -> None:
        """Go on, on a new connection, at once and without a word."""
        self._requests.hold()
        self.connection.renew()

    def _welcomed(self, answer: e.Event) -> None:
        if not isinstance(answer, e.Welcome):
            return
        self.connection.stage = Stage.WELCOMED
        if self.account is not None:
            self._run(self._log_in_again(self.account))
        elif self._saved_account is not None:
            self._run(self._log_in_by_token(self._saved_account))
        else:
            self._become_ready()

    def _become_ready(self) -> None:
        self.connection.ready_now()
        self._requests.ready()
        if not self._was_ready:
            self._was_ready = True
            if self.account is None:
                self._presenter.show_result(e.Greeting())
        self._readied.fire(None)

    def _run(self, coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
        Deferred.fromCoroutine(coroutine).addErrback(self._presenter.report)

    # Logging in

    def use_saved(self, account: SavedAccount) -> None:
        """Log in by a saved token as soon as there is a connection."""
        self._saved_account = account

    async def log_in(self, command: c.Auth, *, at_once: bool = False) -> e.Event:
        """
        Log in and say nothing of it.

        :param at_once: on the present connection, ready or not
        :return: the server's answer
        :raise StateUnusable: there is no place for what must not be forgotten
        :raise RequestLost: only ``at_once``: the connection was lost before the answer came
        """
        await self.drained()
        if not self._intent.devices:
            outbox = self._outbox(command.uid)
            self.hello.device = outbox.device
            if self.connection.ready or at_once:
                self.hello.hello().addErrback(ignore_lost_request)
            ask = self._requests.ask_at_once if at_once else self._requests.ask
            answer = await ask(self._with_cursor(command, outbox))
            self._entered(command, answer)
            return answer
        while True:
            if not at_once and not self.connection.ready:
                await self._readied.wait()
            try:
                return await self._enter(command)
            except RequestLost:
                if at_once:
                    raise
            except NotIntroduced:
                self.reconnect()
                if at_once:
                    raise RequestLost from None

    async def _enter(self, command: c.Auth) -> e.Event:
        """On the present connection, as a registered device where the server grants that."""
        way = command
        if command.name is not None:
            found = await self.devices.find_uid(command)
            if not isinstance(found, e.LoggedIn):
                return found
            way = c.Auth(found.uid, token=found.token)
        outbox = self._outbox(way.uid)
        answer = await self.devices.enter(way, outbox, first=True)
        self._entered(command, answer)
        return answer

    def _entered(self, command: c.Auth, answer: e.Event) -> None:
        if not isinstance(answer, e.LoggedIn):
            return
        self.account = AccountSession(
            *(self._clock, answer.uid, answer.name, self._outbox(answer.uid)),
            *(self._presenter, self._requests.notify),
            self.switch_device,
            self._intent,
            self._ask_epoch,
        )
        self.tokens.remembers |= command.token is not None
        self._logged_in(self.account, command, answer)

    async def _log_in_by_token(self, saved: SavedAccount) -> None:
        """For the first time in this process."""
        try:
            answer = await self.log_in(c.Auth(saved.uid, token=saved.token), at_once=True)
        except RequestLost:
            return  # the next connection tries again
        self._saved_account = None
        if isinstance(answer, e.LoggedIn):
            self._presenter.show_result(answer)
        elif isinstance(answer, Rejected) and answer.code == "bad-credentials":
            self._presenter.forgotten(saved.uid)
            self.tokens.forget(saved.uid, {saved.token})
        else:
            self._presenter.reject_login(answer)
        self._become_ready()

    async def _log_in_again(self, account: AccountSession) -> None:
        """On a new connection, by the newest token, and by what else is known where that is refused."""
        connection, backoff = self.connection.number, request_backoff()
        await self.drained()
        saved = self.tokens.saved(account.uid)
        ways = account.credentials.ways(saved)
        while self.connection.number == connection and self.account is account:
            try:
                answer = await self._ask_again(ways[0], account)
            except RequestLost:
                return
            except NotIntroduced:
                self.reconnect()
                return
            if isinstance(answer, Rejected) and answer.code in TEMPORARY:
                await deferLater(self._clock, max(answer.retry_after, backoff.delay()))
                continue
            if isinstance(answer, e.LoggedIn):
                if not self.connection.renewed:
                    self._presenter.view.say(self._presenter.client_messages.back)
                self._logged_in(account, ways[0], answer)
            elif len(ways) > 1:
                ways.pop(0)
                continue
            else:
                self._refused_again(account, answer, saved)
            self._become_ready()
            return
        if self.connection.number == connection:  # the user has logged out meanwhile
            self._become_ready()

    async def _ask_again(self, way: c.Auth, account: AccountSession) -> e.Event:
        if self._intent.devices:
            return await self.devices.enter(way, account.outbox, first=False)
        return await self._requests.ask_at_once(self._with_cursor(way, account.outbox))

    def _refused_again(self, account: AccountSession, answer: e.Event, saved: str) -> None:
        """Nothing that is known logs the account in any more, or no device has a place."""
        full = isinstance(answer, Rejected) and answer.code == TOO_MANY_DEVICES
        forgotten = not full and self.tokens.drop(account.credentials, {saved})
        self.leave()
        if forgotten:
            self._presenter.forgotten(account.uid)
        self._presenter.reject_login(answer)

    def _with_cursor(self, command: c.Auth, outbox: Outbox) -> c.Auth:
        receive = self._intent.receive
        return replace(command, after=outbox.last_shown if receive else None, receive=receive)

    def _logged_in(self, account: AccountSession, command: c.Auth, answer: e.LoggedIn) -> None:
        account.logged_in(answer, self.hello.device, registered=self.hello.granted)
        if command.password is not None:
            account.credentials.has_password(command.password)
        self.tokens.begin(account.credentials, answer)

    # Logging out

    async def log_out(self) -> None:
        """Log out, and do not come back by a token."""
        if self.account is not None:
            self.tokens.forget(self.account.uid)
        await self.log_out_quietly()
        self.leave()

    async def log_out_quietly(self) -> None:
        """Say goodbye to the server, if it is there, when all that has arrived is acknowledged."""
        await self.drained()
        if self.account is not None and self.connection.ready:
            with suppress(RequestLost):
                await self._requests.ask(c.Logout())

    def forgotten(self) -> None:
        """Somebody had this device forgotten: it stays out until a person logs in, whatever is known or saved."""
        if self.account is not None:
            self.tokens.drop(self.account.credentials)
            self._presenter.device_forgotten()
            self.leave()

    def leave(self) -> None:
        """Nobody is logged in any more."""
        account, self.account = self.account, None
        self.tokens.end()
        if account is not None:
            self.last_account = account
            account.logged_out()

    async def drained(self) -> None:
        """Wait until all that has arrived is recorded, or a new log-in might bring it once more."""
        for account in (self.account, self.last_account):
            if account is not None:
                await account.drained()

    async def close(self) -> None:
        """Close all state when everything that has arrived is recorded. Results of unconfirmed messages never come."""
        self.tokens.end()
        if self.account is not None:
            self.account.connection_lost()
        await self.drained()
        self.account = None
        for outbox in self._outboxes.values():
            outbox.close()
        self._outboxes.clear()

    # Devices

    def _ask_epoch(self, place: Position) -> None:
        """Learn by the inbox's epoch whether all up to a message was shown."""
        if self.account is not None:
            self.devices.doubt(self.account.outbox, place)
            self.reconnect()

    def switch_device(self) -> None:
        """Speak as the outbox's device, for which messages wait."""
        if self.hello.granted:
            self.reconnect()
        elif self.account is not None:
            account, connection = self.account, self.connection.number
            self._run(
                self.hello.switch_device(
                    account,
                    lambda: self.connection.number == connection and self.account is account,
                )
            )

    def taken_over(self, event: e.Kicked) -> None:
        """
        Another client has logged in to the account.

        A user who reads is logged out. A program that only sends comes back as another device: nobody else reads, so
        another process has a copy of its state. That is so of a registered device, too, which its user finds another
        one after the next log-in.
        """
        if self.devices.errand is not None:
            self.devices.errand.device_taken()
        elif self.devices.entering:
            return  # it was the session of an errand, which is over
        elif self.account is not None and self.hello.granted:
            self.account.device_taken()
            self._presenter.view.say(self._presenter.client_messages.device_taken)
            self.leave()
        elif (
            self.account is None
            or self._intent.receive
            or self._device_takings >= _MOST_DEVICE_TAKINGS
        ):
            self._presenter.show_result(event)
            self.leave()
        else:
            self.connection.stage = Stage.WELCOMED
            self._device_takings += 1
            self.account.device_taken()
            self._run(self._log_in_as_new_device(self.account))

    def confirmed(self) -> None:
        """The server has confirmed a message, so nobody takes the device all the time."""
        self._device_takings = 0
        self._device_backoff.reset()

    async def _log_in_as_new_device(self, account: AccountSession) -> None:
        """Log in again, when all that was on its way is answered: the server has not stored what it refused."""
        connection = self.connection.number
        with suppress(RequestLost):
            await self._requests.ask_at_once(c.Ping())
            if self._device_takings > 1:
                # Two that take the device from each other do not turn in circles at full speed.
                await deferLater(self._clock, self._device_backoff.delay())
            if self.connection.number == connection:
                self.hello.device = account.outbox.device
                self.hello.hello().addErrback(ignore_lost_request)
                await self._log_in_again(account)

    def _outbox(self, uid: int) -> Outbox:
        """Kept until the end: a user who logs in again has the same device."""
        if uid not in self._outboxes:
            self._outboxes[uid] = self._open_outbox(uid)
        return self._outboxes[uid]
