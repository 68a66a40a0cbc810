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

_SAID_FOR = 60.0
"""Seconds in which failures of a store that is there are said once: each command could have the same."""


@dataclass(frozen=True)
class StoreCounts:
    """What is counted of one store."""

    up: Gauge
    seconds: Histogram
    failures: Counter


class StoreMonitor:
    """
    ``store`` is what it keeps, ``accounts`` or ``inbox``; ``seconds`` is a clock that only goes forward.

    Who talks to the store tells of each question; who examines it, or holds the connection to it, says when it is
    ``lost`` and ``found``.
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
        self._doubt = ""
        self._said = -_SAID_FOR
        self.suspected: Callable[[], None] = lambda: None
        """Called when a question has failed, so that the store is examined."""

    @property
    def problem(self) -> str:
        """What is wrong with the store, one line; empty: it is there."""
        return "" if self._lost_at is None else f"{self._name} is away: {self._reason}"

    @property
    def silent(self) -> str:
        """The line for a store that has not answered yet."""
        return f"{self._name} does not answer"

    async def track(self, asked: Awaitable[T]) -> T:
        """Wait for the answer to a question, and count it."""
        began = self._seconds()
        try:
            answer = await asked
        except StoreUnavailable as problem:
            self.failed(str(problem))
            raise
        self.answered(began)
        return answer

    def answered(self, began: float) -> None:
        """A question that was asked at ``began`` has its answer."""
        if self._counts is not None:
            self._counts.seconds.observe(self._seconds() - began)

    def failed(self, reason: str) -> None:
        """A question was refused, or was not answered in time."""
        if self._counts is not None:
            self._counts.failures.inc()
        reason = reason.removeprefix(self._url).lstrip(": ")
        if self._lost_at is None:
            self._doubt = reason
        self.suspected()

    def lost(self, reason: str, since: float | None = None) -> None:
        """The store is away, since now or some other time of the clock."""
        self._doubt = ""
        if self._lost_at is None:
            self._lost_at = self._seconds() if since is None else since
            self._reason = reason.removeprefix(self._url).lstrip(": ")
            self._say(self._log.error, "store-away", f"is away: {self._reason}")
        self._show()

    def found(self) -> None:
        """The store is there."""
        lost_at, self._lost_at = self._lost_at, None
        if lost_at is not None:
            self._say(
                self._log.warn, "store-back", f"is back after {self._seconds() - lost_at:.0f} s"
            )
        self._show()
        self._say_doubt()

    def _say_doubt(self) -> None:
        """Questions fail though the store is there: its disk is full, or a row of it locked."""
        doubt, self._doubt = self._doubt, ""
        if doubt and self._seconds() - self._said >= _SAID_FOR:
            self._said = self._seconds()
            self._say(self._log.warn, "store-refuses", f"failed: {doubt}")

    def _say(self, level: Callable[..., None], event: str, what: str) -> None:
        level("{store} {what}", event=event, store=self._name, what=what)

    def _show(self) -> None:
        if self._counts is not None:
            self._counts.up.set(self._lost_at is None)
