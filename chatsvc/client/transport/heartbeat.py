"""Notices a server that hangs: nothing comes, though it owes an answer."""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IReactorTime

IDLE = 20.0
"""Seconds of silence after which the server is asked whether it is there."""

_BETWEEN_LOOKS = 1.0


class Heartbeat:
    """
    Watches one connection.

    Bytes that come are signs of life, whatever they mean: an answer may stand in line behind many messages.

    :param patience: gives the seconds that the server may take for what it owes; None: it owes nothing
    :param ping: asks the server for a sign of life
    :param hung: called once when the server has taken too long
    """

    def __init__(
        self,
        clock: IReactorTime,
        patience: Callable[[], float | None],
        ping: Callable[[], None],
        hung: Callable[[], None],
    ) -> None:
        self._clock = clock
        self._patience = patience
        self._ping = ping
        self._hung = hung
        self._heard = clock.seconds()
        self._owed_since: float | None = None
        self._timer: IDelayedCall = clock.callLater(_BETWEEN_LOOKS, self._look)

    def heard(self) -> None:
        """Something has come."""
        self._heard = self._clock.seconds()

    def stop(self) -> None:
        """Watch no more."""
        if self._timer.active():
            self._timer.cancel()

    def _look(self) -> None:
        self._timer = self._clock.callLater(_BETWEEN_LOOKS, self._look)
        now, patience = self._clock.seconds(), self._patience()
        if patience is None:
            self._owed_since = None
            if now - self._heard >= IDLE:
                self._ping()
        elif self._owed_since is None:
            self._owed_since = now
        elif now - max(self._owed_since, self._heard) >= patience:
            self.stop()
            self._hung()
