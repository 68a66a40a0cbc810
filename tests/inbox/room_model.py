"""A simple model of what rooms' logs promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chatsvc.inbox.outcome import (
    Behind,
    Duplicate,
    Gap,
    NotMember,
    Outcome,
    RoomAcknowledgement,
    RoomDraft,
    Stored,
)
from chatsvc.inbox.room_log import LogEvent, RoomLogLimits, RoomStart

ROOM_LIMITS = RoomLogLimits(window=7)


@dataclass
class RoomModelEntry:
    """An entry that is kept: of a message its text, of an event which it is; ``serial`` as the store has said it."""

    id: int
    version: int
    sender: int
    text: str
    serial: int = 0


@dataclass
class RoomModel:
    """One room's log as the interface describes it."""

    version: int = 0
    last: int = 0
    kept: list[RoomModelEntry] = field(default_factory=list)
    members: set[int] = field(default_factory=set)
    events: list[LogEvent] = field(default_factory=list)
    full: set[int] = field(default_factory=set)
    numbers: dict[tuple[int, str], tuple[list[str], int]] = field(default_factory=dict)
    positions: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By uid: serial and id."""

    @property
    def front(self) -> int:
        """The id before the first entry that is kept."""
        return self.kept[0].id - 1 if self.kept else self.last

    def serials(self) -> dict[int, int]:
        """The serials of what is kept, by id."""
        return {entry.id: entry.serial for entry in self.kept}

    def trim(self) -> None:
        """Let go of what is before the window."""
        self.kept = self.kept[-ROOM_LIMITS.window :]

    def put(self, version: int, sender: int, text: str) -> RoomModelEntry:
        """Append an entry."""
        self.last += 1
        entry = RoomModelEntry(self.last, version, sender, text)
        self.kept.append(entry)
        return entry

    def expected(self, sender: int, device: str) -> int:
        """The next number of a device."""
        return len(self.numbers.get((sender, device), ([], 0))[0]) + 1

    def append(self, draft: RoomDraft) -> Outcome:
        """The outcome of a message whose session is as it should be."""
        if not self.version or self.version < draft.version:
            return Behind()
        key = (draft.sender, draft.device)
        texts, id = self.numbers.get(key, ([], 0))
        if draft.n is not None:
            newest = len(texts)
            if draft.n <= newest and draft.text == texts[draft.n - 1]:
                return Duplicate(id if draft.n == newest else None, 0)
            if draft.n != newest + 1:
                return Gap(newest + 1)
        if draft.sender not in self.members:
            return NotMember()
        entry = self.put(0, draft.sender, draft.text)
        if draft.n is not None:
            self.numbers[key] = ([*texts, draft.text], entry.id)
        return Stored(entry.id, 0)

    def change(self, event: LogEvent) -> RoomModelEntry | None:
        """Take the next change; its entry if it has one."""
        self.version = event.version
        self.events.append(event)
        if event.closes:
            self.members = set()
        for uid, role in event.members:
            self.members = self.members | {uid} if role else self.members - {uid}
        return self.put(event.version, event.by, event.event) if event.event else None

    def acknowledge(self, one: RoomAcknowledgement) -> None:
        """Raise the position of an account, or let go of it."""
        known = self.positions.get(one.uid, (0, 0))
        place = (self.serials().get(one.id, known[0]), one.id)
        if one.over and (one.id > self.last or place >= known):
            self.positions.pop(one.uid, None)
        elif not one.over and one.id <= self.last and place > known:
            self.positions[one.uid] = place

    def begin(self, uid: int, start: RoomStart) -> tuple[int, int | None]:
        """Where a session begins, and the id that it knew."""
        after, serial = start.after, start.serial or 0
        if after is None and uid in self.positions:
            serial, after = self.positions[uid]
        begin = max([self.front, *self._below(start.floor)])
        if after is None:
            return begin, None
        if after in self.serials() and self.serials()[after] == serial:
            return max(begin, after), after
        return max([begin, *self._below(serial + 1)]), after

    def _below(self, serial: int) -> Sequence[int]:
        return [entry.id for entry in self.kept if entry.serial < serial]
