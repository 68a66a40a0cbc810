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
from dataclasses import dataclass, field
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
    each inbox has given out, by uid. ``serial`` is the last one that it has given out, 0 if none.
    """

    batches: int
    waiting: frozenset[Message]
    last: Mapping[int, int]
    serial: int = 0


@dataclass(frozen=True)
class Loss:
    """
    ``begin`` is just before the moment to which the store went back, or past which, ``end`` when nobody had more than
    that; ``waiting``, ``last`` and ``serial`` are as in the `Content` that came back.
    """

    begin: float
    end: float
    waiting: frozenset[Message]
    last: Mapping[int, int]
    serial: int = 0


def record_loss(path: Path, loss: Loss) -> None:
    """Append it, as a whole."""
    lines = [line_of("l", f"{loss.begin:.6f}", f"{loss.end:.6f}", loss.serial)]
    lines += [line_of("w", *message) for message in sorted(loss.waiting)]
    lines += [line_of("i", *place) for place in sorted(loss.last.items())]
    with path.open("ab") as file:
        file.write(b"".join(lines))


@dataclass
class _Reading:
    """A loss of which not all lines have been read."""

    begin: float
    end: float
    serial: int
    waiting: set[Message] = field(default_factory=set)
    last: dict[int, int] = field(default_factory=dict)


def read_losses(path: Path) -> list[Loss]:
    """All of them, oldest first."""
    found: list[_Reading] = []
    for entry in entries(path):
        if entry.kind == "l":
            begin, end, serial = entry.words
            found.append(_Reading(float(begin), float(end), int(serial)))
        elif entry.kind == "w":
            sender, to, k = entry.words
            found[-1].waiting.add((sender, int(to), int(k)))
        else:
            uid, id = map(int, entry.words)
            found[-1].last[uid] = id
    return [Loss(one.begin, one.end, frozenset(one.waiting), one.last, one.serial) for one in found]
