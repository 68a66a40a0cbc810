"""The connection to Redis that is made anew."""

from __future__ import annotations

from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ConnectingCancelledError, ConnectionLost
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure
from twisted.trial.unittest import TestCase

from chatsvc.inbox.redis.transport.connection import RedisConnection


class OneConnection:
    """A server that can be reached once; what comes after is waited for, until it is given up."""

    def __init__(self) -> None:
        self.attempts = 0

    async def endpoint(self) -> OneConnection:
        """It is its own endpoint."""
        return self

    def connect(self, factory: Any) -> Deferred[Any]:
        """Connect at once the first time, and never again."""
        self.attempts += 1
        if self.attempts > 1:
            return Deferred(lambda given_up: given_up.errback(ConnectingCancelledError(None)))
        self.protocol = factory.buildProtocol(None)
        self.protocol.makeConnection(StringTransport())
        return succeed(self.protocol)


class RedisConnectionTests(TestCase):
    """A connection that is made again."""

    async def test_closed_while_it_connects(self) -> None:
        """A node that ends while its Redis is away would go on connecting, and call that a failure of Redis."""
        clock, server = Clock(), OneConnection()
        failures: list[BaseException] = []

        async def introduce(protocol: Any) -> None:
            pass

        link = RedisConnection(clock, server, introduce, failures.append)  # type: ignore[arg-type]
        await link.open()
        server.protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual((server.attempts, len(failures)), (2, 1))
        await link.close()
        self.assertEqual(clock.getDelayedCalls(), [])
        self.assertEqual((server.attempts, len(failures)), (2, 1))

    async def test_error_in_a_report(self) -> None:
        """A node would never find its Redis again, because saying that it is away has failed."""
        clock, server = Clock(), OneConnection()

        async def introduce(protocol: Any) -> None:
            pass

        def fail(problem: BaseException) -> None:
            raise ValueError

        link = RedisConnection(clock, server, introduce, fail)  # type: ignore[arg-type]
        await link.open()
        server.protocol.connectionLost(Failure(ConnectionLost()))
        self.assertEqual(server.attempts, 2)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        await link.close()
