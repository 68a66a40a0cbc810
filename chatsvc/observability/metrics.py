"""What a server counts, for Prometheus. Names, labels and meanings: here, one place to look them up."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from chatsvc import __version__
from chatsvc.storage.monitor import StoreCounts
from chatsvc.wire.problems import Problem

C = TypeVar("C", bound=Collector)

disable_created_metrics()  # twice the lines, for what no dashboard asks

HOLDING = ("message-rate", "request-rate", "find-rate", "unanswered", "output")
"""Why a connection is not read: its account sends too fast, it asks too much, it does not take its answers."""

ENDING = ("total", "per-address", "login-timeout", "frame-timeout", "silent")
"""Which limit ended a connection; ``silent``: it made room for another one."""

PORTS = ("ordinary", "legacy")
"""Through which kind of port a connection came."""

STORES = ("accounts", "inbox")

LOGINS = ("ok", "bad-credentials", "throttled", "store-unavailable", "bad-request")
"""
What a log-in can lead to; ``throttled`` also where too many passwords wait to be checked, ``bad-request`` where
somebody is logged in already.
"""

MESSAGE_STATES = ("stored", "duplicate", "full", "gap", "failed", "moved", "unknown")
"""What can become of a message: the store's outcome, or ``unknown`` where the sender was told that nobody knows."""

COMBINE: dict[str, Callable[[Iterable[float]], float]] = {
    "chatsvc_build_info": max,
    "chatsvc_certificate_days_left": min,
    "chatsvc_store_up": min,
    "chatsvc_waiting_messages": max,
    "process_start_time_seconds": min,
    "python_info": max,
}
"""
How the samples of several processes that share stores and certificate become one, by the metric's name. All others add
up: counters, the parts of histograms, and what each process has of its own.
"""

_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_SECONDS_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_MESSAGE_BUCKETS = (*_SECONDS_BUCKETS, 10, 30)


class Tally(Collector):
    """A counter for where messages pass: to add to ``count`` costs no call."""

    def __init__(self, name: str, what: str) -> None:
        self._name = name
        self._what = what
        self.count = 0

    def collect(self) -> Iterator[Metric]:
        yield CounterMetricFamily(self._name, self._what, value=self.count)


class BatchHistogram(Collector):
    """A histogram that takes a batch's values at once, which costs a tenth of one after the other."""

    def __init__(self, name: str, what: str, buckets: Sequence[float]) -> None:
        self._name = name
        self._what = what
        self._bounds = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0

    def add(self, values: Sequence[float]) -> None:
        """Add values that rise or fall: mostly the first and the last fall into one bucket, and so do all."""
        if not values:
            return
        first = bisect_left(self._bounds, values[0])
        if first == bisect_left(self._bounds, values[-1]):
            self._counts[first] += len(values)
        else:
            for value in values:
                self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += sum(values)

    def collect(self) -> Iterator[Metric]:
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        total, buckets = 0, []
        for bound, count in zip(bounds, self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        yield HistogramMetricFamily(self._name, self._what, buckets=buckets, sum_value=self._sum)


class _SampledGauge(Collector):
    """A value that is looked up whenever somebody asks; None: it is not known and not shown."""

    def __init__(self, name: str, what: str, value: Callable[[], float | None]) -> None:
        self._name = name
        self._what = what
        self._value = value

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(self._name, self._what, value=self._value())


class Metrics:
    """One server's counts, in a registry of their own: nothing is shared between servers of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.accepted = self._counters(
            "chatsvc_connections_accepted",
            "Connections that came in, by the kind of port.",
            "port",
            PORTS,
        )
        self.ended = self._counters(
            "chatsvc_connections_ended",
            "Connections refused or ended by a limit, by the limit.",
            "limit",
            ENDING,
        )
        self.held = self._counters(
            "chatsvc_reading_held",
            "Times that a connection was not read for a while, by reason.",
            "reason",
            HOLDING,
        )
        self.logins = self._counters("chatsvc_logins", "Log-ins by result.", "result", LOGINS)
        refusals = self._counters(
            "chatsvc_refusals",
            "Commands refused, by reason; messages that the store refused are counted by their state.",
            "reason",
            [problem.value for problem in Problem],
        )
        self.refusals = {problem: refusals[problem.value] for problem in Problem}
        self.message_states = self._counters(
            "chatsvc_messages",
            "Messages by what became of them; one whose sender was told that nobody knows is unknown, and counts again"
            " when the store answers after all.",
            "state",
            MESSAGE_STATES,
        )
        self.handed = self._register(
            Tally("chatsvc_messages_handed", "Messages handed to readers who are here.")
        )
        self.expired = Counter(
            "chatsvc_messages_expired",
            "Messages that had waited longer than --inbox-days allows and were removed, unread.",
            registry=self.registry,
        )
        self.message_seconds = self._register(
            BatchHistogram(
                "chatsvc_message_seconds",
                "Time from taking a message to the store's answer.",
                _MESSAGE_BUCKETS,
            )
        )
        self.batch_messages = Histogram(
            "chatsvc_batch_messages",
            "Messages in a batch to the store; 0: it only removes what was received.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self.password_seconds = self._seconds(
            "chatsvc_password_seconds", "Time that a password took to be hashed, with its waiting."
        )
        self.reactor_lag = self._seconds(
            "chatsvc_reactor_lag_seconds",
            "How late the reactor came to what was due, four times a second.",
        )
        up = Gauge(
            "chatsvc_store_up",
            "Whether a store answered when it was asked last.",
            ["store"],
            registry=self.registry,
        )
        seconds = self._seconds(
            "chatsvc_store_seconds", "Time that a store took to answer.", ["store"]
        )
        failures = self._counters(
            "chatsvc_store_failures",
            "Questions that a store refused or did not answer in time.",
            "store",
            STORES,
        )
        self.stores = {
            store: StoreCounts(up.labels(store), seconds.labels(store), failures[store])
            for store in STORES
        }
        built = Gauge("chatsvc_build_info", "The version.", ["version"], registry=self.registry)
        built.labels(__version__).set(1)
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)

    async def page(self) -> bytes:
        """All of it in Prometheus's text format."""
        return generate_latest(self.registry)

    def gauge(self, name: str, what: str, value: Callable[[], float | None]) -> None:
        """Show a value that is looked up whenever somebody asks; None: not known."""
        self._register(_SampledGauge(name, what, value))

    def _register(self, collector: C) -> C:
        self.registry.register(collector)
        return collector

    def _counters(
        self, name: str, what: str, label: str, values: Iterable[str]
    ) -> dict[str, Counter]:
        """A counter for each value of a label, at 0 from the start: a rate needs something to rise from."""
        counter = Counter(name, what, [label], registry=self.registry)
        return {value: counter.labels(value) for value in values}

    def _seconds(self, name: str, what: str, labels: Sequence[str] = ()) -> Histogram:
        return Histogram(name, what, labels, buckets=_SECONDS_BUCKETS, registry=self.registry)
