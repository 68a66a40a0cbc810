"""
The supervisor of workers, which are several processes behind the same ports.

It opens the ports, starts the workers, watches them, and passes signals on to them. It serves nobody itself.

The sockets stay open here, so that a worker's end loses no connection that waits to be accepted, and a port that cannot
be had is found out before anything is started.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, gatherResults, maybeDeferred
from twisted.internet.interfaces import IListeningPort
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.config import CannotStart, Config
from chatsvc.observability.http import monitoring_site
from chatsvc.observability.metrics import ProcessMetrics
from chatsvc.observability.periodic import PeriodicTask
from chatsvc.supervision.prepared_service import PreparedService
from chatsvc.supervision.systemd import SystemdNotifier
from chatsvc.supervision.worker_probe import WorkerProbe
from chatsvc.supervision.worker_process import HEARTBEAT_TIMEOUT, WorkerProcess
from chatsvc.tls.key_files import BadKeys
from chatsvc.tls.key_folder import KeyFolder
from chatsvc.transport.inherited import hand_down
from chatsvc.transport.listeners import (
    BadEndpoint,
    CannotListen,
    Listener,
    ListenerBuilder,
    listen_at,
    stop_listening,
)
from chatsvc.transport.turned_away import TurnedAway

_START_TIMEOUT = 60.0
"""Seconds in which a new worker must have said that it is ready."""

_STOP_TIMEOUT = 11.0
"""Seconds that a worker may take to end: a server's own stop takes 10 at most."""

_RELOAD_TIMEOUT = 5.0

_RESTART_DELAYS = (0.1, 1.0, 2.0, 5.0, 10.0)
"""Seconds until another worker takes the place of one that ended, the more often it ends soon after its start."""

_SETTLED = 30.0
"""Seconds after which a worker's end has nothing to do with its start."""


class _WorkerEnded(Exception):
    """A worker has ended during the start, and has said why."""


