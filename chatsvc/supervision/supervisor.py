"""
Several processes behind the same ports: this one opens the ports, starts the others, watches them, and hands on what it
is told. It serves nobody itself.

The sockets stay open here, so that a worker's end loses no connection that waits to be accepted, and a port that cannot
be had is found out before anything is started.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, DeferredList, gatherResults
from twisted.internet.protocol import Factory
from twisted.internet.task import LoopingCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.config import CannotStart, Config
from chatsvc.observability.http import monitoring_site
from chatsvc.supervision.systemd import SystemdNotifier
from chatsvc.supervision.worker_probe import WorkerProbe
from chatsvc.supervision.worker_process import WorkerProcess
from chatsvc.tls.key_files import BadKeys
from chatsvc.tls.key_folder import KeyFolder
from chatsvc.transport.inherited import hand_down
from chatsvc.transport.listeners import (
    BadEndpoint,
    CannotListen,
    Listener,
    ListenerBuilder,
    listen_at,
)

SIGNS_WITHIN = 30.0
"""Seconds without a sign of life after which a worker is killed: its reactor is stuck."""

_START_PATIENCE = 60.0
"""Seconds in which a new worker must have said that it is ready."""

_STOP_PATIENCE = 11.0
"""Seconds that a worker may take to end (design section 7: 10)."""

_RELOAD_PATIENCE = 5.0

_DELAYS = (0.1, 1.0, 2.0, 5.0, 10.0)
"""Seconds until another worker takes the place of one that ended, the more often it ends soon after its start."""

_SETTLED = 30.0
"""Seconds after which a worker's end has nothing to do with its start."""


