"""
The feeds of this node: each room that is read here, and how its feed learns what is stored.

An entry comes from the router (stored by this node), or from the store's watcher (stored by another, or an event).
What a feed finds missing before an entry, it reads in the room's log.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.delivery.fan_out import FanOut
from chatsvc.delivery.feed import RoomFeed, Subscription
from chatsvc.inbox.room_log import Opened, RoomEnds, RoomLogs, RoomPage, RoomStart
from chatsvc.observability.redaction import redacted
from chatsvc.rooms.room import Room
from chatsvc.rooms.rooms import Rooms
from chatsvc.storage.url import StoreUnavailable
from chatsvc.transport.backoff import Backoff
from chatsvc.wire.events import RoomEntry, RoomEvent

T = TypeVar("T")

PAGE = 64
"""Entries read at once: at most 512 KiB of text."""

_UNREAD_KEPT = 5.0
"""Seconds for which a room is read on that nobody reads any more: many come back soon, and others go in one call."""

_FIRST_RETRY, _LAST_RETRY = 0.2, 2.0
"""Seconds before a store that is away is asked again."""


class RoomFeeds:
    """
    The feeds of this node over the rooms' ``logs``.

    ``rooms`` is told of events, so that what it knows of a room stays true, and asked to make rooms ready.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, logs: RoomLogs, rooms: Rooms) -> None:
        self._clock = clock
        self._logs = logs
        self._rooms = rooms
        self._fan_out = FanOut(clock)
        self._feeds: dict[int, RoomFeed] = {}
        # Rooms whose opening is under way, and the newest ids that were told meanwhile.
        self._opening: Counter[int] = Counter()
        self._told: dict[int, int] = {}
        # Rooms whose last session here has ended, and when they are forgotten.
        self._unread: set[int] = set()
        self._forgetting: IDelayedCall | None = None
        self._closed = False

    def __len__(self) -> int:
        """How many rooms are read here."""
        return len(self._feeds)

    def feed(self, room: int) -> RoomFeed | None:
        """The feed of a room; None: nobody reads it here."""
        return self._feeds.get(room)

    @property
    def subscriptions(self) -> int:
        """How many sessions read rooms here, counted once for each room."""
        return sum(len(feed.level) + len(feed.behind) for feed in self._feeds.values())

    @property
    def behind(self) -> int:
        """How many of them are behind their feed."""
        return sum(len(feed.behind) for feed in self._feeds.values())

    def close(self) -> None:
        """Read nothing any more: the server stops."""
        self._closed = True
        if self._forgetting is not None:
            self._forgetting.cancel()
            self._forgetting = None

    @property
    def is_closed(self) -> bool:
        """Whether nothing is read any more."""
        return self._closed

    # What is stored

    def stored(self, entry: RoomEntry) -> None:
        """Take an entry that this node has stored."""
        feed = self._feeds.get(entry.room)
        if feed is None:
            self._tell(entry)
        elif feed.take(entry):
            self._taken(feed, entry)
        elif entry.id > feed.cursor:
            self.resync(feed)
        elif not feed.in_doubt:
            self._doubt(feed)

    def room_entries(self, entries: Sequence[RoomEntry]) -> list[int]:
        """
        Take entries that another node has stored, or events.

        :return: the rooms that nobody reads here.
        """
        unread = []
        for entry in entries:
            self.stored(entry)
            if entry.room not in self._feeds and not self._opening[entry.room]:
                unread.append(entry.room)
        return unread

    def _tell(self, entry: RoomEntry) -> None:
        if self._opening[entry.room]:
            self._told[entry.room] = max(self._told.get(entry.room, 0), entry.id)

    def _taken(self, feed: RoomFeed, entry: RoomEntry) -> None:
        if type(entry) is RoomEvent:
            self._see(feed, entry)
        self._fan_out.schedule(feed)

    def _see(self, feed: RoomFeed, event: RoomEvent) -> None:
        name, kind = event.details.get("name"), event.details.get("kind")
        if event.event == "changed":
            self._rooms.entry_seen(event.room, event.version, name, kind)
            feed.name = name or feed.name
        else:
            self._rooms.entry_seen(event.room, event.version, None, None)

    # What may have been missed

    def resync_room(self, room: int) -> None:
        """Read a room's log: something may have been stored that nobody told."""
        feed = self._feeds.get(room)
        if feed is not None:
            self.resync(feed)

    def resync(self, feed: RoomFeed) -> None:
        """Read the log from a feed's cursor on: something may have been stored that nobody told."""
        feed.missed = True
        if not feed.is_reading:
            feed.is_reading = True
            self._in_background(self._read_on(feed))

    def store_returned(self) -> None:
        """Compare all feeds with a store that was away and is back, or may have published what was not received."""
        self._rooms.reconnected()
        for feed in list(self._feeds.values()):
            self._doubt(feed)

    async def _read_on(self, feed: RoomFeed) -> None:
        try:
            while feed.missed and not feed.in_doubt and self._is_here(feed):
                feed.missed = False
                if await self._read_page(feed):
                    feed.missed = True  # there may be more
        finally:
            feed.is_reading = False

    async def _read_page(self, feed: RoomFeed) -> bool:
        """Take a page of the log; whether there may be more behind it."""
        before = feed.cursor
        page = await self.patiently(lambda: self._logs.read(feed.room, before, PAGE))
        if page is None or not self._is_here(feed):
            return False
        if feed.cursor < before or feed.in_doubt:
            return True  # it has stepped back meanwhile, or may have to
        if page.front > feed.cursor:
            self._skip(feed, page)
        for entry in page.entries:
            if entry.id > feed.cursor:
                feed.append(entry)
                self._taken(feed, entry)
        return len(page.entries) >= PAGE

    def _skip(self, feed: RoomFeed, page: RoomPage) -> None:
        """Go on behind entries that are not kept any more: each session tells its client by itself."""
        feed.cursor = page.front
        for subscription in list(feed.level):
            feed.fall_behind(subscription)

    def _doubt(self, feed: RoomFeed) -> None:
        """Hand over nothing of a room until it is known that its log is the one that the feed has read."""
        feed.in_doubt += 1
        self._in_background(self._compare(feed))

    async def _compare(self, feed: RoomFeed) -> None:
        async def ask() -> RoomEnds:
            await self._rooms.ready(feed.room)
            start = RoomStart(feed.room, feed.cursor, feed.serial)
            return (await self._logs.open(0, [start])).ends[0]

        try:
            ends = await self.patiently(ask, lambda: self._is_here(feed))
        finally:
            feed.in_doubt -= 1
        if ends is None or not self._is_here(feed):
            return
        if ends.begin < feed.cursor:
            feed.step_back(ends.begin, ends.known)
        self.resync(feed)

    def _is_here(self, feed: RoomFeed) -> bool:
        return not self._closed and self._feeds.get(feed.room) is feed

    async def patiently(
        self, ask: Callable[[], Awaitable[T]], wanted: Callable[[], bool] = lambda: True
    ) -> T | None:
        """Ask a store until it answers; None: the server stops, or the answer is not ``wanted`` any more."""
        backoff = Backoff(_FIRST_RETRY, _LAST_RETRY, spread=(1.0, 1.0))
        while not self._closed and wanted():
            try:
                return await ask()
            except StoreUnavailable:
                await deferLater(self._clock, backoff.delay())
        return None

    async def pause(self) -> None:
        """Wait until something may have changed."""
        await deferLater(self._clock, _FIRST_RETRY)

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        Deferred.fromCoroutine(work).addErrback(self._broken)

    def _broken(self, failure: Failure) -> None:
        self._log.failure("Reading a room failed", redacted(failure), event="room-unreadable")

    # Who reads

    async def open(self, uid: int, starts: Sequence[RoomStart], rooms: Sequence[Room]) -> Opened:
        """
        Find where a session of ``uid`` begins in ``rooms``, as SQL has them.

        The caller subscribes to each of them at once, or they are soon not read here any more.

        :raise StoreUnavailable: a store is away.
        """
        opened = await self._open(uid, starts, rooms)
        versions = {room.number: room.version for room in rooms}
        lost = [ends.room for ends in opened.ends if ends.version < versions[ends.room]]
        if not lost:
            return opened
        for number in lost:  # the store has lost events
            await self._rooms.ready(number)
        return await self._open(uid, starts, rooms)

    async def _open(self, uid: int, starts: Sequence[RoomStart], rooms: Sequence[Room]) -> Opened:
        names = {room.number: room.name for room in rooms}
        self._opening.update(names.keys())
        try:
            opened = await self._logs.open(uid, starts)
        finally:
            self._opening.subtract(names.keys())
            told = {room: self._told.pop(room, 0) for room in names if not self._opening[room]}
            self._opening = +self._opening
        for ends in opened.ends:
            feed = self._feeds.get(ends.room)
            if feed is None:
                feed = RoomFeed(ends.room, names[ends.room], ends.last, ends.serial)
                self._feeds[ends.room] = feed
            if told.get(ends.room, 0) > feed.cursor or ends.last > feed.cursor:
                self.resync(feed)
        return opened

    async def read(self, room: int, after: int) -> RoomPage:
        """
        Read a page of a room's log.

        :raise StoreUnavailable: the store is away.
        """
        return await self._logs.read(room, after, PAGE)

    def drop(self, subscription: Subscription) -> None:
        """Drop a subscription; a room that nobody reads here any more is soon published for this node no more."""
        feed = subscription.feed
        feed.level.pop(subscription, None)
        feed.behind.pop(subscription, None)
        self.close_unread([feed.room])

    def close_unread(self, rooms: Sequence[int]) -> None:
        """Forget those of some rooms that nobody reads here, if nobody comes back soon."""
        for room in rooms:
            feed = self._feeds.get(room)
            if feed is not None and not feed.is_read:
                self._unread.add(room)
        if self._unread and self._forgetting is None and not self._closed:
            self._forgetting = self._clock.callLater(_UNREAD_KEPT, self._forget_unread)

    def _forget_unread(self) -> None:
        self._forgetting = None
        unread = []
        for room in self._unread:
            feed = self._feeds.get(room)
            if feed is not None and not feed.is_read and not self._opening[room]:
                del self._feeds[room]
                unread.append(room)
        self._unread.clear()
        if unread:
            closing = Deferred.fromCoroutine(self._logs.close_here(unread))
            closing.addErrback(lambda failure: failure.trap(StoreUnavailable) and None)
            closing.addErrback(self._broken)
