"""Rooms' logs in memory, for tests that decide when and how they answer."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from twisted.internet.defer import Deferred

from chatsvc.inbox.interface import StoreWatcher
from chatsvc.inbox.mark import change_event
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
from chatsvc.inbox.room_log import (
    Applied,
    LogEvent,
    Opened,
    Place,
    RoomEnds,
    RoomPage,
    RoomStart,
)
from chatsvc.wire.entries import Reference
from chatsvc.wire.events import (
    Invitation,
    Joining,
    Message,
    RoomEntry,
    RoomEvent,
    RoomMessage,
)


class Inboxes(Protocol):
    """What rooms' logs need of the inboxes in the same store."""

    watcher: StoreWatcher

    def turn(self, name: str) -> Deferred[None]:
        """Wait until it is this call's turn."""

    def next_serial(self) -> int:
        """Give out a serial."""

    def put_marked(
        self,
        uid: int,
        serial: int,
        sender: int,
        name: str,
        at: int,
        text: str,
        mark: Invitation | Joining,
    ) -> Message:
        """Put an invitation, or the note of a joining, into an inbox."""

    def refused(self, draft: RoomDraft) -> Outcome | None:
        """What the test wants to be said of a message, or what is wrong with its session."""


@dataclass
class MemoryRoom:
    """The log of one room; ``numbers`` has the last number and its id by sender and device."""

    version: int = 0
    front: int = 0
    last: int = 0
    members: dict[int, str] = field(default_factory=dict)
    entries: list[RoomEntry] = field(default_factory=list)
    places: dict[int, Place] = field(default_factory=dict)
    numbers: dict[tuple[int, str], tuple[int, int]] = field(default_factory=dict)

    @property
    def serial(self) -> int:
        """The serial of the last entry."""
        return self.entries[-1].serial if self.entries else 0

    @property
    def first_serial(self) -> int:
        """The serial of the first entry that is kept, 0 if there is none."""
        return self.entries[0].serial if self.entries else 0

    def last_below(self, serial: int) -> int:
        """The id of the last entry whose serial is below one."""
        return max((one.id for one in self.entries if one.serial < serial), default=self.front)

    def serial_of(self, id: int) -> int:
        """The serial of an entry, 0 if it is not kept."""
        return next((one.serial for one in self.entries if one.id == id), 0)

    def last_up_to(self, id: int) -> int:
        """The id of the last entry that is kept up to an id, 0 if there is none."""
        return max((one.id for one in self.entries if one.id <= id), default=0)

    def retract(self, serial: int) -> None:
        """Delete a message, and what has edited it: their ids stay empty."""

        def is_gone(entry: RoomEntry) -> bool:
            if isinstance(entry, RoomMessage):
                return entry.serial == serial
            return entry.event == "edited" and entry.details["target"] == serial

        self.entries = [one for one in self.entries if not is_gone(one)]


