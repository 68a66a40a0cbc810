"""Watching a store: whether it is there, how long it takes, and a log line when it goes and when it is back."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from prometheus_client import Counter, Gauge, Histogram
from twisted.logger import Logger

from chatsvc.storage.url import StoreUnavailable, StoreURL

T = TypeVar("T")

_QUIET = 60.0
"""Seconds between two log lines about failures of a store that is there: each command could fail alike."""


@dataclass(frozen=True)
class StoreCounts:
    """The metrics of one store."""

    up: Gauge
    seconds: Histogram
    failures: Counter


class StoreMonitor:
    """
    Watches one store for the metrics, the log and ``/health``.

    ``store`` is what is kept there, ``accounts`` or ``inbox``; ``seconds`` is a monotonic clock. Callers pass each
    request through ``track``, or report it by ``answered`` and ``failed``. Whoever checks the store, or holds the
    connection to it, reports ``lost`` and ``found``.
    """

    _log = Logger()

    def __init__(
        self,
        url: StoreURL,
        store: str = "",
        seconds: Callable[[], float] = time.monotonic,
        counts: StoreCounts | None = None,
    ) -> None:
        self._name = f"{store} store {url}".lstrip()
        self._url = str(url)
        self._seconds = seconds
        self._counts = counts
        self._lost_at: float | None = None
        self._reason = ""
        self._failure = ""
        self._failure_logged_at = -_QUIET
        self.suspected: Callable[[], None] = lambda: None
        """Called when a request has failed, so that the store is checked."""

    @property
    def problem(self) -> str:
        """What is wrong with the store, one line; empty if it is there."""
        return "" if self._lost_at is None else f"{self._name} is away: {self._reason}"

    @property
    def silent(self) -> str:
        """The line to show while the store has not answered yet."""
        return f"{self._name} does not answer"

    async def track(self, request: Awaitable[T]) -> T:
        """
        Wait for the answer to a request, and count it.

        :raise StoreUnavailable: when the request raises it.
        """
        began = self._seconds()
        try:
            answer = await request
        except StoreUnavailable as problem:
            self.failed(str(problem))
            raise
        self.answered(began)
        return answer

    def answered(self, began: float) -> None:
        """Record the answer to a request that was sent at ``began``."""
        if self._counts is not None:
            self._counts.seconds.observe(self._seconds() - began)

    def failed(self, reason: str) -> None:
        """Record a request that was refused or not answered in time."""
        if self._counts is not None:
            self._counts.failures.inc()
        reason = reason.removeprefix(self._url).lstrip(": ")
        if self._lost_at is None:
            self._failure = reason
        self.suspected()

    def lost(self, reason: str, since: float | None = None) -> None:
        """Record that the store is away, since now or some other time of the clock."""
        self._failure = ""
        if self._lost_at is None:
            self._lost_at = self._seconds() if since is None else since
            self._reason = reason.removeprefix(self._url).lstrip(": ")
            self._log_event(self._log.error, "store-away", f"is away: {self._reason}")
        self._set_gauge()

    def found(self) -> None:
        """Record that the store is there."""
        lost_at, self._lost_at = self._lost_at, None
        if lost_at is not None:
            self._log_event(
                self._log.warn, "store-back", f"is back after {self._seconds() - lost_at:.0f} s"
            )
        self._set_gauge()
        self._log_failure()

    def _log_failure(self) -> None:
        """Log that requests fail though the store is there: its disk is full, or a row locked."""
        failure, self._failure = self._failure, ""
        if failure and self._seconds() - self._failure_logged_at >= _QUIET:
            self._failure_logged_at = self._seconds()
            self._log_event(self._log.warn, "store-refuses", f"failed: {failure}")

    def _log_event(self, level: Callable[..., None], event: str, what: str) -> None:
        level("{store} {what}", event=event, store=self._name, what=what)

    def _set_gauge(self) -> None:
        if self._counts is not None:
            self._counts.up.set(self._lost_at is None)
