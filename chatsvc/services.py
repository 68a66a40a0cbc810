"""What all sessions of one server share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime

from chatsvc.accounts.passwords import PasswordHasherPool
from chatsvc.accounts.store import AccountStore
from chatsvc.accounts.tokens import Tokens
from chatsvc.flush import FlushConsolidator
from chatsvc.inbox.interface import IInbox
from chatsvc.limits.connections import ConnectionLimits
from chatsvc.limits.login_throttle import LoginThrottle
from chatsvc.limits.token_bucket import AddressLimit, Rate, RateLimiter, RegistrationLimit
from chatsvc.observability.metrics import Metrics
from chatsvc.observability.session_log import LogBudget
from chatsvc.reader import Reader
from chatsvc.router import MessageRouter

DEAD_TOKENS = Rate(10, 1000)
"""Tokens that no longer count, from an address: once for everybody in a large office. Each costs two HMACs."""


@dataclass(frozen=True, slots=True)
class Services:
    """
    ``online`` maps the uid of everybody who reads here to the reader; ``now`` gives seconds since 1970.

    ``message_rate`` is for messages, by uid; ``request_rate`` for all else that makes work, by uid or, before a log-in,
    by address; ``login_rate`` for log-ins that succeed, ``find_rate`` for questions after a name, both by uid;
    ``dead_tokens`` for tokens that no longer count. ``brevity`` is how often the log has what a peer can cause.
    """

    clock: IReactorTime
    now: Callable[[], float]
    accounts: AccountStore
    passwords: PasswordHasherPool
    tokens: Tokens
    inbox: IInbox
    post: MessageRouter
    outgoing: FlushConsolidator
    online: dict[int, Reader]
    message_rate: RateLimiter[int]
    request_rate: RateLimiter[int | str]
    login_rate: RateLimiter[int]
    find_rate: RateLimiter[int]
    login_throttle: LoginThrottle
    registration_limit: RegistrationLimit
    registration: bool
    lang: str
    dead_tokens: AddressLimit = field(
        default_factory=lambda: AddressLimit(DEAD_TOKENS, time.monotonic)
    )
    brevity: LogBudget = field(default_factory=lambda: LogBudget(time.monotonic))
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    metrics: Metrics = field(default_factory=Metrics)
