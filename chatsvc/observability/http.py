"""The pages of ``--metrics`` for monitoring systems: ``/metrics`` and ``/health`` over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.http import INTERNAL_SERVER_ERROR, NOT_FOUND, OK, SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from chatsvc.observability.redaction import redacted

HealthCheck = Callable[[], Coroutine[Any, Any, list[str]]]
"""Returns what is wrong, one line each; empty if nothing is."""

MetricsPage = Callable[[], Coroutine[Any, Any, bytes]]
"""Returns all metrics in Prometheus's text format 0.0.4."""

_TEXT = "text/plain; charset=utf-8"

_Page = tuple[int, str, bytes]
"""HTTP status, content type, body."""


class _Pages(Resource):
    """All pages; HEAD is answered as GET is, without the body."""

    isLeaf = True
    _log = Logger()

    def __init__(self, metrics: MetricsPage, check: HealthCheck) -> None:
        super().__init__()
        self._metrics_page = metrics
        self._check = check
        self._pages: dict[bytes, Callable[[], Coroutine[Any, Any, _Page]]] = {
            b"/": self._index,
            b"/metrics": self._metrics,
            b"/health": self._health,
        }

    def render_GET(self, request: Request) -> int:
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        def answer(page: _Page) -> None:
            if not gone:
                status, kind, text = page
                request.setResponseCode(status)
                request.setHeader("content-type", kind)
                request.write(text)
                request.finish()

        page = Deferred.fromCoroutine(self._pages.get(request.path, self._unknown)())
        page.addErrback(self._broken).addCallback(answer)
        return NOT_DONE_YET

    async def _index(self) -> _Page:
        return OK, _TEXT, b"/metrics  numbers for Prometheus\n/health   ok, or what is wrong\n"

    async def _unknown(self) -> _Page:
        return NOT_FOUND, _TEXT, b"there are /metrics and /health\n"

    async def _metrics(self) -> _Page:
        return OK, CONTENT_TYPE_PLAIN_0_0_4, await self._metrics_page()

    async def _health(self) -> _Page:
        """Return 200 if nothing is wrong, else 503 and the problems."""
        problems = await self._check()
        text = "".join(f"{line}\n" for line in problems or ["ok"]).encode()
        return SERVICE_UNAVAILABLE if problems else OK, _TEXT, text

    def _broken(self, failure: Failure) -> _Page:
        kind = type(failure.value).__name__
        self._log.failure("A page for monitoring failed", redacted(failure), event="probe-failed")
        return INTERNAL_SERVER_ERROR, _TEXT, f"that failed: {kind}\n".encode()


def monitoring_site(metrics: MetricsPage, check: HealthCheck) -> Site:
    """Return the site with these pages."""
    site = Site(_Pages(metrics, check))
    site.noisy = False
    # A line for each request of a monitoring system would drown the others.
    site.log = lambda request: None  # type: ignore[method-assign]
    return site
