"""What the sessions of one server share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from chatsvc.accounts.authenticator import Authenticator
from chatsvc.accounts.store import AccountStore
from chatsvc.delivery.feeds import RoomFeeds
from chatsvc.delivery.online import OnlineUsers
from chatsvc.delivery.reader import Reader
from chatsvc.delivery.router import MessageRouter
from chatsvc.history.backlog import Backlog
from chatsvc.history.history import History
from chatsvc.inbox.features import FeatureGrants
from chatsvc.inbox.interface import Inbox
from chatsvc.limits.connections import ConnectionLimits
from chatsvc.limits.take_overs import TakeOverBrake
from chatsvc.limits.token_bucket import RateLimiter
from chatsvc.observability.metrics import Metrics
from chatsvc.observability.session_log import LogBudget
from chatsvc.rooms.rooms import Rooms
from chatsvc.transport.flush import FlushConsolidator


@dataclass(frozen=True, slots=True)
class Rates:
    """
    How fast a user may go, over all connections; past a rate a connection is read more slowly.

    ``message`` is for messages, ``login`` for log-ins that succeed, ``find`` for questions after a name, all by uid;
    ``request`` is for every other command, by uid or, before a log-in, by network. ``take_over`` is for log-ins that
    end another one. ``room`` is for commands that change rooms, by uid, ``into_room`` for messages into one room, by
    its number.
    """

    message: RateLimiter[int]
    request: RateLimiter[int | str]
    login: RateLimiter[int]
    find: RateLimiter[int]
    take_over: TakeOverBrake
    room: RateLimiter[int]
    into_room: RateLimiter[int]


@dataclass(frozen=True, slots=True)
class Services:
    """
    A server's parts, as its factory, connections and sessions use them.

    ``online`` is the online-user map: it maps the uid of every user who reads on this node to the readers of that
    user's devices. ``feeds`` are those of the rooms that are read here, ``backlog`` is what waits to be archived.
    ``now`` gives seconds since 1970, ``clock`` monotonic ones. ``lang`` is the language in which a connection begins.
    ``log_budget`` bounds how often peers can cause the same line of the log.
    """

    clock: IReactorTime
    now: Callable[[], float]
    lang: str
    auth: Authenticator
    accounts: AccountStore
    inbox: Inbox
    router: MessageRouter
    flush: FlushConsolidator
    online: OnlineUsers[Reader]
    rooms: Rooms
    feeds: RoomFeeds
    history: History
    backlog: Backlog
    features: FeatureGrants
    rates: Rates
    limits: ConnectionLimits
    metrics: Metrics
    log_budget: LogBudget
