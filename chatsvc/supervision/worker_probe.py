"""What the workers of a server show to those who watch over it, asked of each and made one."""

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

from chatsvc.observability.metrics_merge import merge_pages
from chatsvc.supervision.worker_process import WorkerProcess

_PATIENCE = 2.5
"""Seconds for a worker's answer: it takes its stores 1.5 at most, and probes give up after few."""


@implementer(IAgentEndpointFactory)
class _Sockets:
    """The Unix sockets of workers, by number."""

    def __init__(self, reactor: Any, paths: Mapping[bytes, str]) -> None:
        self._reactor = reactor
        self._paths = paths

    def endpointForURI(self, uri: URI) -> IStreamClientEndpoint:
        return UNIXClientEndpoint(self._reactor, self._paths[uri.host], timeout=1)


@dataclass(frozen=True)
class _Last:
    """The last page of metrics that a worker gave, and at which of its starts."""

    start: int
    page: str


class WorkerProbe:
    """Asks all of ``workers``; ``own_troubles`` are those that need not be asked for."""

    def __init__(
        self, reactor: Any, workers: Sequence[WorkerProcess], own_troubles: Callable[[], list[str]]
    ) -> None:
        self._reactor = reactor
        self._workers = workers
        self._own_problems = own_troubles
        self._last: dict[int, _Last] = {}
        self._ended = ""
        paths = {str(worker.number).encode(): worker.probe_path for worker in workers}
        self._agent = Agent.usingEndpointFactory(reactor, _Sockets(reactor, paths))

    async def metrics(self) -> bytes:
        """The metrics of those workers that answer, added up."""
        pages = {number: text for number, _, text in await self._ask("metrics")}
        for worker in self._workers:
            self._note(worker, pages.get(worker.number))
        silent = [last.page for number, last in self._last.items() if number not in pages]
        return merge_pages(pages.values(), [self._ended, *silent])

    def _note(self, worker: WorkerProcess, page: str | None) -> None:
        """Keep the last page of each process, and what those that ended have counted."""
        last = self._last.get(worker.number)
        if last is not None and last.start != worker.starts:
            del self._last[worker.number]
            self._ended = merge_pages([], [self._ended, last.page]).decode()
        if page is not None:
            self._last[worker.number] = _Last(worker.starts, page)

    async def problems(self) -> list[str]:
        """What is wrong with the workers or what they need, a line each."""
        troubles = self._own_problems()
        for number, status, text in await self._ask("health"):
            if status != OK:
                troubles += [f"worker {number}: {line}" for line in text.splitlines()]
        return troubles

    async def _ask(self, page: str) -> Sequence[tuple[int, int, str]]:
        """(number, status, text) of each worker that serves and answers."""
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
