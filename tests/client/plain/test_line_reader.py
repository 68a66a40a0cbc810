"""Lines from a descriptor: what long ones cost, and where they end."""

from __future__ import annotations

import os
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.client.plain.line_reader import LONGEST, LineReader


class Reactor:
    """Adds and removes nothing."""

    def addReader(self, reader: object) -> None:
        pass

    removeReader = addReader


class Lines(SynchronousTestCase):
    def setUp(self) -> None:
        self.here, self.there = os.pipe()
        self.addCleanup(os.close, self.here)
        self.lines: list[bytes] = []
        self.ends = 0
        reactor: Any = Reactor()
        self.reader = LineReader(reactor, self.here, self.lines.append, self.end, "utf-8")

    def end(self) -> None:
        self.ends += 1

    def feed(self, *pieces: bytes) -> None:
        for piece in pieces:
            os.write(self.there, piece)
            self.reader.doRead()

    def test_lines(self) -> None:
        """A line would be cut where a read ends, or keep its end."""
        self.feed(b"a\r\nb", b"c", b"\n\n", b"d")
        self.assertEqual(self.lines, [b"a", b"bc", b""])
        os.close(self.there)
        self.reader.doRead()
        self.reader.doRead()
        self.assertEqual((self.lines[3:], self.ends), ([b"d"], 1))

    def test_long(self) -> None:
        """The second half of a line that is too long would be a command of its own."""
        self.feed(*[b"x" * 4096] * 10, b"logout\nnext\n")
        self.assertEqual([len(line) for line in self.lines], [LONGEST + 1, 4])
        os.close(self.there)

    def test_cost(self) -> None:
        """A line of some megabytes would take minutes, each piece more than the one before."""
        begin = time.process_time()
        for _ in range(50_000):
            self.feed(b"x" * 1000)
        self.feed(b"\n")
        self.assertLess(time.process_time() - begin, 10)
        self.assertEqual(len(self.lines), 1)
        os.close(self.there)

    def test_read_waiting(self) -> None:
        """Lines that were typed before a question would be its answer."""
        os.write(self.there, b"a\nb\n")
        self.reader.read_waiting()
        self.assertEqual(self.lines, [b"a", b"b"])
        os.close(self.there)
        self.reader.read_waiting()
        self.assertEqual(self.ends, 1)
