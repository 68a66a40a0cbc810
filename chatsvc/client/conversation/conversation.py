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
from chatsvc.transport.backoff import Backoff
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.client_codec import Confirmed, Heard, Rejected, parse
from chatsvc.wire.problems import Problem

_MOST_RETURNS = 8
"""How often a program that only sends logs in again after others with its device, before something is confirmed."""

PASSING = frozenset({"throttled", "store-unavailable"})
"""Refusals of a log-in that say nothing against it."""


class Conversation:
    """
    ``open_outbox`` opens the state of a uid; ``lang`` is ``zh`` or ``en``. ``server`` names the server in ``memory``,
    which learns of every log-in.
    """

    def __init__(
        self,
        clock: IReactorTime,
        open_outbox: Callable[[int], Outbox],
        audience: View,
        lang: str,
        purpose: LoginIntent | None = None,
        memory: SavedLogin | None = None,
        server: str = "",
    ) -> None:
        self._clock = clock
        self._purpose = purpose or LoginIntent()
        self._memory = memory
        self._server = server
        self._coming: SavedAccount | None = None
        self._open_outbox = open_outbox
        self._voice = Presenter(audience, lang)
        self._asking = RequestTracker()
        self._speaking = HelloSession(clock, self._asking, self._voice)
        self._outboxes: dict[int, Outbox] = {}
        self._connection = 0
        self._greeted = False
        self._expectant: list[Deferred[None]] = []
        self._member: AccountSession | None = None
        self._last_member: AccountSession | None = None
        self._retry_after: float | None = None
        self._returns = 0
        self._returning = Backoff(0.5, 15.0)
        self.welcomed = False
        self.connected = False
        self.heard = 0

    # What a front end wants to know

    @property
    def lang(self) -> str:
        """The language of what is shown."""
        return self._voice.lang

    @property
    def words(self) -> ClientMessages:
        """The client's own words in that language."""
        return self._voice.words

    @property
    def logged_in(self) -> bool:
        """Whether somebody is logged in, even if the connection is lost just now."""
        return self._member is not None

    @property
    def uid(self) -> int | None:
        """Who is logged in."""
        return self._member.uid if self._member else None

    @property
    def me(self) -> str:
        """Who is logged in, as ``NAME(UID)``; empty: nobody."""
        return f"{self._member.name}({self._member.uid})" if self._member else ""

    @property
    def unconfirmed(self) -> int:
        """How many messages of who is logged in the server has not confirmed."""
        return self._member.outbox.count() if self._member else 0

    @property
    def awaited(self) -> int:
        """How many of the messages that waited at log-in have not come yet."""
        return self._member.awaited if self._member else 0

    def greeted(self) -> Deferred[None]:
        """Fires when the server has welcomed us for the first time, and who was to log in by itself has tried."""
        greeted: Deferred[None] = Deferred()
        if self._greeted:
            greeted.callback(None)
        else:
            self._expectant.append(greeted)
        return greeted

    # The connection

    def connection_made(self, write: Callable[[bytes], None]) -> None:
        """There is a connection; ``write`` sends a frame."""
        self._connection += 1
        self._retry_after = None
        if self._member is not None:
            self._speaking.device = self._member.outbox.device
        self._asking.connected(write)
        self._speaking.hello().addCallbacks(self._welcomed, _nevermind)

    def frame(self, frame: bytes) -> None:
        """
        A frame has come.

        :raise NotUnderstood: it breaks the dialect.
        """
        try:
            heard = parse(frame)
            if heard is not None:
                self.heard += 1
                self._hear(heard)
        except sqlite3.Error as problem:
            self._voice.fail(problem)

    def connection_lost(self) -> float | None:
        """The connection is gone; the seconds after which the server wants to be asked again, where it said so."""
        self.welcomed = self.connected = False
        self._connection += 1
        if self._member is not None:
            self._member.interrupted()
        self._asking.lost()
        return self._retry_after

    async def close(self) -> None:
        """Let go of the state, when all that has arrived is recorded. Whoever waits for a message's fate waits on."""
        if self._member is not None:
            self._member.interrupted()
        await self._read_up()
        self._member = None
        for outbox in self._outboxes.values():
            outbox.close()
        self._outboxes.clear()

    # What can be done

    def perform(self, command: c.Command) -> Deferred[bool]:
        """Carry out what a user typed, and say what comes of it; fires with whether it was carried out."""
        performing = Deferred.fromCoroutine(perform(self, self._voice, command))
        return performing.addErrback(self._not_performed)

    async def find(self, name: str) -> list[int]:
        """The uids of a name; what is wrong is said."""
        return await find(self, self._voice, name)

    async def ask(self, command: c.Command) -> e.Event:
        """
        Ask for something that is neither a log-in nor a message: the server's answer.

        :raise Lost: the connection was lost, and it is not known whether the command was carried out.
        """
        answer = await self._asking.ask(command)
        if isinstance(answer, Rejected) and answer.code == "not-logged-in":
            self._leave()
        return answer

    def speak(self, lang: str) -> None:
        """Use another language from now on, and ask the server to."""
        self._voice.lang = lang
        if self.connected:
            self._speaking.hello().addErrback(_nevermind)

    def come_back(self, account: SavedAccount) -> None:
        """Log in by a remembered token as soon as there is a connection."""
        self._coming = account

    async def enter(self, command: c.Auth, *, at_once: bool = False) -> e.Event:
        """
        Log in and say nothing of it: the server's answer. ``at_once``: on the connection that there is, ready or not.

        :raise StateUnusable: there is no place for what must not be forgotten.
        """
        await self._read_up()
        outbox = self._outbox(command.uid)
        self._speaking.device = outbox.device
        if self.connected or at_once:
            self._speaking.hello().addErrback(_nevermind)
        ask = self._asking.ask_at_once if at_once else self._asking.ask
        answer = await ask(self._proof(command, outbox))
        if isinstance(answer, e.LoggedIn):
            who = answer.uid, answer.name, outbox, self._voice
            deeds = self._asking.tell, self._redirect
            self._member = AccountSession(self._clock, *who, *deeds, self._purpose)
            self._entered(self._member, answer)
        return answer

    def take_token(self, token: str) -> None:
        """Who is logged in has another token from now on."""
        if self._member is not None:
            self._member.token = token
            if self._memory is not None:
                self._memory.keep(SavedAccount(self._server, self._member.uid, token))

    def send(self, to: int, text: str) -> Deferred[DeliveryResult]:
        """
        Put a message on record and on its way; fires with its fate when the server has decided it. ``not-logged-in``
        means that nobody is logged in, or no longer: then a message that was on record is sent after the next log-in.
        """
        if self._member is None:
            return succeed(self._voice.rejection("not-logged-in", Problem.NOT_LOGGED_IN))
        return self._member.send(to, text)

    def repeat(self, to: int, n: int, text: str) -> Deferred[DeliveryResult | None]:
        """
        Say a message once more that was confirmed under ``n``, the last one to its recipient: the server's word on it,
        and on the reader, now; None: the connection was lost.
        """
        if self._member is None or not self.connected:
            return succeed(None)
        return Deferred.fromCoroutine(self._speaking.repeat(self._member, to, n, text))

    def give_up(self) -> int:
        """
        Take back what the server certainly does not have, of all that was to be sent; how many are left. They are
        unconfirmed, and the first of those without a fate.
        """
        member = self._member or self._last_member
        return member.give_up() if member else 0

    async def log_out(self) -> None:
        """Let nobody be logged in, now or by a token later."""
        if self._member is not None:
            self._forget(self._member.uid)
        await self.log_out_quietly()
        self._leave()

    async def log_out_quietly(self) -> None:
        """Say goodbye to the server, if it is there, when all that has arrived is acknowledged."""
        await self._read_up()
        if self._member is not None and self.connected:
            try:
                await self._asking.ask(c.Logout())
            except RequestLost:
                return

    def _not_performed(self, failure: Failure) -> bool:
        if failure.check(RequestLost):
            self._voice.audience.say(self.words.undecided)
        else:
            failure.trap(sqlite3.Error, StateUnusable)
            self._voice.fail(failure.value)
        return False

    # Hearing

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, Confirmed | Rejected) and heard.to is not None:
            if isinstance(heard, Confirmed):
                self._returns = 0
                self._returning.reset()
            if self._member is not None:
                self._member.answered(heard)
        elif isinstance(heard, e.Event) and heard.re is not None:
            self._asking.answered(heard)
        elif type(heard) in _HEARERS:
            _HEARERS[type(heard)](self, heard)

    def _hear_message(self, message: e.Message) -> None:
        if self._member is not None:
            self._member.arrived(message)

    def _hear_kicked(self, event: e.Kicked) -> None:
        if self._member is None or self._purpose.receive or self._returns >= _MOST_RETURNS:
            self._voice.tell(event)
            self._leave()
        else:
            # Nobody else reads: another process has a copy of this state.
            self.connected = False
            self._returns += 1
            self._member.displaced()
            returning = Deferred.fromCoroutine(self._return(self._member))
            returning.addErrback(self._not_performed)

    def _hear_bye(self, event: e.Bye) -> None:
        self._retry_after = event.retry_after
        self._voice.tell(event)

    def _hear_rejected(self, event: Rejected) -> None:
        if event.code != "not-logged-in":  # an acknowledgement that came too late
            self._voice.audience.say(event.text)

    # Logging in and out

    def _welcomed(self, answer: e.Event) -> None:
        if not isinstance(answer, e.Welcome):
            return
        self.welcomed = True
        if self._member is not None:
            again = Deferred.fromCoroutine(self._log_in_again(self._member))
            again.addErrback(self._not_performed)
        elif self._coming is not None:
            coming = Deferred.fromCoroutine(self._come_back(self._coming))
            coming.addErrback(self._not_performed)
        else:
            self._begin()

    def _begin(self) -> None:
        """The connection is ready for what a user asks."""
        self.connected = True
        self._asking.ready()
        if not self._greeted:
            self._greeted = True
            if self._member is None:
                self._voice.tell(e.Greeting())
            expectant, self._expectant = self._expectant, []
            for greeted in expectant:
                greeted.callback(None)

    async def _come_back(self, account: SavedAccount) -> None:
        """For the first time, by a remembered token."""
        try:
            answer = await self.enter(c.Auth(account.uid, token=account.token), at_once=True)
        except RequestLost:
            return  # the next connection tries again
        self._coming = None
        if isinstance(answer, e.LoggedIn):
            self._voice.tell(answer)
        elif isinstance(answer, Rejected) and answer.code == "bad-credentials":
            self._forget(account.uid)
            self._voice.audience.say(self.words.forgotten.format(uid=account.uid))
        else:
            self._voice.reject_login(answer)
        self._begin()

    def _proof(self, command: c.Auth, outbox: Outbox) -> c.Auth:
        receive = self._purpose.receive
        after = outbox.last_shown if receive else None
        return replace(command, after=after, receive=receive)

    def _entered(self, member: AccountSession, answer: e.LoggedIn) -> None:
        member.entered(answer, self._speaking.device)
        self.take_token(answer.token)

    def _forget(self, uid: int) -> None:
        if self._memory is not None:
            self._memory.forget(self._server, uid)

    async def _log_in_again(self, member: AccountSession) -> None:
        """On a new connection, by token."""
        connection, backoff = self._connection, Backoff(0.5, 15.0)
        await self._read_up()
        while self._connection == connection and self._member is member:
            auth = c.Auth(member.uid, token=member.token)
            try:
                answer = await self._asking.ask_at_once(self._proof(auth, member.outbox))
            except RequestLost:
                return
            if isinstance(answer, Rejected) and answer.code in PASSING:
                await deferLater(self._clock, max(answer.retry_after, backoff.delay()))
                continue
            if isinstance(answer, e.LoggedIn):
                self._voice.audience.say(self.words.back)
                self._entered(member, answer)
            else:
                self._forget(member.uid)
                self._leave()
                self._voice.reject_login(answer)
            self._begin()
            return
        if self._connection == connection:  # the user has logged out meanwhile
            self._begin()

    # Devices

    def _redirect(self) -> None:
        """Messages wait for the session to speak as the outbox's device."""
        if self._member is not None:
            member, connection = self._member, self._connection
            speaking = self._speaking.redirect(
                member, lambda: self._connection == connection and self._member is member
            )
            Deferred.fromCoroutine(speaking).addErrback(self._not_performed)

    async def _return(self, member: AccountSession) -> None:
        """Log in again, when all that was on its way is answered: the server has not stored what it refused."""
        connection = self._connection
        with suppress(RequestLost):
            await self._asking.ask_at_once(c.Ping())
            if self._returns > 1:
                # Two that take the device from each other do not turn in circles at full speed.
                await deferLater(self._clock, self._returning.delay())
            if self._connection == connection:
                self._speaking.device = member.outbox.device
                self._speaking.hello().addErrback(_nevermind)
                await self._log_in_again(member)

    def _leave(self) -> None:
        """Nobody is logged in any more."""
        member, self._member = self._member, None
        if member is not None:
            self._last_member = member
            member.left()

    async def _read_up(self) -> None:
        """Wait until all that has arrived is recorded, or a new log-in might bring it once more."""
        for member in (self._member, self._last_member):
            if member is not None:
                await member.read_up()

    def _outbox(self, uid: int) -> Outbox:
        """Kept until the end: who logs in again has the same device."""
        if uid not in self._outboxes:
            self._outboxes[uid] = self._open_outbox(uid)
        return self._outboxes[uid]


def _nevermind(failure: Failure) -> None:
    """The next connection begins with a hello of its own."""
    failure.trap(RequestLost)


_HEARERS: dict[type, Callable[[Conversation, Any], None]] = {
    e.Message: Conversation._hear_message,
    e.Kicked: Conversation._hear_kicked,
    e.Bye: Conversation._hear_bye,
    Rejected: Conversation._hear_rejected,
}
