"""Health: whether the stores are there, asked again and again, and what to tell those who watch over the server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from chatsvc.observability.redaction import redacted
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.url import StoreUnavailable

_EVERY = 2.0
"""Seconds between two examinations of a store that answers."""

_PATIENCE = 1.5
"""Seconds that one who asks for the server's health waits for a store; probes give up after few."""


class Health:
    """``examinations``: for each store's monitor, a question that it answers when it is well."""

    def __init__(
        self, clock: IReactorTime, examinations: Mapping[StoreMonitor, Callable[[], Awaitable[Any]]]
    ) -> None:
        self._draining = False
        self._examinations = [_StoreCheck(clock, *one) for one in examinations.items()]
        self._rounds = LoopingCall(self._examine)
        self._rounds.clock = clock

    def start(self) -> None:
        """Examine the stores from now on."""
        self._rounds.start(_EVERY)

    def drain(self) -> None:
        """The server is stopping: send nobody here any more."""
        self._draining = True

    def stop(self) -> None:
        """Examine no more: the stores are about to be closed."""
        if self._rounds.running:
            self._rounds.stop()
        for examination in self._examinations:
            examination.stop()

    async def problems(self) -> list[str]:
        """What is wrong now, one line each, within some two seconds whatever the stores do."""
        if self._draining:
            return ["draining"]
        self._examine()
        troubles = [await examination.problem() for examination in self._examinations]
        return [trouble for trouble in troubles if trouble]

    def _examine(self) -> None:
        for examination in self._examinations:
            examination.begin()


class _StoreCheck:
    """The examination of one store: one question at a time, however many want to know."""

    _log = Logger()

    def __init__(
        self, clock: IReactorTime, monitor: StoreMonitor, question: Callable[[], Awaitable[Any]]
    ) -> None:
        self._clock = clock
        self._monitor = monitor
        self._question = question
        self._began = 0.0
        self._asking: Deferred[None] | None = None
        self._waiting: list[Deferred[None]] = []
        self._over = False
        monitor.suspected = self.begin

    def begin(self) -> None:
        """Ask, unless an answer is awaited already."""
        if self._asking is None and not self._over:
            self._began = self._clock.seconds()
            self._asking = Deferred()
            self._asking.addCallback(lambda _: Deferred.fromCoroutine(self._ask()))
            self._asking.addErrback(lambda failure: failure.trap(CancelledError))
            self._asking.callback(None)

    def stop(self) -> None:
        """Ask no more."""
        self._over = True
        if self._asking is not None:
            self._asking.cancel()

    async def problem(self) -> str:
        """What is wrong with the store, empty: nothing."""
        silent = False
        if self._asking is not None:
            left = self._began + _PATIENCE - self._clock.seconds()
            answered: Deferred[None] = Deferred(self._waiting.remove)
            self._waiting.append(answered)
            try:
                await answered.addTimeout(max(left, 0.0), self._clock)
            except TimeoutError:
                silent = True
        return self._monitor.problem or (self._monitor.silent if silent else "")

    async def _ask(self) -> None:
        try:
            await self._question()
        except StoreUnavailable as problem:
            if not self._over:
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
            self._asking = None
            waiting, self._waiting = self._waiting, []
            for one in waiting:
                one.callback(None)
