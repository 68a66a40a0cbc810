"""Connections that have said something: what each of them says in one go leaves as one write."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatsvc.observability.redaction import redacted


class Flushable(Protocol):
    """A connection that gathers its frames."""

    def flush(self) -> None:
        """Hand what was said to the transport."""


class FlushConsolidator:
    """Flushes connections when the answers of a batch have been told, or else in the next turn of the reactor."""

    _log = Logger()

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._speakers: list[Flushable] = []

    def add(self, speaker: Flushable) -> None:
        """It has something to say."""
        if not self._speakers:
            self._clock.callLater(0, self.flush)
        self._speakers.append(speaker)

    def flush(self) -> None:
        """Flush all who were added."""
        speakers, self._speakers = self._speakers, []
        for speaker in speakers:
            try:
                speaker.flush()
            except Exception:
                # One connection's trouble is not that of the others.
                self._log.failure("Writing failed", redacted(), event="write-failed")
