"""A simple model of what rooms' logs promise."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from chatsvc.inbox.outcome import (
    Behind,
    Duplicate,
    Gap,
    Gone,
    NotMember,
    Outcome,
    RoomAcknowledgement,
    RoomDraft,
    Stored,
)
from chatsvc.inbox.room_log import LogEvent, RoomLogLimits, RoomStart
from chatsvc.wire.entries import Reference

ROOM_LIMITS = RoomLogLimits(window=7, bytes=400)


@dataclass
class RoomModelEntry:
    """
    An entry that is kept: of a message or an edit its text, of another event which it is.

    ``reference`` is what it has to do with a message; ``serial`` is as the store has said it. ``bytes`` are those of
    name and text.
    """

    id: int
    version: int
    sender: int
    text: str
    serial: int = 0
    reference: Reference | None = None
    bytes: int = field(default=0, compare=False)


@dataclass
class RoomModel:
    """One room's log as the interface describes it."""

    version: int = 0
    front: int = 0
    last: int = 0
    kept: list[RoomModelEntry] = field(default_factory=list)
    members: set[int] = field(default_factory=set)
    events: list[LogEvent] = field(default_factory=list)
    full: set[int] = field(default_factory=set)
    numbers: dict[tuple[int, str], tuple[list[str], int]] = field(default_factory=dict)
    positions: dict[int, tuple[int, int]] = field(default_factory=dict)
    """By uid: serial and id."""
    gone: list[RoomModelEntry] = field(default_factory=list)
    """What was retracted."""
    retracted: set[int] | None = None
    """The serials that were retracted anywhere; None: the store knows those that its log speaks of."""

    def serials(self) -> dict[int, int]:
        """The serials of what is kept, by id."""
        return {entry.id: entry.serial for entry in self.kept}

    def trim(self) -> None:
        """Let go of what is before the window, or before the last bytes."""
        self.front = max(self.front, self.last - ROOM_LIMITS.window)
        self.kept = [entry for entry in self.kept if entry.id > self.front]
        while self.bytes > ROOM_LIMITS.bytes:
            self.front = self.kept.pop(0).id

    def expire(self, before: int, limit: int) -> int:
        """Let go of the first entries with serials below ``before``; how many."""
        count = 0
        while count < limit and self.kept and self.kept[0].serial < before:
            self.front = self.kept.pop(0).id
            count += 1
        return count

    @property
    def bytes(self) -> int:
        """The bytes of what is kept."""
        return sum(entry.bytes for entry in self.kept)

    def put(self, version: int, sender: int, text: str, size: int) -> RoomModelEntry:
        """Append an entry with a text of this size."""
        self.last += 1
        entry = RoomModelEntry(self.last, version, sender, text, bytes=size + len("名".encode()))
        self.kept.append(entry)
        return entry

    def retract(self, serial: int) -> None:
        """Delete a message, and what has edited it."""
        edit = Reference("edited", serial)
        gone = [
            entry
            for entry in self.kept
            if (entry.serial == serial and not entry.version) or entry.reference == edit
        ]
        self.gone += gone
        self.kept = [entry for entry in self.kept if entry not in gone]

    def is_too_late(self, reference: Reference) -> bool:
        """Whether it changes what was retracted."""
        if not reference.changes:
            return False
        if self.retracted is not None:
            return reference.serial in self.retracted
        retraction = Reference("retracted", reference.serial)
        return any(one.reference == retraction for one in self.kept)

    def known_serials(self) -> Sequence[int]:
        """Serials that a message may refer to: of what is there, of what was retracted, of nothing."""
        return [*[entry.serial for entry in (*self.kept, *self.gone[-5:])], 5]

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
        if draft.reference is not None and self.is_too_late(draft.reference):
            return Gone()
        if draft.reference is not None and draft.reference.kind == "retracted":
            self.retract(draft.reference.serial)
            if self.retracted is not None:
                self.retracted.add(draft.reference.serial)
        entry = self.put(0, draft.sender, draft.text, len(draft.text.encode()))
        entry.reference = draft.reference
        if draft.n is not None:
            self.numbers[key] = ([*texts, draft.text], entry.id)
        return Stored(entry.id, 0)

    def change(self, event: LogEvent, size: int) -> RoomModelEntry | None:
        """Take the next change, whose entry, if it has one, says so many bytes; that entry."""
        self.version = event.version
        self.events.append(event)
        if event.closes:
            self.members = set()
        for uid, role in event.members:
            self.members = self.members | {uid} if role else self.members - {uid}
        if not event.event:
            return None
        return self.put(event.version, event.by, event.event, size)

    def acknowledge(self, one: RoomAcknowledgement) -> None:
        """Raise the position of an account, or let go of it."""
        known = self.positions.get(one.uid, (0, 0))
        # At what was retracted, what is before it was acknowledged.
        before = [entry.serial for entry in self.kept if entry.id <= one.id]
        place = (before[-1] if before else known[0], one.id)
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
