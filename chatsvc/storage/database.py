"""A database: a pool of threads, one transaction a call, and one exception for every way of being away."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.defer import TimeoutError as DeferredTimeout
from twisted.internet.task import deferLater

from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.mysql import MySQL
from chatsvc.storage.pool import ConnectionPool, PooledConnection
from chatsvc.storage.sql import DEFAULT_POOL, Pool, SQLBackend, Transaction, first_line
from chatsvc.storage.sqlite import SQLite
from chatsvc.storage.url import STORE_PATIENCE, StoreMisconfigured, StoreUnavailable, StoreURL

T = TypeVar("T")

_DEADLOCKS = 3
"""Times that an interaction is carried out again: deadlocks end with it, for the other transaction has gone on."""


class Database:
    """
    A database behind a pool of threads.

    ``reactor`` provides IReactorTime, IReactorThreads and IReactorCore. ``patience`` is how many seconds a transaction
    may take. ``monitor`` counts every transaction. ``pool`` says what connections there are.
    """

    def __init__(
        self,
        url: StoreURL,
        reactor: Any,
        patience: float = STORE_PATIENCE,
        monitor: StoreMonitor | None = None,
        pool: Pool = DEFAULT_POOL,
    ) -> None:
        self.url = url
        self._monitor = monitor or StoreMonitor(url)
        self._reactor = reactor
        self._patience = patience
        self._backend = backend_of(url, patience, pool)
        self._pool: Any = None

    def monitored_by(self, monitor: StoreMonitor) -> Database:
        """Return the same open database with another monitor: accounts and inboxes in one file have one each."""
        other = Database(self.url, self._reactor, self._patience, monitor)
        other._pool = self._pool
        return other

    async def open(self) -> None:
        """
        Connect, so that a problem shows before anybody depends on the database.

        :raise StoreMisconfigured: when the database cannot be used; the text names its URL.
        """
        self._backend.check_url()
        self._pool = ConnectionPool(self._backend, self.url, self._reactor)
        self._pool.start()
        try:
            await self.run(self._backend.check_usable)
        except BaseException as problem:
            self.close()
            if isinstance(problem, StoreUnavailable):
                raise StoreMisconfigured(str(problem)) from problem
            raise

    def close(self) -> None:
        """Close all connections; calls that still wait raise ``StoreUnavailable``."""
        pool, self._pool = self._pool, None
        if pool is not None and pool.running:
            pool.abort()
            pool.close()

    async def run(
        self, interaction: Callable[[Transaction], T], *, write: bool = True, lock: str = ""
    ) -> T:
        """
        Run ``interaction`` in one transaction, in a thread, and return its result.

        The transaction is committed when the interaction returns and rolled back when it raises; one that the database
        undoes because of a deadlock is carried out again. Only one interaction with the same ``lock`` (a short word)
        runs at a time, in all processes; the lock is held until after the commit.
        ``write=False`` promises that nothing is written, and then waits for no writer; on SQLite each statement then
        sees the database as it is at its own time.

        :raise StoreUnavailable: when the database is away or took longer than the patience; the outcome is unknown. So
            also when MySQL denies a right.
        """
        return await self._monitor.track(self._run(interaction, write, lock))

    async def run_paced(
        self, interactions: Iterable[Callable[[Transaction], Any]], lock: str = ""
    ) -> None:
        """
        Run interactions one after another, each in a transaction of its own, with pauses for others.

        After each, the database is left alone for as long as it took. Writers of other processes poll SQLite's lock,
        and would never find it free otherwise.

        :raise StoreUnavailable: as ``run`` does; the interactions before are committed.
        """
        for interaction in interactions:
            began = self._reactor.seconds()
            await self.run(interaction, lock=lock)
            await deferLater(self._reactor, self._reactor.seconds() - began)

    async def _run(self, interaction: Callable[[Transaction], T], write: bool, lock: str) -> T:
        pool = self._pool
        if pool is None or not pool.running:
            raise StoreUnavailable(f"{self.url} is closed")
        attempt = _Attempt(self._backend, interaction, write, lock)
        waiting: Deferred[T] = pool.runWithConnection(attempt)
        waiting.addTimeout(self._patience, self._reactor)
        try:
            return await waiting
        except DeferredTimeout:
            raise StoreUnavailable(f"{self.url} did not answer in time") from None
        except Exception as problem:
            if not pool.running or self._backend.is_unavailable(problem):
                raise StoreUnavailable(f"{self.url}: {first_line(problem)}") from problem
            raise
        finally:
            attempt.wanted = False


def backend_of(url: StoreURL, patience: float, pool: Pool = DEFAULT_POOL) -> SQLBackend:
    """Return the backend of a ``mysql:`` or ``sqlite:`` URL; ``patience`` is in seconds."""
    kind = MySQL if url.scheme == "mysql" else SQLite
    return kind(url, patience, pool)


class _Attempt:
    """One interaction on its way through the pool."""

    def __init__(
        self, backend: SQLBackend, interaction: Callable[[Transaction], Any], write: bool, lock: str
    ) -> None:
        self._backend = backend
        self._interaction = interaction
        self._write = write
        self._lock = lock
        self.wanted = True
        """Whether the caller still waits: an interaction that queued behind a dead server must not run late."""

    def __call__(self, connection: PooledConnection) -> Any:
        if not self.wanted:
            raise StoreUnavailable("given up before it began")
        self._begin(connection)
        transaction = Transaction(connection, self._backend.name)
        if self._lock:
            return self._alone(connection, transaction)
        for _ in range(_DEADLOCKS):
            try:
                return self._interaction(transaction)
            except Exception as problem:
                if not (self.wanted and self._backend.is_deadlock(problem)):
                    raise
            self._begin(connection)  # all of it was undone
        return self._interaction(transaction)

    def _alone(self, connection: PooledConnection, transaction: Transaction) -> Any:
        """Hold the lock until after the commit: its next holder must see what was written."""
        self._backend.acquire(transaction, self._lock)
        try:
            result = self._interaction(transaction)
            connection.commit()
        except BaseException:
            connection.rollback()
            raise
        finally:
            self._release(connection, transaction)
        return result

    def _begin(self, connection: PooledConnection) -> None:
        """Begin; a connection that died while it was idle fails here, where a retry is safe."""
        begin = self._backend.begin_statement(self._write)
        if not begin:
            return  # each statement is a transaction by itself
        try:
            connection.cursor().execute(begin)
        except Exception as problem:
            if not self._backend.is_connection_lost(problem):
                raise
            connection.close()
            connection.connect()
            connection.cursor().execute(begin)

    def _release(self, connection: PooledConnection, transaction: Transaction) -> None:
        try:
            self._backend.release(transaction, self._lock)
        except Exception:
            connection.close()  # the server releases the locks of a connection that ended
