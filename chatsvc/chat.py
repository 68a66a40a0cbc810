"""What all sessions of one server share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from twisted.internet.interfaces import IReactorTime

from chatsvc.accounts import Accounts
from chatsvc.inbox.interface import IInbox
from chatsvc.limits import ConnectionLimits, Pace, RegistrationLimit
from chatsvc.metrics import Metrics
from chatsvc.outgoing import Outgoing
from chatsvc.passwords import Passwords
from chatsvc.post import PostOffice
from chatsvc.reader import Reader
from chatsvc.throttle import LoginThrottle
from chatsvc.tokens import Tokens


@dataclass(frozen=True, slots=True)
class Chat:
    """
    ``online`` maps the uid of everybody who reads here to the reader; ``now`` gives seconds since 1970.

    ``message_rate`` is for messages, by uid; ``request_rate`` for all else that makes work, by uid or, before a log-in,
    by address; ``login_rate`` for log-ins that succeed, ``find_rate`` for questions after a name, both by uid.
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
    limits: ConnectionLimits = field(default_factory=ConnectionLimits)
    metrics: Metrics = field(default_factory=Metrics)
