"""
The campaign's record of the writes that a store lost because it went back, one line each:

====================  =============================================
``l FROM TO``         what was stored between these times, in seconds since 1970, is lost
``w BY TO K``         message K of BY to TO waited in the copy that came back
====================  =============================================
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.campaign.journal import entries, line_of

LOSSES = "losses"
"""The file's name. It is no journal of a user."""

Message = tuple[str, int, int]
"""Its sender, its reader and its K."""


@dataclass(frozen=True)
class Loss:
    """
    ``begin`` is just before the copy was made, ``end`` when nobody had more than the copy; ``waiting`` is what waited
    in it.
    """

    begin: float
    end: float
    waiting: frozenset[Message]


def record_loss(path: Path, loss: Loss) -> None:
    """Append it, as a whole."""
    lines = [line_of("l", f"{loss.begin:.6f}", f"{loss.end:.6f}")]
    lines += [line_of("w", *message) for message in sorted(loss.waiting)]
    with path.open("ab") as file:
        file.write(b"".join(lines))


def read_losses(path: Path) -> list[Loss]:
    """All of them, oldest first."""
    found: list[tuple[float, float, set[Message]]] = []
    for entry in entries(path):
        if entry.kind == "l":
            begin, end = map(float, entry.words)
            found.append((begin, end, set()))
        else:
            sender, to, k = entry.words
            found[-1][2].add((sender, int(to), int(k)))
    return [Loss(begin, end, frozenset(waiting)) for begin, end, waiting in found]
