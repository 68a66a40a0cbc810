"""A reactor on which time passes when a test says so."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock


class ClockedReactor:
    """The running reactor, its threads included, but with ``clock`` for all that concerns time."""

    def __init__(self) -> None:
        self.clock = Clock()

    def __getattr__(self, name: str) -> Any:
        return getattr(self.clock if name in IReactorTime else reactor, name)
