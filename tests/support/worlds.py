"""A server's parts in memory, and a connection that notes what it is told."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, cast

from twisted.internet.task import Clock

from chatsvc.accounts.authenticator import Authenticator
from chatsvc.accounts.passwords import PasswordHasherPool
from chatsvc.accounts.store import AccountStore
from chatsvc.accounts.tokens import Tokens
from chatsvc.delivery.feed import EntryBatch
from chatsvc.delivery.feeds import RoomFeeds
from chatsvc.delivery.online import OnlineUsers
from chatsvc.delivery.reader import Reader
from chatsvc.delivery.router import MessageRouter
from chatsvc.handlers.routes import ROUTES
from chatsvc.history.backlog import Backlog
from chatsvc.history.history import History
from chatsvc.history.limits import HistoryLimits
from chatsvc.inbox.features import FeatureGrants
from chatsvc.limits.connections import ConnectionLimits
from chatsvc.limits.login_throttle import FreeAttempts, LoginThrottle
from chatsvc.limits.take_overs import TakeOverBrake
from chatsvc.limits.token_bucket import AddressLimit, Rate, RateLimiter, RegistrationLimit
from chatsvc.observability.metrics import Metrics
from chatsvc.observability.session_log import LogBudget
from chatsvc.rooms.rooms import Rooms
from chatsvc.services import Rates, Services
from chatsvc.session import Session
from chatsvc.storage.database import Database
from chatsvc.transport.flush import FlushConsolidator
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from tests.support.fakes import MemoryAccounts, MemoryInbox, PlainPasswords
from tests.support.memory_rooms import MemoryRooms

ALICE, BOB, CAROL = 10001, 10002, 10003
UNLIMITED = Rate(0, 1)
MOST_UNANSWERED = ConnectionLimits().unanswered
DEVICE = "0123456789abcdef"


class World:
    """A server's parts, in memory."""

    def __init__(
        self,
        rate: Rate = UNLIMITED,
        registration: bool = True,
        request_rate: Rate = UNLIMITED,
        login_rate: Rate = UNLIMITED,
        find_rate: Rate = UNLIMITED,
        room_rate: Rate = UNLIMITED,
        into_room_rate: Rate = UNLIMITED,
        **limits: Any,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.inbox = MemoryInbox()
        self.accounts = MemoryAccounts(
            u10001=("alice", "a"), u10002=("bob", "b"), u10003=("carol", "c")
        )
        self.passwords = PlainPasswords()
        self.rooms = MemoryRooms()
        self.online: OnlineUsers[Reader] = OnlineUsers()
        self.flush = FlushConsolidator(self.clock)
        self.feeds = RoomFeeds(self.clock, self.inbox.rooms, cast(Rooms, self.rooms))
        self.router = MessageRouter(
            self.clock, self.inbox, self.online, self.feeds, after_batch=self.flush.flush
        )
        self.inbox.watcher = self.router
        now = self.clock.seconds
        accounts, log_budget = cast(AccountStore, self.accounts), LogBudget(now)
        self.services = Services(
            clock=self.clock,
            now=now,
            lang="en",
            auth=Authenticator(
                accounts=accounts,
                passwords=cast(PasswordHasherPool, self.passwords),
                tokens=Tokens(b"s" * 32, now=now),
                throttle=LoginThrottle(FreeAttempts(), now),
                registration_limit=RegistrationLimit(Rate(1 / 30, 20), now),
                dead_tokens=AddressLimit(Rate(10, 1000), now),
                log_budget=log_budget,
                registration=registration,
            ),
            accounts=accounts,
            inbox=self.inbox,
            rooms=cast(Rooms, self.rooms),
            feeds=self.feeds,
            history=History(self.clock, now, HistoryLimits()),
            backlog=Backlog(None, cast(Database, None), HistoryLimits()),
            router=self.router,
            flush=self.flush,
            online=self.online,
            features=FeatureGrants(self.inbox, now),
            rates=Rates(
                message=RateLimiter(rate, now),
                request=RateLimiter(request_rate, now),
                login=RateLimiter(login_rate, now),
                find=RateLimiter(find_rate, now),
                room=RateLimiter(room_rate, now),
                into_room=RateLimiter(into_room_rate, now),
                take_over=TakeOverBrake(now),
            ),
            limits=ConnectionLimits(**limits),
            metrics=Metrics(),
            log_budget=log_budget,
        )

    def let_all(self) -> None:
        """Let whatever is held be done, and what that brings about."""
        for part in (self.accounts, self.passwords, self.inbox, self.rooms):
            part.hold = set()
        for _ in range(5):
            for part in (self.accounts, self.passwords, self.inbox, self.rooms):
                part.let_all()
            self.clock.advance(0)


class RecordingConnection:
    """A connection as a session knows it."""

    number = 1
    address = "192.0.2.1"

    def __init__(self, services: Services) -> None:
        self.said: list[e.Event] = []
        self.delivered: list[e.Message] = []
        self.noted: list[Any] = []
        self.held: set[str] = set()
        self.received: Callable[[int], object] | None = None
        self.entries: list[tuple[str, e.RoomEntry]] = []
        self.is_for_people = False
        self.rooms = True  # as a person's
        self.session = Session(services, self, ROUTES)

    def say(self, event: e.Event) -> None:
        self.said.append(event)

    def deliver(self, message: e.Message) -> None:
        self.delivered.append(message)

    def deliver_entry(self, entry: e.RoomEntry, room_name: str) -> None:
        self.entries.append((room_name, entry))

    def deliver_batch(self, batch: EntryBatch, own: Collection[int]) -> None:
        for place, entry in enumerate(batch.entries):
            if place not in own:
                self.deliver_entry(entry, batch.name)

    def track_acks(
        self,
        received: Callable[[int], object],
        received_in_room: Callable[[int, int], object],
    ) -> None:
        self.received = received

    def poll_acks(self) -> None:
        if self.received is not None and self.delivered:
            self.received(self.delivered[-1].id)

    def stop_tracking_acks(self) -> None:
        self.received = None

    def speak(self, lang: str) -> None:
        self.noted.append(lang)

    def bring_devices(self, *, rooms: bool) -> None:
        self.noted.append("devices")
        self.rooms = rooms

    def hold(self, reason: str) -> None:
        self.held.add(reason)

    def release(self, reason: str) -> None:
        self.held.discard(reason)

    def logged_out(self) -> None:
        pass

    def expect_again(self, seconds: float) -> None:
        self.noted.append(("expected again", seconds))

    def authenticated(self) -> None:
        self.noted.append("settled in")

    def inbox_restarted(self) -> None:
        self.noted.append("restarted")

    def bye(self, why: str, *, forgotten: bool = False) -> None:
        self.say(e.Bye(1.0, forgotten))
        self.close(why)

    def close(self, why: str) -> None:
        self.noted.append("closed")
        self.session.stop()

    # What tests do

    def do(self, *commands: c.Command) -> None:
        for command in commands:
            self.session.command(command, 10)

    def answers(self) -> list[e.Event]:
        """What was said since this was last asked."""
        said, self.said = self.said, []
        return said
