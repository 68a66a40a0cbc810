"""Sentinels: the servers that know which Redis is the primary at present."""

from __future__ import annotations

import random
from typing import Any

import txredisapi
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint

from chatsvc.inbox.redis.transport.auth import authenticate
from chatsvc.inbox.redis.transport.protocol import RedisFactory
from chatsvc.storage.url import StoreMisconfigured, StoreURL
from chatsvc.transport.host_port import split_host_port

_PATIENCE = 1
"""Seconds for one sentinel: another may answer."""

_PORT = 26379

_EXAMPLE = "redis+sentinel://HOST:26379,HOST:26379/PRIMARY"


class Sentinels:
    """
    The sentinels of a URL, and the name of the primary that they watch.

    :raise StoreMisconfigured: the URL has no such name, or an address that is none.
    """

    def __init__(self, reactor: Any, url: StoreURL) -> None:
        if not url.path:
            raise StoreMisconfigured(f"{url} names no primary: write {_EXAMPLE}")
        self._reactor = reactor
        self._url = url
        try:
            addresses = [split_host_port(one, _PORT) for one in url.host.split(",")]
        except ValueError:
            problem = f"{url} does not say where the sentinels are: write {_EXAMPLE}"
            raise StoreMisconfigured(problem) from None
        self.addresses = addresses
        """Host and port of each."""

    async def primary(self) -> tuple[str, int]:
        """
        Ask the sentinels, in random order, until one answers.

        :return: the primary's host and port.
        :raise Exception: whatever is in the way of the last sentinel that was asked.
        """
        problem: Exception = txredisapi.RedisError("no sentinel was asked")
        for host, port in random.sample(self.addresses, len(self.addresses)):
            try:
                return await self._ask(host, port)
            except Exception as trouble:
                problem = trouble
        raise problem

    async def _ask(self, host: str, port: int) -> tuple[str, int]:
        endpoint = HostnameEndpoint(self._reactor, host, port, timeout=_PATIENCE)
        protocol: Any = await endpoint.connect(RedisFactory())
        try:
            answer = Deferred.fromCoroutine(self._look_up(protocol))
            return await answer.addTimeout(_PATIENCE, self._reactor)
        finally:
            protocol.transport.abortConnection()

    async def _look_up(self, protocol: Any) -> tuple[str, int]:
        command = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.path)
        try:
            found = await protocol.execute_command(*command)
        except txredisapi.ResponseError as problem:
            if not str(problem).startswith("NOAUTH"):
                raise
            await authenticate(protocol, self._url)
            found = await protocol.execute_command(*command)
        if not found:
            raise txredisapi.RedisError(f"the sentinels know no primary {self._url.path!r}")
        host, port = found
        return host.decode(), int(port)
