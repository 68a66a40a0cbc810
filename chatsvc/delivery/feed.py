"""
A feed: this node's cursor over the log of one room, for all sessions that read the room here.

A *subscription* is one session in one room. As long as it is *level* with the feed it costs this entry and nothing
else: what the feed takes is gathered, encoded once for each dialect, and handed to all level subscriptions. One whose
connection can take no more falls behind, and reads pages of the log by its session's room reader.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.delivery.broken_reader import end_broken
from chatsvc.wire.events import RoomEntry, RoomEvent, RoomMessage

MOST_GATHERED = 1024 * 1024
"""Bytes of texts that may wait for their turn in a feed; past it senders into the room are read more slowly."""


class EntryBatch:
    """
    Entries of a room, called ``name``, that go to many sessions together.

    ``frames`` has their frames, lengths included, by dialect, once they were encoded, ``packed`` all of a dialect in
    one. ``own`` has the places of what a device has sent, which is not for it, by the user and the device.
    """

    __slots__ = ("entries", "frames", "last", "name", "own", "packed", "room")

    def __init__(self, room: int, name: str, entries: Sequence[RoomEntry]) -> None:
        self.room = room
        self.name = name
        self.entries = entries
        self.last = entries[-1].id
        self.frames: dict[str, list[bytes]] = {}
        self.packed: dict[str, bytes] = {}
        self.own: dict[tuple[int, str], set[int]] = {}
        for place, entry in enumerate(entries):
            if type(entry) is RoomMessage and entry.device:
                self.own.setdefault((entry.sender, entry.device), set()).add(place)

    def last_without(self, own: Collection[int]) -> int:
        """Return the id of the last entry that is not at these places; 0: there is none."""
        if not own:
            return self.last
        left = (place for place in range(len(self.entries) - 1, -1, -1) if place not in own)
        place = next(left, None)
        return 0 if place is None else self.entries[place].id

    @property
    def concerned(self) -> frozenset[int]:
        """The users to whom an event may mean more than to others."""
        return frozenset(entry.user for entry in self.entries if isinstance(entry, RoomEvent))


class RoomSession(Protocol):
    """The reader of a session's rooms, as feeds know it."""

    uid: int
    mark: str
    paused: bool

    def deliver_batch(self, batch: EntryBatch, own: Collection[int]) -> None:
        """Send a batch to the client: all of it is for this session, but for those places in it."""

    def deliver(self, subscription: Subscription, entry: RoomEntry) -> None:
        """Send an entry to the client, if it is for this session, and end the subscription where it is its end."""

    def fell_behind(self, subscription: Subscription) -> None:
        """Read the log from where the subscription is, once the connection takes more."""

    def failed(self, failure: Failure) -> None:
        """End the connection because of an error of ours."""


class Subscription:
    """
    A session in a room: what it has passed, up to ``cursor``, what it was ``handed`` last, what it has acknowledged.

    What it has passed and was not handed is not for it, as what its own device has sent. There is one for each room of
    each connection, so it has slots and no more than it needs.
    """

    __slots__ = ("acknowledged", "cursor", "feed", "handed", "reader")

    def __init__(self, feed: RoomFeed, reader: RoomSession, cursor: int) -> None:
        self.feed = feed
        self.reader = reader
        self.cursor = self.handed = self.acknowledged = cursor


