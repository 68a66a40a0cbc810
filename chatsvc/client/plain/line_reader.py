"""Lines from a file descriptor."""

from __future__ import annotations

import os
from codecs import BOM_UTF8
from collections import deque
from collections.abc import Callable
from select import select
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from chatsvc.wire.commands import MAX_TEXT
from chatsvc.wire.encodings import in_utf8

_MOST_AT_ONCE = 65_536

LONGEST = MAX_TEXT + 100
"""Bytes of a line: those of the longest text, and its command. What goes beyond is dropped: the line is too long."""

_MOST_WAITING = 256


@implementer(IReadDescriptor)
class LineReader:
    """
    Reads lines from ``descriptor``.

    Calls ``on_line`` with each line, in UTF-8 and without its end, and ``on_end`` once after the last. They come in
    ``encoding``, but in UTF-8 where a byte order mark says so. Of a line ``LONGEST`` bytes and one more are read at the
    most.

    Twisted's own standard input would make the descriptor non-blocking, which outlives this process: a shell that
    shares the terminal would see it.
    """

    def __init__(
        self,
        reactor: Any,
        descriptor: int,
        on_line: Callable[[bytes], None],
        on_end: Callable[[], None],
        encoding: str = "utf-8",
    ) -> None:
        self._reactor = reactor
        self._descriptor = descriptor
        self._on_line = _transcribing(on_line, encoding)
        self._on_end = on_end
        self._unfinished: list[bytes] = []
        self._length = 0
        self._over = False

    def start(self) -> None:
        """Begin to read, or go on."""
        if not self._over:
            self._reactor.addReader(self)

    def stop(self) -> None:
        """Read no more for now."""
        self._reactor.removeReader(self)

    def read_waiting(self) -> None:
        """Read what is there now."""
        while not self._over and select([self._descriptor], [], [], 0)[0]:
            self.doRead()

    def fileno(self) -> int:
        """The descriptor."""
        return self._descriptor

    def logPrefix(self) -> str:
        """The name in Twisted's log."""
        return "lines"

    def doRead(self) -> None:
        """There is something to read."""
        try:
            data = os.read(self._descriptor, _MOST_AT_ONCE)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # a terminal that was closed
            data = b""
        if data:
            first, *others = data.split(b"\n")
            self._keep(first)
            for begun in others:
                self._on_line(self._finished().removesuffix(b"\r"))
                self._keep(begun)
        else:
            self._end()

    def connectionLost(self, reason: Failure) -> None:
        """End: epoll says so at the end of a pipe, and the reactor when it stops."""
        self._end()

    def _end(self) -> None:
        self.stop()
        if not self._over:
            self._over = True
            if self._unfinished:
                self._on_line(self._finished())
            self._on_end()

    def _keep(self, data: bytes) -> None:
        data = data[: LONGEST + 1 - self._length]
        if data:
            self._unfinished.append(data)
            self._length += len(data)

    def _finished(self) -> bytes:
        line = b"".join(self._unfinished)
        self._unfinished, self._length = [], 0
        return line


def _transcribing(on_line: Callable[[bytes], None], encoding: str) -> Callable[[bytes], None]:
    """Hand lines on in UTF-8; the first of them may say by a byte order mark that they are in it already."""
    begun = False

    def take(line: bytes) -> None:
        nonlocal begun, encoding
        if not begun and line.startswith(BOM_UTF8):
            encoding = "utf-8"
        begun = True
        on_line(in_utf8(line, encoding))

    return take


class LineQueue:
    """Gives the lines of a descriptor one by one, and reads only a few ahead."""

    def __init__(self, reactor: Any, descriptor: int, encoding: str = "utf-8") -> None:
        self._lines = LineReader(reactor, descriptor, self._on_line, self._on_end, encoding)
        self._waiting: deque[bytes] = deque()
        self._more: Deferred[None] | None = None
        self._at_end = False

    def stop(self) -> None:
        """Read no more."""
        self._lines.stop()

    async def next(self) -> bytes | None:
        """The next line; None: there is none."""
        while not self._waiting and not self._at_end:
            self._more = Deferred()
            self._lines.start()
            await self._more
        return self._waiting.popleft() if self._waiting else None

    def _on_line(self, line: bytes) -> None:
        self._waiting.append(line)
        if len(self._waiting) >= _MOST_WAITING:
            self._lines.stop()
        self._wake()

    def _on_end(self) -> None:
        self._at_end = True
        self._wake()

    def _wake(self) -> None:
        more, self._more = self._more, None
        if more is not None:
            more.callback(None)
