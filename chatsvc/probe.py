"""``--metrics``: what a monitoring system asks over HTTP, ``/metrics`` and ``/health``."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from prometheus_client import generate_latest
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request, Site

from chatsvc.metrics import Metrics

HealthCheck = Callable[[], Coroutine[Any, Any, list[str]]]
"""What is wrong, one line each; empty: nothing."""


class _MetricsPage(Resource):
    isLeaf = True

    def __init__(self, metrics: Metrics) -> None:
        super().__init__()
        self._metrics = metrics

    def render_GET(self, request: Request) -> bytes:
        request.setHeader("content-type", CONTENT_TYPE_LATEST)
        return generate_latest(self._metrics.registry)


class _HealthPage(Resource):
    """200 when all is well, else 503 and what is not."""

    isLeaf = True

    def __init__(self, check: HealthCheck) -> None:
        super().__init__()
        self._check = check

    def render_GET(self, request: Request) -> int:
        gone: list[object] = []
        request.notifyFinish().addErrback(gone.append)

        def answer(troubles: list[str]) -> None:
            if not gone:
                request.setResponseCode(503 if troubles else 200)
                request.setHeader("content-type", "text/plain; charset=utf-8")
                request.write("".join(f"{line}\n" for line in troubles or ["ok"]).encode())
                request.finish()

        Deferred.fromCoroutine(self._check()).addErrback(_broken).addCallback(answer)
        return NOT_DONE_YET


def _broken(failure: Failure) -> list[str]:
    return [f"the check failed: {type(failure.value).__name__}"]


def probe_site(metrics: Metrics, check: HealthCheck) -> Site:
    """The pages."""
    root = Resource()
    root.putChild(b"metrics", _MetricsPage(metrics))
    root.putChild(b"health", _HealthPage(check))
    site = Site(root)
    site.noisy = False
    # One line for each look of a monitoring system would drown the others.
    site.log = lambda request: None  # type: ignore[method-assign]
    return site
