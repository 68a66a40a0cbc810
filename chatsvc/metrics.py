"""What a server counts, for Prometheus. Names and labels here, one place to look them up."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from chatsvc.wire.problems import Problem

HOLDING = ("message-rate", "request-rate", "unanswered", "output")
"""Why a connection is not read: its account sends too fast, it asks too much, it does not take its answers."""

ENDING = ("total", "per-address", "login-timeout", "frame-timeout", "silent")
"""Which limit ended a connection; ``silent``: it made room for another one."""

_BATCH_BUCKETS = (1, 2, 4, 8, 16, 32, 64, 128, 256)
_STORE_BUCKETS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)


class Metrics:
    """One server's counts, in a registry of their own: nothing is shared between servers of one process."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.logins = Counter(
            "chatsvc_logins", "Log-ins by result.", ["result"], registry=self.registry
        )
        messages = Counter(
            "chatsvc_messages",
            "Messages by what became of them.",
            ["state"],
            registry=self.registry,
        )
        self.message_states = {
            state: messages.labels(state.lower())
            for state in ("Stored", "Duplicate", "Full", "Gap", "Failed", "unknown")
        }
        refusals = Counter(
            "chatsvc_refusals", "Commands refused, by reason.", ["reason"], registry=self.registry
        )
        self.refusals = {
            problem: refusals.labels(problem.name.lower().replace("_", "-")) for problem in Problem
        }
        held = Counter(
            "chatsvc_reading_held",
            "Times that a connection was not read for a while, by reason.",
            ["reason"],
            registry=self.registry,
        )
        self.held = {reason: held.labels(reason) for reason in HOLDING}
        ended = Counter(
            "chatsvc_connections_ended",
            "Connections refused or ended by a limit, by the limit.",
            ["limit"],
            registry=self.registry,
        )
        self.ended = {limit: ended.labels(limit) for limit in ENDING}
        self.batch_messages = Histogram(
            "chatsvc_batch_messages",
            "Messages in a batch to the store.",
            buckets=_BATCH_BUCKETS,
            registry=self.registry,
        )
        self.store_seconds = Histogram(
            "chatsvc_store_seconds",
            "Time that the store took for a batch.",
            buckets=_STORE_BUCKETS,
            registry=self.registry,
        )

    def gauge(self, name: str, what: str, value: Callable[[], float]) -> None:
        """Show a value that is asked for whenever somebody looks."""
        Gauge(name, what, registry=self.registry).set_function(value)
