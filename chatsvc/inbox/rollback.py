"""
The life of a store's data: by what a node finds out that the store has lost some, and went on.

The store counts the batches that brought messages, and says with Redis which process holds the data. Each node knows
how far it was, also after a restart, from its :class:`~chatsvc.inbox.watermark.Watermark`. A store that has counted
less than a node knows has gone back: it gives ids out again, and begins a new epoch by which readers notice.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import Any

from twisted.logger import Logger


@dataclass(frozen=True, slots=True)
class DataMark:
    """
    How far a store's data was: its ``epoch``, the process of Redis that held it (its ``run_id``; empty with SQLite),
    and how many ``batches`` with messages it had taken.
    """

    epoch: str
    run: str
    batches: int


class RollbackDetector:
    """
    What one node knows of the data in Redis; ``known`` is what it knew when it ended last.

    It is what this node's readers know. While other data is there, they have yet to begin anew.
    """

    def __init__(self, known: DataMark | None = None) -> None:
        self.went_back = False
        self._known = self._newest = known

    @property
    def mark(self) -> DataMark | None:
        """How far the data was when it was heard of last; None: it never was."""
        return self._known

    @property
    def is_over(self) -> bool:
        """Whether the data that this node's readers know is gone."""
        known, newest = self._known, self._newest
        return known is not None and newest is not None and known.epoch != newest.epoch

    def question(self) -> dict[str, Any]:
        """What the script needs to find out whether this is the data that the node knows."""
        known = self._known
        if known is None:
            return {}
        fresh = secrets.token_hex(8)
        return {"epoch": known.epoch, "known": [known.run, known.batches], "fresh": fresh}

    def found(self, there: DataMark, went_back: bool = False) -> None:
        """This is the data that is there; ``went_back``: it has taken fewer batches than was known."""
        self.went_back, self._newest = went_back, there
        if self._known is None or not self.is_over:
            self._known = there

    def counted(self, run: str, batches: int) -> None:
        """The data has taken so many batches, says this process of Redis."""
        known = self._known
        if known is not None and known.run == run and known.batches < batches:
            self._known = DataMark(known.epoch, run, batches)

    def is_of(self, epoch: str, run: str) -> bool:
        """Whether what another node says of its messages is about the data that this node's readers know."""
        known = self._known
        return known is not None and (known.epoch, known.run) == (epoch, run) and not self.is_over

    def begin_anew(self) -> None:
        """No reader of this node knows the data of before any more."""
        self._known = self._newest


def say_loss(log: Logger, url: object) -> None:
    """Say in a store's log that its data is not what it was."""
    text = "{url} does not hold the data that it held: readers begin anew"
    log.error(text, event="store-lost", url=str(url))
