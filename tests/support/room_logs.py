"""Logs of rooms in memory, after the contract, for tests of what is put into them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from chatsvc.inbox.room_log import (
    Applied,
    Invited,
    LogEvent,
    Opened,
    Place,
    RoomPage,
    RoomStart,
)
from chatsvc.storage.url import StoreUnavailable


@dataclass
class Log:
    """One room's log: version, roles by uid, entries (id, serial, event), the last id, and where versions stand."""

    version: int = 0
    members: dict[int, str] = field(default_factory=dict)
    entries: list[tuple[int, int, LogEvent]] = field(default_factory=list)
    last: int = 0


class FakeRoomLogs:
    """
    Logs in memory.

    ``marks`` are the joinings that went into inboxes, as (uid, room, id); ``invitations`` are those that were sent;
    inboxes of ``full`` take none. ``calls`` has each call, ``away`` makes them fail, and ``dies_after`` once the step
    was done.
    """

    def __init__(self) -> None:
        self.rooms: dict[int, Log] = {}
        self.marks: list[tuple[int, int, int]] = []
        self.invitations: list[Invited] = []
        self.full: set[int] = set()
        self.calls: list[str] = []
        self.away = False
        self.dies_after = False
        self.begins_by_itself = True
        """Whether the first event of a room needs no log that was loaded."""
        self._serial = 1000

    def kinds(self, room: int) -> list[str]:
        """What the entries of a room are, in their order."""
        return [event.event for _, _, event in self.rooms[room].entries]

    def serial(self) -> int:
        """A new serial."""
        self._serial += 10
        return self._serial

    def lose(self, room: int, version: int) -> None:
        """Lose what came after a version, but for the ids of what is left."""
        log = self.rooms[room]
        log.version = version
        log.entries = [one for one in log.entries if one[2].version <= version]
        log.last = log.entries[-1][0] if log.entries else 0
        log.members = {}
        for _, _, event in log.entries:
            _change(log.members, event)

    async def apply(self, room: int, events: Sequence[LogEvent]) -> Applied:
        self._call("apply")
        log = self.rooms.get(room)
        if log is None and events and events[0].version == 1 and self.begins_by_itself:
            log = self.rooms[room] = Log()
        if log is None:
            return Applied([], None)
        places = []
        for event in events:
            if event.version <= log.version:
                places.append(self._place(log, event.version))
            elif event.version == log.version + 1:
                places.append(self._store(log, event))
            else:
                break
        self._end()
        return Applied(places, log.version)

    def _place(self, log: Log, version: int) -> Place:
        for id, serial, event in log.entries:
            if event.version == version:
                return Place(version, id, serial)
        return Place(version, 0, self._serial)

    def _store(self, log: Log, event: LogEvent) -> Place:
        log.version = event.version
        _change(log.members, event)
        if event.invited is not None:
            if event.invited.user in self.full:
                return Place(event.version, 0, self._serial, full=True)
            self.invitations.append(event.invited)
        if not event.event:
            return Place(event.version, 0, self._serial)
        log.last += 1
        log.entries.append((log.last, self.serial(), event))
        if event.joins:
            self.marks.append((event.user, event.room, log.last))
        return Place(event.version, log.last, self._serial)

    async def load(self, room: int, version: int, members: Mapping[int, str], last: int) -> None:
        self._call("load")
        log = self.rooms.get(room)
        if log is None or log.version < version:
            log = self.rooms.setdefault(room, Log())
            log.version, log.members = version, dict(members)
            if not log.entries:
                log.last = max(log.last, last)
        self._end()

    async def open(self, uid: int, starts: Sequence[RoomStart]) -> Opened:
        raise NotImplementedError

    async def read(self, room: int, after: int, limit: int) -> RoomPage:
        raise NotImplementedError

    async def expire(self, rooms: Sequence[int], before: int, limit: int) -> list[int]:
        raise NotImplementedError

    async def close_here(self, rooms: Sequence[int]) -> None:
        raise NotImplementedError

    def _call(self, name: str) -> None:
        self.calls.append(name)
        if self.away:
            raise StoreUnavailable("away")

    def _end(self) -> None:
        if self.dies_after:
            raise StoreUnavailable("did not answer")


def _change(members: dict[int, str], event: LogEvent) -> None:
    for uid, role in event.members:
        if role is None:
            members.pop(uid, None)
        else:
            members[uid] = role
    if event.closes:
        members.clear()
