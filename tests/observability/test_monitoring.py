"""The dashboard, the alert rules and their page name what a running server shows."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml
from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.observability.metrics import COMBINE
from tests.support.processes import ChatServer, shared
from tests.support.watching import Watch

DOCS = Path(__file__).parents[2] / "docs"

_WORD = re.compile(r"\b(?:chatsvc|process|python)_\w+")
_SELECTOR = re.compile(r"(\w+)\{([^}]*)\}")
_MATCHER = re.compile(r'(\w+)\s*(=~|=)\s*"([^"]*)"')
_GROUPING = re.compile(r"\b(?:by|on)\s*\(([^)]*)\)")
_TARGET = {"instance", "job"}
"""Labels that Prometheus adds."""


class Shown:
    """What a server's page of metrics has: by sample, the values of its labels."""

    def __init__(self, text: str) -> None:
        self.families = list(text_string_to_metric_families(text))
        self.labels: dict[str, dict[str, set[str]]] = {}
        for family in self.families:
            for sample in family.samples:
                labels = self.labels.setdefault(sample.name, {})
                for label, value in sample.labels.items():
                    labels.setdefault(label, set()).add(value)

    def wrong(self, promql: str) -> list[str]:
        """What an expression names that no server shows."""
        names = _WORD.findall(promql)
        wrong = [name for name in names if name not in self.labels]
        for name, matchers in _SELECTOR.findall(promql):
            for label, sign, value in _MATCHER.findall(matchers):
                known = self.labels.get(name, {}).get(label, set())
                values = set(value.split("|") if sign == "=~" else [value])
                if label not in _TARGET and not values <= known:
                    wrong.append(f"{name}{{{label}{sign}{value}}}")
        of_all = _TARGET.union(*(self.labels.get(name, {}) for name in names))
        for labels in _GROUPING.findall(promql):
            wrong += [label for label in re.findall(r"\w+", labels) if label not in of_all]
        return wrong


