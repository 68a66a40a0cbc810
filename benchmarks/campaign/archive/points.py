"""Points at which a server dies or stands still while it archives, see ``rooms/points.py``."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.campaign.rooms.points import pass_after, pass_point
from chatsvc.archive import changes
from chatsvc.archive.entry import ArchiveEntry, Said
from chatsvc.history import archiver
from chatsvc.history.archiver import Archiver
from chatsvc.storage.sql import Transaction

WRITTEN, COMMITTED = "written", "committed"
"""What came from the queue is in SQL, and not committed yet; it is committed, and still in the queue."""


def watch(path: Path) -> None:
    """Let this process pass both points from now on."""
    honest = changes.write

    def write(transaction: Transaction, entries: Sequence[ArchiveEntry]) -> list[Said]:
        clashing = honest(transaction, entries)
        pass_point(path, WRITTEN)
        return clashing

    vars(archiver)["write"] = write
    pass_after(Archiver, "_write", partial(pass_point, path, COMMITTED))
