"""How far the present connection has got, from the first byte to a log-in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import IntEnum, auto


class Stage(IntEnum):
    """What may be said on a connection; each stage allows what those before it allow."""

    DISCONNECTED = auto()
    CONNECTED = auto()
    """We have said hello and wait for the welcome."""
    WELCOMED = auto()
    """A log-in may be under way; other requests wait."""
    READY = auto()
    """The server takes whatever the user asks."""


@dataclass
class ConnectionStage:
    """
    The stage of the present connection.

    ``number`` is another one after each connection and each loss, so that a coroutine can tell after an ``await``
    whether its connection is still there. ``retry_after`` is the server's wish in its goodbye, in seconds. ``renewed``:
    this connection is to replace, or replaces, one that was closed on purpose, of which the user hears nothing.
    """

    number: int = 0
    stage: Stage = Stage.DISCONNECTED
    retry_after: float | None = None
    renewed: bool = False
    _close: Callable[[], None] = field(default=lambda: None, repr=False)

    @property
    def welcomed(self) -> bool:
        """Whether the server has welcomed us on this connection."""
        return self.stage >= Stage.WELCOMED

    @property
    def ready(self) -> bool:
        """Whether the connection takes what a user asks."""
        return self.stage is Stage.READY

    def made(self, close: Callable[[], None]) -> None:
        """There is a new connection, which ``close`` closes."""
        self.number += 1
        self.stage = Stage.CONNECTED
        self.retry_after = None
        self._close = close

    def ready_now(self) -> None:
        """The connection takes what a user asks."""
        self.stage = Stage.READY
        self.renewed = False

    def renew(self) -> None:
        """Close the connection, for another one that is made at once."""
        if self.stage is not Stage.DISCONNECTED and self.retry_after is None:
            self.stage = Stage.CONNECTED
            self.renewed, self.retry_after = True, 0.0
            self._close()

    def lost(self) -> None:
        """The connection is gone; ``retry_after`` stays readable until the next one."""
        self.number += 1
        self.stage = Stage.DISCONNECTED
