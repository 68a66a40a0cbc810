"""
The client's side of the conversation: what was asked, who is logged in, what is said of it. It does no I/O but that of
its outbox.

A connection hands it frames and takes frames from it; a front end performs commands on it and is told what to show. A
program may be the front end: it gives an :class:`~chatsvc.client.voice.Audience`, logs in by
:meth:`Conversation.log_in` and sends by :meth:`Conversation.send`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from chatsvc import __version__
from chatsvc.client.asking import Asking, Lost
from chatsvc.client.backoff import Backoff
from chatsvc.client.member import Fate, Member
from chatsvc.client.outbox import Outbox, StateUnusable
from chatsvc.client.voice import Audience, Voice
from chatsvc.client.words import Words
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from chatsvc.wire.structured_client import Confirmed, Heard, Rejected, parse

CLIENT = f"chatsvc/{__version__}"

_NEED_LOGIN = frozenset({c.Send, c.Passwd, c.Find, c.Logout})
_PASSING = frozenset({"throttled", "store-unavailable"})
"""Refusals of a log-in that say nothing against it."""


class Conversation:
    """``open_outbox`` opens the state of a uid; ``lang`` is ``zh`` or ``en``."""

    def __init__(
        self,
        clock: IReactorTime,
        open_outbox: Callable[[int], Outbox],
        audience: Audience,
        lang: str,
    ) -> None:
        self._clock = clock
        self._open_outbox = open_outbox
        self._voice = Voice(audience, lang)
        self._asking = Asking()
        self._outboxes: dict[int, Outbox] = {}
        self._device = ""
        self._connection = 0
        self._greeted = False
        self._expectant: list[Deferred[None]] = []
        self._member: Member | None = None
        self._last_member: Member | None = None
        self._retry_after: float | None = None
        self.welcomed = False
        self.connected = False
        self.heard = 0

    # What a front end wants to know

    @property
    def lang(self) -> str:
        """The language of what is shown."""
        return self._voice.lang

    @property
    def words(self) -> Words:
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
        """Fires when the server has welcomed us for the first time."""
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
        self._asking.connected(write)
        self._say_hello().addCallbacks(self._welcomed, _nevermind)

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
        kind = command.kind if isinstance(command, c.Malformed) else type(command)
        if kind in _NEED_LOGIN and self._member is None:
            return succeed(self._voice.refuse(Problem.NOT_LOGGED_IN))
        if isinstance(command, c.Malformed):
            return succeed(self._voice.refuse(command.problem))
        performing = Deferred.fromCoroutine(_PERFORMERS[type(command)](self, command))
        return performing.addErrback(self._not_performed)

    def log_in(self, uid: int, password: str | None = None) -> Deferred[bool]:
        """Log in; without a password by the token of the last log-in."""
        token = None if password is not None else self._outbox(uid).token
        return self.perform(c.Auth(uid, password=password, token=token))

    def send(self, to: int, text: str) -> Deferred[Fate]:
        """
        Put a message on record and on its way; fires with its fate when the server has decided it. ``not-logged-in``
        means that nobody is logged in, or no longer: then a message that was on record is sent after the next log-in.
        """
        if self._member is None:
            return succeed(self._voice.rejection("not-logged-in", Problem.NOT_LOGGED_IN))
        return self._member.send(to, text)

    async def find(self, name: str) -> list[int]:
        """The uids of a name; what is wrong is said."""
        if self._member is None:
            self._voice.refuse(Problem.NOT_LOGGED_IN)
            return []
        try:
            answer = await self._asking.ask(c.Find(name))
        except Lost:
            self._voice.audience.say(self.words.undecided)
            return []
        if isinstance(answer, Rejected):
            self._voice.audience.say(answer.text)
        elif isinstance(answer, e.Found):
            if not answer.users:
                self._voice.tell(answer)
            return [uid for uid, _ in answer.users]
        return []

    async def log_out_quietly(self) -> None:
        """Say goodbye to the server, if it is there, when all that has arrived is acknowledged."""
        await self._read_up()
        if self._member is not None and self.connected:
            self._member.outbox.forget_token()
            try:
                await self._asking.ask(c.Logout())
            except Lost:
                return

    def _not_performed(self, failure: Failure) -> bool:
        if failure.check(Lost):
            self._voice.audience.say(self.words.undecided)
        else:
            failure.trap(sqlite3.Error, StateUnusable)
            self._voice.fail(failure.value)
        return False

    # Hearing

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, Confirmed | Rejected) and heard.to is not None:
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
        self._voice.tell(event)
        self._leave()

    def _hear_bye(self, event: e.Bye) -> None:
        self._retry_after = event.retry_after
        self._voice.tell(event)

    def _hear_rejected(self, event: Rejected) -> None:
        if event.code != "not-logged-in":  # an acknowledgement that came too late
            self._voice.audience.say(event.text)

    # Logging in and out

    def _say_hello(self) -> Deferred[e.Event]:
        """Also when the device or the language changes: the server goes by the last one."""
        hello = c.Hello(client=CLIENT, device=self._device, lang=self.lang)
        return self._asking.ask_at_once(hello)

    def _welcomed(self, answer: e.Event) -> None:
        if not isinstance(answer, e.Welcome):
            return
        self.welcomed = True
        if self._member is None:
            self._begin()
        else:
            again = Deferred.fromCoroutine(self._log_in_again(self._member))
            again.addErrback(self._not_performed)

    def _begin(self) -> None:
        """The connection is ready for what a user asks."""
        self.connected = True
        self._asking.ready()
        if not self._greeted:
            self._greeted = True
            self._voice.tell(e.Greeting())
            expectant, self._expectant = self._expectant, []
            for greeted in expectant:
                greeted.callback(None)

    async def _log_in_again(self, member: Member) -> None:
        """On a new connection, by token."""
        connection, backoff = self._connection, Backoff(0.5, 15.0)
        await self._read_up()
        while self._connection == connection and self._member is member:
            outbox = member.outbox
            auth = c.Auth(member.uid, token=outbox.token, after=outbox.last_shown)
            try:
                answer = await self._asking.ask_at_once(auth)
            except Lost:
                return
            if isinstance(answer, Rejected) and answer.code in _PASSING:
                await deferLater(self._clock, max(answer.retry_after, backoff.delay()))
                continue
            if isinstance(answer, e.LoggedIn):
                self._voice.audience.say(self.words.back)
                member.entered(answer)
            else:
                self._leave()
                self._login_refused(answer)
            self._begin()
            return
        if self._connection == connection:  # the user has logged out meanwhile
            self._begin()

    def _login_refused(self, answer: e.Event) -> None:
        if isinstance(answer, Rejected):
            self._voice.audience.say(answer.text)
            if answer.code == "bad-credentials":
                self._voice.tell(e.Greeting())

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

    # Commands

    async def _auth(self, command: c.Auth) -> bool:
        if self._member is not None:
            return self._voice.refuse(Problem.ALREADY_LOGGED_IN)
        await self._read_up()
        outbox = self._outbox(command.uid)
        self._device = outbox.device
        if self.connected:
            self._say_hello().addErrback(_nevermind)
        auth = c.Auth(command.uid, command.password, command.token, outbox.last_shown)
        answer = await self._asking.ask(auth)
        if not isinstance(answer, e.LoggedIn):
            self._login_refused(answer)
            return False
        self._voice.tell(answer)
        tell = self._asking.tell
        self._member = Member(self._clock, answer.uid, answer.name, outbox, self._voice, tell)
        self._member.entered(answer)
        return True

    async def _logout(self, command: c.Logout) -> bool:
        await self.log_out_quietly()
        self._voice.tell(e.LoggedOut())
        self._leave()
        return True

    async def _send(self, command: c.Send) -> bool:
        fate = await self.send(command.to, command.text)
        if isinstance(fate, Rejected) and fate.re is None:  # the server's was said when it came
            self._voice.audience.say(fate.text)
        return isinstance(fate, Confirmed)

    async def _request(self, command: c.Command) -> bool:
        answer = await self._asking.ask(command)
        if not isinstance(answer, Rejected):
            self._voice.tell(answer)
            return True
        self._voice.audience.say(answer.text)
        if answer.code == "not-logged-in":
            self._leave()
        return False

    async def _help(self, command: c.Help) -> bool:
        self._voice.tell(e.HelpShown())
        return True

    async def _set_lang(self, command: c.SetLang) -> bool:
        self._voice.lang = command.lang
        if self.connected:
            self._say_hello().addErrback(_nevermind)
        self._voice.tell(e.LangSet())
        return True

    async def _quit(self, command: c.Quit) -> bool:
        self._voice.tell(e.Farewell())
        return True


def _nevermind(failure: Failure) -> None:
    """The next connection begins with a hello of its own."""
    failure.trap(Lost)


_PERFORMERS: dict[type, Callable[[Conversation, Any], Coroutine[Any, Any, bool]]] = {
    c.Auth: Conversation._auth,
    c.Send: Conversation._send,
    c.Register: Conversation._request,
    c.Passwd: Conversation._request,
    c.Find: Conversation._request,
    c.Logout: Conversation._logout,
    c.Help: Conversation._help,
    c.SetLang: Conversation._set_lang,
    c.Quit: Conversation._quit,
}

_HEARERS: dict[type, Callable[[Conversation, Any], None]] = {
    e.Message: Conversation._hear_message,
    e.Kicked: Conversation._hear_kicked,
    e.Bye: Conversation._hear_bye,
    Rejected: Conversation._hear_rejected,
}
