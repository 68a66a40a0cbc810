"""
The pool of database connections: adbapi's, with connections of our own in it.

adbapi's own ``Connection`` logs a traceback when a connection has died and leaves no way to replace it in between, so
``PooledConnection`` takes its place. It uses only what adbapi documents: ``connectionFactory``, ``connections``,
``connect`` and what it calls on a connection (``commit``, ``rollback``, ``close``).
"""

from __future__ import annotations

import time
from threading import Event, get_ident
from typing import Any

from twisted.enterprise import adbapi
from twisted.logger import Logger

from chatsvc.storage.sql import SQLBackend, first_line
from chatsvc.storage.url import StoreUnavailable, StoreURL

_log = Logger()

_ABORT_AGAIN = 0.01
"""Seconds."""


class PooledConnection:
    """One thread's connection to a database, made again after it was lost; none is made once ``closing`` is set."""

    def __init__(self, backend: SQLBackend, url: StoreURL, closing: Event) -> None:
        self._backend = backend
        self._url = url
        self._closing = closing
        self._driver_connection: Any = None
        self._connecting = False

    def connect(self) -> None:
        """
        Connect, unless there is a connection.

        :raise StoreUnavailable: when the database cannot be reached, or the pool is closing.
        """
        self._connecting = True  # before the check: then either it fails, or `abort` sees this
        try:
            if self._closing.is_set():
                raise StoreUnavailable("closed")
            if self._driver_connection is None:
                self._driver_connection = self._backend.new_connection()
                self._backend.connect(self._driver_connection)
        except BaseException as problem:
            self.close()
            if isinstance(problem, Exception):
                raise StoreUnavailable(first_line(problem)) from problem
            raise
        finally:
            self._connecting = False

    def cursor(self) -> Any:
        """
        Make a cursor.

        :raise StoreUnavailable: when the connection was lost.
        """
        if self._driver_connection is None:
            raise StoreUnavailable("the connection was lost")
        return self._driver_connection.cursor()

    def commit(self) -> None:
        """Commit the transaction; without a connection there is none."""
        if self._driver_connection is not None:
            self._driver_connection.commit()

    def rollback(self) -> None:
        """Roll the transaction back; a connection that cannot do so has died and is closed, without a traceback."""
        if self._driver_connection is None:
            return
        try:
            self._driver_connection.rollback()
        except Exception as problem:
            _log.debug(
                "{url}: connection lost: {problem}",
                event="database-connection-lost",
                url=self._url,
                problem=first_line(problem.__context__ or problem),
            )
            self.close()

    def close(self) -> None:
        """Close the connection, if there is one; the next ``connect`` makes another."""
        connection, self._driver_connection = self._driver_connection, None
        if connection is None:
            return
        try:
            connection.close()
        except Exception as problem:
            text = "{url}: closing: {problem}"
            _log.debug(text, event="database-closing", url=self._url, problem=problem)

    def abort(self) -> None:
        """
        Wake the thread if it waits for the server; call it from another thread, once ``closing`` is set.

        A connection that is just being made has no socket to shut down for a moment, so this tries again until it is
        made or has failed. Closing the pool has to wait for that in any case.
        """
        while True:
            connecting, connection = self._connecting, self._driver_connection
            if connection is not None:
                self._backend.abort(connection)
            if not connecting:
                return
            time.sleep(_ABORT_AGAIN)


class ConnectionPool(adbapi.ConnectionPool):
    """adbapi's pool: as many threads as the backend bears, with one connection each."""

    connections: dict[int, PooledConnection]

    def __init__(self, backend: SQLBackend, url: StoreURL, reactor: Any) -> None:
        threads = {"cp_min": 1, "cp_max": backend.threads}
        super().__init__(  # type: ignore[no-untyped-call]
            backend.driver, cp_reactor=reactor, **threads
        )
        self._backend = backend
        self._url = url
        self._closing = Event()

    # adbapi's documentation takes any callable, its type only the class that it has itself.
    def connectionFactory(self, pool: ConnectionPool) -> PooledConnection:  # type: ignore[override]
        """Return this thread's connection, as ``connect`` does."""
        return pool.connect()

    def connect(self) -> PooledConnection:
        """
        Give this thread's connection, connected.

        :raise StoreUnavailable: when the database cannot be reached, or the pool is closing.
        """
        thread = get_ident()
        if thread not in self.connections:
            self.connections[thread] = PooledConnection(self._backend, self._url, self._closing)
        connection = self.connections[thread]
        connection.connect()
        return connection

    def abort(self) -> None:
        """Wake the threads that wait for the server, so that closing the pool does not wait with them."""
        self._closing.set()
        for connection in list(self.connections.values()):
            connection.abort()