class MemoryRoomLogs:
    """
    Rooms' logs; the calls are held as ``rooms.apply``, ``rooms.load``, ``rooms.open``, ``rooms.read``,
    ``rooms.expire``.

    An inbox is too full for the invitation of a user in ``full``.
    """

    def __init__(self, inboxes: Inboxes) -> None:
        self._inboxes = inboxes
        self.logs: defaultdict[int, MemoryRoom] = defaultdict(MemoryRoom)
        self.positions: dict[tuple[int, int], tuple[int, int]] = {}
        """The accounts' positions, by uid and room: id and serial."""
        self.here: set[int] = set()
        """The rooms that are open here."""
        self.window = 2000
        self.full: set[int] = set()

    async def apply(self, room: int, events: Sequence[LogEvent]) -> Applied:
        await self._inboxes.turn("rooms.apply")
        log = self.logs[room]
        if not log.version and not (events and events[0].version == 1):
            return Applied([], None)
        before, told, places = log.last, list[tuple[int, Message]](), []
        for event in events:
            if event.version > log.version + 1:
                break
            if event.version == log.version + 1:
                log.places[event.version] = self._put(log, event, told)
            places.append(log.places.get(event.version, Place(event.version, 0, log.serial)))
        entries = [one for one in log.entries if one.id > before]
        if entries:
            self._inboxes.watcher.room_entries(entries)
        if told:
            self._inboxes.watcher.stored_elsewhere(told)
        return Applied(places, log.version)

    async def load(self, room: int, version: int, members: Mapping[int, str], last: int) -> None:
        await self._inboxes.turn("rooms.load")
        log = self.logs[room]
        if version > log.version:
            log.version, log.members = version, dict(members)
            if not log.entries:
                log.front = log.last = max(log.last, last)

    async def open(self, uid: int, starts: Sequence[RoomStart]) -> Opened:
        await self._inboxes.turn("rooms.open")
        named = [start.room for start in starts]
        self.here.update(named)
        others = [room for owner, room in self.positions if owner == uid and room not in named]
        return Opened([self._ends(uid, start) for start in starts], others)

    async def read(self, room: int, after: int, limit: int) -> RoomPage:
        await self._inboxes.turn("rooms.read")
        log = self.logs[room]
        entries = [one for one in log.entries if one.id > after][:limit]
        return RoomPage(log.front, log.first_serial, entries)

    async def expire(self, rooms: Sequence[int], before: int, limit: int) -> list[int]:
        await self._inboxes.turn("rooms.expire")
        for room in rooms:
            log = self.logs[room]
            log.front = max(log.front, log.last_below(before))
            log.entries = [one for one in log.entries if one.id > log.front]
        return []

    async def close_here(self, rooms: Sequence[int]) -> None:
        await self._inboxes.turn("rooms.close_here")
        self.here.difference_update(rooms)

    def store(
        self,
        room: int,
        text: str,
        sender: int = 7,
        name: str = "七",
        at: int = 0,
        device: str = "",
        reference: Reference | None = None,
    ) -> RoomEntry:
        """Put a message, or what changes one, into a log, as another node would."""
        log = self.logs[room]
        if reference is not None and reference.kind == "retracted":
            log.retract(reference.serial)
        log.last += 1
        place = room, log.last, self._inboxes.next_serial()
        entry: RoomEntry
        if reference is not None and reference.changes:
            entry = change_event(place, at, sender, name, text, reference)
        else:
            reply = reference.serial if reference is not None else 0
            entry = RoomMessage(*place, sender, name, at, text, device, reply)
        self._keep(log, entry)
        return entry

    def append(self, draft: RoomDraft) -> Outcome:
        """Store a message of a batch, or say why not."""
        refused = self._inboxes.refused(draft)
        if refused is not None:
            return refused
        log, key = self.logs[draft.room], (draft.sender, draft.device)
        if not log.version or log.version < draft.version:
            return Behind()
        if draft.n is not None:
            n, id = log.numbers.get(key, (0, 0))
            if draft.n <= n:
                is_last = draft.n == n
                serial = log.serial_of(id) if is_last else 0
                return Duplicate(id if is_last else None, 0, serial=serial)
            if draft.n > n + 1 or draft.again:
                return Gap(n + 1)
        if draft.sender not in log.members:
            return NotMember()
        what = (draft.sender, draft.name, draft.at, draft.mark, draft.reference)
        stored = self.store(draft.room, draft.text, *what)
        if draft.n is not None:
            log.numbers[key] = draft.n, stored.id
        return Stored(stored.id, 0, serial=stored.serial)

    def acknowledge(self, one: RoomAcknowledgement) -> None:
        """Raise an account's position, or let go of it."""
        account, log = (one.uid, one.room), self.logs[one.room]
        id, serial = self.positions.get(account, (0, 0))
        place = (log.serial_of(log.last_up_to(one.id)) or serial, one.id)
        if one.over and place >= (serial, id):
            self.positions.pop(account, None)
        elif not one.over and one.id <= log.last and place > (serial, id):
            self.positions[account] = one.id, place[0]

    def _put(self, log: MemoryRoom, event: LogEvent, told: list[tuple[int, Message]]) -> Place:
        log.version = event.version
        serial, id = self._inboxes.next_serial(), 0
        if event.event:
            id = log.last = log.last + 1
            about = (event.at, event.event, event.by, event.user, event.name, event.details)
            self._keep(log, RoomEvent(event.room, id, serial, event.version, *about))
        if event.closes:
            log.members.clear()
        for uid, role in event.members:
            log.members.pop(uid, None)
            if role is not None:
                log.members[uid] = role
        is_full = event.invited is not None and event.invited.user in self.full
        marks: list[tuple[int, int, str, str, Invitation | Joining]] = []
        if event.joins:
            marks.append((event.user, event.by, event.name, "", Joining(event.room, id, serial)))
        if event.invited is not None and not is_full:
            one = event.invited
            mark = Invitation(event.room, one.room_name)
            marks.append((one.user, one.sender, one.name, one.text, mark))
        for user, sender, name, text, its in marks:
            message = self._inboxes.put_marked(user, serial, sender, name, event.at, text, its)
            told.append((user, message))
        return Place(event.version, id, serial, is_full)

    def _keep(self, log: MemoryRoom, entry: RoomEntry) -> None:
        log.front = max(log.front, entry.id - self.window)
        log.entries = [one for one in (*log.entries, entry) if one.id > log.front]

    def _ends(self, uid: int, start: RoomStart) -> RoomEnds:
        log = self.logs[start.room]
        after, serial = start.after, start.serial
        if after is None or serial is None:
            after, serial = self.positions.get((uid, start.room), (None, 0))
        begin = log.front
        if after is not None:
            is_there = log.serial_of(after) == serial != 0
            begin = after if is_there else log.last_below(serial + 1)
        begin = max(begin, log.last_below(start.floor))
        return RoomEnds(
            *(start.room, log.version, log.front, log.last, log.serial, begin),
            *(max(serial, log.serial_of(begin)), after, log.first_serial),
        )