class MonitoringTests(SynchronousTestCase):
    """Alert rules and dashboard of docs/monitoring, held against a server's own page."""

    def setUp(self) -> None:
        def make() -> tuple[Shown, ChatServer]:
            watch = Watch()
            server = ChatServer(*watch.options).start()
            text = ""
            while "\nchatsvc_waiting_messages " not in text:  # it is counted in the first moment
                text = watch.get("metrics")[1]
            return Shown(text), server

        self.shown, _ = shared(MonitoringTests, make, lambda both: both[1].remove())
        self.page = (DOCS / "monitoring.md").read_text()

    def rows(self, heading: str) -> list[list[str]]:
        """The table under a heading of the page, without its head."""
        section = self.page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
        lines = [line for line in section.splitlines() if line.startswith("| `")]
        return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]

    def rules(self) -> list[dict[str, Any]]:
        """Return the alert rules."""
        groups = yaml.safe_load((DOCS / "monitoring" / "alerts.yml").read_text())["groups"]
        return [rule for group in groups for rule in group["rules"]]

    def dashboard(self) -> dict[str, Any]:
        """Return the dashboard."""
        text = (DOCS / "monitoring" / "grafana-dashboard.json").read_text()
        board: dict[str, Any] = json.loads(text)
        return board

    def questions(self) -> Iterator[str]:
        """What the dashboard's panels and variables ask."""
        board = self.dashboard()
        for panel in board["panels"]:
            for target in panel.get("targets", []):
                yield target["expr"]
        for variable in board["templating"]["list"]:
            query = variable["query"]
            yield query if isinstance(query, str) else query["query"]

    def test_the_test(self) -> None:
        """A misspelt metric, label or value would not be noticed."""
        for bad in (
            'rate(chatsvc_login_total{result="ok"}[5m])',
            'rate(chatsvc_logins_total{result="okay"}[5m])',
            'rate(chatsvc_logins_total{result=~"ok|okay"}[5m])',
            'rate(chatsvc_logins_total{results="ok"}[5m])',
            "sum by (results) (rate(chatsvc_logins_total[5m]))",
            "chatsvc_message_seconds",
        ):
            self.assertNotEqual(self.shown.wrong(bad), [], bad)
        good = 'sum by (instance, result) (rate(chatsvc_logins_total{result=~"ok|throttled"}[5m]))'
        self.assertEqual(self.shown.wrong(good), [])

    def test_dashboard(self) -> None:
        """A panel would stay empty, or one be missing."""
        questions = list(self.questions())
        for promql in questions:
            self.assertEqual(self.shown.wrong(promql), [], promql)
        asked = {
            re.sub("_(bucket|sum|count)$", "", name) for q in questions for name in _WORD.findall(q)
        }
        shown = {name for name, _, _ in self.listed()}
        self.assertEqual(asked, shown)

    def test_dashboard_can_be_imported(self) -> None:
        """Panels would lie upon each other, or ask the Prometheus of whoever drew them."""
        board = self.dashboard()
        self.assertEqual(
            [v["name"] for v in board["templating"]["list"]], ["datasource", "instance"]
        )
        places: set[tuple[int, int]] = set()
        ids = [panel["id"] for panel in board["panels"]]
        self.assertEqual(len(ids), len(set(ids)))
        for panel in board["panels"]:
            at = panel["gridPos"]
            self.assertLessEqual(at["x"] + at["w"], 24)
            area = {(at["x"] + i, at["y"] + j) for i in range(at["w"]) for j in range(at["h"])}
            self.assertFalse(area & places, panel["title"])
            places |= area
            if panel["type"] != "row":
                self.assertEqual(panel["datasource"]["uid"], "${datasource}")
                self.assertTrue(panel["description"], panel["title"])

    def test_alerts(self) -> None:
        """An alert would never fire, or not say what to do."""
        for rule in self.rules():
            self.assertEqual(self.shown.wrong(rule["expr"]), [], rule["alert"])
            self.assertTrue(rule["annotations"]["summary"] and rule["annotations"]["description"])
            self.assertIn(rule["labels"]["severity"], ("warning", "critical"))
        self.assertEqual(
            [name for name, *_ in self.rows("Alerts")], [f"`{r['alert']}`" for r in self.rules()]
        )

    def test_scraping(self) -> None:
        """Prometheus would not find the server or the rules, or the rules not the job."""
        config = yaml.safe_load((DOCS / "monitoring" / "prometheus.yml").read_text())
        self.assertEqual(config["rule_files"], ["alerts.yml"])
        (job,) = config["scrape_configs"]
        named = {name for r in self.rules() for name in re.findall('job="(.*?)"', r["expr"])}
        self.assertEqual(named, {job["job_name"]})

    def listed(self) -> set[tuple[str, str, tuple[str, ...]]]:
        """The name, the type and the labels of all that the server shows."""
        found = set()
        for family in self.shown.families:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = {label for sample in family.samples for label in sample.labels} - {"le"}
            found.add((name, family.type, tuple(sorted(labels))))
        return found

    def test_page(self) -> None:
        """The page would lack a metric, have one that is none, or say something wrong of it."""
        rows = self.rows("Metrics")
        self.assertEqual(len(rows), len(self.listed()))
        said = {
            (name.strip("`"), kind, tuple(re.findall(r"`(.*?)`", labels)))
            for name, kind, labels, _, _ in rows
        }
        self.assertEqual(said, self.listed())
        for name, _, _, combined, _ in rows:
            self.assertEqual(COMBINE.get(name.strip("`"), sum).__name__, combined, name)

    def test_values_of_labels(self) -> None:
        """The page would name a result, state or reason that there is not, or lack one."""
        for name, kind, labels, _, meaning in self.rows("Metrics"):
            known = self.shown.labels.get(name.strip("`"), {})
            for label in re.findall(r"`(.*?)`", labels):
                if kind == "counter" and label != "reason":
                    self.assertLessEqual(
                        known[label] - set(re.findall(r"`(.*?)`", meaning)), {"accounts", "inbox"}
                    )
