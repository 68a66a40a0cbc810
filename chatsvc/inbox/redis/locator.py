"""Where a Redis is, and how a new connection to it begins."""

from __future__ import annotations

import random
from typing import Any

import txredisapi
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory

from chatsvc.storage.url import StoreMisconfigured, StoreURL
from chatsvc.transport.host_port import split_host_port

_CONNECT_PATIENCE = 5
"""Seconds."""

_SENTINEL_PATIENCE = 1
"""Seconds: another sentinel may know."""

_PORT, _SENTINEL_PORT = 6379, 26379


class RedisLocator:
    """
    The Redis that a URL names: at a host, at a Unix socket, or the primary that sentinels know.

    :raise BadStore: it names none.
    """

    def __init__(self, reactor: Any, url: StoreURL) -> None:
        self._reactor = reactor
        self._url = url
        database = url.path or "0" if url.scheme == "redis" else url.query.get("db", "0")
        if not (database.isascii() and database.isdigit()):
            raise StoreMisconfigured(f"{url}: {database!r} is no database number")
        if url.scheme == "redis+unix" and not url.path:
            raise StoreMisconfigured(f"{url} names no socket: write redis+unix:///PATH?db=0")
        self._database = int(database)
        self._sentinels = _sentinels(url) if url.scheme == "redis+sentinel" else []

    async def endpoint(self) -> IStreamClientEndpoint:
        """
        Where to connect to now.

        Raises whatever is in the way of the last sentinel that was asked.
        """
        url = self._url
        if self._sentinels:
            return self._at(*await self._primary(), _CONNECT_PATIENCE)
        if url.scheme == "redis+unix":
            return UNIXClientEndpoint(self._reactor, url.path, timeout=_CONNECT_PATIENCE)
        return self._at(url.host or "localhost", url.port or _PORT, _CONNECT_PATIENCE)

    async def greet(self, protocol: Any) -> None:
        """
        Log a new connection in.

        :raise txredisapi.RedisError: it is not to be had, or is not the primary (any more).
        """
        await self._log_in(protocol)
        if self._sentinels and (await protocol.execute_command("ROLE"))[0] != b"master":
            raise txredisapi.RedisError(
                f"{self._url}: the sentinels named a Redis that is no primary"
            )
        await protocol.execute_command("SELECT", self._database)

    async def _log_in(self, protocol: Any) -> None:
        url = self._url
        if url.password:
            user = (url.user,) if url.user else ()
            await protocol.execute_command("AUTH", *user, url.password)

    def _at(self, host: str, port: int, patience: int) -> IStreamClientEndpoint:
        return HostnameEndpoint(self._reactor, host, port, timeout=patience)

    async def _primary(self) -> tuple[str, int]:
        """What the first sentinel says that answers."""
        problem: Exception = txredisapi.RedisError("no sentinel was asked")
        for host, port in random.sample(self._sentinels, len(self._sentinels)):
            try:
                return await self._ask(host, port)
            except Exception as trouble:
                problem = trouble
        raise problem

    async def _ask(self, host: str, port: int) -> tuple[str, int]:
        endpoint = self._at(host, port, _SENTINEL_PATIENCE)
        protocol: Any = await endpoint.connect(_SentinelFactory())
        try:
            asking = Deferred.fromCoroutine(self._look_up(protocol))
            return await asking.addTimeout(_SENTINEL_PATIENCE, self._reactor)
        finally:
            protocol.transport.abortConnection()

    async def _look_up(self, protocol: Any) -> tuple[str, int]:
        asked = ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", self._url.path)
        try:
            found = await protocol.execute_command(*asked)
        except txredisapi.ResponseError as problem:
            if not str(problem).startswith("NOAUTH"):
                raise
            await self._log_in(protocol)
            found = await protocol.execute_command(*asked)
        if not found:
            raise txredisapi.RedisError(f"the sentinels know no primary {self._url.path!r}")
        host, port = found
        return host.decode(), int(port)


class _SentinelFactory(Factory):
    noisy = False

    def buildProtocol(self, addr: Any) -> Any:
        protocol = txredisapi.RedisProtocol(charset=None, convertNumbers=False)
        protocol.factory = self
        return protocol


def _sentinels(url: StoreURL) -> list[tuple[str, int]]:
    """The sentinels of a URL, as (host, port)."""
    example = "redis+sentinel://HOST:26379,HOST:26379/PRIMARY"
    if not url.path:
        raise StoreMisconfigured(f"{url} names no primary: write {example}")
    try:
        return [split_host_port(place, _SENTINEL_PORT) for place in url.host.split(",")]
    except ValueError:
        text = f"{url} does not say where the sentinels are: write {example}"
        raise StoreMisconfigured(text) from None
