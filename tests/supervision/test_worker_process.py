"""One worker, from its first start to its end."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

from automat import NoTransition
from twisted.internet.error import ProcessDone, ProcessTerminated
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.supervision.worker_process import WorkerProcess
from tests.supervision.fake_processes import FakeReactor, Launches, result_now, say

CRASH = Failure(ProcessTerminated(signal=signal.SIGKILL))
END = Failure(ProcessDone(0))


class WorkerCase(SynchronousTestCase):
    """A worker that has not started yet."""

    def setUp(self) -> None:
        self.reactor, self.launches = FakeReactor(), Launches()
        self.reported: list[str] = []
        self.worker = WorkerProcess(
            self.reactor,
            1,
            Path("x"),
            self.launches,
            lambda _, how: self.reported.append(how),
        )

    def start(self) -> None:
        self.worker.start()

    def serve(self) -> None:
        """Start it, and have it say that it is ready."""
        self.start()
        say(self.worker, "READY=1", "STATUS=x")

    def stop(self) -> None:
        self.worker.stop()

    def end(self) -> None:
        self.worker.processEnded(END)


class LifeTests(WorkerCase):
    """The ways that a worker goes."""

    def test_ready(self) -> None:
        """The start would go on before a worker serves, or wait for ever."""
        started = self.worker.start()
        self.assertEqual((self.worker.runs, self.worker.serves), (True, False))
        say(self.worker, "STATUS=x")
        self.assertNoResult(started)
        say(self.worker, "READY=1", "STATUS=x")
        self.assertTrue(self.successResultOf(started))
        self.assertEqual((self.worker.runs, self.worker.serves), (True, True))

    def test_ended_before_it_was_ready(self) -> None:
        """A start would wait for ever for a worker that cannot serve."""
        started = self.worker.start()
        self.worker.processEnded(CRASH)
        self.assertIs(self.successResultOf(started), False)
        self.assertEqual((self.worker.runs, self.worker.serves), (False, False))
        self.assertEqual(self.reported, ["was ended by SIGKILL"])

    def test_crash(self) -> None:
        """A worker that crashed would not be replaced, or its successor be taken for ready before it is."""
        self.serve()
        self.worker.processEnded(CRASH)
        self.assertEqual(self.reported, ["was ended by SIGKILL"])
        started = self.worker.start()
        self.assertEqual((self.worker.starts, self.worker.serves), (2, False))
        say(self.worker, "READY=1")
        self.assertTrue(self.successResultOf(started))

    def test_reloaded(self) -> None:
        """A reload would be over before it has begun, or never."""
        self.serve()
        reloaded = self.worker.when_ready()
        self.assertNoResult(reloaded)
        say(self.worker, "READY=1")
        self.assertTrue(self.successResultOf(reloaded))

    def test_stop(self) -> None:
        """A stop would be over while processes run, or somebody take their place."""
        self.serve()
        stopped = [self.worker.stop(), self.worker.stop()]
        self.assertEqual(self.launches.signals, [[signal.SIGTERM] * 2])
        self.assertTrue(self.worker.serves, "whoever watches still asks it")
        self.end()
        self.assertEqual([self.successResultOf(one) for one in stopped], [None, None])
        self.assertEqual((self.reported, self.worker.runs), ([], False))

    def test_stop_during_the_start(self) -> None:
        """A start that is given up would leave its worker behind, or wait for it for ever."""
        started = self.worker.start()
        stopped = self.worker.stop()
        self.assertEqual(self.launches.signals, [[signal.SIGTERM]])
        self.end()
        self.assertIs(self.successResultOf(started), False)
        self.successResultOf(stopped)

    def test_asked_while_it_stops(self) -> None:
        """A worker that was never ready would be asked for its health while it stops, and be reported as silent."""
        self.worker.start()
        self.worker.stop()
        self.assertEqual((self.worker.runs, self.worker.serves), (True, False))

    def test_stop_without_a_process(self) -> None:
        """A stop would wait for ever for a process that is not there."""
        self.successResultOf(self.worker.stop())

    def test_not_to_be_had(self) -> None:
        """A worker that could not be started once would count as started for good."""
        self.launches.problem = OSError(24, "Too many open files")
        self.assertRaises(OSError, self.worker.start)
        self.assertEqual((self.worker.runs, self.worker.starts, self.reported), (False, 0, []))
        self.launches.problem = None
        self.serve()
        self.assertTrue(self.worker.serves)

    def test_silence(self) -> None:
        """A worker that is stuck would not be noticed, or one that is well be taken for stuck."""
        self.start()
        self.reactor.advance(3)
        self.assertEqual((self.worker.silence, self.worker.age), (3, 3))
        say(self.worker, "WATCHDOG=1")
        self.reactor.advance(1)
        self.assertEqual((self.worker.silence, self.worker.age), (1, 4))
        self.worker.reset_silence()
        self.assertEqual(self.worker.silence, 0)


class IllegalTests(WorkerCase):
    """Inputs that a state does not know."""

    def unchanged(self, act: Callable[[], object]) -> None:
        """See that something changes nothing that can be seen."""
        waiting = self.worker.when_ready()
        before = self.facts()
        act()
        self.assertEqual((self.facts(), result_now(waiting)), (before, ...))

    def facts(self) -> tuple[object, ...]:
        worker, launches = self.worker, self.launches
        signals = [list(signals) for signals in launches.signals]
        return worker.runs, worker.serves, worker.starts, signals, list(self.reported)

    def test_second_start(self) -> None:
        """Two processes would run in one worker's place, or one start when the server has stopped."""
        for steps in (
            [self.start],
            [self.serve],
            [self.serve, self.stop],
            [self.serve, self.stop, self.end],
            [self.stop],
        ):
            self.setUp()
            for step in steps:
                step()
            self.unchanged(lambda: self.assertRaises(NoTransition, self.worker.start))

    def test_end_of_nothing(self) -> None:
        """What ends twice would be replaced twice."""
        for steps in ([], [self.serve, self.end], [self.serve, self.stop, self.end]):
            self.setUp()
            for step in steps:
                step()
            self.unchanged(lambda: self.assertRaises(NoTransition, self.end))

    def test_late_word(self) -> None:
        """A worker that has ended, or was told to, would count as ready, for it had just said so."""
        for steps in (
            [],
            [self.start, self.end],
            [self.start, self.stop],
            [self.start, self.stop, self.end],
        ):
            self.setUp()
            for step in steps:
                step()
            self.unchanged(lambda: say(self.worker, "READY=1"))
