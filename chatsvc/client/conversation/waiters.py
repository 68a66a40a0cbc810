"""Several that wait for the same moment."""

from __future__ import annotations

from twisted.internet.defer import Deferred


class Waiters:
    """Everybody who waits for one thing to happen."""

    def __init__(self) -> None:
        self._waiting: list[Deferred[None]] = []

    def wait(self) -> Deferred[None]:
        """Fires at the next :meth:`fire`."""
        waiting: Deferred[None] = Deferred()
        self._waiting.append(waiting)
        return waiting

    def fire(self) -> None:
        """Release all who wait now. Who begins to wait meanwhile waits for the next time."""
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(None)