class WorkerSupervisor(PreparedService):
    """
    Runs ``count`` workers of a server with this configuration. ``prepare`` must come first.

    ``launch`` starts one on sockets that listen already; ``folder`` is theirs. ``given_up`` is called with one line, or
    with None where a worker has written it, when it turns out only after the start that they cannot be had.
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
        systemd: SystemdNotifier,
        given_up: Callable[[str | None], None],
    ) -> None:
        super().__init__(reactor)
        self._config = config
        self._systemd = systemd
        self._given_up = given_up
        self.metrics = ProcessMetrics()
        self._listeners: list[Listener] = []
        self._monitoring_listener: Listener | None = None
        self._ports: list[Any] = []
        self.workers = [
            WorkerProcess(
                reactor, number, folder, lambda worker: launch(worker, self._ports), self._ended
            )
            for number in range(1, count + 1)
        ]
        self._failures = dict.fromkeys(self.workers, 0)
        self._watching = PeriodicTask(reactor, "watching the workers", self._watch)
        self._last_watch = 0.0
        """When the workers were last looked at."""
        self._closing.push_async_callback(self._close_heartbeats)

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
            turned_away = TurnedAway(self._reactor.seconds, self.metrics.turned_away)
            builder = ListenerBuilder(
                self._reactor, keys.context, config.trusted_proxies, turned_away
            )
            texts = (*config.ports, *config.legacy_ports)
            for text in texts:
                builder.judge(text)
            if config.metrics:
                builder.judge(config.metrics, "tcp:9100")
            keys.ensure_for_this_host(self._log)
            self._listeners = [builder.build(text) for text in texts]
            if config.metrics:
                self._monitoring_listener = builder.build(config.metrics, "tcp:9100", spares=False)
        except (BadKeys, BadEndpoint) as problem:
            raise CannotStart(str(problem)) from None

    def reload(self) -> None:
        """Have every worker read its files again."""
        if self._serves:
            self._systemd.reloading()
            Deferred.fromCoroutine(self._reload()).addErrback(self._broken)

    async def _start(self) -> None:
        closing = self._closing
        monitoring_ports: list[IListeningPort] = []
        # Closed after the workers: until then it says that the server is draining.
        closing.push_async_callback(stop_listening, monitoring_ports)
        closing.push_async_callback(self._stop_workers)
        for listener in self._listeners:
            port: Any = await listen_at(listener.text, listener.bare, Factory())
            closing.push_async_callback(stop_listening, [port])
            hand_down(port)
            self._ports.append(port)
        # One before the others: what is in its way would be said by each, and tables are made once.
        first, *others = self.workers
        if not await first.start() or not await self._start_all(others):
            raise _WorkerEnded
        if self._monitoring_listener is not None:
            monitoring_ports.append(await self._start_monitoring(self._monitoring_listener))
        self._last_watch = self._reactor.seconds()
        self._watching.start(HEARTBEAT_TIMEOUT / 3, now=False)
        closing.callback(self._watching.stop)
        self._serves = True
        for worker in self.workers:
            if not worker.runs:
                self._ended(worker, "ended while others started")
        self._log.info("{count} workers serve", event="workers", count=len(self.workers))
        self._systemd.ready(self._status())

    async def _start_all(self, workers: Sequence[WorkerProcess]) -> bool:
        """Start workers at once, and say whether all serve."""
        starting = [worker.start() for worker in workers]
        return all([await started for started in starting])

    async def _start_monitoring(self, listener: Listener) -> IListeningPort:
        probe = WorkerProbe(self._reactor, self.workers, self._own_problems, self.metrics)
        site = monitoring_site(probe.metrics, probe.problems)
        return await listen_at(listener.text, listener.endpoint, site)

    def _own_problems(self) -> list[str]:
        if not self.running:
            return ["draining"]
        return [f"worker {w.number} does not serve" for w in self.workers if not w.serves]

    def _status(self) -> str:
        listeners = ", ".join(listener.text for listener in self._listeners)
        return f"{len(self.workers)} workers listen on {listeners}"

    async def _reload(self) -> None:
        # One that starts reads its files anyhow, and would be ended by the signal.
        serving = [worker for worker in self.workers if worker.serves]
        waiting = [worker.when_ready() for worker in serving]
        for worker in serving:
            worker.signal(signal.SIGHUP)
        for answer in waiting:
            answer.addTimeout(_RELOAD_TIMEOUT, self._reactor)
        results = await DeferredList(waiting, consumeErrors=True)
        if not all(in_time for in_time, _ in results):
            self._log.warn("Not every worker has reloaded in time", event="reload-late")
        self._systemd.ready(self._status())

    async def _stop(self) -> None:
        self._systemd.stopping(f"Stopping {len(self.workers)} workers")
        await super()._stop()

    async def _stop_workers(self) -> None:
        ended = gatherResults([worker.stop() for worker in self.workers])
        kill = self._reactor.callLater(_STOP_TIMEOUT, self._kill_all)
        await ended
        if kill.active():
            kill.cancel()

    def _kill_all(self) -> None:
        for worker in self.workers:
            worker.signal(signal.SIGKILL)

    async def _close_heartbeats(self) -> None:
        for worker in self.workers:
            await maybeDeferred(worker.close)

    def _watch(self) -> None:
        now, before = self._reactor.seconds(), self._last_watch
        self._last_watch = now
        for worker in self.workers:
            if now - before > HEARTBEAT_TIMEOUT / 2:
                worker.reset_silence()  # we were suspended; their heartbeats are still unread
            patience = HEARTBEAT_TIMEOUT if worker.serves else _START_TIMEOUT
            if worker.runs and worker.silence > patience:
                text = "Worker {number} gives no sign of life: it is killed"
                self._log.error(text, event="worker-silent", number=worker.number)
                worker.signal(signal.SIGKILL)

    def _ended(self, worker: WorkerProcess, how: str) -> None:
        if not self._serves:
            return  # the start itself is being given up
        soon = 0 if worker.age > _SETTLED else self._failures[worker]
        self._failures[worker] = soon + 1
        delay = _RESTART_DELAYS[min(soon, len(_RESTART_DELAYS) - 1)]
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
        elif self.running and failure.check(_WorkerEnded):
            self._given_up(None)
        elif self.running:
            self._log.failure("The workers could not be started", failure, event="cannot-start")
            self._given_up(f"{type(failure.value).__name__}: {failure.value}")

    def _could_not_stop(self, failure: Failure) -> None:
        self._broken(failure)

    def _broken(self, failure: Failure) -> None:
        self._log.failure("The workers are not looked after as they should be", failure)
