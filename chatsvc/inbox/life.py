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


@dataclass(frozen=True, slots=True)
class Mark:
    """
    How far a store's data was: its ``epoch``, the process of Redis that held it (its ``run_id``; empty with SQLite),
    and how many ``batches`` with messages it had taken.
    """

    epoch: str
    run: str
    batches: int


class Life:
    """
    What one node knows of the data in Redis; ``known`` is what it knew when it ended last.

    ``epoch`` is that of the data that this node's readers know, ``newest``
    the one that was there last: while they differ, readers have yet to begin anew.
    """

    def __init__(self, known: Mark | None = None) -> None:
        self.epoch: str | None = known.epoch if known else None
        self.newest: str | None = self.epoch
        self.went_back = False
        self._known = known
        self._newest = known

    @property
    def mark(self) -> Mark | None:
        """How far the data was when it was heard of last; None: it never was."""
        return self._known

    @property
    def is_over(self) -> bool:
        """Whether the data that this node's readers know is gone."""
        return self.epoch != self.newest

    def question(self) -> dict[str, Any]:
        """What the script needs to find out whether this is the data that the node knows."""
        if self.epoch is None:
            return {}
        asked: dict[str, Any] = {"epoch": self.epoch, "fresh": secrets.token_hex(8)}
        if self._known is not None:
            asked["known"] = [self._known.run, self._known.batches]
        return asked

    def found(self, there: Mark, went_back: bool = False) -> None:
        """This is the data that is there; ``went_back``: it has taken fewer batches than was known."""
        self.went_back = went_back
        self.newest, self._newest = there.epoch, there
        if self.epoch is None:
            self.epoch = there.epoch
        if not self.is_over:
            self._known = there

    def counted(self, run: str, batches: int) -> None:
        """The data has taken so many batches, says this process of Redis."""
        known = self._known
        if known is not None and known.run == run and known.batches < batches:
            self._known = Mark(known.epoch, run, batches)

    def is_of(self, epoch: str, run: str) -> bool:
        """Whether what another node says of its messages is about the data that this node's readers know."""
        known = self._known
        return known is not None and (known.epoch, known.run) == (epoch, run) and not self.is_over

    def begin_anew(self) -> None:
        """No reader of this node knows the data of before any more."""
        self.epoch, self._known = self.newest, self._newest