class RoomFeed:
    """
    The feed of ``room``: it has taken all entries up to ``cursor``, the last of which has ``serial``.

    ``level`` are the subscriptions that were handed all but what has gathered, ``behind`` all others. ``void``:
    acknowledgements up to this id count for nothing, for they may be of entries that the store has lost.
    """

    _log = Logger()

    def __init__(self, room: int, name: str, cursor: int, serial: int) -> None:
        self.room = room
        self.name = name
        self.cursor = cursor
        self.serial = serial
        self.void = 0
        self.level: dict[Subscription, None] = {}
        self.behind: dict[Subscription, None] = {}
        self.flushed_at = float("-inf")
        self.is_reading = False
        """Whether the log is read because something was missed."""
        self.missed = False
        self.in_doubt = 0
        """How many comparisons with the store are under way: until they end nothing is taken."""
        self._gathered: list[RoomEntry] = []
        self._bytes = 0
        self._batch: EntryBatch | None = None
        self._left: list[Subscription] = []
        self._before = 0
        self._concerned: frozenset[int] = frozenset()

    @property
    def is_read(self) -> bool:
        """Whether anybody reads the room here."""
        return bool(self.level or self.behind)

    @property
    def has_gathered(self) -> bool:
        """Whether entries wait to be handed over."""
        return bool(self._gathered)

    @property
    def is_flushing(self) -> bool:
        """Whether a batch is being handed over."""
        return self._batch is not None

    @property
    def is_overloaded(self) -> bool:
        """Whether so much waits to be handed over that senders should wait."""
        return self._bytes > MOST_GATHERED

    def take(self, entry: RoomEntry) -> bool:
        """Take the entry behind the cursor; False: something before it is missing."""
        if entry.id <= self.cursor:
            return entry.serial <= self.serial  # else an id that was given out twice
        if entry.id != self.cursor + 1 or self.in_doubt:
            return False
        self.append(entry)
        return True

    def append(self, entry: RoomEntry) -> None:
        """Take an entry that is known to be the next one."""
        self.cursor, self.serial = entry.id, entry.serial
        self._gathered.append(entry)
        if type(entry) is RoomMessage:
            self._bytes += len(entry.text)

    def step_back(self, id: int, serial: int) -> None:
        """Read on behind an entry: the store has lost what came after it."""
        self.void = max(self.void, self.cursor)
        self.cursor, self.serial = id, serial
        self._gathered = [entry for entry in self._gathered if entry.id <= id]
        for subscription in self._left:
            if subscription in self.level:
                self.fall_behind(subscription)
        self._left.clear()
        self._batch = None
        for subscription in (*self.level, *self.behind):
            subscription.cursor = min(subscription.cursor, id)
            subscription.handed = min(subscription.handed, id)

    def begin_flush(self, now: float) -> None:
        """Begin to hand over what has gathered."""
        entries, self._gathered, self._bytes = self._gathered, [], 0
        self.flushed_at = now
        if not entries:
            return
        self._before = entries[0].id - 1
        self._batch = EntryBatch(self.room, self.name, entries)
        self._left = list(self.level)
        self._left.reverse()
        self._concerned = self._batch.concerned
        if any(type(entry) is RoomEvent and entry.event == "closed" for entry in entries):
            self._before = -1  # it ends all subscriptions: each entry by itself

    def flush_some(self, most: int) -> int:
        """Hand the batch to so many subscriptions; how many that were."""
        count = 0
        while self._left and count < most:
            count += 1
            subscription = self._left.pop()
            if subscription in self.level:
                self._flush_to(subscription)
        if not self._left:
            self._batch = None
        return count

    def _flush_to(self, subscription: Subscription) -> None:
        reader, batch = subscription.reader, self._batch
        if batch is None:
            return
        if reader.paused:
            self.fall_behind(subscription)
            return
        before = subscription.cursor
        try:
            if before == self._before and reader.uid not in self._concerned:
                own = batch.own.get((reader.uid, reader.mark), ())
                reader.deliver_batch(batch, own)
                subscription.cursor = batch.last
                subscription.handed = batch.last_without(own) or subscription.handed
            else:
                self._flush_entries(subscription, batch)
        except Exception:
            subscription.cursor = before  # P3: nothing later may acknowledge what it was not handed
            end_broken(reader, self._log)

    def _flush_entries(self, subscription: Subscription, batch: EntryBatch) -> None:
        for entry in batch.entries:
            if entry.id > subscription.cursor and subscription in self.level:
                if subscription.reader.paused:
                    self.fall_behind(subscription)
                else:
                    subscription.reader.deliver(subscription, entry)

    def fall_behind(self, subscription: Subscription) -> None:
        """Have a subscription read the log by itself."""
        del self.level[subscription]
        self.behind[subscription] = None
        subscription.reader.fell_behind(subscription)

    def become_level(self, subscription: Subscription) -> None:
        """Hand to a subscription what is taken from now on: it has read all before."""
        # The feed's own number where it is the same: there are many subscriptions, and numbers take memory.
        if subscription.handed == self.cursor:
            subscription.handed = self.cursor
        if subscription.cursor == self.cursor:
            subscription.cursor = self.cursor
        del self.behind[subscription]
        if not self.behind:
            self.behind = {}  # an emptied dict keeps its size
        self.level[subscription] = None
