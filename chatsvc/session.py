"""A session: one connection's conversation with the service. It knows no bytes and no sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatsvc.accounts import authenticator
from chatsvc.accounts.authenticator import Denied
from chatsvc.accounts.passwords import PasswordsBusy
from chatsvc.accounts.store import Account
from chatsvc.connection import Connection
from chatsvc.inbox.interface import Draft, Duplicate, Full, Gap, Moved, Outcome, Stored
from chatsvc.limits.network import network_of
from chatsvc.limits.wait_list import Caller
from chatsvc.observability.session_log import SessionLog
from chatsvc.pipeline import CommandPipeline
from chatsvc.reader import Reader
from chatsvc.services import Services
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem, code_of

_BUSY_RETRY = 1.0


@dataclass(frozen=True, slots=True)
class _Member:
    """
    Who is logged in, since when; ``reader`` is None for one who only sends. ``sending`` is the generation of the
    device, None without one.
    """

    uid: int
    name: str
    reader: Reader | None
    since: float
    sending: int | None


class Session(CommandPipeline):
    """One connection's session."""

    def __init__(self, chat: Services, connection: Connection) -> None:
        super().__init__(chat.clock, chat.limits, connection)
        self._chat = chat
        self._logbook = SessionLog(connection.number, connection.address, chat.brevity)
        # What a reader has for its owner goes out at once.
        self.deliver = connection.deliver
        self._member: _Member | None = None
        # None: another one was asked for, and could not be claimed. Under which numbers one sends, nobody knows.
        self._device: str | None = ""
        self._log_in: Deferred[tuple[Account, str]] | None = None
        self._paused = False

    @property
    def _caller(self) -> Caller:
        return Caller.at(self._connection.address, self._connection.number)

    @property
    def logged_in(self) -> bool:
        return self._member is not None

    def count(self) -> None:
        """Something has come that makes work and is no message: a command, or what leads to none."""
        who = self._member.uid if self._member else network_of(self._connection.address)
        self._slow_down("request-rate", self._chat.request_rate.delay(who))

    def pause(self) -> None:
        """The connection can take no more for now."""
        self._paused = True
        self._connection.hold("output")
        if self._member and self._member.reader:
            self._member.reader.pause()

    def resume(self) -> None:
        """The connection can take more again."""
        self._paused = False
        self._connection.release("output")
        if self._member and self._member.reader:
            self._member.reader.resume()

    def stop(self) -> None:
        """The connection is about to close: carry out and answer nothing more. What it has received still counts."""
        super().stop()
        if self._log_in is not None:
            self._log_in.cancel()  # nobody is there to come in

    def close(self, why: str) -> None:
        """The connection is gone; ``why`` is a word for the log."""
        self.stop()
        self._leave(why)

    async def _perform(self, command: c.Command) -> None:
        kind = (command.kind or c.Malformed) if isinstance(command, c.Malformed) else type(command)
        # A message has a rate of its own, once it can be sent.
        if type(command) is not c.Send or self._member is None:
            self.count()
        needs_login, handler = _HANDLERS[kind]
        if needs_login and self._member is None:
            self._refuse(command, Problem.NOT_LOGGED_IN)
        elif isinstance(command, c.Malformed):
            self._refuse(command, command.problem)
        else:
            try:
                await handler(self, command)
            except Denied as refusal:
                self._refuse(command, refusal.problem, retry_after=refusal.retry_after)
            except StoreUnavailable:
                self._refuse(command, Problem.STORE_UNAVAILABLE)
            except PasswordsBusy:
                self._refuse(command, Problem.THROTTLED, retry_after=_BUSY_RETRY)

    def _broken(self, failure: Failure, command: c.Command) -> None:
        if failure.check(CancelledError):
            return  # the server is stopping
        uid = self._member.uid if self._member is not None else None
        self._logbook.broken(uid, type(command).__name__, failure)
        self._refuse(command, Problem.STORE_UNAVAILABLE)

    def _say(self, event: e.Event) -> None:
        if not self._closed:
            self._connection.say(event)

    def _refuse(self, command: c.Command, problem: Problem, **details: Any) -> None:
        to = command.to if isinstance(command, c.Send | c.Malformed) else None
        self._chat.metrics.refusals[problem].inc()
        if type(command) is c.Auth:
            self._chat.metrics.logins[code_of(problem)].inc()
        self._say(e.Refused(problem, to=to, re=command.n, **details))

    # Messages

    def _post_at_once(self, command: c.Command, size: int) -> bool:
        """The short way of a message, when everything that must be known is known."""
        member, chat = self._member, self._chat
        if type(command) is not c.Send or member is None or self._device is None:
            return False
        if command.again and not self._device:
            return False
        if command.to not in chat.online and chat.accounts.cached_name(command.to) is None:
            return False
        self._post(member, command, size)
        return True

    def _post(self, member: _Member, command: c.Send, size: int) -> None:
        chat = self._chat
        at = int(chat.now() * 1000)
        # Without a device the number counts nothing, it only names the request.
        n = command.n if self._device else None
        reader = member.reader
        generation = reader.generation if reader is not None else None
        draft = Draft(
            *(command.to, member.uid, member.name, at, command.text),
            *(self._device or "", n, command.again, generation, member.sending),
        )
        self._in_post += 1
        chat.post.send(draft, partial(self._on_outcome, command, size))
        delay = chat.message_rate.delay(member.uid)
        if delay:
            self._slow_down("message-rate", delay)

    async def _send(self, command: c.Send) -> None:
        member = self._member
        if self._device is None:
            raise StoreUnavailable("the device could not be claimed")
        if command.again and not self._device:
            raise Denied(Problem.BAD_FIELD)  # nobody could tell whether it was stored before
        if await self._chat.accounts.name(command.to) is None:
            assert member is not None
            self._slow_down("message-rate", self._chat.message_rate.delay(member.uid))
            self._refuse(command, Problem.UNKNOWN_USER)
        elif self._member is None:  # kicked meanwhile
            self._refuse(command, Problem.NOT_LOGGED_IN)
        else:
            size = len(command.text)
            self._unanswered_bytes += size
            self._post(self._member, command, size)

    def _on_outcome(
        self, command: c.Send, size: int, outcome: Outcome | None, message: e.Message
    ) -> None:
        self._in_post -= 1
        self._unanswered_bytes -= size
        if self._closed:
            return
        self._connection.say(self._answer(command, outcome, message))
        if type(outcome) is Moved:
            self.taken_over()
        if self._queue:
            self._proceed()
        if self._overloaded:
            self._relieve()

    def _answer(self, command: c.Send, outcome: Outcome | None, message: e.Message) -> e.Event:
        to, n = command.to, command.n
        if isinstance(outcome, Stored | Duplicate):
            online = outcome.elsewhere or to in self._chat.online
            repeated = isinstance(outcome, Duplicate)
            return e.Sent(to, outcome.id, message, online, outcome.waiting, repeated, re=n)
        if isinstance(outcome, Full):
            problem = Problem.SHARE_FULL if outcome.share else Problem.INBOX_FULL
            return e.Refused(problem, to=to, waiting=outcome.waiting, re=n)
        if isinstance(outcome, Moved):
            return e.Refused(Problem.NOT_LOGGED_IN, to=to, re=n)
        if isinstance(outcome, Gap):
            return e.Refused(Problem.GAP, to=to, expected=outcome.expected, re=n)
        return e.Refused(Problem.MAYBE_NOT_STORED, to=to, re=n)

    def _acknowledge(self, command: c.Ack) -> None:
        member = self._member
        if member is None:
            self._refuse(command, Problem.NOT_LOGGED_IN)
        # What acknowledges nothing new is work for nothing.
        if member is None or member.reader is None or not member.reader.acknowledge(command.id):
            self.count()

    # Log-in and log-out

    async def _auth(self, command: c.Auth) -> None:
        if self._member is not None:
            raise Denied(Problem.ALREADY_LOGGED_IN)
        chat = self._chat
        self._log_in = Deferred.fromCoroutine(
            authenticator.authenticate(chat, self._caller, command)
        )
        try:
            account, stored = await self._log_in
        except Denied as refusal:
            # Who mistypes may have typed a password there.
            known = chat.accounts.cached_name(command.uid) is not None
            self._logbook.refused(command.uid if known else None, refusal.problem)
            if refusal.retry_after:
                self._connection.expect_again(refusal.retry_after)
            raise
        finally:
            self._log_in = None
        await self._enter(account, stored, command)

    async def _enter(self, account: Account, stored: str, command: c.Auth) -> None:
        chat, uid = self._chat, account.uid
        reader, epoch, sending = None, "", None
        if self._closed:
            return
        if command.receive:
            reader, epoch, waiting = await self._take_over(uid, command.after)
            sending = reader.generation if self._device else None
        elif self._device:
            claim = await chat.inbox.claim_device(uid, self._device)
            sending, waiting = claim.generation, claim.waiting
        else:
            waiting = await chat.inbox.count(uid)
        if self._closed:
            return
        self._member = _Member(uid, account.name, reader, chat.clock.seconds(), sending)
        self._connection.authenticated()
        chat.metrics.logins["ok"].inc()
        self._logbook.logged_in(uid, receives=reader is not None)
        self._slow_down("request-rate", chat.login_rate.delay(uid))
        token = chat.tokens.issue(uid, stored, account.locks)
        self._say(e.LoggedIn(uid, account.name, token, epoch, waiting, re=command.n))
        if reader is not None:
            self._connection.track_acks(reader.acknowledge)
            if not self._paused:
                reader.resume()

    async def _take_over(self, uid: int, after: int | None) -> tuple[Reader, str, int]:
        """Claim the inbox, and log out whoever held it here, unless this connection has ended meanwhile."""
        chat = self._chat
        older = chat.online.get(uid)
        if older is not None:
            older.poll_acks()
        await chat.post.removed(uid)  # or the claim would make these removals stale
        claim = await chat.inbox.claim(uid, after, device=self._device or "")
        chat.post.expired(claim.expired)
        reader = Reader(chat.clock, chat.inbox, chat.post, uid, claim, self, after or 0)
        older = chat.online.get(uid)
        if not self._closed:
            chat.online[uid] = reader
            if older is not None:
                older.taken_over()
        elif older is None:
            reader.close()
        # Else the older one stays; it claims anew when its next removal is refused.
        return reader, claim.epoch, claim.waiting

    def _leave(self, why: str) -> None:
        member, self._member = self._member, None
        if member is None:
            return
        self._logbook.logged_out(member.uid, self._chat.clock.seconds() - member.since, why)
        self._connection.logged_out()
        if member.reader is not None:
            self._connection.stop_tracking_acks()
            self._forget(member.reader)

    def _forget(self, reader: Reader) -> None:
        reader.close()
        if self._chat.online.get(reader.uid) is reader:
            del self._chat.online[reader.uid]

    async def _logout(self, command: c.Logout) -> None:
        self._leave("logout")
        self._say(e.LoggedOut(re=command.n))

    # What the reader tells its owner

    def poll_acks(self) -> None:
        self._connection.poll_acks()

    def taken_over(self) -> None:
        if self._member is not None:
            self._leave("logged-in-elsewhere")
            self._say(e.Kicked())

    def inbox_restarted(self) -> None:
        self._connection.inbox_restarted()

    def failed(self) -> None:
        self._connection.close("inbox-unreadable")

    # Accounts

    async def _register(self, command: c.Register) -> None:
        uid = await authenticator.register(self._chat, self._connection.address, command)
        self._logbook.registered(uid)
        self._say(e.Registered(uid, re=command.n))

    async def _passwd(self, command: c.Passwd) -> None:
        assert self._member is not None
        uid = self._member.uid
        stored, locks = await authenticator.change_password(self._chat, self._caller, uid, command)
        self._logbook.password_changed(uid)
        token = self._chat.tokens.issue(uid, stored, locks) if command.token else ""
        self._say(e.PasswordChanged(token, re=command.n))

    async def _find(self, command: c.Find) -> None:
        assert self._member is not None
        self._slow_down("find-rate", self._chat.find_rate.delay(self._member.uid))
        uids = await self._chat.accounts.find(command.name)
        here = self._chat.online
        elsewhere = await self._chat.inbox.elsewhere([uid for uid in uids if uid not in here])
        users = tuple((uid, uid in here or uid in elsewhere) for uid in uids)
        self._say(e.Found(command.name, users, re=command.n))

    # The conversation itself

    async def _hello(self, command: c.Hello) -> None:
        if self._member is not None and command.device != self._device:
            await self._change_device(self._member, command.device)
        self._device = command.device
        if command.lang:
            self._connection.speak(command.lang)
        self._say(e.Welcome(self._chat.registration, re=command.n))

    async def _change_device(self, member: _Member, device: str) -> None:
        self._device, sending = None, None
        if device:
            sending = (await self._chat.inbox.claim_device(member.uid, device)).generation
        if self._member is member:  # not logged out meanwhile
            self._member = replace(member, sending=sending)

    async def _ping(self, command: c.Ping) -> None:
        self._say(e.Pong(re=command.n))

    async def _help(self, command: c.Help) -> None:
        self._say(e.HelpShown(re=command.n))

    async def _set_lang(self, command: c.SetLang) -> None:
        self._connection.speak(command.lang)
        self._say(e.LangSet(re=command.n))

    async def _quit(self, command: c.Quit) -> None:
        self._leave("quit")
        self._say(e.Farewell(re=command.n))
        self._connection.close("quit")


_Handler = Callable[[Session, Any], Awaitable[None]]


async def _nothing(session: Session, command: c.Command) -> None:
    """What is malformed beyond recognition is refused before any handler is asked."""


_HANDLERS: dict[type[c.Command], tuple[bool, _Handler]] = {
    # command: (needs a log-in, handler)
    c.Hello: (False, Session._hello),
    c.Auth: (False, Session._auth),
    c.Send: (True, Session._send),
    c.Register: (False, Session._register),
    c.Passwd: (True, Session._passwd),
    c.Find: (True, Session._find),
    c.Logout: (True, Session._logout),
    c.Ping: (False, Session._ping),
    c.Help: (False, Session._help),
    c.SetLang: (False, Session._set_lang),
    c.Quit: (False, Session._quit),
    c.Malformed: (False, _nothing),
}
