"""The metrics of a server, for Prometheus: all names, labels and meanings."""

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

disable_created_metrics()  # they double the lines, and no dashboard asks for them

HOLDING = (
    *("message-rate", "request-rate", "find-rate", "room-command-rate", "room-rate"),
    *("archive-backlog", "unanswered", "output"),
)
"""Why a connection is not read: it sends or asks too fast, or its answers or output pile up."""

ENDING = ("total", "per-address", "login-timeout", "frame-timeout", "silent")
"""Which limit ended a connection; ``silent`` means that it made room for another one."""

TURNED_AWAY = ("open-files", "system", "untrusted-proxy", "bad-header")
"""
Why a connection ended before anybody served it.

``open-files``: this process may open no more of them; ``system``: accept(2) failed for another reason.
"""

PORTS = ("ordinary", "legacy")
"""The kinds of port through which a connection comes."""

STORES = ("accounts", "inbox")

LOGINS = (
    *("ok", "bad-credentials", "throttled", "store-unavailable", "bad-request"),
    "too-many-devices",
)
"""
The results of a log-in.

``throttled`` also counts log-ins refused because too many passwords wait to be checked, ``bad-request`` log-ins on a
connection where somebody is logged in already. ``too-many-devices``: as many as may be registered are online.
"""

MESSAGE_STATES = (
    *("stored", "duplicate", "full", "gap", "failed", "moved", "unregistered"),
    *("not-member", "behind", "gone"),
    "unknown",
)
"""What can become of a message: the store's outcome, or ``unknown`` if the sender got no certain answer."""

COMBINE: dict[str, Callable[[Iterable[float]], float]] = {
    "chatsvc_build_info": max,
    "chatsvc_certificate_days_left": min,
    "chatsvc_store_up": min,
    "chatsvc_waiting_messages": max,
    "chatsvc_archive_waiting_messages": max,
    "chatsvc_archive_waiting_bytes": max,
    "chatsvc_archive_unindexed_messages": max,
    "process_start_time_seconds": min,
    "python_info": max,
}
"""
How samples of several processes are combined, by the metric's name.

These metrics describe the stores and the certificate that the processes share. All others are added up: counters, parts
of histograms, and gauges of what each process has of its own.
"""

_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
HISTORY_COMMANDS = ("history", "search", "conversations", "read", "settings", "edit", "retract")
"""The commands about the history, as programs send them."""

_SECONDS_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)
_MESSAGE_BUCKETS = (*_SECONDS_BUCKETS, 10, 30)


class Tally(Collector):
    """A counter for the way of a message: adding to ``count`` costs no call."""

    def __init__(self, name: str, what: str) -> None:
        self._name = name
        self._what = what
        self.count = 0

    def collect(self) -> Iterator[Metric]:
        """Yield the counter."""
        yield CounterMetricFamily(self._name, self._what, value=self.count)


class BatchHistogram(Collector):
    """A histogram that takes a batch's values at once, at a tenth of the cost of one after the other."""

    def __init__(self, name: str, what: str, buckets: Sequence[float]) -> None:
        self._name = name
        self._what = what
        self._bounds = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0

    def add(self, values: Sequence[float]) -> None:
        """Add values in ascending or descending order: if the first and the last share a bucket, all do."""
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
        """Yield the histogram."""
        bounds = [*map(floatToGoString, self._bounds), "+Inf"]
        total, buckets = 0, []
        for bound, count in zip(bounds, self._counts, strict=True):
            total += count
            buckets.append((bound, float(total)))
        yield HistogramMetricFamily(self._name, self._what, buckets=buckets, sum_value=self._sum)


class _SampledGauge(Collector):
    """A gauge whose value is looked up for each page; None means unknown, and the gauge is left out."""

    def __init__(self, name: str, what: str, value: Callable[[], float | None]) -> None:
        self._name = name
        self._what = what
        self._value = value

    def collect(self) -> Iterator[Metric]:
        yield GaugeMetricFamily(self._name, self._what, value=self._value())


class SampledCounter(Collector):
    """A counter that something else keeps: ``value`` is asked for each page."""

    def __init__(self, name: str, what: str) -> None:
        self._name = name
        self._what = what
        self.value: Callable[[], int] = lambda: 0

    def collect(self) -> Iterator[Metric]:
        """Yield the counter."""
        yield CounterMetricFamily(self._name, self._what, value=self.value())


class ProcessMetrics:
    """What is counted in every process, also in one that only supervises others; in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.log_lines_dropped = self._register(
            SampledCounter(
                "chatsvc_log_lines_dropped", "Lines of the log that were lost: nobody took them."
            )
        )
        self.turned_away = self._counters(
            "chatsvc_connections_turned_away",
            "Connections that ended before anybody served them, by reason.",
            "reason",
            TURNED_AWAY,
        )

    async def page(self) -> bytes:
        """Return all metrics in Prometheus's text format 0.0.4."""
        return generate_latest(self.registry)

    def _register(self, collector: C) -> C:
        self.registry.register(collector)
        return collector

    def _counters(
        self, name: str, what: str, label: str, values: Iterable[str]
    ) -> dict[str, Counter]:
        """Return a counter for each value of a label; all begin at 0, for a rate needs something to rise from."""
        counter = Counter(name, what, [label], registry=self.registry)
        return {value: counter.labels(value) for value in values}


class Metrics(ProcessMetrics):
    """One server's metrics: servers in one process share nothing."""

    def __init__(self) -> None:
        super().__init__()
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
        self.room_entries_handed = self._register(
            Tally(
                "chatsvc_room_entries_handed",
                "Messages and events of rooms handed to readers who are here.",
            )
        )
        self.copies = self._register(
            Tally(
                "chatsvc_copies",
                "Messages put into their sender's own inbox too, for other devices.",
            )
        )
        self.devices_forgotten = Counter(
            "chatsvc_devices_forgotten",
            "Sessions here that ended because their device is not registered any more.",
            registry=self.registry,
        )
        self.expired = Counter(
            "chatsvc_messages_expired",
            "Messages that had waited longer than --inbox-days allows and were removed, unread.",
            registry=self.registry,
        )
        self.archived = self._register(
            Tally("chatsvc_messages_archived", "Messages, and changes of them, archived here.")
        )
        self.archive_refused = self._register(
            Tally(
                "chatsvc_archive_refused",
                "Messages that the database did not take, put aside in chat:archive:refused.",
            )
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
        history = self._seconds(
            "chatsvc_history_seconds",
            "Time until a command about the history was answered.",
            ["command"],
        )
        self.history_seconds = {word: history.labels(word) for word in HISTORY_COMMANDS}
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

    def gauge(self, name: str, what: str, value: Callable[[], float | None]) -> None:
        """Add a gauge whose value is looked up for each page; None means unknown, and the gauge is left out."""
        self._register(_SampledGauge(name, what, value))

    def _seconds(self, name: str, what: str, labels: Sequence[str] = ()) -> Histogram:
        return Histogram(name, what, labels, buckets=_SECONDS_BUCKETS, registry=self.registry)
