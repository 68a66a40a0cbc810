"""Whether a store is away, as its commands find out: the log hears when that begins and when it ends, not each time."""

from __future__ import annotations

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger


class Absence:
    """
    One store's. ``store`` is its name in the log.

    What a command finds counts only if it began after the last change: those of before the change may tell either.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, store: str) -> None:
        self._clock = clock
        self._store = store
        self._away = False
        self._since = clock.seconds()

    def noticed(self, began: float, reason: str) -> None:
        """A command that began then, by the clock, found the store away."""
        if not self._away and began >= self._since:
            self._change(True)
            text = "{store} is away: {reason}"
            self._log.error(text, event="store-away", store=self._store, reason=reason)

    def ended(self, began: float) -> None:
        """A command that began then found the store there."""
        if self._away and began >= self._since:
            seconds = self._change(False)
            text = "{store} is back after {seconds:.1f} s"
            self._log.warn(text, event="store-back", store=self._store, seconds=seconds)

    def _change(self, away: bool) -> float:
        """The seconds that it was not so."""
        now, before = self._clock.seconds(), self._since
        self._away, self._since = away, now
        return now - before
