"""
One ordered connection to Redis, made anew whenever it is lost.

Twisted's ``ClientService`` would do, but for one case: a connection that is lost while it is being introduced (Redis is
still loading its data, or was killed again) leaves it in a state that it has no way out of.
"""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable
from typing import Any

import txredisapi
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IAddress, IReactorTime
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.protocols.policies import WrappingFactory

from chatsvc.inbox.redis.locator import RedisLocator
from chatsvc.transport.sockets import EagerWriter

_FIRST_DELAY, _LAST_DELAY = 0.05, 1.0


class _Subscriber(txredisapi.SubscriberProtocol):  # type: ignore[misc]
    def messageReceived(self, pattern: bytes | None, channel: bytes, message: bytes) -> None:
        self.factory.heard(message)


class _Factory(Factory):
    noisy = False

    def __init__(self, heard: Callable[[bytes], None] | None) -> None:
        self.heard = heard

    def buildProtocol(self, addr: IAddress | None) -> Any:
        kind = _Subscriber if self.heard else txredisapi.RedisProtocol
        protocol = kind(charset=None, convertNumbers=False)
        protocol.factory = self
        return protocol


class RedisConnection:
    """
    ``introduce`` readies each new connection before anybody else may use it; when it fails, the connection is dropped
    and ``failed`` is told why; so it is when a connection is lost. ``heard`` is called with what is published, on a
    connection that subscribes.
    """

    def __init__(
        self,
        clock: IReactorTime,
        address: RedisLocator,
        introduce: Callable[[Any], Awaitable[None]],
        failed: Callable[[BaseException], None],
        heard: Callable[[bytes], None] | None = None,
    ) -> None:
        self._clock = clock
        self._address = address
        self._heard = heard
        self._introduce = introduce
        self._failed = failed
        self._protocol: Any = None
        self._waiting: list[Deferred[Any]] = []
        self._keeping: Deferred[None] | None = None
        self._closed = False

    async def open(self) -> Any:
        """
        Connect for the first time and keep connected from then on; the connection.

        Raises whatever is in the way.
        """
        protocol = await self._connect()
        self._keeping = Deferred.fromCoroutine(self._keep(protocol))
        self._keeping.addErrback(lambda failure: failure.trap(CancelledError))
        return protocol

    def connected(self) -> Deferred[Any]:
        """The connection, as soon as there is one."""
        if self._protocol is not None:
            return succeed(self._protocol)
        waiting: Deferred[Any] = Deferred(self._waiting.remove)
        self._waiting.append(waiting)
        return waiting

    async def close(self) -> None:
        """End the connection and make no other."""
        self._closed = True
        protocol, self._protocol = self._protocol, None
        if self._keeping is not None:
            self._keeping.cancel()
        if protocol is not None and protocol.connected:
            gone = protocol.whenDisconnected()
            protocol.transport.abortConnection()  # a frozen Redis would keep us waiting
            await gone

    async def _connect(self) -> Any:
        wrapping = WrappingFactory(_Factory(self._heard))
        wrapping.protocol, wrapping.noisy = EagerWriter, False
        endpoint = await self._address.endpoint()
        prompt: Any = await endpoint.connect(wrapping)
        protocol = prompt.wrappedProtocol
        try:
            await self._introduce(protocol)
        except BaseException:
            protocol.transport.abortConnection()
            raise
        return protocol

    async def _keep(self, protocol: Any) -> None:
        while True:
            if protocol.connected:
                self._protocol = protocol
                waiting, self._waiting = self._waiting, []
                for one in waiting:
                    one.callback(protocol)
                await protocol.whenDisconnected()
                self._protocol = None
                self._failed(ConnectionError("the connection was lost"))
            protocol = await self._connect_at_last()

    async def _connect_at_last(self) -> Any:
        delay = _FIRST_DELAY
        while True:
            try:
                return await self._connect()
            except CancelledError:
                raise
            except Exception as problem:
                if self._closed:  # a connection in the making has its own error for that
                    raise CancelledError from problem
                self._failed(problem)
            await deferLater(self._clock, delay * random.uniform(0.5, 1.5))
            delay = min(delay * 2, _LAST_DELAY)
