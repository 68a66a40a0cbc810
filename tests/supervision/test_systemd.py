"""sd_notify(3): what a supervisor hears."""

from __future__ import annotations

import time

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.supervision.systemd import SystemdNotifier
from tests.support.supervisor import Supervising


class NotifyTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.above = Supervising()
        self.addCleanup(self.above.close)
        self.clock = Clock()

    def supervisor(self, patience: float = 0.0) -> SystemdNotifier:
        return SystemdNotifier(self.clock, self.above.address, patience)

    def test_words(self) -> None:
        """systemd would wait for a word that is never said, and end a start or a reload that went well."""
        supervisor = self.supervisor()
        supervisor.ready("Listening\non 1")
        supervisor.status("well")
        supervisor.stopping("Stopping")
        self.assertEqual(self.above.heard(), {"READY": "1", "STATUS": "Listening on 1"})
        self.assertEqual(self.above.heard(), {"STATUS": "well"})
        self.assertEqual(self.above.heard(), {"STOPPING": "1", "STATUS": "Stopping"})

    def test_reloading(self) -> None:
        """systemd would not know that a reload began after it had asked for one."""
        before = time.monotonic() * 1e6
        self.supervisor().reloading()
        message = self.above.heard()
        self.assertEqual(message["RELOADING"], "1")
        self.assertTrue(before - 1 <= int(message["MONOTONIC_USEC"]) <= time.monotonic() * 1e6)

    def test_abstract(self) -> None:
        """In a container, where the socket is often an abstract one, nothing would be heard."""
        above = Supervising(abstract=True)
        self.addCleanup(above.close)
        SystemdNotifier(self.clock, above.address).ready("x")
        self.assertEqual(above.heard(1)["READY"], "1")

    def test_signs_of_life(self) -> None:
        """The watchdog would end a server that is well, or one that has not been asked for signs would give them."""
        supervisor = self.supervisor(patience=10.0)
        self.clock.advance(20)
        self.assertEqual(self.above.heard(0), {}, "it is not ready yet")
        supervisor.ready("x")
        supervisor.ready("again")
        heard = [self.above.heard(0) for _ in range(3)]
        self.assertEqual(
            [list(words) for words in heard],
            [["READY", "STATUS"], ["WATCHDOG"], ["READY", "STATUS"]],
        )
        for _ in range(3):
            self.clock.advance(5)
            self.assertEqual(self.above.heard(0), {"WATCHDOG": "1"})
        self.supervisor().ready("x")
        self.above.heard()
        self.clock.advance(4)
        self.assertEqual(self.above.heard(0), {})

    def test_nobody(self) -> None:
        """A server that nobody supervises would not start."""
        with capturedLogs() as said:
            SystemdNotifier(self.clock).ready("x")
        self.assertEqual(list(said), [])

    def test_lost(self) -> None:
        """A supervisor that is gone would end the server, or fill its log."""
        supervisor = self.supervisor(patience=2.0)
        self.above.close()
        with capturedLogs() as said:
            supervisor.ready("x")
            self.clock.pump([1] * 5)
        self.assertEqual([event["event"] for event in said], ["supervisor-lost"])
