"""What is measured while nobody asks."""

from __future__ import annotations

from dataclasses import replace

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.factory import ChatFactory
from chatsvc.gauges import Gauges
from chatsvc.wire import commands as c
from tests.support.worlds import BOB, RecordingConnection, World


class InstrumentsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.world = World()
        self.inbox = self.world.inbox
        self.clock = Clock()
        chat = replace(self.world.services, clock=self.clock)
        self.registry = chat.metrics.registry
        self.instruments = Gauges(chat, ChatFactory(chat), lambda: 5.0)

    def value(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(f"chatsvc_{name}", labels)

    def test_lag(self) -> None:
        """A reactor that something holds up would look free."""
        self.instruments.start()
        self.clock.pump([0.25] * 4)
        self.assertEqual(self.value("reactor_lag_seconds_bucket", le="0.001"), 5)
        self.clock.advance(0.25 + 0.3)
        self.assertEqual(self.value("reactor_lag_seconds_bucket", le="0.2"), 5)
        self.assertEqual(self.value("reactor_lag_seconds_bucket", le="0.5"), 6)

    def test_waiting(self) -> None:
        """The number of waiting messages would be an old one, or be counted anew with each look."""
        self.assertIsNone(self.value("waiting_messages"))
        self.instruments.start()
        self.assertEqual(self.value("waiting_messages"), 0)
        self.inbox.store(BOB, "x")
        self.assertEqual(self.value("waiting_messages"), 0)
        self.clock.advance(60)
        self.assertEqual(self.value("waiting_messages"), 1)

    def test_waiting_while_the_store_is_away(self) -> None:
        """Waiting messages would never be counted again after the store was away, or after an error."""
        self.inbox.store(BOB, "x")
        self.inbox.hold = {"total"}
        self.instruments.start()
        self.clock.advance(600)
        self.assertEqual(self.inbox.calls, ["total"])
        self.inbox.hold, self.inbox.away = set(), True
        self.inbox.let(ValueError("a bug"))
        self.assertEqual(len(self.flushLoggedErrors()), 1)
        self.clock.advance(60)
        self.inbox.away = False
        self.assertIsNone(self.value("waiting_messages"))
        self.clock.advance(60)
        self.assertEqual(self.value("waiting_messages"), 1)

    def test_devices(self) -> None:
        """A user with several devices would count as several, or nobody see how many devices there are."""
        for device in ("", "b" * 16, "d" * 16):
            connection = RecordingConnection(self.world.services)
            if device:
                connection.do(c.Hello(device=device, features=("devices",)))
            connection.do(c.Auth(BOB, "b"))
        counted = self.value("online_users"), self.value("registered_devices_online")
        self.assertEqual(counted, (1, 2))

    def test_stop(self) -> None:
        """A server that has stopped would go on measuring."""
        self.instruments.start()
        self.instruments.stop()
        self.assertEqual(self.clock.getDelayedCalls(), [])
