"""The end of a ``twistd`` command, with a status of its own."""

from __future__ import annotations

import os
import signal
import sys
from contextlib import suppress
from typing import Any

from twisted.internet.error import ReactorNotRunning

from chatsvc.transport.twisted_internals import exit_signal


def end_badly(reactor: Any, line: str | None = None, status: int = 1) -> None:
    """
    Stop the reactor, and end the process with a line on standard error and a status.

    The line comes last, when the terminal is as it was before. ``twistd`` by itself ends with status 0 whenever its
    reactor ends well.
    """
    reactor.addSystemEventTrigger("after", "shutdown", _exit_badly, line, status)
    end(reactor)


def end(reactor: Any) -> None:
    """Stop the reactor as soon as it runs, unless it is stopping already."""
    with suppress(ReactorNotRunning):
        if reactor.running:
            reactor.stop()
        else:
            reactor.callWhenRunning(end, reactor)


class PromptEnd:
    """
    Ends a ``twistd`` command as soon as its services have stopped.

    The reactor would wait for its threads then, of which one may look a name up for as long as nobody answers. Make it
    before any thread is started: triggers run in the order in which they were added.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor
        self._line: str | None = None
        self._status = 0
        reactor.addSystemEventTrigger("during", "shutdown", self._exit)

    def end(self, line: str | None = None, status: int = 0) -> None:
        """Stop the reactor, and end the process with a line on standard error and a status."""
        self._line, self._status = line, status
        end(self._reactor)

    def _exit(self) -> None:
        number = exit_signal(self._reactor)
        if number is not None:  # twistd ends by the signal that has stopped it
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
        _exit_badly(self._line, self._status)


def _exit_badly(line: str | None, status: int) -> None:
    if line is not None:
        with suppress(OSError):  # nobody may be reading any more
            print(line, file=sys.__stderr__, flush=True)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with suppress(OSError):
                stream.flush()
    os._exit(status)
