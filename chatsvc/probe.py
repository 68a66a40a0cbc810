"""``--metrics``: what a monitoring system asks over HTTP, ``/metrics`` and ``/health``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.http import NOT_FOUND, OK, SERVICE_UNAVAILABLE
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

HealthCheck = Callable[[], Coroutine[Any, Any, list[str]]]
"""What is wrong, one line each; empty: nothing."""

_TEXT = "text/plain; charset=utf-8"


class _Pages(Resource):
    """All pages; HEAD is answered as GET is, without the text."""

    isLeaf = True

    def __init__(self, registry: CollectorRegistry, check: HealthCheck) -> None:
        super().__init__()
        self._registry = registry
        self._check = check
        self._pages: dict[bytes, Callable[[Request], bytes | int]] = {
            b"/": self._index,
            b"/metrics": self._metrics,
            b"/health": self._health,
        }

    def render_GET(self, request: Request) -> bytes | int:
        request.setHeader("content-type", _TEXT)
        return self._pages.get(request.path, self._unknown)(request)

    def _index(self, request: Request) -> bytes:
        return b"/metrics  numbers for Prometheus\n/health   ok, or what is wrong\n"

    def _unknown(self, request: Request) -> bytes:
        request.setResponseCode(NOT_FOUND)
        return b"there are /metrics and /health\n"

    def _metrics(self, request: Request) -> bytes:
        request.setHeader("content-type", CONTENT_TYPE_PLAIN_0_0_4)
        return generate_latest(self._registry)

    def _health(self, request: Request) -> int:
        """200 when all is well, else 503 and what is not."""
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        def answer(troubles: list[str]) -> None:
            if not gone:
                request.setResponseCode(SERVICE_UNAVAILABLE if troubles else OK)
                request.write("".join(f"{line}\n" for line in troubles or ["ok"]).encode())
                request.finish()

        Deferred.fromCoroutine(self._check()).addErrback(_broken).addCallback(answer)
        return NOT_DONE_YET


def _broken(failure: Failure) -> list[str]:
    return [f"the check failed: {type(failure.value).__name__}"]


def probe_site(registry: CollectorRegistry, check: HealthCheck) -> Site:
    """The pages."""
    site = Site(_Pages(registry, check))
    site.noisy = False
    # One line for each look of a monitoring system would drown the others.
    site.log = lambda request: None  # type: ignore[method-assign]
    return site
