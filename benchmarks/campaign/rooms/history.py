"""
What SQL says in the end of each room: its events, in order, and by them who was in it from where to where.

The campaign writes it down before it ends its servers, one line an event:
``e ROOM VERSION AT EVENT BY USER ID SERIAL``; ID and SERIAL are 0 where the event has not got into the room's log.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.campaign.journal import entries, line_of

HISTORY = "rooms"
"""The file's name. It is no journal of a user."""

NOTHING = "-"
"""Stands for the name of a change that has no event, as an invitation."""

_BEGINS = ("created", "joined")
_ENDS = ("left", "removed", "closed")


@dataclass(frozen=True)
class Change:
    """A change of a room, made at ``at``, in seconds since 1970; ``serial`` 0: it has not got into the log."""

    room: int
    version: int
    at: float
    event: str
    by: int
    user: int
    id: int
    serial: int

    @property
    def what(self) -> tuple[str, int, int, int]:
        """What its entry in the log says, and under which id."""
        return (self.event, self.by, self.user, self.id)

    @property
    def begins(self) -> bool:
        """Whether a membership begins with it."""
        return self.event in _BEGINS

    @property
    def ends(self) -> bool:
        """Whether one ends with it, or all do."""
        return self.event in _ENDS

    @property
    def member(self) -> int:
        """Whose membership begins or ends; 0: all."""
        if self.event == "closed":
            return 0
        return self.user


@dataclass(frozen=True)
class Stay:
    """A membership: both ends belong to it. ``ended`` None: it goes on."""

    began: Change
    ended: Change | None

    @property
    def last(self) -> float:
        """The serial of its end."""
        return self.ended.serial if self.ended else math.inf

    def has(self, low: int, high: int) -> bool:
        """Whether an entry with a serial from ``low`` to ``high`` lies in it for certain."""
        return self.began.serial <= low and high <= self.last

    def may_have(self, low: int, high: int) -> bool:
        """Whether such an entry may lie in it."""
        return self.began.serial <= high and low <= self.last


class History:
    """All changes of all rooms, by their logs' order."""

    def __init__(self, changes: Iterable[Change]) -> None:
        self.changes: dict[int, list[Change]] = defaultdict(list)
        """Those with an event, by room, in the order of versions."""
        self.unfinished: list[Change] = []
        for change in sorted(changes, key=lambda one: (one.room, one.version)):
            if not change.serial:
                self.unfinished.append(change)
            elif change.event:
                self.changes[change.room].append(change)
        self._stays: dict[tuple[int, int], list[Stay]] = defaultdict(list)
        for room, events in self.changes.items():
            self._follow(room, events)

    def stays(self, room: int, uid: int) -> list[Stay]:
        """The memberships of a user in a room."""
        return self._stays.get((room, uid), [])

    def is_inside(self, room: int, uid: int, low: int, high: int) -> bool:
        """Whether an entry with a serial from ``low`` to ``high`` may lie in a membership."""
        return any(stay.may_have(low, high) for stay in self.stays(room, uid))

    def _follow(self, room: int, events: list[Change]) -> None:
        here: dict[int, Change] = {}
        for event in events:
            if event.begins:
                here.setdefault(event.member, event)
            elif event.ends:
                for uid in [event.member] if event.member else list(here):
                    began = here.pop(uid, None)
                    if began is not None:
                        self._stays[room, uid].append(Stay(began, event))
        for uid, began in here.items():
            self._stays[room, uid].append(Stay(began, None))


def write_history(folder: Path, changes: Iterable[Change]) -> None:
    """Write down all changes, instead of what was written before."""
    lines = [
        line_of(
            *("e", one.room, one.version, f"{one.at:.3f}", one.event or NOTHING),
            *(one.by, one.user, one.id, one.serial),
        )
        for one in changes
    ]
    (folder / HISTORY).write_bytes(b"".join(lines))


def read_history(folder: Path) -> History:
    """What was written down; empty if nothing was."""
    changes = []
    for entry in entries(folder / HISTORY):
        room, version, at, event, *rest = entry.words
        by, user, id, serial = map(int, rest)
        name = "" if event == NOTHING else event
        changes.append(Change(int(room), int(version), float(at), name, by, user, id, serial))
    return History(changes)
