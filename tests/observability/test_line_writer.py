"""Lines that wait for whoever takes them."""

from __future__ import annotations

import threading

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.observability.line_writer import LineWriter

_PATIENCE = 10.0


class LineWriterTests(SynchronousTestCase):
    """A writer whose lines a test takes."""

    def setUp(self) -> None:
        self.written: list[str] = []
        self.problem: OSError | None = None
        self.free = threading.Event()
        self.free.set()
        self.addCleanup(self.free.set)
        self.writer = LineWriter(self.write, lambda count: (f"missing: {count}", 4), most=100)

    def write(self, line: str, priority: int) -> None:
        self.free.wait(_PATIENCE)
        if self.problem is not None:
            raise self.problem
        self.written.append(line)

    def say(self, *lines: str) -> None:
        for line in lines:
            self.writer(line, 6)

    def test_at_once(self) -> None:
        """The last lines of a process that cannot start would be lost."""
        self.say("one", "two")
        self.assertEqual(self.written, ["one", "two"])

    def test_order(self) -> None:
        """Lines would be missing, or stand in another order."""
        self.writer.start()
        lines = [str(number) for number in range(30)]
        self.say(*lines)
        self.writer.drain(_PATIENCE)
        self.assertEqual(self.written, lines)
        self.assertEqual(self.writer.dropped, 0)

    def test_nobody_takes(self) -> None:
        """A reader that stands still would hold up the server, or make it grow, and nobody see what is missing."""
        self.writer.start()
        self.free.clear()
        self.say(*["x" * 30] * 10)
        self.writer.drain(0.01)
        self.assertEqual((self.written, self.writer.dropped), ([], 7))
        self.free.set()
        self.writer.drain(_PATIENCE)
        self.say("then")
        self.writer.drain(_PATIENCE)
        self.assertEqual(self.written, [*["x" * 30] * 3, "missing: 7", "then"])
        self.assertEqual(self.writer.dropped, 7)

    def test_slow_reader(self) -> None:
        """With a reader that is a little too slow, every second line would say that one is missing."""
        self.writer.start()
        self.free.clear()
        self.say(*["x" * 30] * 4)
        with self.writer._changed:  # as if one had been taken
            self.writer._size -= 30
        self.say("y" * 30)
        self.assertEqual(self.writer.dropped, 2)
        self.free.set()

    def test_one_long_line(self) -> None:
        """A traceback that is longer than all that may wait would never be seen."""
        self.writer.start()
        self.say("x" * 1000)
        self.writer.drain(_PATIENCE)
        self.assertEqual(self.written, ["x" * 1000])

    def test_cannot_be_written(self) -> None:
        """Lines that a full disk has refused would be missing without a word."""
        for start in (lambda: None, self.writer.start):
            start()
            self.written, self.writer.dropped = [], 0
            self.problem = OSError(28, "No space left on device")
            self.say("one", "two")
            self.writer.drain(_PATIENCE)
            self.problem = None
            self.say("three")
            self.writer.drain(_PATIENCE)
            self.say("four")
            self.writer.drain(_PATIENCE)
            self.assertEqual(self.written, ["three", "missing: 2", "four"])
            self.assertEqual(self.writer.dropped, 2)
