"""A server's parts in memory, and a connection that notes what it is told."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

from twisted.internet.task import Clock

from chatsvc.accounts.passwords import PasswordHasherPool
from chatsvc.accounts.store import AccountStore
from chatsvc.accounts.tokens import Tokens
from chatsvc.flush import FlushConsolidator
from chatsvc.limits.login_throttle import FreeAttempts, LoginThrottle
from chatsvc.limits.rates import ConnectionLimits, Rate, RateLimiter, RegistrationLimit
from chatsvc.reader import Reader
from chatsvc.router import MessageRouter
from chatsvc.services import Services
from chatsvc.session import Session
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from tests.support.fakes import MemoryAccounts, MemoryInbox, PlainPasswords

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
        **limits: Any,
    ) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.inbox = MemoryInbox()
        self.accounts = MemoryAccounts(
            u10001=("alice", "a"), u10002=("bob", "b"), u10003=("carol", "c")
        )
        self.passwords = PlainPasswords()
        self.online: dict[int, Reader] = {}
        self.outgoing = FlushConsolidator(self.clock)
        self.post = MessageRouter(
            self.clock, self.inbox, self.online, after_batch=self.outgoing.flush
        )
        now = self.clock.seconds
        self.chat = Services(
            clock=self.clock,
            now=now,
            accounts=cast(AccountStore, self.accounts),
            passwords=cast(PasswordHasherPool, self.passwords),
            tokens=Tokens(b"s" * 32, now=now),
            inbox=self.inbox,
            post=self.post,
            outgoing=self.outgoing,
            online=self.online,
            message_rate=RateLimiter(rate, now),
            request_rate=RateLimiter(request_rate, now),
            login_rate=RateLimiter(login_rate, now),
            find_rate=RateLimiter(find_rate, now),
            login_throttle=LoginThrottle(FreeAttempts(), now),
            registration_limit=RegistrationLimit(Rate(1 / 30, 20), now),
            registration=registration,
            lang="en",
            limits=ConnectionLimits(**limits),
        )

    def let_all(self) -> None:
        """Let whatever is held be done, and what that brings about."""
        for part in (self.accounts, self.passwords, self.inbox):
            part.hold = set()
        for _ in range(5):
            for part in (self.accounts, self.passwords, self.inbox):
                part.let_all()
            self.clock.advance(0)


class RecordingConnection:
    """A connection as a session knows it."""

    number = 1
    address = "192.0.2.1"

    def __init__(self, chat: Services) -> None:
        self.said: list[e.Event] = []
        self.handed: list[e.Message] = []
        self.noted: list[Any] = []
        self.held: set[str] = set()
        self.received: Callable[[int], object] | None = None
        self.session = Session(chat, self)

    def say(self, event: e.Event) -> None:
        self.said.append(event)

    def deliver(self, message: e.Message) -> None:
        self.handed.append(message)

    def track_acks(self, received: Callable[[int], object]) -> None:
        self.received = received

    def poll_acks(self) -> None:
        if self.received is not None and self.handed:
            self.received(self.handed[-1].id)

    def stop_tracking_acks(self) -> None:
        self.received = None

    def speak(self, lang: str) -> None:
        self.noted.append(lang)

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
