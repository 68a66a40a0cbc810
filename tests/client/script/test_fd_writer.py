"""Output at its reader's pace."""

from __future__ import annotations

import errno
import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from chatsvc.client.script.fd_writer import FDWriter, WriterClosed

MUCH = b"x" * 1_000_000
"""More than any pipe holds."""


class Pipes(TestCase):
    def setUp(self) -> None:
        self.near, self.far = os.pipe()
        self.numbers: list[int] = []
        self.broken: Deferred[None] = Deferred()
        self.output = FDWriter(reactor, self.far, self.break_)
        self.output.start()
        self.addCleanup(os.close, self.far)
        self.addCleanup(self.output.close)

    def break_(self, number: int) -> None:
        self.numbers.append(number)
        self.broken.callback(None)

    def turn(self) -> Deferred[None]:
        """Let the reactor work for a moment."""
        clock: Any = reactor
        return deferLater(clock, 0.1)

    def written(self, writing: Deferred[None]) -> int:
        """How much of what was not written to the end was written."""
        return int(self.failureResultOf(writing, WriterClosed).value.written)

    async def test_pace(self) -> None:
        """What lies in this process only would count as written, or hold up the reactor."""
        self.addCleanup(os.close, self.near)
        first, second = self.output.write(b"a" * 10), self.output.write(MUCH)
        await self.turn()
        self.assertNoResult(second)
        received = b""
        while len(received) < 10 + len(MUCH):
            received += os.read(self.near, 100_000)
            await self.turn()
        await second
        self.successResultOf(first)
        self.assertEqual(received, b"a" * 10 + MUCH)

    async def test_closed(self) -> None:
        """A reader would get once more what it has, or never what it lacks."""
        self.addCleanup(os.close, self.near)
        writings = [self.output.write(data) for data in (b"a" * 10, MUCH, b"b" * 10)]
        await self.turn()
        self.output.close()
        await self.turn()
        held = len(os.read(self.near, 2_000_000))
        self.assertEqual([self.written(one) for one in writings], [10, held - 10, 0])
        self.assertEqual(self.written(self.output.write(b"c")), 0)
        self.assertEqual(self.numbers, [])

    async def test_reader_gone(self) -> None:
        """What lay in the pipe when its reader left would count as read."""
        writings = [self.output.write(data) for data in (b"a" * 10, MUCH)]
        await self.turn()
        os.close(self.near)
        await self.broken
        await self.turn()
        self.assertEqual([self.written(one) for one in writings], [0, 0])
        self.assertEqual(self.numbers, [errno.EPIPE])

    async def test_reader_gone_while_idle(self) -> None:
        """That nobody reads any more would show only when something comes, perhaps tomorrow."""
        os.close(self.near)
        await self.broken
        self.assertEqual(self.numbers, [errno.EPIPE])

    async def test_reader_gone_unwatched(self) -> None:
        """A socket or a terminal that is closed would be written to for ever."""
        self.output.close()
        other = FDWriter(reactor, self.far, self.break_)
        os.close(self.near)
        writing = other.write(b"a")
        await self.broken
        await self.turn()
        self.assertEqual(self.written(writing), 0)
        self.assertEqual(self.numbers, [errno.EPIPE])
