"""A session: one connection's conversation with the service. It knows no bytes and no sockets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatsvc.accounts.authenticator import Denied, Identity
from chatsvc.accounts.passwords import PasswordsBusy
from chatsvc.inbox.interface import Draft, Moved, Outcome
from chatsvc.limits.rates import network_of
from chatsvc.limits.wait_list import Caller
from chatsvc.observability.session_log import SessionLog
from chatsvc.outcome import answer
from chatsvc.pipeline import CommandPipeline, Connection
from chatsvc.reader import Reader
from chatsvc.services import Services
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem, code_of

_BUSY_RETRY = 1.0
"""Seconds after which a client should repeat what found too many passwords waiting to be hashed."""


@dataclass(frozen=True, slots=True)
class _LoggedIn:
    """
    The user who is logged in, since when; ``reader`` is None for one who only sends.

    ``device_generation`` is that of the device that messages are sent as, None without a device.
    """

    uid: int
    name: str
    reader: Reader | None
    since: float
    device_generation: int | None


class Session(CommandPipeline):
    """
    One connection's session: it carries out commands, and owns the reader of the user who is logged in.

    Each kind of command has a handler in the table at the end.
    """

    def __init__(self, services: Services, connection: Connection) -> None:
        super().__init__(services.clock, services.limits, connection)
        self._services = services
        self._log = SessionLog(connection.number, connection.address, services.log_budget)
        self._user: _LoggedIn | None = None
        # None: another device was asked for and could not be claimed, so nobody knows which numbers are free.
        self._device: str | None = ""
        self._authenticating: Deferred[Identity] | None = None
        self._paused = False

    @property
    def _caller(self) -> Caller:
        return Caller.at(self._connection.address, self._connection.number)

    @property
    def logged_in(self) -> bool:
        """Whether a user is logged in."""
        return self._user is not None

    def charge_request(self) -> None:
        """Count something that makes work and is no message: a command, or bytes that lead to none."""
        who = self._user.uid if self._user else network_of(self._connection.address)
        self._slow_down("request-rate", self._services.rates.request.delay(who))

    def pause(self) -> None:
        """Deliver no messages for now: the connection can take no more."""
        self._paused = True
        self._connection.hold("output")
        if self._user and self._user.reader:
            self._user.reader.pause()

    def resume(self) -> None:
        """Deliver messages again."""
        self._paused = False
        self._connection.release("output")
        if self._user and self._user.reader:
            self._user.reader.resume()

    def stop(self) -> None:
        """Carry out and answer nothing more: the connection is about to close. What it has received still counts."""
        super().stop()
        if self._authenticating is not None:
            self._authenticating.cancel()  # nobody is there to come in

    def close(self, why: str) -> None:
        """End the session of a connection that is gone; ``why`` is a word for the log."""
        self.stop()
        self._leave(why)

    async def _perform(self, command: c.Command) -> None:
        kind = (command.kind or c.Malformed) if isinstance(command, c.Malformed) else type(command)
        route = _ROUTES[kind]
        # A message has a rate of its own, once it can be sent.
        if type(command) is not c.Send or self._user is None:
            self.charge_request()
        if route.needs_login and self._user is None:
            self._refuse(command, Problem.NOT_LOGGED_IN)
        elif isinstance(command, c.Malformed):
            self._refuse(command, command.problem)
        else:
            try:
                await route.handler(self, command)
            except Denied as denied:
                self._refuse(command, denied.problem, retry_after=denied.retry_after)
            except StoreUnavailable:
                self._refuse(command, Problem.STORE_UNAVAILABLE)
            except PasswordsBusy:
                self._refuse(command, Problem.THROTTLED, retry_after=_BUSY_RETRY)

    def _broken(self, failure: Failure, command: c.Command) -> None:
        if failure.check(CancelledError):
            return  # the server is stopping
        uid = self._user.uid if self._user is not None else None
        self._log.broken(uid, type(command).__name__, failure)
        self._refuse(command, Problem.STORE_UNAVAILABLE)

    def _say(self, event: e.Event) -> None:
        if not self._closed:
            self._connection.say(event)

    def _refuse(self, command: c.Command, problem: Problem, **details: Any) -> None:
        to = command.to if isinstance(command, c.Send | c.Malformed) else None
        self._services.metrics.refusals[problem].inc()
        if type(command) is c.Auth:
            self._services.metrics.logins[code_of(problem)].inc()
        self._say(e.Refused(problem, to=to, re=command.n, **details))

    # Messages

    def _send_at_once(self, command: c.Command, size: int) -> bool:
        """Take the short way: what must be known of sender and recipient is known."""
        user, services = self._user, self._services
        if type(command) is not c.Send or user is None or self._device is None:
            return False
        if command.again and not self._device:
            return False
        if command.to not in services.online and services.accounts.cached_name(command.to) is None:
            return False
        self._route(user, command, size)
        return True

    def _route(self, user: _LoggedIn, command: c.Send, size: int) -> None:
        services = self._services
        at = int(services.now() * 1000)
        # Without a device the number counts nothing, it only names the request.
        n = command.n if self._device else None
        reader = user.reader
        generation = reader.generation if reader is not None else None
        draft = Draft(
            *(command.to, user.uid, user.name, at, command.text),
            *(self._device or "", n, command.again, generation, user.device_generation),
        )
        self._in_router += 1
        services.router.send(draft, partial(self._on_outcome, command, size))
        delay = services.rates.message.delay(user.uid)
        if delay:
            self._slow_down("message-rate", delay)

    async def _send(self, command: c.Send) -> None:
        user = self._user
        if self._device is None:
            raise StoreUnavailable("the device could not be claimed")
        if command.again and not self._device:
            raise Denied(Problem.BAD_FIELD)  # nobody could tell whether it was stored before
        if await self._services.accounts.name(command.to) is None:
            assert user is not None
            self._slow_down("message-rate", self._services.rates.message.delay(user.uid))
            self._refuse(command, Problem.UNKNOWN_USER)
        elif self._user is None:  # logged out by another log-in meanwhile
            self._refuse(command, Problem.NOT_LOGGED_IN)
        else:
            size = self._performing_size
            self._unanswered_bytes += size  # until the outcome: the pipeline is done with it now
            self._route(self._user, command, size)

    def _on_outcome(
        self, command: c.Send, size: int, outcome: Outcome | None, message: e.Message
    ) -> None:
        self._in_router -= 1
        self._unanswered_bytes -= size
        if self._closed:
            return
        try:
            self._connection.say(answer(command, outcome, message, self._services.online))
        except Exception:
            # A sender that waits for ever would be worse than one that has to come again.
            self._log.broken(None, "Sent", Failure())
            self._connection.close("error")
            return
        if type(outcome) is Moved:
            self.taken_over()
        if self._queue:
            self._proceed()
        if self._overloaded:
            self._relieve()

    def _acknowledge(self, command: c.Ack) -> None:
        user = self._user
        if user is None:
            self._refuse(command, Problem.NOT_LOGGED_IN)
        # What acknowledges nothing new is work for nothing.
        if user is None or user.reader is None or not user.reader.acknowledge(command.id):
            self.charge_request()

    # Log-in and log-out

    async def _auth(self, command: c.Auth) -> None:
        if self._user is not None:
            raise Denied(Problem.ALREADY_LOGGED_IN)
        services = self._services
        checking = services.auth.authenticate(self._caller, command)
        self._authenticating = Deferred.fromCoroutine(checking)
        try:
            identity = await self._authenticating
        except Denied as denied:
            # A mistyped uid may be a password: only one that is known is logged.
            known = services.accounts.cached_name(command.uid) is not None
            self._log.refused(command.uid if known else None, denied.problem)
            if denied.retry_after:
                self._connection.expect_again(denied.retry_after)
            raise
        finally:
            self._authenticating = None
        await self._enter(identity, command)

    async def _enter(self, identity: Identity, command: c.Auth) -> None:
        services, account = self._services, identity.account
        uid, reader, epoch, generation = account.uid, None, "", None
        if self._closed:
            return
        if command.receive:
            reader, epoch, waiting = await self._take_over(uid, command.after)
            generation = reader.generation if self._device else None
        elif self._device:
            claim = await services.inbox.claim_device(uid, self._device)
            generation, waiting = claim.generation, claim.waiting
        else:
            waiting = await services.inbox.count(uid)
        if self._closed:
            return
        since = services.clock.seconds()
        self._user = _LoggedIn(uid, account.name, reader, since, generation)
        self._connection.authenticated()
        services.metrics.logins["ok"].inc()
        self._log.logged_in(uid, receives=reader is not None)
        self._slow_down("request-rate", services.rates.login.delay(uid))
        token = services.auth.issue_token(identity)
        self._say(e.LoggedIn(uid, account.name, token, epoch, waiting, re=command.n))
        if reader is not None:
            self._connection.track_acks(reader.acknowledge)
            if not self._paused:
                reader.resume()

    async def _take_over(self, uid: int, after: int | None) -> tuple[Reader, str, int]:
        """Claim the inbox, and log out the session that held it here, unless this connection has ended meanwhile."""
        services = self._services
        older = services.online.get(uid)
        if older is not None:
            older.poll_acks()
        await services.router.removed(uid)  # or the claim would make these removals stale
        claim = await services.inbox.claim(uid, after, device=self._device or "")
        services.router.expired(claim.expired)
        reader = Reader(
            services.clock,
            services.inbox,
            services.router,
            uid,
            claim,
            self,
            self._connection.deliver,
            services.metrics.handed,
            after or 0,
        )
        older = services.online.get(uid)
        if not self._closed:
            services.online[uid] = reader
            if older is not None:
                older.taken_over()
        elif older is None:
            reader.close()
        # Else the older one stays; it claims anew when its next removal is refused.
        return reader, claim.epoch, claim.waiting

    def _leave(self, why: str) -> None:
        user, self._user = self._user, None
        if user is None:
            return
        self._log.logged_out(user.uid, self._services.clock.seconds() - user.since, why)
        self._connection.logged_out()
        if user.reader is not None:
            self._connection.stop_tracking_acks()
            self._forget(user.reader)

    def _forget(self, reader: Reader) -> None:
        reader.close()
        if self._services.online.get(reader.uid) is reader:
            del self._services.online[reader.uid]

    async def _logout(self, command: c.Logout) -> None:
        self._leave("logout")
        self._say(e.LoggedOut(re=command.n))

    # What a reader asks of its owner

    def poll_acks(self) -> None:
        self._connection.poll_acks()

    def taken_over(self) -> None:
        if self._user is not None:
            self._leave("logged-in-elsewhere")
            self._say(e.Kicked())

    def inbox_restarted(self) -> None:
        self._connection.inbox_restarted()

    def failed(self) -> None:
        self._connection.close("inbox-unreadable")

    # Accounts

    async def _register(self, command: c.Register) -> None:
        uid = await self._services.auth.register(self._connection.address, command)
        self._log.registered(uid)
        self._say(e.Registered(uid, re=command.n))

    async def _passwd(self, command: c.Passwd) -> None:
        assert self._user is not None
        auth, uid = self._services.auth, self._user.uid
        identity = await auth.change_password(self._caller, uid, command)
        self._log.password_changed(uid)
        token = auth.issue_token(identity) if command.token else ""
        self._say(e.PasswordChanged(token, re=command.n))

    async def _find(self, command: c.Find) -> None:
        assert self._user is not None
        self._slow_down("find-rate", self._services.rates.find.delay(self._user.uid))
        uids = await self._services.accounts.find(command.name)
        here = self._services.online
        elsewhere = await self._services.inbox.elsewhere([uid for uid in uids if uid not in here])
        users = tuple((uid, uid in here or uid in elsewhere) for uid in uids)
        self._say(e.Found(command.name, users, re=command.n))

    # The conversation itself

    async def _hello(self, command: c.Hello) -> None:
        if self._user is not None and command.device != self._device:
            await self._change_device(self._user, command.device)
        self._device = command.device
        if command.lang:
            self._connection.speak(command.lang)
        self._say(e.Welcome(self._services.auth.registration, re=command.n))

    async def _change_device(self, user: _LoggedIn, device: str) -> None:
        self._device, generation = None, None
        if device:
            generation = (await self._services.inbox.claim_device(user.uid, device)).generation
        if self._user is user:  # not logged out meanwhile
            self._user = replace(user, device_generation=generation)

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


@dataclass(frozen=True, slots=True)
class _Route:
    """How a kind of command is carried out."""

    handler: Callable[[Session, Any], Awaitable[None]]
    needs_login: bool = False


async def _nothing(session: Session, command: c.Command) -> None:
    """Take the place of a handler for what is malformed beyond recognition: it is refused before."""


_ROUTES: dict[type[c.Command], _Route] = {
    c.Hello: _Route(Session._hello),
    c.Auth: _Route(Session._auth),
    c.Send: _Route(Session._send, needs_login=True),
    c.Register: _Route(Session._register),
    c.Passwd: _Route(Session._passwd, needs_login=True),
    c.Find: _Route(Session._find, needs_login=True),
    c.Logout: _Route(Session._logout, needs_login=True),
    c.Ping: _Route(Session._ping),
    c.Help: _Route(Session._help),
    c.SetLang: _Route(Session._set_lang),
    c.Quit: _Route(Session._quit),
    c.Malformed: _Route(_nothing),
}