class WorkerSupervisor(Service):
    """
    ``count`` workers of a server with this configuration. ``prepare`` does what needs no waiting, and must come first.

    ``launch`` starts one on sockets that listen already; ``folder`` is theirs. ``given_up`` is called with one line, or
    with None where a worker has said it, when it turns out only after the start that they cannot be had.
    """

    name = "chat"
    _log = Logger()

    def __init__(
        self,
        reactor: Any,
        config: Config,
        count: int,
        launch: Callable[[WorkerProcess, Sequence[Any]], Any],
        folder: Path,
        supervisor: SystemdNotifier,
        given_up: Callable[[str | None], None],
    ) -> None:
        self._reactor = reactor
        self._config = config
        self._supervisor = supervisor
        self._given_up = given_up
        self._places: list[Listener] = []
        self._probe: Listener | None = None
        self._ports: list[Any] = []
        self._probe_port: Any = None
        self.workers = [
            WorkerProcess(
                reactor, number, folder, lambda worker: launch(worker, self._ports), self._ended
            )
            for number in range(1, count + 1)
        ]
        self._failures = dict.fromkeys(self.workers, 0)
        self._watching = LoopingCall(self._watch)
        self._watching.clock = reactor
        self._starting: Deferred[None] | None = None
        self._serves = False
        self._looked = 0.0
        """When the workers were last looked at."""

    def prepare(self) -> None:
        """
        Do what can be done before the reactor runs.

        :raise CannotStart: it cannot.
        """
        config, count = self._config, len(self.workers)
        if why := config.for_one_process():
            raise CannotStart(f"--workers {count}: {why}")
        try:
            keys = KeyFolder(config.keys)
            keys.ensure_for_this_host(self._log)
            doors = ListenerBuilder(self._reactor, keys.context, config.trusted_proxies)
            self._places = [doors.open(text) for text in (*config.ports, *config.legacy_ports)]
            self._probe = doors.open(config.metrics, "tcp:9100") if config.metrics else None
        except (BadKeys, BadEndpoint) as problem:
            raise CannotStart(str(problem)) from None

    def startService(self) -> None:
        super().startService()
        self._reactor.callWhenRunning(self._begin)

    def stopService(self) -> Deferred[None]:
        super().stopService()
        return Deferred.fromCoroutine(self._stop()).addErrback(self._broken)

    def reload(self) -> None:
        """Have every worker read its files again."""
        if self._serves:
            self._supervisor.reloading()
            Deferred.fromCoroutine(self._reload()).addErrback(self._broken)

    def _begin(self) -> None:
        self._starting = Deferred.fromCoroutine(self._start())
        self._starting.addErrback(self._could_not_start)

    async def _start(self) -> None:
        for place in self._places:
            port: Any = await listen_at(place.text, place.bare, Factory())
            hand_down(port)
            self._ports.append(port)
        # One before the others: what is in its way would be said by each, and tables are made once.
        first, *others = self.workers
        if not await first.start() or not await self._start_all(others):
            if self.running:
                self._given_up(None)
            return
        if self._probe is not None:
            asking = WorkerProbe(self._reactor, self.workers, self._own_problems)
            site = monitoring_site(asking.metrics, asking.problems)
            self._probe_port = await listen_at(self._probe.text, self._probe.endpoint, site)
        self._watching.start(SIGNS_WITHIN / 3, now=False).addErrback(self._broken)
        self._serves = True
        self._looked = self._reactor.seconds()
        for worker in self.workers:
            if not worker.runs:
                self._ended(worker, "ended while others started")
        self._log.info("{count} workers serve", event="workers", count=len(self.workers))
        self._supervisor.ready(self._status())

    async def _start_all(self, workers: Sequence[WorkerProcess]) -> bool:
        """Start them at once; whether all serve."""
        starting = [worker.start() for worker in workers]
        return all([await started for started in starting])

    def _own_problems(self) -> list[str]:
        if not self.running:
            return ["draining"]
        return [f"worker {w.number} does not serve" for w in self.workers if not w.serves]

    def _status(self) -> str:
        places = ", ".join(place.text for place in self._places)
        return f"{len(self.workers)} workers listen on {places}"

    async def _reload(self) -> None:
        # One that begins reads its files anyhow, and would be ended by the signal.
        serving = [worker for worker in self.workers if worker.serves]
        waiting = [worker.ready() for worker in serving]
        for worker in serving:
            worker.signal(signal.SIGHUP)
        for answer in waiting:
            answer.addTimeout(_RELOAD_PATIENCE, self._reactor)
        results = await DeferredList(waiting, consumeErrors=True)
        if not all(in_time for in_time, _ in results):
            self._log.warn("Not every worker has reloaded in time", event="reload-late")
        self._supervisor.ready(self._status())

    async def _stop(self) -> None:
        if self._starting is not None:
            self._starting.cancel()
        if self._watching.running:
            self._watching.stop()
        self._supervisor.stopping(f"Stopping {len(self.workers)} workers")
        for port in self._ports:
            await port.stopListening()
        ended = gatherResults([worker.stop() for worker in self.workers])
        kill = self._reactor.callLater(_STOP_PATIENCE, self._kill_all)
        await ended
        if kill.active():
            kill.cancel()
        if self._probe_port is not None:
            await self._probe_port.stopListening()
        for worker in self.workers:
            await worker.close()  # type: ignore[misc]

    def _kill_all(self) -> None:
        for worker in self.workers:
            worker.signal(signal.SIGKILL)

    def _watch(self) -> None:
        now, before = self._reactor.seconds(), self._looked
        self._looked = now
        for worker in self.workers:
            if now - before > SIGNS_WITHIN / 2:
                worker.reset_silence()  # it was this process that slept: what they said meanwhile is not read yet
            patience = SIGNS_WITHIN if worker.serves else _START_PATIENCE
            if worker.runs and worker.silence > patience:
                text = "Worker {number} gives no sign of life: it is killed"
                self._log.error(text, event="worker-silent", number=worker.number)
                worker.signal(signal.SIGKILL)

    def _ended(self, worker: WorkerProcess, how: str) -> None:
        if not self._serves:
            return  # the start itself is being given up
        soon = 0 if worker.age > _SETTLED else self._failures[worker]
        self._failures[worker] = soon + 1
        delay = _DELAYS[min(soon, len(_DELAYS) - 1)]
        self._log.error(
            "Worker {number} {how}; another takes its place in {delay} s",
            event="worker-ended",
            number=worker.number,
            how=how,
            delay=delay,
        )
        self._reactor.callLater(delay, self._replace, worker)

    def _replace(self, worker: WorkerProcess) -> None:
        if not self.running or worker.runs:
            return
        try:
            worker.start().addCallback(self._replaced, worker)
        except Exception as problem:  # too many open files or processes, for now
            self._ended(worker, f"cannot be started ({problem})")

    def _replaced(self, ready: bool, worker: WorkerProcess) -> None:
        if ready:
            text = "Worker {number} serves again"
            self._log.info(text, event="worker-replaced", number=worker.number)

    def _could_not_start(self, failure: Failure) -> None:
        if failure.check(CannotListen):
            self._given_up(str(failure.value))
        elif self.running:
            self._log.failure("The workers could not be started", failure, event="cannot-start")
            self._given_up(f"{type(failure.value).__name__}: {failure.value}")

    def _broken(self, failure: Failure) -> None:
        self._log.failure("The workers are not looked after as they should be", failure)
