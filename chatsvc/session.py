"""A session: one connection's conversation with the service. It knows no bytes and no sockets."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Container, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.python.failure import Failure

from chatsvc.accounts.authenticator import Denied
from chatsvc.accounts.passwords import BUSY_RETRY, PasswordsBusy
from chatsvc.delivery.reader import Reader
from chatsvc.delivery.room_reader import RoomReader
from chatsvc.history.backlog import SENDER_DELAY
from chatsvc.inbox.claim import Registration
from chatsvc.inbox.features import DEVICES, REFERENCES, ROOMS
from chatsvc.inbox.outcome import (
    Draft,
    Duplicate,
    Full,
    Gap,
    Moved,
    Outcome,
    Stored,
    Unregistered,
)
from chatsvc.limits.network import network_of
from chatsvc.limits.wait_list import Caller
from chatsvc.logged_in import LoggedIn
from chatsvc.observability.session_log import SessionLog
from chatsvc.pipeline import CommandPipeline, Connection
from chatsvc.rooms.room import RoomRefused
from chatsvc.services import Services
from chatsvc.storage.url import StoreUnavailable
from chatsvc.waiters import Turns, Waiters
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem, code_of

C = TypeVar("C", bound=c.Command)
M = TypeVar("M", e.Message, e.RoomMessage)

Answer = Callable[[C, Outcome | None, M, Container[int]], e.Event]
"""Gives the answer to a message, by its command, its outcome, itself, and the uids of those who read here."""


@dataclass(frozen=True, slots=True)
class Route:
    """
    How a kind of command is carried out; ``handler`` may raise whatever :meth:`Session._perform` answers.

    ``at_once`` carries a command, from a frame of so many bytes, out without waiting for anything, if that is possible;
    it returns whether it was.
    """

    handler: Callable[[Session, Any], Awaitable[None]]
    needs_login: bool = False
    at_once: Callable[[Session, Any, int], bool] | None = None


class Session(CommandPipeline):
    """
    One connection's session: it has commands carried out, and owns the reader of the user who is logged in.

    ``routes`` names the handler of each kind of command. A session sends messages itself, as that is its busiest part.
    """

    def __init__(
        self, services: Services, connection: Connection, routes: Mapping[type[c.Command], Route]
    ) -> None:
        super().__init__(services.clock, services.limits, connection)
        self._routes = routes
        self.services = services
        self.log = SessionLog(connection.number, connection.address, services.log_budget)
        self.user: LoggedIn | None = None
        # None: another device was asked for and could not be claimed, so nobody knows which numbers are free.
        self.device: str | None = ""
        self.client = ""
        # None: some were asked for, and nobody knows whether they are granted.
        self.features: tuple[str, ...] | None = ()
        self.authenticating: Deferred[Any] | None = None
        # While a log-in waits until it may end another one.
        self.turn: Deferred[None] | None = None
        # What has ended a log-in before it was answered, to be done then.
        self.early_end: Callable[[], None] | None = None
        self._paused = False
        self._relieved = Waiters[None]()
        self._answering = Turns[str]()

    @property
    def caller(self) -> Caller:
        """Who asks, as the limits of failed log-ins know it."""
        return Caller.at(self.connection.address, self.connection.number)

    @property
    def logged_in(self) -> bool:
        """Whether a user is logged in."""
        return self.user is not None

    @property
    def reads_rooms(self) -> bool:
        """Whether a log-in that receives reads its user's rooms."""
        return self.connection.is_for_people or ROOMS in (self.features or ())

    def registration(self, command: c.Auth) -> Registration | None:
        """Return what a log-in says of its registered device; None: it is on the unnamed one, or only sends."""
        if not (command.receive and self.features and DEVICES in self.features):
            return None
        return Registration(self.client, None if command.after is None else command.serial)

    def charge_request(self) -> None:
        """Count something that makes work and is no message: a command, or bytes that lead to none."""
        who = self.user.uid if self.user else network_of(self.connection.address)
        self.slow_down("request-rate", self.services.rates.request.delay(who))

    def charge_message(self, uid: int) -> None:
        """Count a message of ``uid``, or what changes one, towards the rate of messages, and wait for the archive."""
        delay = self.services.rates.message.delay(uid)
        if delay:
            self.slow_down("message-rate", delay)
        if self.services.backlog.is_over:
            self.slow_down("archive-backlog", SENDER_DELAY)

    def charge_copy(self, uid: int) -> None:
        """Count a copy, which costs what a message does: it is one, in the inbox of ``uid``, who has sent it."""
        self.slow_down("message-rate", self.services.rates.message.delay(uid))

    def pause(self) -> None:
        """Deliver no messages for now: the connection can take no more."""
        self._paused = True
        self.connection.hold("output")
        if self.user and self.user.reader:
            self.user.reader.pause()
            if self.user.rooms:
                self.user.rooms.pause()

    def resume(self) -> None:
        """Deliver messages again."""
        self._paused = False
        self.connection.release("output")
        self._relieved.fire(None)
        if self.user and self.user.reader:
            self.user.reader.resume()
            if self.user.rooms:
                self.user.rooms.resume()

    @asynccontextmanager
    async def turn_to_answer(self, kind: str) -> AsyncIterator[None]:
        """
        Wait until the connection takes more, and all earlier commands of this ``kind`` were answered.

        So only one large answer is in memory for each kind, however many are asked for (P8).
        """
        async with self._answering.turn(kind):
            while self._paused:
                await self._relieved.wait()
            yield

    def stop(self) -> None:
        """Carry out and answer nothing more: the connection is about to close. What it has received still counts."""
        super().stop()
        if self.authenticating is not None:
            self.authenticating.cancel()  # nobody is there to come in

    def peer_parted(self) -> None:
        """Take note that the peer sends no more: its log-in may be that of a process that was killed meanwhile."""
        self.parted = True
        if self.turn is not None:
            self.turn.cancel()

    def close(self, why: str) -> None:
        """End the session of a connection that is gone; ``why`` is a word for the log."""
        self.stop()
        self.leave(why)

    async def _perform(self, command: c.Command) -> None:
        kind = (command.kind or c.Malformed) if isinstance(command, c.Malformed) else type(command)
        route = self._routes[kind]
        # A message has a rate of its own, once it can be sent.
        if type(command) is not c.Send or self.user is None:
            self.charge_request()
        if route.needs_login and self.user is None:
            self.refuse(command, Problem.NOT_LOGGED_IN)
        elif isinstance(command, c.Malformed):
            self.refuse(command, command.problem)
        else:
            try:
                await route.handler(self, command)
            except Denied as denied:
                self.refuse(command, denied.problem, retry_after=denied.retry_after)
            except RoomRefused as refused:
                details = {"room": refused.room, "waiting": refused.waiting}
                self.refuse(command, refused.problem, **details)
            except StoreUnavailable:
                self.refuse(command, Problem.STORE_UNAVAILABLE)
            except PasswordsBusy:
                self.refuse(command, Problem.THROTTLED, retry_after=BUSY_RETRY)

    def _broken(self, failure: Failure, command: c.Command) -> None:
        if failure.check(CancelledError):
            return  # the server is stopping
        uid = self.user.uid if self.user is not None else None
        self.log.broken(uid, type(command).__name__, failure)
        self.refuse(command, Problem.STORE_UNAVAILABLE)

    def say(self, event: e.Event) -> None:
        """Send an event, unless the connection is about to close."""
        if not self.closed:
            self.connection.say(event)

    def refuse(self, command: c.Command, problem: Problem, **details: Any) -> None:
        """Answer a command that is not carried out; ``details`` are those of :class:`~chatsvc.wire.events.Refused`."""
        to = command.to if isinstance(command, c.Send | c.Malformed) else None
        if isinstance(command, c.SendToRoom | c.Malformed) and isinstance(command.room, int):
            details.setdefault("room", command.room)
        self.services.metrics.refusals[problem].inc()
        if type(command) is c.Auth:
            self.services.metrics.logins[code_of(problem)].inc()
        self.say(e.Refused(problem, to=to, re=command.n, **details))

    # Messages

    def _send_at_once(self, command: c.Command, size: int) -> bool:
        """Take the short way: what must be known of sender and recipient is known."""
        user, services = self.user, self.services
        if type(command) is not c.Send:
            at_once = self._routes[type(command)].at_once
            return at_once is not None and at_once(self, command, size)
        if user is None or self.device is None or (command.again and not self.device):
            return False
        if command.reply is not None and not services.features.is_known(REFERENCES):
            return False
        if command.to not in services.online and services.accounts.cached_name(command.to) is None:
            return False
        self.route(user, command, size)
        return True

    def route(self, user: LoggedIn, command: c.Send, size: int) -> None:
        """Give a message, from a frame of ``size`` bytes, to the router. Its outcome will be the answer."""
        services = self.services
        at = int(services.now() * 1000)
        # Without a device the number counts nothing, it only names the request.
        n = command.n if self.device else None
        said = (command.to, user.uid, user.name, at, command.text)
        draft = Draft(*said, self.device or "", n, command.again, *user.generations)
        if command.reply is not None:
            draft = replace(draft, reference=e.reply_to(command.reply))
        self._in_router += 1
        services.router.send(draft, partial(self.on_outcome, command, size, _answer))
        self.charge_message(user.uid)

    def on_outcome(
        self, command: C, size: int, answer: Answer[C, M], outcome: Outcome | None, message: M
    ) -> None:
        """Give the ``answer`` to a message, from a frame of ``size`` bytes, and go on with what waited for it."""
        self._in_router -= 1
        self._unanswered_bytes -= size
        if type(outcome) is Stored and outcome.copy:
            self.charge_copy(message.sender)
        if self.closed:
            return
        try:
            self.connection.say(answer(command, outcome, message, self.services.online))
        except Exception:
            # A sender that waits for ever would be worse than one that has to come again.
            self.log.broken(None, "Sent", Failure())
            self.connection.close("error")
            return
        if type(outcome) is Moved:
            self.taken_over()
        elif type(outcome) is Unregistered:
            self.forgotten()
        if self._queue:
            self._proceed()
        if self._overloaded:
            self._relieve()

    def _acknowledge(self, command: c.Ack | c.AckRoom) -> None:
        user, is_news = self.user, False
        if user is None:
            self.refuse(command, Problem.NOT_LOGGED_IN)
        elif type(command) is c.Ack and user.reader is not None:
            is_news = user.reader.acknowledge(command.id)
        elif type(command) is c.AckRoom and user.rooms is not None:
            is_news = user.rooms.acknowledge(command.room, command.id)
        if not is_news:  # work for nothing
            self.charge_request()

    # Log-in and log-out

    def enter(self, user: LoggedIn) -> None:
        """Log a user in."""
        self.user = user
        self.connection.authenticated()
        self.log.logged_in(user.uid, receives=user.reader is not None)
        self.slow_down("request-rate", self.services.rates.login.delay(user.uid))

    def begin_reading(self, reader: Reader, rooms: RoomReader | None) -> None:
        """Let the readers deliver: what they deliver comes after the answer to the log-in."""
        in_room: Callable[[int, int], object] = (
            rooms.acknowledge if rooms else lambda room, id: None
        )
        self.connection.track_acks(reader.acknowledge, in_room)
        if not self._paused:
            reader.resume()
            if rooms is not None:
                rooms.resume()

    def leave(self, why: str, by: str = "") -> None:
        """Log the user out, if one is logged in; ``why`` is a word for the log, ``by`` whence a newer log-in comes."""
        user, self.user = self.user, None
        if user is None:
            return
        self.log.logged_out(user.uid, self.services.clock.seconds() - user.since, why, by)
        self.connection.logged_out()
        if user.reader is not None:
            self.connection.stop_tracking_acks()
            if user.rooms is not None:
                user.rooms.close()
            self.drop(user.reader)

    def drop(self, reader: Reader) -> None:
        """End a reader, and take it out of the online-user map."""
        reader.close()
        self.services.online.discard(reader.uid, reader)

    # What a reader asks of its owner

    def poll_acks(self) -> None:
        self.connection.poll_acks()

    def taken_over(self, by: str = "") -> None:
        if self.user is None:
            self.early_end = partial(self.taken_over, by)
        else:
            if self.user.reader is not None:
                self.services.rates.take_over.happened(self.user.uid, self.user.device)
            self.leave("logged-in-elsewhere", by)
            self.say(e.Kicked())

    def inbox_restarted(self) -> None:
        self.connection.inbox_restarted()

    def caught_up(self) -> None:
        if self.user is not None and self.user.rooms is not None:
            self.user.rooms.read_on()

    def joined(self, mark: e.Joining) -> None:
        if self.user is not None and self.user.rooms is not None:
            self.user.rooms.joined(mark)

    # What a room reader asks

    def is_caught_up(self) -> bool:
        user = self.user
        return user is not None and user.reader is not None and user.reader.is_live

    def acknowledged_room(self, uid: int, room: int, id: int, over: bool = False) -> None:
        self.services.router.acknowledge_room(uid, room, id, over)

    def forgotten(self, on_request: bool = False) -> None:
        if self.user is None:
            self.early_end = partial(self.forgotten, on_request)
        else:
            self.services.metrics.devices_forgotten.inc()
            self.leave("device-forgotten")
            self.connection.bye("device-forgotten", forgotten=on_request)

    def failed(self) -> None:
        self.connection.close("inbox-unreadable")


def _answer(
    command: c.Send, outcome: Outcome | None, message: e.Message, online: Container[int]
) -> e.Event:
    """
    Give the answer to ``command``; ``online`` has the uids of those who read on this node.

    ``outcome`` None means that the store did not answer in time, so that nobody knows.
    """
    to, n = command.to, command.n
    if isinstance(outcome, Stored | Duplicate):
        is_online = outcome.elsewhere or to in online
        repeated = type(outcome) is Duplicate
        return e.Sent(to, outcome.id, message, is_online, outcome.waiting, repeated, re=n)
    if isinstance(outcome, Full):
        problem = Problem.SHARE_FULL if outcome.share else Problem.INBOX_FULL
        return e.Refused(problem, to=to, waiting=outcome.waiting, re=n)
    if isinstance(outcome, Moved | Unregistered):
        return e.Refused(Problem.NOT_LOGGED_IN, to=to, re=n)
    if isinstance(outcome, Gap):
        return e.Refused(Problem.GAP, to=to, expected=outcome.expected, re=n)
    return e.Refused(Problem.MAYBE_NOT_STORED, to=to, re=n)
