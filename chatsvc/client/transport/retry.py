"""When to connect again, and when to give up."""

from __future__ import annotations

from dataclasses import dataclass

from twisted.internet.interfaces import IReactorTime

from chatsvc.transport.backoff import Backoff

FIRST_DELAY, LAST_DELAY = 0.2, 30.0
"""Seconds between attempts to connect."""


@dataclass(frozen=True)
class Patience:
    """
    How long to do without a connection, in seconds; None: for ever.

    ``first``: until the server welcomes us for the first time. ``later``: after a loss.
    """

    first: float | None = None
    later: float | None = None


class RetrySchedule:
    """The delays between attempts to connect, as long as there is patience."""

    def __init__(self, clock: IReactorTime, patience: Patience) -> None:
        self._clock = clock
        self._patience = patience
        self._backoff = Backoff(FIRST_DELAY, LAST_DELAY)
        self._deadline: float | None = None
        self.ever_connected = False
        self.allowed = 0.0
        """Seconds for which there is patience now; 0: for none, or without end."""

    def start(self) -> None:
        """The first attempt begins."""
        self._allow(self._patience.first)

    def succeeded(self) -> None:
        """The server has welcomed us."""
        self.ever_connected = True
        self._deadline = None
        self._backoff.reset()

    def next_delay(self, retry_after: float | None = None) -> float | None:
        """
        How many seconds to wait after an attempt that failed, or a connection that was lost.

        :param retry_after: the seconds that the server asked for
        :return: None: patience ends before that
        """
        if self.ever_connected and self._deadline is None:
            self._allow(self._patience.later)
        delay = self._backoff.delay() if retry_after is None else max(FIRST_DELAY, retry_after)
        over = self._deadline is not None and self._clock.seconds() + delay > self._deadline
        return None if over else delay

    def _allow(self, seconds: float | None) -> None:
        self.allowed = seconds or 0.0
        self._deadline = None if seconds is None else self._clock.seconds() + seconds
