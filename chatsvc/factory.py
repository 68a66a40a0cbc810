"""The factory of connections: it holds the online-user map and counts who is connected."""

from __future__ import annotations

import random
from collections import Counter
from itertools import count

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import Logger

from chatsvc.delivery.online import OnlineUsers
from chatsvc.delivery.reader import Reader
from chatsvc.limits.connections import MOST_REFUSED
from chatsvc.limits.network import network_of
from chatsvc.limits.unauthenticated import UnauthenticatedConnections
from chatsvc.observability.log_limiter import LogLimiter
from chatsvc.observability.periodic import PeriodicTask
from chatsvc.protocol import ChatProtocol, LegacyChatProtocol
from chatsvc.services import Services
from chatsvc.wire.events import Refused
from chatsvc.wire.problems import Problem

_MOST_REFUSED_THERE = 20
"""``MOST_REFUSED`` for one address. Those whose handshake has not ended count too."""

_SILENCE = 5.0
"""Seconds after which a connection without a log-in makes room when all places, or all of its address, are taken."""

_FULL_LOGGED = 60.0
"""Seconds in which the log says once that a limit keeps connections out."""

_REMAINING_LOGGED = 2.5
"""Seconds between two lines of the log on how many connections remain when the server stops."""

_DRAIN = 6.0
"""Seconds in which the connections of a stopping server must have ended (a stop takes ten seconds at the most)."""


