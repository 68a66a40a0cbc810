"""
One ordered connection to Redis, made again whenever it is lost.

Twisted's ``ClientService`` does not fit, for two reasons. Each connection that is lost while it is being prepared
(Redis still loads its data, or was killed again) leaves a ``NoTransition`` traceback in the log. And a connection whose
preparation was refused stays open; when it closes later, the service takes the one that it has made meanwhile for lost.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.policies import WrappingFactory

from chatsvc.inbox.redis.transport.locator import RedisLocator
from chatsvc.inbox.redis.transport.protocol import RedisFactory
from chatsvc.observability.redaction import redacted
from chatsvc.transport.backoff import Backoff
from chatsvc.transport.sockets import EagerWriter
from chatsvc.waiters import Waiters

_FIRST_DELAY, _LAST_DELAY = 0.05, 1.0
"""Seconds between tries, before the spread."""

_SPREAD = (0.5, 1.5)


class RedisConnection:
    """
    A connection to the Redis that ``locator`` finds.

    ``prepare`` readies each new connection before it is used. If that fails, the connection is dropped and ``failed``
    is called with the reason, as it is when a connection is lost. With ``on_message``, the connection can subscribe;
    it is called with each message that is published.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        locator: RedisLocator,
        prepare: Callable[[Any], Awaitable[None]],
        failed: Callable[[BaseException], None],
        on_message: Callable[[bytes], None] | None = None,
    ) -> None:
        self._clock = clock
        self._locator = locator
        self._on_message = on_message
        self._prepare = prepare
        self._failed = failed
        self._protocol: Any = None
        self._connected = Waiters[Any]()
        self._keeping: Deferred[None] | None = None
        self._closed = False

    async def open(self) -> Any:
        """
        Connect for the first time, and keep connected from then on.

        :return: the connection's protocol.
        :raise Exception: whatever is in the way of the first connection.
        """
        protocol = await self._connect()
        self._keeping = Deferred.fromCoroutine(self._keep(protocol))
        self._keeping.addErrback(lambda failure: failure.trap(CancelledError))
        return protocol

    def connected(self) -> Deferred[Any]:
        """The connection's protocol, as soon as there is one."""
        if self._protocol is not None:
            return succeed(self._protocol)
        return self._connected.wait()

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
        wrapping = WrappingFactory(RedisFactory(self._on_message))
        wrapping.protocol, wrapping.noisy = EagerWriter, False
        endpoint = await self._locator.endpoint()
        writer: Any = await endpoint.connect(wrapping)
        protocol = writer.wrappedProtocol
        try:
            await self._prepare(protocol)
        except BaseException:
            protocol.transport.abortConnection()
            raise
        return protocol

    async def _keep(self, protocol: Any) -> None:
        while True:
            if protocol.connected:
                self._protocol = protocol
                self._connected.fire(protocol)
                await protocol.whenDisconnected()
                self._protocol = None
                self._report(ConnectionError("the connection was lost"))
            protocol = await self._reconnect()

    def _report(self, problem: BaseException) -> None:
        """Say what is in the way; an error in there must not keep this from connecting again."""
        try:
            self._failed(problem)
        except Exception:
            text = "Reporting a lost connection failed"
            self._log.failure(text, redacted(), event="reporting-failed")

    async def _reconnect(self) -> Any:
        backoff = Backoff(_FIRST_DELAY, _LAST_DELAY, spread=_SPREAD)
        while True:
            try:
                return await self._connect()
            except CancelledError:
                raise
            except Exception as problem:
                if self._closed:  # a cancelled attempt to connect has an error of its own
                    raise CancelledError from problem
                self._report(problem)
            await deferLater(self._clock, backoff.delay())
