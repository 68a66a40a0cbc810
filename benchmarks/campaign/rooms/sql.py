"""What SQL knows of rooms, asked of the database of a campaign."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from benchmarks.campaign.rooms.history import Change

QUERY = "SELECT room, version, at, event, actor, uid, id, serial FROM chat_room_event"

_ENTRIES = ("created", "joined", "left", "removed", "role", "changed", "closed")
"""Changes that are events, and have an entry in the room's log."""


def changes_of(rows: Iterable[tuple[Any, ...]]) -> list[Change]:
    """The rows of the query."""
    return [
        Change(
            *(room, version, at / 1000, event if event in _ENTRIES else "", by, user),
            id=id or 0,
            serial=serial or 0,
        )
        for room, version, at, event, by, user, id, serial in rows
    ]
