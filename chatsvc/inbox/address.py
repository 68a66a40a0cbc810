"""Where a Redis is, and how a new connection to it begins."""

from __future__ import annotations

from typing import Any

from twisted.internet.endpoints import HostnameEndpoint, UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint

from chatsvc.store import BadStore, StoreURL

_CONNECT_PATIENCE = 5
"""Seconds."""


class RedisAddress:
    """
    The Redis that a URL names.

    :raise BadStore: it names none.
    """

    def __init__(self, reactor: Any, url: StoreURL) -> None:
        self._url = url
        unix = url.scheme == "redis+unix"
        database = url.query.get("db", "0") if unix else url.path or "0"
        if not (database.isascii() and database.isdigit()):
            raise BadStore(f"{url}: {database!r} is no database number")
        if unix and not url.path:
            raise BadStore(f"{url} names no socket: write redis+unix:///PATH?db=0")
        self._database = int(database)
        self._reactor = reactor

    async def endpoint(self) -> IStreamClientEndpoint:
        """Where to connect to now."""
        url = self._url
        if url.scheme == "redis+unix":
            return UNIXClientEndpoint(self._reactor, url.path, timeout=_CONNECT_PATIENCE)
        return HostnameEndpoint(
            self._reactor, url.host or "localhost", url.port or 6379, timeout=_CONNECT_PATIENCE
        )

    async def greet(self, protocol: Any) -> None:
        """Log a new connection in."""
        url = self._url
        if url.password:
            user = (url.user,) if url.user else ()
            await protocol.execute_command("AUTH", *user, url.password)
        await protocol.execute_command("SELECT", self._database)
