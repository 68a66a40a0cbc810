"""Health: regular checks of the stores, and what is wrong with the server now."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatsvc.observability.periodic import PeriodicTask
from chatsvc.observability.redaction import redacted
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.url import StoreUnavailable
from chatsvc.waiters import Waiters

_EVERY = 2.0
"""Seconds between two checks of a store that answers."""

_PATIENCE = 1.5
"""Seconds that ``problems`` waits for a store; monitoring systems give up after few."""


class Health:
    """
    Checks stores every two seconds, and when one of their requests has failed.

    ``checks`` has for each store's monitor a probe: a call that raises if the store is not well.
    """

    def __init__(
        self, clock: IReactorTime, checks: Mapping[StoreMonitor, Callable[[], Awaitable[Any]]]
    ) -> None:
        self._draining = False
        self._checks = [_StoreCheck(clock, *one) for one in checks.items()]
        self._rounds = PeriodicTask(clock, "examining the stores", self._begin_checks)

    def start(self) -> None:
        """Begin to check the stores."""
        self._rounds.start(_EVERY)

    def drain(self) -> None:
        """Report ``draining`` from now on, so that a load balancer sends no more clients."""
        self._draining = True

    def stop(self) -> None:
        """Stop the checks: the stores are about to be closed."""
        self._rounds.stop()
        for check in self._checks:
            check.stop()

    async def problems(self) -> list[str]:
        """Return what is wrong now, one line each; answers within two seconds whatever the stores do."""
        if self._draining:
            return ["draining"]
        self._begin_checks()
        problems = [await check.problem() for check in self._checks]
        return [problem for problem in problems if problem]

    def _begin_checks(self) -> None:
        for check in self._checks:
            check.begin()


class _StoreCheck:
    """The checks of one store: one probe at a time, however many callers wait for it."""

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, monitor: StoreMonitor, probe: Callable[[], Awaitable[Any]]
    ) -> None:
        self._clock = clock
        self._monitor = monitor
        self._probe = probe
        self._began = 0.0
        self._under_way: Deferred[None] | None = None
        self._answered = Waiters[None]()
        self._stopped = False
        monitor.suspected = self.begin

    def begin(self) -> None:
        """Start a probe unless one is under way."""
        if self._under_way is None and not self._stopped:
            self._began = self._clock.seconds()
            self._under_way = Deferred()
            self._under_way.addCallback(lambda _: Deferred.fromCoroutine(self._run()))
            self._under_way.addErrback(lambda failure: failure.trap(CancelledError))
            self._under_way.callback(None)

    def stop(self) -> None:
        """Cancel the probe under way, and start no more."""
        self._stopped = True
        if self._under_way is not None:
            self._under_way.cancel()

    async def problem(self) -> str:
        """Return what is wrong with the store, empty if nothing; wait for the probe under way."""
        silent = False
        if self._under_way is not None:
            left = self._began + _PATIENCE - self._clock.seconds()
            answered = self._answered.wait()
            try:
                await answered.addTimeout(max(left, 0.0), self._clock)
            except TimeoutError:
                silent = True
        return self._monitor.problem or (self._monitor.silent if silent else "")

    async def _run(self) -> None:
        try:
            await self._probe()
        except StoreUnavailable as problem:
            if not self._stopped:
                self._monitor.lost(str(problem), self._began)
        except CancelledError:
            raise
        except Exception as problem:
            if not self._monitor.problem:
                self._log.failure("Examining a store failed", redacted())
            self._monitor.lost(type(problem).__name__, self._began)
        else:
            self._monitor.found()
        finally:
            self._under_way = None
            self._answered.fire(None)
