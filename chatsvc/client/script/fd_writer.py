"""Writes to a descriptor at its reader's pace, without holding up the reactor."""

from __future__ import annotations

import errno
import os
import select
import stat
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReadDescriptor, IWriteDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer


class WriterClosed(Exception):
    """Only the first ``written`` bytes were written, and no more will be."""

    def __init__(self, written: int) -> None:
        super().__init__(written)
        self.written = written


@implementer(IReadDescriptor, IWriteDescriptor)
class FDWriter:
    """
    Writes to ``descriptor``.

    The descriptor stays blocking, because others may share it: a descriptor that polls as writable takes ``PIPE_BUF``
    bytes without blocking (pipe(7)).

    :param broken: called once with the system's error (see :mod:`errno`) when writing has become impossible; for a
        pipe as soon as nobody reads from it any more
    """

    def __init__(self, reactor: Any, descriptor: int, broken: Callable[[int], None]) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._broken = broken
        self._unwritten = bytearray()
        self._writing: deque[tuple[int, Deferred[None]]] = deque()  # by how long each is
        self._closed = False
        self._lost = False  # what was written last, as nobody reads it
        self._mode = os.fstat(descriptor).st_mode

    def start(self) -> None:
        """Watch whether somebody still reads."""
        if stat.S_ISFIFO(self._mode):
            # The end of a pipe that is written to says nothing but that it is broken.
            self._reactor.addReader(self)

    def write(self, data: bytes) -> Deferred[None]:
        """
        Write data.

        :return: fires when the kernel has all of it, or, for a file, the disk; fails with :class:`WriterClosed`
        """
        if self._closed:
            return fail(WriterClosed(0))
        written: Deferred[None] = Deferred()
        self._unwritten += data
        self._writing.append((len(data), written))
        self._reactor.addWriter(self)
        return written

    def close(self) -> None:
        """Write no more."""
        self._closed = True
        self._reactor.removeReader(self)
        self._reactor.removeWriter(self)
        all_of_it = sum(length for length, _ in self._writing)
        done = 0 if self._lost else all_of_it - len(self._unwritten)
        self._unwritten.clear()
        while self._writing:
            length, written = self._writing.popleft()
            written.errback(WriterClosed(min(done, length)))
            done -= min(done, length)

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def logPrefix(self) -> str:
        """The name in Twisted's log."""
        return "output"

    def doRead(self) -> None:
        """Do nothing: a pipe that is written to only reports that it is broken."""

    def doWrite(self) -> None:
        """Write the next piece."""
        try:
            count = os.write(self._descriptor, self._unwritten[: select.PIPE_BUF])
            del self._unwritten[:count]
            if not self._unwritten and stat.S_ISREG(self._mode):
                os.fsync(self._descriptor)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as problem:
            self._break(problem.errno or errno.EIO)
            return
        if not self._unwritten:
            self._reactor.removeWriter(self)
            while self._writing:
                self._writing.popleft()[1].callback(None)

    def connectionLost(self, reason: Failure) -> None:
        """Break: epoll says so when nobody reads any more."""
        self._break(errno.EPIPE)

    def _break(self, number: int) -> None:
        if not self._closed:
            self._lost = True
            self._broken(number)
            self.close()
