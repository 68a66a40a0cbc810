"""Flushing: the frames that a connection has gathered in one turn of the reactor leave as one write."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatsvc.observability.redaction import redacted


class Flushable(Protocol):
    """A connection that gathers its frames."""

    def flush(self) -> None:
        """Hand what has gathered to the transport."""


class FlushConsolidator:
    """Flushes connections when the outcomes of a batch have been reported, or else in the next turn of the reactor."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._waiting: list[Flushable] = []

    def add(self, connection: Flushable) -> None:
        """Flush a connection with the others, before long."""
        if not self._waiting:
            self._clock.callLater(0, self.flush)
        self._waiting.append(connection)

    def flush(self) -> None:
        """Flush every connection that was added."""
        waiting, self._waiting = self._waiting, []
        for connection in waiting:
            try:
                connection.flush()
            except Exception:
                # One connection's trouble is not that of the others.
                self._log.failure("Writing failed", redacted(), event="write-failed")
