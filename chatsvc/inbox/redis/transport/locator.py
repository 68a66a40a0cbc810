"""Where a Redis is, and how a new connection to it begins."""

from __future__ import annotations

from typing import Any

import txredisapi
from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from chatsvc.inbox.redis.transport.auth import authenticate
from chatsvc.inbox.redis.transport.sentinel import Sentinels
from chatsvc.storage.url import StoreMisconfigured, StoreURL

_CONNECT_PATIENCE = 5
"""Seconds."""

_PORT = 6379


class RedisLocator:
    """
    Finds the Redis that a URL names: at a host, at a Unix socket, or the primary that sentinels know.

    :raise StoreMisconfigured: the URL names none.
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
        self._sentinels = Sentinels(reactor, url) if url.scheme == "redis+sentinel" else None

    async def endpoint(self) -> IStreamClientEndpoint:
        """
        Where to connect to now.

        :raise Exception: whatever is in the way of the last sentinel that was asked.
        """
        url = self._url
        if url.scheme == "redis+unix":
            return UNIXClientEndpoint(self._reactor, url.path, timeout=_CONNECT_PATIENCE)
        if self._sentinels is not None:
            host, port = await self._sentinels.primary()
        else:
            host, port = url.host or "localhost", url.port or _PORT
        return HostnameEndpoint(self._reactor, host, port, timeout=_CONNECT_PATIENCE)

    async def log_in(self, protocol: Any) -> None:
        """
        Log a new connection in and select the database.

        :raise txredisapi.RedisError: Redis refuses, or is not the primary (any more).
        """
        await authenticate(protocol, self._url)
        if self._sentinels and (await protocol.execute_command("ROLE"))[0] != b"master":
            raise txredisapi.RedisError(
                f"{self._url}: the sentinels named a Redis that is no primary"
            )
        await protocol.execute_command("SELECT", self._database)
