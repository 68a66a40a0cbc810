"""
The client's side of the conversation: who is logged in, what is on its way, what is said of it. It does no I/O but that
of its outbox.

A connection hands it frames and takes frames from it; a front end performs commands on it and is told what to show. A
program may be the front end: see :class:`Audience`, :meth:`Conversation.log_in` and :meth:`Conversation.send`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, Protocol

from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from chatsvc import __version__
from chatsvc.client.asking import Asking, Lost
from chatsvc.client.backoff import Backoff
from chatsvc.client.outbox import Entry, Outbox, StateUnusable
from chatsvc.client.posting import Posting
from chatsvc.client.reading import Reader, Reading
from chatsvc.client.words import WORDS, Words
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.phrases import PHRASES
from chatsvc.wire.problems import Problem
from chatsvc.wire.structured_client import Confirmed, Heard, Rejected, parse
from chatsvc.wire.text import TextDialect, harmless

CLIENT = f"chatsvc/{__version__}"

_NEED_LOGIN = frozenset({c.Send, c.Passwd, c.Find, c.Logout})
_PASSING = frozenset({"throttled", "store-unavailable"})
"""Refusals of a log-in that say nothing against it."""

Fate = Confirmed | Rejected


class Audience(Reader, Protocol):
    """Who hears what is said. ``show`` and ``recorded`` are those of :class:`~chatsvc.client.reading.Reader`."""

    def say(self, text: str) -> None:
        """Something other than a message."""

    def failed(self, line: str) -> None:
        """The state cannot be written, or messages cannot be shown: this cannot go on."""


@dataclass(frozen=True, slots=True)
class _Member:
    """Who is logged in, on this connection or the next."""

    uid: int
    name: str
    outbox: Outbox
    posting: Posting


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
        self._audience = audience
        self._dialect = TextDialect(lang)
        self._asking = Asking()
        self._outboxes: dict[int, Outbox] = {}
        self._device = ""
        self._connection = 0
        self._greeted = False
        self._expectant: list[Deferred[None]] = []
        self._member: _Member | None = None
        self._reading: Reading | None = None
        self._fates: dict[int, Deferred[Fate]] = {}
        self._postponed: set[int] = set()
        self._retry_after: float | None = None
        self.connected = False
        self.heard = 0

    # What a front end wants to know

    @property
    def lang(self) -> str:
        """The language of what is shown."""
        return self._dialect.lang

    @property
    def words(self) -> Words:
        """The client's own words in that language."""
        return WORDS[self.lang]

    @property
    def logged_in(self) -> bool:
        """Whether somebody is logged in, even if the connection is lost just now."""
        return self._member is not None

    @property
    def unconfirmed(self) -> int:
        """How many messages of who is logged in the server has not confirmed."""
        return self._member.outbox.count() if self._member else 0

    @property
    def awaited(self) -> int:
        """How many of the messages that waited at log-in have not come yet."""
        return max(0, self._reading.awaited) if self._reading else 0

    # The connection

    def connection_made(self, write: Callable[[bytes], None]) -> None:
        """There is a connection; ``write`` sends a frame."""
        self._connection += 1
        self._retry_after = None
        self._asking.connected(write)
        self._say_hello().addCallbacks(self._welcomed, lambda lost: None)

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
            self._state_unusable(problem)

    def connection_lost(self) -> float | None:
        """The connection is gone; the seconds after which the server wants to be asked again, where it said so."""
        self.connected = False
        self._connection += 1
        if self._member is not None:
            self._member.posting.stop()
        if self._reading is not None:
            self._reading.retire()
        self._asking.lost()
        return self._retry_after

    async def close(self) -> None:
        """Let go of the state, when all that has arrived is recorded."""
        await self._read_up()
        self._fates.clear()
        self._leave()
        for outbox in self._outboxes.values():
            outbox.close()
        self._outboxes.clear()

    def greeted(self) -> Deferred[None]:
        """Fires when the server has welcomed us for the first time."""
        greeted: Deferred[None] = Deferred()
        if self._greeted:
            greeted.callback(None)
        else:
            self._expectant.append(greeted)
        return greeted

    # What can be done

    def perform(self, command: c.Command) -> Deferred[bool]:
        """Carry out what a user typed, and say what comes of it; fires with whether it was carried out."""
        kind = command.kind if isinstance(command, c.Malformed) else type(command)
        if kind in _NEED_LOGIN and self._member is None:
            return succeed(self._refuse(Problem.NOT_LOGGED_IN))
        if isinstance(command, c.Malformed):
            return succeed(self._refuse(command.problem))
        performing = Deferred.fromCoroutine(_PERFORMERS[type(command)](self, command))
        return performing.addErrback(self._not_performed)

    def log_in(self, uid: int, password: str | None = None) -> Deferred[bool]:
        """Log in; without a password by the token of the last log-in."""
        token = None if password is not None else self._outbox(uid).token
        return self.perform(c.Auth(uid, password=password, token=token))

    def send(self, to: int, text: str) -> Deferred[Fate]:
        """Put a message on record and on its way; fires with its fate when the server has decided it."""
        if self._member is None:
            return succeed(self._rejected("not-logged-in", Problem.NOT_LOGGED_IN))
        if abs(to) >= c.NO_UID:  # no outbox could hold it either
            return succeed(self._rejected("unknown-user", Problem.UNKNOWN_USER))
        if not text or len(text.encode()) > c.MAX_TEXT:
            return succeed(self._rejected("too-long", Problem.TOO_LONG))
        fate: Deferred[Fate] = Deferred()
        self._fates[self._member.posting.post(to, text).key] = fate
        return fate

    async def log_out_quietly(self) -> None:
        """Say goodbye to the server, if it is there, when all that has arrived is acknowledged."""
        await self._read_up()
        if self._member is not None and self.connected:
            self._member.outbox.forget_token()
            try:
                await self._asking.ask(c.Logout())
            except Lost:
                return

    # Saying

    def _say(self, event: e.Event) -> None:
        for frame in self._dialect.encode(event):
            self._audience.say(frame.decode())

    def _refuse(self, problem: Problem) -> bool:
        self._audience.say(self._rejected("", problem).text)
        return False

    def _rejected(self, code: str, problem: Problem) -> Rejected:
        return Rejected(code, PHRASES[self.lang].problems[problem])

    def _state_unusable(self, problem: BaseException | None) -> None:
        self._audience.failed(self.words.state_unusable.format(reason=problem))

    def _not_performed(self, failure: Failure) -> bool:
        if failure.check(Lost):
            self._audience.say(self.words.undecided)
        else:
            failure.trap(sqlite3.Error, StateUnusable)
            self._state_unusable(failure.value)
        return False

    def _say_hello(self) -> Deferred[e.Event]:
        """Also when the device or the language changes: the server goes by the last one."""
        return self._asking.ask_at_once(c.Hello(client=CLIENT, device=self._device, lang=self.lang))

    # Hearing

    def _hear(self, heard: Heard) -> None:
        if isinstance(heard, Confirmed | Rejected) and heard.to is not None:
            if self._member is not None:
                self._member.posting.answered(heard)
        elif isinstance(heard, e.Event) and heard.re is not None:
            self._asking.answered(heard)
        elif type(heard) in _HEARERS:
            _HEARERS[type(heard)](self, heard)

    def _hear_message(self, message: e.Message) -> None:
        if self._reading is not None:
            self._reading.arrived(message)

    def _hear_kicked(self, event: e.Kicked) -> None:
        self._leave()
        self._say(event)

    def _hear_bye(self, event: e.Bye) -> None:
        self._retry_after = event.retry_after
        self._say(event)

    def _hear_rejected(self, event: Rejected) -> None:
        if event.code != "not-logged-in":  # an acknowledgement that came too late
            self._audience.say(event.text)

    # Logging in and out

    def _welcomed(self, answer: e.Event) -> None:
        if not isinstance(answer, e.Welcome):
            return
        if self._member is None:
            self._begin()
        else:
            again = Deferred.fromCoroutine(self._log_in_again(self._member))
            again.addErrback(self._not_performed)

    def _begin(self) -> None:
        self.connected = True
        self._asking.ready()
        if not self._greeted:
            self._greeted = True
            self._say(e.Greeting())
            expectant, self._expectant = self._expectant, []
            for greeted in expectant:
                greeted.callback(None)

    async def _log_in_again(self, member: _Member) -> None:
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
            if isinstance(answer, e.LoggedIn):
                self._audience.say(self.words.back)
                self._enter(member, answer)
                self._begin()
                return
            if isinstance(answer, Rejected) and answer.code in _PASSING:
                await deferLater(self._clock, max(answer.retry_after, backoff.delay()))
                continue
            self._leave()
            self._login_refused(answer)
            self._begin()

    def _enter(self, member: _Member, event: e.LoggedIn) -> None:
        member.outbox.logged_in(event.epoch, event.token)
        self._member = member
        self._reading = Reading(
            self._clock,
            member.outbox,
            event.epoch,
            event.waiting,
            self._audience,
            lambda id: self._asking.tell(c.Ack(id)),
            self._reading_failed,
        )
        member.posting.start()

    def _reading_failed(self, failure: Failure) -> None:
        self._state_unusable(failure.value)

    def _login_refused(self, answer: e.Event) -> None:
        if isinstance(answer, Rejected):
            self._audience.say(answer.text)
            if answer.code == "bad-credentials":
                self._say(e.Greeting())

    def _leave(self) -> None:
        """Nobody is logged in any more; what is unconfirmed is sent after the next log-in."""
        member, self._member = self._member, None
        if member is None:
            return
        member.posting.stop()
        if self._reading is not None:
            self._reading.retire()
        fates, self._fates = self._fates, {}
        for fate in fates.values():
            fate.callback(self._rejected("not-logged-in", Problem.NOT_LOGGED_IN))

    async def _read_up(self) -> None:
        """Wait until all that has arrived is recorded, or a new log-in might bring it once more."""
        if self._reading is not None:
            await self._reading.settled()

    def _outbox(self, uid: int) -> Outbox:
        """Kept until the end: who logs in again has the same device."""
        if uid not in self._outboxes:
            self._outboxes[uid] = self._open_outbox(uid)
        return self._outboxes[uid]

    # Commands

    async def _auth(self, command: c.Auth) -> bool:
        if self._member is not None:
            return self._refuse(Problem.ALREADY_LOGGED_IN)
        await self._read_up()
        outbox = self._outbox(command.uid)
        self._device = outbox.device
        if self.connected:
            self._say_hello().addErrback(lambda lost: None)
        after = outbox.last_shown
        answer = await self._asking.ask(c.Auth(command.uid, command.password, command.token, after))
        if not isinstance(answer, e.LoggedIn):
            self._login_refused(answer)
            return False
        self._say(answer)
        posting = Posting(self._clock, outbox, self._asking.tell, self._settled, self._put_off)
        self._enter(_Member(answer.uid, answer.name, outbox, posting), answer)
        return True

    async def _logout(self, command: c.Logout) -> bool:
        await self.log_out_quietly()
        self._leave()
        self._say(e.LoggedOut())
        return True

    async def _send(self, command: c.Send) -> bool:
        fate = await self.send(command.to, command.text)
        if isinstance(fate, Rejected) and fate.re is None:  # else it is said where it is heard
            self._audience.say(fate.text)
        return isinstance(fate, Confirmed)

    async def _request(self, command: c.Command) -> bool:
        answer = await self._asking.ask(command)
        if isinstance(answer, Rejected):
            self._audience.say(answer.text)
            if answer.code == "not-logged-in":
                self._leave()
            return False
        self._say(answer)
        return True

    async def _help(self, command: c.Help) -> bool:
        self._say(e.HelpShown())
        return True

    async def _set_lang(self, command: c.SetLang) -> bool:
        self._dialect.lang = command.lang
        if self.connected:
            self._say_hello().addErrback(lambda lost: None)
        self._say(e.LangSet())
        return True

    async def _quit(self, command: c.Quit) -> bool:
        self._say(e.Farewell())
        return True

    # Messages on their way

    def _settled(self, entry: Entry, answer: Fate) -> None:
        self._postponed.discard(entry.key)
        member = self._member
        if isinstance(answer, Rejected):
            self._audience.say(answer.text)
        elif member is not None:
            message = e.Message(answer.id or 0, member.uid, member.name, answer.at, entry.text)
            self._say(
                e.Sent(
                    entry.to, answer.id, message, answer.online, answer.waiting, answer.duplicate
                )
            )
        fate = self._fates.pop(entry.key, None)
        if fate is not None:
            fate.callback(answer)

    def _put_off(self, entry: Entry, answer: Rejected) -> None:
        if entry.key not in self._postponed:
            self._postponed.add(entry.key)
            self._audience.say(self.words.postponed.format(text=harmless(entry.text)))


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
