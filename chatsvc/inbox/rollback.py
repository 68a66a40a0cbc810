"""
The detection of a rollback: a store has lost some of its data, and went on.

The store counts the batches that brought messages and, with Redis, says which process holds the data. Each node knows
how far the data was, also after a restart, from its :class:`~chatsvc.inbox.watermark.Watermark`. A store that has
counted less than a node knows has gone back: it gives ids out again, and begins a new epoch by which readers notice.
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass, replace
from typing import Any

from twisted.logger import Logger


@dataclass(frozen=True, slots=True)
class DataMark:
    """
    How far a store's data was.

    ``epoch`` is its epoch, ``run`` the ``run_id`` of the Redis process that held it (empty with SQLite), ``batches``
    how many batches with messages it had taken, ``serial`` the greatest serial that is known of it.
    """

    epoch: str
    run: str
    batches: int
    serial: int = 0


class RollbackDetector:
    """
    What one node knows of the data in Redis; ``known`` is what it knew when it ended last.

    That is the data which this node's readers know. While other data is there, they have yet to start over.
    """

    def __init__(self, known: DataMark | None = None) -> None:
        self.went_back = False
        """Whether the data, when it was last observed, had taken fewer batches than was known."""
        self._known = self._newest = known
        self.serial = known.serial if known is not None else 0
        """The greatest serial that this node has seen, whichever data it was in."""

    @property
    def mark(self) -> DataMark | None:
        """How far the data was when it was last observed; None: it never was."""
        return self._known and replace(self._known, serial=self.serial)

    @property
    def is_replaced(self) -> bool:
        """Whether the data that this node's readers know is gone."""
        known, newest = self._known, self._newest
        return known is not None and newest is not None and known.epoch != newest.epoch

    def script_arguments(self) -> dict[str, Any]:
        """The arguments by which the script finds out whether this is the data that the node knows."""
        known = self._known
        if known is None:
            return {}
        return {
            "epoch": known.epoch,
            "known": [known.run, known.batches],
            "seen": str(self.serial),
            "fresh": secrets.token_hex(8),
        }

    def observe(self, there: DataMark, went_back: bool = False) -> None:
        """Take note of the data that is there; ``went_back``: it has taken fewer batches than was known."""
        self.went_back, self._newest = went_back, there
        if self._known is None or not self.is_replaced:
            self._known = there

    def advance(self, run: str, batches: int, serial: int = 0) -> None:
        """Take note that the data of this Redis process has taken so many batches, up to a serial."""
        if serial > self.serial:
            self.serial = serial
        known = self._known
        if known is not None and known.run == run and known.batches < batches:
            self._known = DataMark(known.epoch, run, batches)

    def matches(self, epoch: str, run: str) -> bool:
        """Whether what another node publishes about its messages is about the data that this node's readers know."""
        known = self._known
        return (
            known is not None and (known.epoch, known.run) == (epoch, run) and not self.is_replaced
        )

    def accept(self) -> None:
        """Go on with the data that is there: no reader of this node knows the data before it any more."""
        self._known = self._newest


def log_data_loss(log: Logger, url: object) -> None:
    """Write to a store's log that its data is not what it was."""
    text = "{url} does not hold the data that it held: readers begin anew"
    log.error(text, event="store-lost", url=str(url))
