"""What all sessions of one server share."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime

from chatsvc.accounts.passwords import Passwords
from chatsvc.accounts.store import Accounts
from chatsvc.accounts.tokens import Tokens
from chatsvc.flush import Outgoing
from chatsvc.inbox.interface import IInbox
from chatsvc.limits.login_throttle import LoginThrottle
from chatsvc.limits.rates import AddressLimit, ConnectionLimits, Pace, Rate, RegistrationLimit
from chatsvc.observability.metrics import Metrics
from chatsvc.observability.session_log import Brevity
from chatsvc.reader import Reader
from chatsvc.router import PostOffice

DEAD_TOKENS = Rate(10, 1000)
"""Tokens that no longer count, from an address: once for everybody in a large office. Each costs two HMACs."""


@dataclass(frozen=True, slots=True)
class Chat:
    """
    ``online`` maps the uid of everybody who reads here to the reader; ``now`` gives seconds since 1970.

    ``message_rate`` is for messages, by uid; ``request_rate`` for all else that makes work, by uid or, before a log-in,
    by address; ``login_rate`` for log-ins that succeed, ``find_rate`` for questions after a name, both by uid;
    ``dead_tokens`` for tokens that no longer count. ``brevity`` is how often the log has what a peer can cause.
    """

    clock: IReactorTime
    now: Callable[[], float]
    accounts: Accounts
    passwords: Passwords
    tokens: Tokens
    inbox: IInbox
    post: PostOffice
    outgoing: Outgoing
    online: dict[int, Reader]
    message_rate: Pace[int]
    request_rate: Pace[int | str]
    login_rate: Pace[int]
    find_rate: Pace[int]
    login_throttle: LoginThrottle
    registration_limit: RegistrationLimit
    registration: bool
    lang: str
    dead_tokens: AddressLimit = field(
        default_factory=lambda: AddressLimit(DEAD_TOKENS, time.monotonic)
    )
    brevity: Brevity = field(default_factory=lambda: Brevity(time.monotonic))
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    metrics: Metrics = field(default_factory=Metrics)
