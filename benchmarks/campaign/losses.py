"""
The campaign's record of the writes that a store lost because it went back, one line each:

====================  =============================================
``l FROM TO``         what was stored between these times, in seconds since 1970, is lost
``w BY TO K``         message K of BY to TO waited in the data that came back
``i UID ID``          ID was the last one that the inbox of UID had given out there
====================  =============================================
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from benchmarks.campaign.journal import entries, line_of

LOSSES = "losses"
"""The file's name. It is no journal of a user."""

Message = tuple[str, int, int]
"""Its sender, its reader and its K."""


@dataclass(frozen=True)
class Content:
    """
    What is in a store: how many ``batches`` with messages it has taken, what is ``waiting`` in it, and the last id that
    each inbox has given out, by uid.
    """

    batches: int
    waiting: frozenset[Message]
    last: Mapping[int, int]


@dataclass(frozen=True)
class Loss:
    """
    ``begin`` is just before the moment to which the store went back, or past which, ``end`` when nobody had more than
    that; ``waiting`` and ``last`` are as in the `Content` that came back.
    """

    begin: float
    end: float
    waiting: frozenset[Message]
    last: Mapping[int, int]


def record_loss(path: Path, loss: Loss) -> None:
    """Append it, as a whole."""
    lines = [line_of("l", f"{loss.begin:.6f}", f"{loss.end:.6f}")]
    lines += [line_of("w", *message) for message in sorted(loss.waiting)]
    lines += [line_of("i", *place) for place in sorted(loss.last.items())]
    with path.open("ab") as file:
        file.write(b"".join(lines))


def read_losses(path: Path) -> list[Loss]:
    """All of them, oldest first."""
    found: list[tuple[float, float, set[Message], dict[int, int]]] = []
    for entry in entries(path):
        if entry.kind == "l":
            begin, end = map(float, entry.words)
            found.append((begin, end, set(), {}))
        elif entry.kind == "w":
            sender, to, k = entry.words
            found[-1][2].add((sender, int(to), int(k)))
        else:
            uid, id = map(int, entry.words)
            found[-1][3][uid] = id
    return [Loss(begin, end, frozenset(waiting), last) for begin, end, waiting, last in found]
