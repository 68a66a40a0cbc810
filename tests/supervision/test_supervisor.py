"""What a supervisor does with its workers, which do nothing, on a clock of the test's own."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.supervision.supervisor import WorkerSupervisor
from chatsvc.supervision.systemd import SystemdNotifier
from chatsvc.supervision.worker_process import HEARTBEAT_TIMEOUT
from chatsvc.transport.listeners import Listener
from tests.supervision.fake_processes import FakeReactor, Launches, say

_NO_CONFIG: Any = None


class WatchTests(SynchronousTestCase):
    """Workers that do nothing, on a clock of the test's own."""

    def setUp(self) -> None:
        self.reactor, self.launches = FakeReactor(), Launches()
        self.supervisor = self.make()
        self.workers = self.supervisor.workers

    def make(self) -> WorkerSupervisor:
        """Two workers without ports."""
        return WorkerSupervisor(
            self.reactor,
            _NO_CONFIG,
            2,
            self.launches,
            Path("x"),
            SystemdNotifier(self.reactor),
            self.fail,
        )

    def start(self) -> None:
        """Have both workers serve."""
        self.supervisor.startService()
        self.supervisor._begin()
        for worker in self.workers:
            say(worker, "READY=1", "STATUS=x")

    def test_silence(self) -> None:
        """A worker that is stuck would stay, and its users with it; or one that is well be killed."""
        self.start()
        for _ in range(4):
            self.reactor.advance(HEARTBEAT_TIMEOUT / 3)
            say(self.workers[0], "WATCHDOG=1")
        self.assertEqual(self.launches.signals, [[], [signal.SIGKILL]])

    def test_own_sleep(self) -> None:
        """After the machine slept all workers would be killed, before what they said meanwhile is read."""
        self.start()
        self.reactor.advance(10 * HEARTBEAT_TIMEOUT)
        self.assertEqual(self.launches.signals, [[], []])

    def test_ended_while_others_started(self) -> None:
        """A worker that ends while others start would never be replaced."""
        first, second = self.workers
        self.supervisor.startService()
        self.supervisor._begin()
        say(first, "READY=1")
        first.processEnded(Failure(ProcessTerminated(signal=9)))
        say(second, "READY=1")
        self.assertFalse(first.runs)
        self.reactor.advance(1)
        self.assertTrue(first.runs)

    def test_cannot_be_replaced_for_now(self) -> None:
        """A worker that could not be started for once, for want of files or processes, would be given up for good."""
        self.start()
        self.launches.problem = OSError(24, "Too many open files")
        self.workers[0].processEnded(Failure(ProcessTerminated(signal=9)))
        self.reactor.advance(0.2)
        self.assertFalse(self.workers[0].runs)
        self.launches.problem = None
        self.reactor.advance(2)
        self.assertTrue(self.workers[0].runs)

    def test_cannot_be_replaced_for_long(self) -> None:
        """A worker that had served for long, and cannot be started any more, would be tried ten times a second."""
        self.start()
        for _ in range(10):
            self.reactor.advance(HEARTBEAT_TIMEOUT / 3)
            for worker in self.workers:
                say(worker, "WATCHDOG=1")
        self.launches.problem = OSError(11, "Resource temporarily unavailable")
        self.workers[0].processEnded(Failure(ProcessTerminated(signal=9)))
        before = self.launches.tries
        self.reactor.pump([0.1] * 200)
        self.assertTrue(3 <= self.launches.tries - before <= 6, self.launches.tries - before)


class _Place:
    """Somewhere to listen at, for a test that looks at the order of things; ``problem`` keeps it from that."""

    def __init__(self, name: str, notes: list[str], problem: Exception | None = None) -> None:
        self._name, self._notes, self._problem = name, notes, problem
        self.listener = Listener(name, self, None, (), self)  # type: ignore[arg-type]

    def listen(self, factory: Any) -> Deferred[Any]:
        if self._problem is not None:
            return fail(self._problem)
        self._notes.append(f"{self._name} opened")
        return succeed(self)

    def stopReading(self) -> None:
        """Accept nothing."""

    def stopListening(self) -> None:
        self._notes.append(f"{self._name} closed")


