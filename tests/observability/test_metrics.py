"""What is counted, and how it is shown."""

from __future__ import annotations

from typing import Any, get_args

from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.delivery.router import STATE_LABELS
from chatsvc.inbox.outcome import Outcome
from chatsvc.observability.metrics import (
    COMBINE,
    MESSAGE_STATES,
    BatchHistogram,
    Metrics,
    Tally,
)


class MetricsTests(SynchronousTestCase):
    """Metrics, as Prometheus reads them."""

    def families(self, registry: CollectorRegistry) -> dict[str, Any]:
        """What a monitoring system reads, by name."""
        text = generate_latest(registry).decode()
        return {family.name: family for family in text_string_to_metric_families(text)}

    def test_counters_begin_at_zero(self) -> None:
        """The first refusal after a start would not show in a rate."""
        for family in self.families(Metrics().registry).values():
            if family.type == "counter" and family.name.startswith("chatsvc_"):
                self.assertTrue(family.samples, family.name)
                self.assertEqual({sample.value for sample in family.samples}, {0.0}, family.name)

    def test_every_outcome_is_counted(self) -> None:
        """A message with an outcome that has no label would break the counting of its whole batch."""
        self.assertEqual(set(STATE_LABELS), set(get_args(Outcome)))
        self.assertEqual([*STATE_LABELS.values(), "unknown"], list(MESSAGE_STATES))

    def test_servers_of_one_process(self) -> None:
        """Two servers of one process would count together."""
        one, other = Metrics(), Metrics()
        one.logins["ok"].inc()
        self.assertEqual(
            other.registry.get_sample_value("chatsvc_logins_total", {"result": "ok"}), 0
        )

    def test_batches_are_counted_as_one_by_one(self) -> None:
        """A batch's values would fall into other buckets than Prometheus has for them."""
        bounds = (0.1, 1, 5)
        registry = CollectorRegistry()
        batches = BatchHistogram("batches", "x", bounds)
        registry.register(batches)
        single = Histogram("single", "x", buckets=bounds, registry=registry)
        for values in ([], [0.05], [0.1, 0.1], [0.3, 0.2, 0.1, 0.09], [9, 5, 0.0], [7, 6]):
            batches.add(values)
            for value in values:
                single.observe(value)
        families = self.families(registry)
        shown = [
            [(s.name.partition("_")[2], s.labels, s.value) for s in families[name].samples]
            for name in ("batches", "single")
        ]
        self.assertEqual(*map(sorted_by_name, shown))

    def test_tally(self) -> None:
        """What was handed to readers would not show as a counter."""
        registry = CollectorRegistry()
        tally = Tally("handed", "x")
        registry.register(tally)
        tally.count += 3
        family = self.families(registry)["handed"]
        self.assertEqual((family.type, family.samples[0].value), ("counter", 3))

    def test_unknown_values_are_not_shown(self) -> None:
        """A number that is not known yet would be shown as 0."""
        metrics = Metrics()
        known: list[float] = []
        metrics.gauge("chatsvc_x", "x", lambda: known[0] if known else None)
        self.assertEqual(self.families(metrics.registry)["chatsvc_x"].samples, [])
        known.append(5)
        self.assertEqual(self.families(metrics.registry)["chatsvc_x"].samples[0].value, 5)

    def test_what_does_not_add_up_is_a_gauge(self) -> None:
        """Counters or histograms of several processes would be combined to something else than their sum."""
        families = self.families(Metrics().registry)
        for name in COMBINE.keys() & families.keys():
            self.assertEqual(families[name].type, "gauge", name)


def sorted_by_name(samples: list[Any]) -> list[Any]:
    """Sort samples, whatever their types."""
    return sorted(samples, key=str)
