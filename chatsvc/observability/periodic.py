"""Tasks that are carried out again and again: one that fails is logged, and goes on."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.observability.log_limiter import LogLimiter
from chatsvc.observability.redaction import redacted
from chatsvc.storage.url import StoreUnavailable

_LOGGED = 60.0
"""Seconds in which the log says once that a task fails."""


class PeriodicTask:
    """
    Calls ``call`` again and again, never twice at once, whatever it raises.

    ``name`` says in the log what failed, and one line says why where a store is away. (A ``LoopingCall`` alone ends
    for good with the first exception, says so late or nowhere, and cannot be stopped afterwards.)
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, name: str, call: Callable[[], object]) -> None:
        self._name = name
        self._call = call
        self._loop = LoopingCall(self._carry_out)
        self._loop.clock = clock
        self._failures = LogLimiter(clock.seconds, _LOGGED)

    @property
    def running(self) -> bool:
        """Whether it was started, and not stopped."""
        return self._loop.running

    def start(self, seconds: float, *, now: bool = True) -> None:
        """Call it every so many seconds, the first time at once or, without ``now``, after them."""
        self._loop.start(seconds, now)

    def stop(self) -> None:
        """Call it no more; one that was not started may be stopped, too."""
        if self._loop.running:
            self._loop.stop()

    def _carry_out(self) -> Deferred[object]:
        return maybeDeferred(self._call).addErrback(self._failed)

    def _failed(self, failure: Failure) -> None:
        count = self._failures.hit() if self._loop.running else 0
        if count and failure.check(StoreUnavailable):
            self._log.warn(
                "{task} failed, and will be tried again: {reason} ({count} since this was said last)",
                event="task-failed",
                task=self._name,
                reason=failure.getErrorMessage(),
                count=count,
            )
        elif count:
            self._log.failure(
                "{task} failed, and will be tried again ({count} since this was said last)",
                redacted(failure),
                event="task-failed",
                task=self._name,
                count=count,
            )
