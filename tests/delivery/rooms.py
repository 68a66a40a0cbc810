"""A store of rooms in memory, and sessions that note what they are handed: what the delivery of rooms works between."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from typing import Any, cast

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from chatsvc.delivery.feed import EntryBatch
from chatsvc.delivery.feeds import RoomFeeds
from chatsvc.delivery.room_reader import RoomReader
from chatsvc.delivery.room_start import Known
from chatsvc.inbox.room_log import Applied, LogEvent, Opened, RoomEnds, RoomPage, RoomStart
from chatsvc.observability.metrics import Tally
from chatsvc.rooms.room import JOINED, MEMBER, PUBLIC, Membership, Room, RoomOfUser
from chatsvc.rooms.rooms import Rooms
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import events as e


class MemoryRooms:
    """
    One room and its log; the members and their memberships.

    It is both what a store and what SQL would say. Answers wait while ``held``.
    """

    def __init__(self, room: int = 7, window: int = 1000) -> None:
        self.room = room
        self.window = window
        self.log: list[e.RoomEntry] = []
        self.front = self.last = self.serial = 0
        self.version = 1
        self.members: dict[int, list[Membership]] = defaultdict(list)
        self.positions: dict[int, tuple[int, int]] = {}
        self.is_held = False
        self.is_away = False
        self.waiting: list[Deferred[None]] = []
        self.noted: list[Any] = []

    # What happens

    def say(self, sender: int, device: str = "") -> e.RoomMessage:
        """Put a message into the log."""
        self.last, self.serial = self.last + 1, self.serial + 10
        entry = e.RoomMessage(self.room, self.last, self.serial, sender, "x", 0, "text", device)
        self._append(entry)
        return entry

    def event(self, event: str, user: int) -> e.RoomEvent:
        """Put an event into the log, and let it count for the membership of a user."""
        self.last, self.serial = self.last + 1, self.serial + 10
        self.version += 1
        entry = e.RoomEvent(
            *(self.room, self.last, self.serial, self.version, 0, event, user, user, "x", {})
        )
        self._append(entry)
        spans = self.members[user]
        if event == "joined":
            spans.append(Membership(entry.id, entry.serial))
        elif event in ("left", "removed"):
            spans[-1] = Membership(spans[-1].id, spans[-1].serial, entry.serial, event)
        return entry

    def change(self, by: int, target: int, kind: str = "retracted") -> e.RoomEvent:
        """Put what edits or retracts a message into the log; what is retracted is in it no more."""
        if kind == "retracted":
            self.log = [one for one in self.log if not self._is_about(one, target)]
        self.last, self.serial = self.last + 1, self.serial + 10
        details = {"target": target, **({"text": "new"} if kind == "edited" else {})}
        entry = e.RoomEvent(
            *(self.room, self.last, self.serial, 0, 0, kind, by, 0, "x"), details=details
        )
        self._append(entry)
        return entry

    def _is_about(self, entry: e.RoomEntry, target: int) -> bool:
        if isinstance(entry, e.RoomMessage):
            return entry.serial == target
        return entry.event == "edited" and entry.details["target"] == target

    def lose(self, count: int) -> None:
        """Lose the last entries, and go on with greater serials."""
        del self.log[max(0, len(self.log) - count) :]
        self.last = self.log[-1].id if self.log else 0
        self.front = min(self.front, self.last)
        self.serial += 10_000

    def is_member(self, user: int) -> bool:
        """Whether a user is a member now."""
        return bool(self.members[user]) and not self.members[user][-1].until

    def _append(self, entry: e.RoomEntry) -> None:
        self.front = max(self.front, self.last - self.window)
        self.log = [one for one in (*self.log, entry) if one.id > self.front]

    def mark(self, user: int) -> e.Joining:
        """The mark of a user's last joining."""
        last = self.members[user][-1]
        return e.Joining(self.room, last.id, last.serial)

    # A store's side

    async def _turn(self) -> None:
        if self.is_away:
            raise StoreUnavailable("away")
        if self.is_held:
            waiting: Deferred[None] = Deferred()
            self.waiting.append(waiting)
            await waiting

    def let(self) -> None:
        """Let all answers that are held go."""
        waiting, self.waiting = self.waiting, []
        for one in waiting:
            one.callback(None)

    async def open(self, uid: int, starts: Sequence[RoomStart]) -> Opened:
        answer = Opened([self._ends(uid, start) for start in starts], [])
        if uid in self.positions and not starts:
            answer.others.append(self.room)
        await self._turn()
        return answer

    def _ends(self, uid: int, start: RoomStart) -> RoomEnds:
        after, serial = start.after, start.serial
        if after is None:
            after, serial = self.positions.get(uid, (None, None))
        known = max(start.floor - 1, serial if serial is not None else 0)
        at = {entry.id: entry.serial for entry in self.log}
        if after in at and at[after] == serial and serial >= start.floor - 1:
            begin = after
        else:
            begin = max((id for id, one in at.items() if one <= known), default=self.front)
        assert begin is not None
        first = self.log[0].serial if self.log else 0
        end = self.log[-1].serial if self.log else self.serial
        ends = self.front, self.last, end, begin, known, after, first
        return RoomEnds(self.room, self.version, *ends)

    async def read(self, room: int, after: int, limit: int) -> RoomPage:
        entries = [entry for entry in self.log if entry.id > after][:limit]
        page = RoomPage(self.front, self.log[0].serial if self.log else 0, entries)
        await self._turn()
        return page

    async def expire(self, rooms: Sequence[int], before: int, limit: int) -> list[int]:
        raise NotImplementedError

    async def close_here(self, rooms: Sequence[int]) -> None:
        self.noted.append(("closed here", list(rooms)))

    async def apply(self, room: int, events: Sequence[LogEvent]) -> Applied:
        raise NotImplementedError

    async def load(self, room: int, version: int, members: Mapping[int, str], last: int) -> None:
        raise NotImplementedError

    # SQL's side

    async def of_user(self, uid: int, also: Sequence[int] = ()) -> list[RoomOfUser]:
        spans = tuple(self.members[uid])
        found = []
        if spans and (self.is_member(uid) or self.room in also):
            found = [RoomOfUser(self.a_room(), MEMBER if self.is_member(uid) else "", spans)]
        await self._turn()
        return found

    def a_room(self) -> Room:
        """The room as SQL knows it."""
        return Room(self.room, "dev", PUBLIC, "", JOINED, self.version, 2)

    async def ready(self, room: int) -> Room:
        await self._turn()
        return self.a_room()

    def entry_seen(self, room: int, version: int, name: str | None, kind: str | None) -> None:
        self.noted.append(("seen", version))

    def reconnected(self) -> None:
        self.noted.append("reconnected")


