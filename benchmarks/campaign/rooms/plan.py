"""The rooms of a campaign: their names, their kinds, and who may be in them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

PUBLIC, PRIVATE = "public", "private"

_PARTS = (1, 2, 4, 3)
"""The members of four rooms in turn: all, a half, a quarter and a third of those who may be in any."""

_LEAST = 3
"""Members of the smallest room, if there are so many."""

PATH_VARIABLE = "CAMPAIGN_POINT"
"""The variable of a server's environment that names the file of ``points.py``."""

WINDOW = 400
"""Entries of a room that are kept, as the campaign's servers are told."""

LIMITS = ("--room-rate", "0", "--room-window", str(WINDOW), "--rooms-owned", "100")
"""Options of the servers: nobody is slowed down, and a room is closed and made anew time and again."""


@dataclass(frozen=True)
class RoomPlan:
    """Who may be in the room called ``name``; ``founder`` makes it, and makes it anew when it was closed."""

    name: str
    kind: str
    founder: int
    members: tuple[int, ...]


def plan_of(count: int, uids: Sequence[int], founders: Sequence[int]) -> list[RoomPlan]:
    """
    So many rooms for these users.

    The first room is for all, each second one is private. ``founders`` are those of the users who have a device, at
    least one.
    """
    rooms = []
    for number in range(count):
        size = min(len(uids), max(_LEAST, len(uids) // _PARTS[number % len(_PARTS)]))
        members = {uids[(number * size + place) % len(uids)] for place in range(size)}
        founder = founders[number % len(founders)]
        kind = PRIVATE if number % 2 else PUBLIC
        everybody = tuple(sorted({founder, *members}))
        rooms.append(RoomPlan(f"r{number}", kind, founder, everybody))
    return rooms
