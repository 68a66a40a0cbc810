"""
Stores that answer before they return, for Hypothesis, which takes no Deferreds.

The same SQL and the same script run as otherwise, on blocking connections.
"""

from __future__ import annotations

import socket
import sqlite3
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import txredisapi
from twisted.internet.defer import Deferred, fail, succeed

from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreURL

T = TypeVar("T")


def at_once(result: Coroutine[Any, Any, T] | Deferred[T]) -> T:
    """What something gives that waits for nothing."""
    deferred = result if isinstance(result, Deferred) else Deferred.fromCoroutine(result)
    outcome: list[T] = []
    deferred.addCallback(outcome.append)
    failures: list[Any] = []
    deferred.addErrback(failures.append)
    if failures:
        failures[0].raiseException()
    return outcome[0]


class BlockingDatabase:
    """A :class:`~chatsvc.storage.database.Database` without threads."""

    def __init__(self, path: str) -> None:
        self.url = StoreURL("sqlite", path, redacted=f"sqlite:{path}")
        self._connection = sqlite3.connect(path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")

    async def run(
        self, interaction: Callable[[Transaction], T], *, write: bool = True, lock: str = ""
    ) -> T:
        """Run an interaction in one transaction, at once."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            result = interaction(Transaction(self._connection, "sqlite"))
        except BaseException:
            self._connection.rollback()
            raise
        self._connection.commit()
        return result

    def statements(self, act: Callable[[], object]) -> list[str]:
        """The statements that something runs, the transaction's ends left out."""
        said: list[str] = []
        self._connection.set_trace_callback(said.append)
        try:
            act()
        finally:
            self._connection.set_trace_callback(None)
        return [one for one in said if one.split()[0] not in ("BEGIN", "COMMIT", "--")]

    def copy(self) -> sqlite3.Connection:
        """A back-up, taken while the database is in use."""
        copy = sqlite3.connect(":memory:")
        self._connection.backup(copy)
        return copy

    def put_back(self, copy: sqlite3.Connection) -> None:
        """Restore a back-up."""
        copy.backup(self._connection)

    def close(self) -> None:
        """Disconnect."""
        self._connection.close()


class BlockingRedis:
    """A connection to Redis that answers before it returns; also the link that says it is there."""

    def __init__(self, path: str) -> None:
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.connect(path)
        self._replies = self._socket.makefile("rb")

    def connected(self) -> Deferred[BlockingRedis]:
        """Itself: it is always connected."""
        return succeed(self)

    def execute_command(self, *words: str | bytes | int) -> Deferred[Any]:
        """Send a command and wait for its answer."""
        parts = [word if isinstance(word, bytes) else str(word).encode() for word in words]
        command = b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)
        self._socket.sendall(b"*%d\r\n" % len(parts) + command)
        try:
            return succeed(self._reply())
        except txredisapi.ResponseError as problem:
            return fail(problem)

    def _reply(self) -> Any:
        line = self._replies.readline()
        kind, rest = line[:1], line[1:-2]
        if kind == b"$":
            return self._replies.read(int(rest) + 2)[:-2]
        if kind == b"-":
            raise txredisapi.ResponseError(rest.decode())
        if kind == b"*":
            return [self._reply() for _ in range(int(rest))]
        assert kind in b"+:", line
        return rest

    def close(self) -> None:
        """Disconnect."""
        self._replies.close()
        self._socket.close()
