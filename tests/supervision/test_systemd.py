"""sd_notify(3): what a supervisor hears."""

from __future__ import annotations

import time

from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.supervision.systemd import SystemdNotifier
from tests.support.supervisor import Supervising


class SystemdNotifierTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.systemd = Supervising()
        self.addCleanup(self.systemd.close)
        self.clock = Clock()

    def notifier(self, watchdog: float = 0.0) -> SystemdNotifier:
        return SystemdNotifier(self.clock, self.systemd.address, watchdog)

    def test_words(self) -> None:
        """systemd would wait for a word that is never said, and end a start or a reload that went well."""
        notifier = self.notifier()
        notifier.ready("Listening\non 1")
        notifier.status("well")
        notifier.stopping("Stopping")
        self.assertEqual(self.systemd.heard(), {"READY": "1", "STATUS": "Listening on 1"})
        self.assertEqual(self.systemd.heard(), {"STATUS": "well"})
        self.assertEqual(self.systemd.heard(), {"STOPPING": "1", "STATUS": "Stopping"})

    def test_reloading(self) -> None:
        """systemd would not know that a reload began after it had asked for one."""
        before = time.monotonic() * 1e6
        self.notifier().reloading()
        message = self.systemd.heard()
        self.assertEqual(message["RELOADING"], "1")
        self.assertTrue(before - 1 <= int(message["MONOTONIC_USEC"]) <= time.monotonic() * 1e6)

    def test_abstract(self) -> None:
        """In a container, where the socket is often an abstract one, nothing would be heard."""
        systemd = Supervising(abstract=True)
        self.addCleanup(systemd.close)
        SystemdNotifier(self.clock, systemd.address).ready("x")
        self.assertEqual(systemd.heard(1)["READY"], "1")

    def test_heartbeats(self) -> None:
        """The watchdog would end a server that is well, or one that has not been asked for signs would give them."""
        notifier = self.notifier(watchdog=10.0)
        self.clock.advance(20)
        self.assertEqual(self.systemd.heard(0), {}, "it is not ready yet")
        notifier.ready("x")
        notifier.ready("again")
        heard = [self.systemd.heard(0) for _ in range(3)]
        self.assertEqual(
            [list(words) for words in heard],
            [["READY", "STATUS"], ["WATCHDOG"], ["READY", "STATUS"]],
        )
        for _ in range(3):
            self.clock.advance(5)
            self.assertEqual(self.systemd.heard(0), {"WATCHDOG": "1"})
        self.notifier().ready("x")
        self.systemd.heard()
        self.clock.advance(4)
        self.assertEqual(self.systemd.heard(0), {})

    def test_nobody(self) -> None:
        """A server that nobody supervises would not start."""
        with capturedLogs() as said:
            SystemdNotifier(self.clock).ready("x")
        self.assertEqual(list(said), [])

    def test_lost(self) -> None:
        """A supervisor that is gone would end the server, or fill its log."""
        notifier = self.notifier(watchdog=2.0)
        self.systemd.close()
        with capturedLogs() as said:
            notifier.ready("x")
            self.clock.pump([1] * 5)
        self.assertEqual([event["event"] for event in said], ["supervisor-lost"])
