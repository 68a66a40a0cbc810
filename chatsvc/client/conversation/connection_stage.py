"""How far the present connection has got, from the first byte to a log-in."""

from __future__ import annotations

from dataclasses import dataclass
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
    whether its connection is still there. ``retry_after`` is the server's wish in its goodbye, in seconds.
    """

    number: int = 0
    stage: Stage = Stage.DISCONNECTED
    retry_after: float | None = None

    @property
    def welcomed(self) -> bool:
        """Whether the server has welcomed us on this connection."""
        return self.stage >= Stage.WELCOMED

    @property
    def ready(self) -> bool:
        """Whether the connection takes what a user asks."""
        return self.stage is Stage.READY

    def made(self) -> None:
        """There is a new connection."""
        self.number += 1
        self.stage = Stage.CONNECTED
        self.retry_after = None

    def lost(self) -> None:
        """The connection is gone; ``retry_after`` stays readable until the next one."""
        self.number += 1
        self.stage = Stage.DISCONNECTED