class RoomClient:
    """A session and its client, which keeps what it was handed: ids and serials, in order."""

    def __init__(self, node: RoomNode, uid: int, device: str = "") -> None:
        self.node = node
        self.uid = uid
        self.device = device
        self.inbox_is_live = True
        self.handed: list[e.RoomEntry] = []
        self.said: list[e.Event] = []
        self.acknowledged: list[tuple[int, int, bool]] = []
        self.takes = 10**9
        self.marks: list[e.Joining] = []
        self.is_logged_in = False
        self.reader = RoomReader(
            node.feeds,
            cast(Rooms, node.rooms),
            uid,
            device,
            self,
            self,
            Tally("entries", ""),
            says_synced=True,
        )

    def log_in(self, known: Known) -> None:
        """Read from what is known on."""
        opened = Deferred.fromCoroutine(self._log_in(known))
        opened.addErrback(lambda failure: failure.trap(StoreUnavailable))

    async def _log_in(self, known: Known) -> None:
        found = await self.node.rooms.of_user(self.uid, list(known.positions or ()))
        self.said += await self.reader.open(found, known)
        self.is_logged_in = True
        live, self.inbox_is_live = self.inbox_is_live, False
        self.reader.resume()
        for mark in self.marks:
            self.reader.joined(mark)
        self.inbox_is_live = live
        self.reader.read_on()

    def joined(self, mark: e.Joining) -> None:
        """Come to a mark in the inbox, which is not read before the log-in."""
        if self.is_logged_in:
            self.reader.joined(mark)
        else:
            self.marks.append(mark)

    def say(self, event: e.Event) -> None:
        self.said.append(event)

    def is_caught_up(self) -> bool:
        return self.inbox_is_live

    def acknowledged_room(self, uid: int, room: int, id: int, over: bool = False) -> None:
        self.acknowledged.append((room, id, over))

    def failed(self) -> None:
        raise AssertionError("the reader failed")

    def deliver_entry(self, entry: e.RoomEntry, room_name: str) -> None:
        self.handed.append(entry)
        self.takes -= 1
        if self.takes <= 0:
            self.reader.pause()

    def deliver_batch(self, batch: EntryBatch, own: Collection[int]) -> None:
        for place, entry in enumerate(batch.entries):
            if place not in own:
                self.deliver_entry(entry, batch.name)

    @property
    def ids(self) -> list[int]:
        """The ids of what was handed over."""
        return [entry.id for entry in self.handed]


class RoomNode:
    """A node's feeds over the rooms in memory."""

    def __init__(self, rooms: MemoryRooms) -> None:
        self.clock = Clock()
        self.clock.advance(1000)
        self.rooms = rooms
        self.feeds = RoomFeeds(self.clock, rooms, cast(Rooms, rooms))

    def tell(self, *entries: e.RoomEntry) -> list[int]:
        """Tell the node what was stored."""
        return self.feeds.room_entries(entries)

    def pass_time(self) -> None:
        """Let all be done that is due within a while."""
        for _ in range(60):
            self.clock.advance(0.1)
            self.rooms.let()
