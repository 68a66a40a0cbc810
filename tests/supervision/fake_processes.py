"""Workers' processes that do nothing, on a clock of the test's own."""

from __future__ import annotations

import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatsvc.supervision.worker_process import WorkerProcess


class FakeProcess:
    """A worker's process that notes its signals."""

    def __init__(self) -> None:
        self.signals: list[signal.Signals] = []

    def signalProcess(self, number: signal.Signals) -> None:
        self.signals.append(number)


class FakeReactor(Clock):
    """A clock whose Unix sockets are the protocols themselves."""

    def callWhenRunning(self, call: Callable[[], None]) -> None:
        pass

    def listenUNIXDatagram(self, path: str, protocol: Any, mode: int) -> Any:
        protocol.stopListening = lambda: None
        return protocol


class Launches:
    """Starts processes that do nothing; while there is a ``problem``, none can be had."""

    def __init__(self) -> None:
        self.started: list[FakeProcess] = []
        self.problem: OSError | None = None
        self.tries = 0

    def __call__(self, worker: WorkerProcess, ports: Any = ()) -> FakeProcess:
        self.tries += 1
        if self.problem is not None:
            raise self.problem
        self.started.append(FakeProcess())
        return self.started[-1]

    @property
    def signals(self) -> list[list[signal.Signals]]:
        """The signals of each process, in the order of their starts."""
        return [process.signals for process in self.started]


def say(worker: WorkerProcess, *words: str) -> None:
    """Have a worker's process send a datagram."""
    datagram = "\n".join(words).encode()
    worker._heartbeats.datagramReceived(datagram, None)


def result_now(waiting: Deferred[Any]) -> Any:
    """The result of a Deferred, or ``...`` where there is none yet."""
    results: list[Any] = []
    waiting.addCallback(results.append)
    return results[0] if results else ...