class ChatFactory(Factory):
    """
    Builds connections, at most ``limits.total`` at once and ``limits.per_address`` from one address.

    Connections have the numbers ``first``, ``first + step`` and so on: workers of one server use different ones.

    A silent peer cannot keep others out: when all places are taken, the oldest connection without a log-in is cut,
    if it has had some seconds' time; when those of one address are taken, the oldest such one from there. A
    connection in its handshake has no log-in.
    """

    noisy = False
    _log = Logger()

    def __init__(self, services: Services, first: int = 1, step: int = 1) -> None:
        self.services = services
        self._limits = services.limits
        self._numbers = count(first, step)
        self._connections: set[ChatProtocol] = set()
        self._unauthenticated = UnauthenticatedConnections[ChatProtocol]()
        self._by_address: Counter[str] = Counter()
        # Those that were cut. They hold their descriptors until the reactor's next turn.
        self._cut: set[ChatProtocol] = set()
        self._cut_by_address: Counter[str] = Counter()
        self._all_gone: Deferred[None] | None = None
        self._kept_out = LogLimiter(services.clock.seconds, _FULL_LOGGED)

    @property
    def online(self) -> OnlineUsers[Reader]:
        """The online-user map: uid to the readers of the user's devices."""
        return self.services.online

    @property
    def connections(self) -> int:
        """How many are connected now."""
        return len(self._connections)

    def buildProtocol(self, addr: IAddress | None) -> ChatProtocol | None:  # type: ignore[override]
        return self.build(ChatProtocol, addr)

    def build(self, protocol: type[ChatProtocol], addr: IAddress | None) -> ChatProtocol | None:
        """Build a connection; None: not even a refusal can be sent."""
        address = getattr(addr, "host", "")
        network = network_of(address)
        self._make_room(network)
        # Some more than the limits allow come in to be refused, and some while others make room for them.
        more = 1 - MOST_REFUSED - min(len(self._cut), MOST_REFUSED)
        more_there = (
            1 - _MOST_REFUSED_THERE - min(self._cut_by_address[network], _MOST_REFUSED_THERE)
        )
        if self._all_gone is not None or self._exceeds(address, more, more_there):
            return None
        connection = protocol(next(self._numbers), address)
        connection.factory = self
        kind = "legacy" if protocol is LegacyChatProtocol else "ordinary"
        self.services.metrics.accepted[kind].inc()
        self._connections.add(connection)
        self._count(connection, 1, self._by_address)
        self.logged_out(connection)
        return connection

    def _make_room(self, network: str) -> None:
        """Make room for one more connection, in all and from a network, as far as others may be cut."""
        limits = self._limits
        while len(self._connections) - len(self._cut) >= limits.total and self._cut_oldest(None):
            pass
        if network:
            here, cut = self._by_address, self._cut_by_address
            while here[network] - cut[network] >= limits.per_address and self._cut_oldest(network):
                pass

    def _cut_oldest(self, network: str | None) -> bool:
        """Cut the oldest connection without a log-in, if it is old enough; whether there was one."""
        oldest = self._unauthenticated.oldest(self.services.clock.seconds() - _SILENCE, network)
        if oldest is None:
            return False
        self.authenticated(oldest)
        self._cut.add(oldest)
        self._count(oldest, 1, self._cut_by_address)
        self.services.metrics.ended["silent"].inc()
        oldest.cut("silent")
        return True

    def admit(self, connection: ChatProtocol) -> Refused | None:
        """Decide whether a connection that is ready may stay; None: it may."""
        return Refused(Problem.TOO_MANY_CONNECTIONS) if self._exceeds(connection.address) else None

    def _exceeds(self, address: str, more: int = 0, more_there: int = 0) -> bool:
        """Whether a limit would be exceeded by so many more connections, in all or from that address."""
        if self.connections + more > self._limits.total:
            limit = "total"
        elif self._by_address[network_of(address)] + more_there > self._limits.per_address:
            limit = "per-address"
        else:
            return False
        self.services.metrics.ended[limit].inc()
        self._log_kept_out(limit, address)
        return True

    def _log_kept_out(self, limit: str, address: str) -> None:
        count = self._kept_out.hit()
        if count:
            self._log.warn(
                "Too many connections ({limit}), now from {address} ({count} since this was said last)",
                event="too-many-connections",
                limit=limit,
                count=count,
                address=address or "a local socket",
            )

    def authenticated(self, connection: ChatProtocol) -> None:
        """Take note that a user has logged in on a connection: it need not make room any more."""
        self._unauthenticated.discard(connection, network_of(connection.address))

    def logged_out(self, connection: ChatProtocol) -> None:
        """Take note that nobody is logged in on a connection: it may have to make room."""
        network, now = network_of(connection.address), self.services.clock.seconds()
        self._unauthenticated.add(connection, network, now)

    def forget(self, connection: ChatProtocol) -> None:
        """Drop a connection that is gone."""
        self._connections.discard(connection)
        self.authenticated(connection)
        self._count(connection, -1, self._by_address)
        if connection in self._cut:
            self._cut.remove(connection)
            self._count(connection, -1, self._cut_by_address)
        gone = self._all_gone
        if gone is not None and not gone.called and not self._connections:
            gone.callback(None)

    @staticmethod
    def _count(connection: ChatProtocol, change: int, counter: Counter[str]) -> None:
        if not connection.address:
            return  # a Unix socket
        network = network_of(connection.address)
        counter[network] += change
        if not counter[network]:
            del counter[network]

    def retry_after(self) -> float:
        """Seconds after which a program should come back: not all at the same moment."""
        return random.uniform(1.0, 5.0)

    async def drain(self) -> None:
        """Say goodbye to every client, and wait until all are gone; those that stay are cut off."""
        if not self._connections:
            return
        gone: Deferred[None] = Deferred()
        self._all_gone = gone
        for connection in list(self._connections):
            connection.bye("stopping")
        abort = deferLater(self.services.clock, _DRAIN, self._abort)
        abort.addErrback(lambda failure: None)
        remain = "Connections that remain: {connections}"
        counting = PeriodicTask(
            self.services.clock, "counting connections", lambda: self._log_remaining(remain)
        )
        counting.start(_REMAINING_LOGGED, now=False)
        await gone
        counting.stop()
        abort.cancel()

    def _log_remaining(self, text: str) -> None:
        self._log.info(text, event="draining", connections=self.connections)

    def _abort(self) -> None:
        self._log_remaining("Connections that did not end, and are cut off: {connections}")
        for connection in list(self._connections):
            connection.transport.abortConnection()


class PortFactory(Factory):
    """Builds the connections of one port of a :class:`ChatFactory`; ``legacy``: for the older clients."""

    noisy = False

    def __init__(self, chat_factory: ChatFactory, *, legacy: bool = False) -> None:
        self._chat_factory = chat_factory
        self._protocol = LegacyChatProtocol if legacy else ChatProtocol

    def buildProtocol(self, addr: IAddress | None) -> ChatProtocol | None:  # type: ignore[override]
        return self._chat_factory.build(self._protocol, addr)
