"""Pages of metrics that become one."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import TestCase

from chatsvc.observability.metrics import Metrics
from chatsvc.observability.metrics_merge import merge_pages


def _page(logins: int, up: int, seconds: float) -> str:
    registry = CollectorRegistry()
    Counter("chatsvc_logins", "L.", ["result"], registry=registry).labels("ok").inc(logins)
    Gauge("chatsvc_store_up", "U.", ["store"], registry=registry).labels("inbox").set(up)
    Histogram("chatsvc_x_seconds", "X.", buckets=(1, 5), registry=registry).observe(seconds)
    return generate_latest(registry).decode()


class MergeTests(TestCase):
    """Pages of several processes, merged."""

    def values(self, page: bytes) -> dict[str, float]:
        """All samples, by name and labels."""
        return {
            " ".join([sample.name, *sample.labels.values()]): sample.value
            for family in text_string_to_metric_families(page.decode())
            for sample in family.samples
        }

    def test_add_up(self) -> None:
        """Those who watch would see one worker's numbers for all, or a store that is away for some as there."""
        values = self.values(merge_pages([_page(2, 1, 0.5), _page(3, 0, 3)]))
        self.assertEqual(values["chatsvc_logins_total ok"], 5)
        self.assertEqual(values["chatsvc_store_up inbox"], 0)
        buckets = [values[f"chatsvc_x_seconds_bucket {le}"] for le in ("1.0", "5.0", "+Inf")]
        self.assertEqual(buckets, [1, 2, 2])
        self.assertEqual(values["chatsvc_x_seconds_count"], 2)
        self.assertEqual(values["chatsvc_x_seconds_sum"], 3.5)

    async def test_the_same_form(self) -> None:
        """A dashboard would find other names or types with workers than without."""
        page = (await Metrics().page()).decode()
        one = {family.name: family.type for family in text_string_to_metric_families(page)}
        summed = merge_pages([page]).decode()
        many = {family.name: family.type for family in text_string_to_metric_families(summed)}
        self.assertEqual(one, many)

    def test_ended(self) -> None:
        """When a worker is replaced, counts would fall, and rates be taken for huge ones."""
        page = merge_pages([_page(2, 1, 0.5)], [_page(3, 0, 3)])
        values = self.values(page)
        self.assertEqual(values["chatsvc_logins_total ok"], 5)
        self.assertEqual(values["chatsvc_x_seconds_count"], 2)
        self.assertEqual(values["chatsvc_store_up inbox"], 1)
        again = merge_pages([], [merge_pages([], [_page(3, 0, 3)]).decode(), _page(1, 1, 1)])
        self.assertEqual(self.values(again)["chatsvc_logins_total ok"], 4)

    def test_nobody(self) -> None:
        """While no worker serves, the page would be an error."""
        self.assertEqual(merge_pages([]), b"")
