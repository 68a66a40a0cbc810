"""Connections that nobody serves."""

from __future__ import annotations

from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.observability.metrics import Metrics
from chatsvc.transport.turned_away import TurnedAway


class TurnedAwayTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.metrics = Metrics()
        self.turned_away = TurnedAway(self.clock.seconds, self.metrics.turned_away)

    def lines(self, *taken: tuple[str, str, str]) -> list[str]:
        """What the log says of these."""
        with capturedLogs() as logged:
            for one in taken:
                self.turned_away(*one)
        self.assertEqual({event["event"] for event in logged} - {"turned-away"}, set())
        return [formatEvent(event) for event in logged]

    def test_line(self) -> None:
        """An admin would not learn whose connections vanish, or why."""
        (line,) = self.lines(("bad-header", "192.0.2.1", "malformed"))
        self.assertIn("from 192.0.2.1 are turned away: they bring no PROXY header", line)
        self.assertIn(": malformed (1 since", line)
        (line,) = self.lines(("untrusted-proxy", "", ""))
        self.assertIn("from a local socket are turned away: only those of --trusted-proxy", line)

    def test_each_reason(self) -> None:
        """A reason that can be met would have no counter, or no words."""
        for reason in self.metrics.turned_away:
            self.assertEqual(len(self.lines((reason, "192.0.2.1", ""))), 1, reason)
            name = "chatsvc_connections_turned_away_total"
            value = self.metrics.registry.get_sample_value(name, {"reason": reason})
            self.assertEqual(value, 1, reason)

    def test_often(self) -> None:
        """Each connection would be a line, or the second minute be silent."""
        many = [("open-files", "192.0.2.1", "")] * 100
        self.assertEqual(len(self.lines(*many)), 1)
        self.clock.advance(60.1)
        (line,) = self.lines(*many)
        self.assertIn("(100 since", line)

    def test_from_everywhere(self) -> None:
        """Whoever has many addresses could fill the log."""
        many = [("untrusted-proxy", f"192.0.{n}.1", "") for n in range(200)]
        self.assertLessEqual(len(self.lines(*many)), 10)
