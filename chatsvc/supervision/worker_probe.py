"""Metrics and health of all workers of a server, asked of each and put together."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from twisted.internet.defer import Deferred, DeferredList
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.web.client import URI, Agent, readBody
from twisted.web.http import OK
from twisted.web.iweb import IAgentEndpointFactory
from zope.interface import implementer

from chatsvc.observability.metrics import ProcessMetrics
from chatsvc.observability.metrics_merge import merge_pages
from chatsvc.supervision.worker_process import WorkerProcess

_PATIENCE = 2.5
"""Seconds for a worker's answer: it gives its stores 1.5, and whoever asks us gives up after few."""


@implementer(IAgentEndpointFactory)
class _ProbeEndpoints:
    """The Unix sockets at which workers answer, by number."""

    def __init__(self, reactor: Any, paths: Mapping[bytes, str]) -> None:
        self._reactor = reactor
        self._paths = paths

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return UNIXClientEndpoint(self._reactor, self._paths[uri.host], timeout=1)


@dataclass(frozen=True)
class _LastPage:
    """The last page of metrics that a worker gave, and at which of its starts."""

    start: int
    page: str


class WorkerProbe:
    """
    Asks all of ``workers``.

    ``own_problems`` gives those that need not be asked for, ``own_metrics`` what is counted in this process.
    """

    def __init__(
        self,
        reactor: Any,
        workers: Sequence[WorkerProcess],
        own_problems: Callable[[], list[str]],
        own_metrics: ProcessMetrics,
    ) -> None:
        self._reactor = reactor
        self._workers = workers
        self._own_problems = own_problems
        self._own_metrics = own_metrics
        self._last_pages: dict[int, _LastPage] = {}
        self._ended = ""
        """What processes that have ended had counted, as a page."""
        paths = {str(worker.number).encode(): worker.probe_path for worker in workers}
        self._agent = Agent.usingEndpointFactory(reactor, _ProbeEndpoints(reactor, paths))

    async def metrics(self) -> bytes:
        """Add up the metrics of all workers; for one that does not answer, its last page counts."""
        pages = {number: text for number, _, text in await self._ask("metrics")}
        for worker in self._workers:
            self._note(worker, pages.get(worker.number))
        silent = [last.page for number, last in self._last_pages.items() if number not in pages]
        own = (await self._own_metrics.page()).decode()
        return merge_pages([own, *pages.values()], [self._ended, *silent])

    def _note(self, worker: WorkerProcess, page: str | None) -> None:
        """Keep the last page of a process, and add that of its predecessor to what has ended."""
        last = self._last_pages.get(worker.number)
        if last is not None and last.start != worker.starts:
            del self._last_pages[worker.number]
            self._ended = merge_pages([], [self._ended, last.page]).decode()
        if page is not None:
            self._last_pages[worker.number] = _LastPage(worker.starts, page)

    async def problems(self) -> list[str]:
        """Say what is wrong with the workers or with what they need, a line each."""
        problems = self._own_problems()
        for number, status, text in await self._ask("health"):
            if status != OK:
                problems += [f"worker {number}: {line}" for line in text.splitlines()]
        return problems

    async def _ask(self, page: str) -> Sequence[tuple[int, int, str]]:
        """Ask each worker that serves for a page, and give (number, status, text) of those that answer."""
        serving = [worker.number for worker in self._workers if worker.serves]
        asked = [Deferred.fromCoroutine(self._get(number, page)) for number in serving]
        for answer in asked:
            answer.addTimeout(_PATIENCE, self._reactor)
        results = await DeferredList(asked, consumeErrors=True)
        silent = (503, "it does not answer") if page == "health" else None
        found = []
        for number, (answered, result) in zip(serving, results, strict=True):
            if answered or silent:
                found.append((number, *(result if answered else silent)))  # type: ignore[misc]
        return found

    async def _get(self, number: int, page: str) -> tuple[int, str]:
        response = await self._agent.request(b"GET", f"http://{number}/{page}".encode())
        return response.code, (await readBody(response)).decode()
