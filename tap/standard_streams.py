"""
The standard streams of a command.

Output that cannot be written ends the command with one line and status 1, whoever prints it. Errors that cannot be
written are dropped: the status tells what became of the command.
"""

from __future__ import annotations

import io
import os
import select
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, BinaryIO, TextIO

import click

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

_STDOUT, _STDERR = 1, 2


class OutputLost(click.ClickException):
    """Standard output cannot be written; the message says why, and what was done nevertheless."""


class _Stream(io.RawIOBase):
    """A standard stream; without a ``descriptor`` it was closed when the process began."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        if self._descriptor is None:
            raise io.UnsupportedOperation("it is closed")
        return self._descriptor

    def isatty(self) -> bool:
        return self._descriptor is not None and os.isatty(self._descriptor)

    def _write(self, descriptor: int, data: ReadableBuffer) -> int:
        while True:
            try:
                return os.write(descriptor, data)
            except BlockingIOError:  # another process that shares the descriptor has set O_NONBLOCK
                select.select([], [descriptor], [])


class _Output(_Stream):
    """Standard output. When it is lost, it swallows all that comes, or the end of the process would complain again."""

    _lost = False

    def write(self, data: ReadableBuffer) -> int:
        if not self._lost:
            try:
                return self._write(self._required(), data)
            except OSError as problem:
                self._lose(f"standard output cannot be written: {problem.strerror}")
        return len(memoryview(data))

    def require(self) -> None:
        """
        Check that it is open, and that there is somebody at the other end of a pipe.

        :raise OutputLost: when what is printed would certainly be lost.
        """
        poll = select.poll()
        poll.register(self._required(), 0)
        if poll.poll(0):  # POLLERR: a pipe whose other end is closed
            self._lose("nobody reads standard output")

    def _required(self) -> int:
        if self._descriptor is None:
            self._lose("standard output is closed")
        return self.fileno()

    def _lose(self, why: str) -> None:
        self._lost = True
        raise OutputLost(why)


class _Errors(_Stream):
    """Standard error."""

    def write(self, data: ReadableBuffer) -> int:
        try:
            return self._write(self.fileno(), data)
        except OSError:
            return len(memoryview(data))


@contextmanager
def checked_streams() -> Iterator[None]:
    """Have all that is printed meanwhile checked, unless the streams are not the process's own (in a test)."""
    streams = sys.stdout, sys.stderr
    if sys.stdout is sys.__stdout__:
        sys.stdout = _text(_Output(None if sys.stdout is None else _STDOUT), sys.stdout)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _text(_Errors(None if sys.stderr is None else _STDERR), sys.stderr)
    try:
        yield
    except click.ClickException as problem:  # click itself prints before it handles any
        problem.show()
        sys.exit(problem.exit_code)
    finally:
        sys.stdout, sys.stderr = streams


def _text(raw: _Stream, like: TextIO | None) -> TextIO:
    """Make a text stream, in the encoding of another one; what that one cannot say is shown as its number."""
    encoding = like.encoding if like is not None else "utf-8"
    return io.TextIOWrapper(
        io.BufferedWriter(raw), encoding, errors="backslashreplace", line_buffering=True
    )


def require_output() -> None:
    """
    Refuse to go on where what will be printed would certainly be lost; a full disk shows only later.

    :raise OutputLost: when standard output is closed, or a pipe that nobody reads.
    """
    raw = getattr(getattr(sys.stdout, "buffer", None), "raw", None)
    if isinstance(raw, _Output):
        with done("nothing was done"):
            raw.require()


@contextmanager
def done(what: str) -> Iterator[None]:
    """Say, if output is lost, what was done nevertheless, and what to do now."""
    try:
        yield
    except OutputLost as lost:
        raise OutputLost(f"{lost.message}; {what}") from None


def standard_input() -> BinaryIO:
    """
    Return standard input.

    :raise click.ClickException: when it is closed.
    """
    if sys.stdin is None:
        raise click.ClickException("standard input is closed")
    return sys.stdin.buffer