class OrderTests(SynchronousTestCase):
    """The order in which a supervisor starts and stops, and what is left of half a start."""

    def setUp(self) -> None:
        self.notes: list[str] = []
        self.reactor, self.launches = FakeReactor(), Launches()
        self.given_up: list[str | None] = []
        self.supervisor = WorkerSupervisor(
            self.reactor,
            _NO_CONFIG,
            2,
            self.launches,
            Path("x"),
            SystemdNotifier(self.reactor),
            self.given_up.append,
        )
        for worker in self.supervisor.workers:
            note = f"heartbeats {worker.number} closed"
            worker._heartbeats.stopListening = lambda note=note: self.notes.append(note)

    def listen_at(self, *places: _Place, monitoring: _Place | None = None) -> None:
        """Begin a start with these."""
        self.supervisor._listeners = [place.listener for place in places]
        if monitoring is not None:
            self.supervisor._monitoring_listener = monitoring.listener
        self.supervisor.startService()
        self.supervisor._begin()

    def end_workers(self) -> None:
        for worker in self.supervisor.workers:
            if worker.runs:
                self.notes.append(f"worker {worker.number} ended")
                worker.processEnded(Failure(ProcessDone(0)))

    def test_order(self) -> None:
        """A stop would send away who asks how far it is, or let connections in that nobody serves."""
        one, two, monitoring = (_Place(name, self.notes) for name in ("one", "two", "monitoring"))
        self.listen_at(one, two, monitoring=monitoring)
        self.assertEqual(self.notes, ["one opened", "two opened"])
        for worker in self.supervisor.workers:
            say(worker, "READY=1")
        self.assertEqual(self.notes.pop(), "monitoring opened")
        self.notes.clear()
        stopped = self.supervisor.stopService()
        self.assertEqual(self.notes, ["two closed", "one closed"])
        self.assertEqual(self.launches.signals, [[signal.SIGTERM]] * 2)
        self.notes.clear()
        self.assertNoResult(stopped)
        self.end_workers()
        self.successResultOf(stopped)
        ends = ["worker 1 ended", "worker 2 ended", "monitoring closed"]
        self.assertEqual(self.notes, [*ends, "heartbeats 1 closed", "heartbeats 2 closed"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_port_not_to_be_had(self) -> None:
        """After a start that failed at a port, those before it would stay open, or a worker be started."""
        taken = _Place("two", self.notes, OSError(98, "Address already in use"))
        self.listen_at(_Place("one", self.notes), taken)
        (line,) = self.given_up
        self.assertIn("cannot listen on 'two'", line or "")
        self.successResultOf(self.supervisor.stopService())
        heartbeats = ["heartbeats 1 closed", "heartbeats 2 closed"]
        self.assertEqual(self.notes, ["one opened", "one closed", *heartbeats])
        self.assertEqual(self.launches.started, [])

    def test_stop_during_the_start(self) -> None:
        """A stop while workers start would leave one behind, or wait for ever."""
        self.listen_at(_Place("one", self.notes))
        stopped = self.supervisor.stopService()
        self.assertEqual(self.launches.signals, [[signal.SIGTERM]])
        self.end_workers()
        self.successResultOf(stopped)
        self.assertEqual((self.given_up, self.reactor.getDelayedCalls()), ([], []))

    def test_stuck_worker(self) -> None:
        """A worker that does not end would hold up the stop for ever."""
        self.listen_at()
        say(self.supervisor.workers[0], "READY=1")
        self.supervisor.stopService()
        self.reactor.advance(60)
        self.assertEqual(self.launches.signals, [[signal.SIGTERM, signal.SIGKILL]] * 2)

    def test_port_that_cannot_be_closed(self) -> None:
        """One thing that goes wrong in a stop would keep everything else from its end."""
        place = _Place("one", self.notes)
        place.stopListening = lambda: 1 / 0  # type: ignore[assignment, method-assign, return-value]
        self.listen_at(place)
        stopped = self.supervisor.stopService()
        self.end_workers()
        self.successResultOf(stopped)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertIn("heartbeats 2 closed", self.notes)
