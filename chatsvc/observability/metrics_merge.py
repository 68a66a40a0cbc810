"""Merging the metrics pages of several processes into one: mostly their sums."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.registry import Collector
from prometheus_client.samples import Sample

from chatsvc.observability.metrics import COMBINE

_COUNTED = ("counter", "histogram")

_Key = tuple[str, tuple[tuple[str, str], ...]]


class _MergedPage(Collector):
    def __init__(self, pages: Iterable[str], ended: Iterable[str]) -> None:
        self._families: dict[str, Metric] = {}
        self._values: dict[str, dict[_Key, list[float]]] = {}
        for page in pages:
            for family in text_string_to_metric_families(page):
                self._add(family)
        for page in ended:
            for family in text_string_to_metric_families(page):
                if family.type in _COUNTED:
                    self._add(family)

    def _add(self, family: Metric) -> None:
        self._families.setdefault(family.name, family)
        values = self._values.setdefault(family.name, {})
        for sample in family.samples:
            key = (sample.name, tuple(sorted(sample.labels.items())))
            values.setdefault(key, []).append(sample.value)

    def collect(self) -> Iterator[Metric]:
        for name, family in self._families.items():
            combine = COMBINE.get(name, sum)
            merged = Metric(name, family.documentation, family.type)
            merged.samples = [
                Sample(sample, dict(labels), combine(values))
                for (sample, labels), values in self._values[name].items()
            ]
            yield merged


def merge_pages(pages: Iterable[str], ended: Iterable[str] = ()) -> bytes:
    """
    Merge pages of Prometheus's text format; ``chatsvc.observability.metrics.COMBINE`` says how.

    ``ended`` are the last pages of processes that have ended. Their counters and histograms still count: Prometheus
    would take a sum that falls for a restart, and all that was counted before for new.
    """
    registry = CollectorRegistry()
    registry.register(_MergedPage(pages, ended))
    return generate_latest(registry)
