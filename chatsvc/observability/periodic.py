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

_TRIES_UNSAID = 2
"""Calls in a row that may miss a store which others watch: by then they know whether it is away."""


class PeriodicTask:
    """
    Calls ``call`` again and again, never twice at once, whatever it raises.

    ``name`` says in the log what failed, and one line says why where a store is away. (A ``LoopingCall`` alone ends
    for good with the first exception, says so late or nowhere, and cannot be stopped afterwards.)

    ``is_away`` says whether the log has it already that a store is away: then the task adds nothing to that. Others
    need a moment to find it out, so nothing is said of the first calls in a row that find no store, either.
    """

    _log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        name: str,
        call: Callable[[], object],
        is_away: Callable[[], bool] | None = None,
    ) -> None:
        self._name = name
        self._call = call
        self._is_away = is_away
        self._unavailable = 0
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
        return maybeDeferred(self._call).addCallbacks(self._succeeded, self._failed)

    def _succeeded(self, result: object) -> None:
        self._unavailable = 0

    def _is_said(self) -> bool:
        """Whether the log has it, or will have it, from others that a store is away, as it was for this call."""
        self._unavailable += 1
        return self._is_away is not None and (self._unavailable <= _TRIES_UNSAID or self._is_away())

    def _failed(self, failure: Failure) -> None:
        if failure.check(StoreUnavailable) and self._is_said():
            return
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
