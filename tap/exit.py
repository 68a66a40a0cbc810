"""The end of a ``twistd`` command, with a status of its own."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from typing import Any

from twisted.internet.error import ReactorNotRunning


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


def _exit_badly(line: str | None, status: int) -> None:
    if line is not None:
        with suppress(OSError):  # nobody may be reading any more
            print(line, file=sys.__stderr__, flush=True)
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            with suppress(OSError):
                stream.flush()
    os._exit(status)
