"""How a process finds out who has started it."""

from __future__ import annotations

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tap.launcher import systemd_notifier
from tests.support.supervisor import Supervising


class SystemdNotifierTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.systemd = Supervising()
        self.addCleanup(self.systemd.close)

    def heartbeats(self, **environment: str) -> int:
        """Count heartbeats within two seconds."""
        clock = Clock()
        systemd_notifier(clock, {"NOTIFY_SOCKET": self.systemd.address, **environment}).ready("x")
        clock.pump([0.5] * 4)
        heard = 0
        while words := self.systemd.heard(0):
            heard += "WATCHDOG" in words
        return heard

    def test_watchdog(self) -> None:
        """The signs of life would come too late, or be given for another process."""
        self.assertEqual(self.heartbeats(WATCHDOG_USEC="2000000", WATCHDOG_PID=str(os.getpid())), 3)
        self.assertEqual(self.heartbeats(WATCHDOG_USEC="2000000"), 3)

    def test_no_watchdog(self) -> None:
        """A server that no watchdog watches, or one that watches another process, would give signs of life."""
        self.assertEqual(self.heartbeats(WATCHDOG_USEC="2000000", WATCHDOG_PID="1"), 0)
        self.assertEqual(self.heartbeats(WATCHDOG_USEC="nonsense"), 0)
        self.assertEqual(self.heartbeats(), 0)

    def test_environment(self) -> None:
        """What the server may start would take itself for supervised."""
        environment = {
            "NOTIFY_SOCKET": "@x",
            "WATCHDOG_USEC": "1",
            "WATCHDOG_PID": "1",
            "HOME": "/",
        }
        systemd_notifier(Clock(), environment)
        self.assertEqual(environment, {"HOME": "/"})
