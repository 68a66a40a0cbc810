"""adbapi's pool of connections, each used by one thread."""

from __future__ import annotations

from threading import get_ident
from typing import Any

from twisted.enterprise import adbapi
from twisted.logger import Logger

from chatsvc.storage.sql import SQLBackend, first_line
from chatsvc.storage.url import StoreUnavailable, StoreURL

_log = Logger()


class PooledConnection(adbapi.Connection):
    """A pooled connection whose death is no traceback in the log: those who asked hear of it."""

    _pool: Any

    def reconnect(self) -> None:
        self.drop()
        try:
            self._connection = self._pool.connect()
        except Exception as problem:
            raise StoreUnavailable(first_line(problem)) from problem

    def rollback(self) -> None:
        if self._connection is None:
            return
        try:
            self._connection.rollback()
        except Exception as problem:
            _log.debug(
                "{url}: connection lost: {problem}",
                event="database-connection-lost",
                url=self._pool.url,
                problem=first_line(problem.__context__ or problem),
            )
            self.drop()

    def commit(self) -> None:
        if self._connection is not None:
            self._connection.commit()

    def drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            self._pool.disconnect(connection)


class ConnectionPool(adbapi.ConnectionPool):
    connectionFactory = PooledConnection

    def __init__(self, backend: SQLBackend, url: StoreURL, reactor: Any) -> None:
        threads = {"cp_min": 1, "cp_max": backend.threads}
        super().__init__(  # type: ignore[no-untyped-call]
            backend.driver, cp_reactor=reactor, cp_reconnect=True, **threads
        )
        self.url = url
        self._backend = backend
        self._ended = False

    def connect(self) -> Any:
        """Give this thread's connection, made when there is none."""
        if self._ended:
            raise StoreUnavailable("closed")
        thread = get_ident()
        if thread not in self.connections:
            # Listed before it connects, so that it can be hung up on while it does.
            connection = self.connections[thread] = self._backend.new_connection()
            try:
                self._backend.connect(connection)
            except BaseException:
                self.disconnect(connection)  # type: ignore[no-untyped-call]
                raise
        return self.connections[thread]

    def abort(self) -> None:
        """Wake the threads that wait for a server, so that closing does not wait with them."""
        self._ended = True
        for connection in list(self.connections.values()):
            self._backend.abort(connection)

    def _close(self, connection: Any) -> None:
        try:
            connection.close()
        except Exception as problem:
            text = "{url}: closing: {problem}"
            _log.debug(text, event="database-closing", url=self.url, problem=problem)
