"""
The reader of a session's rooms: all that its client is handed of rooms, and what it acknowledges.

It holds a subscription for each room. Those that are behind are caught up one after another, a page at a time, and not
before the inbox is read. What lies outside of the user's memberships is not handed over (P5 of docs/protocol.md): while
it catches up the reader takes them from SQL, and from then on from the events of the log itself.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from chatsvc.delivery.feed import EntryBatch, Subscription
from chatsvc.delivery.feeds import PAGE, RoomFeeds
from chatsvc.delivery.reader_owner import EntrySink, RoomReaderOwner
from chatsvc.delivery.room_opening import open_rooms
from chatsvc.delivery.room_start import (
    Beginning,
    Known,
    begins_membership,
    covers,
    ends_membership,
    is_over,
)
from chatsvc.inbox.room_log import RoomPage
from chatsvc.observability.metrics import Tally
from chatsvc.observability.redaction import redacted
from chatsvc.rooms.room import Membership, RoomOfUser
from chatsvc.rooms.rooms import Rooms
from chatsvc.wire import events as e

EVERYTHING = (Membership(0, 0),)
"""The memberships of a subscription that was level: it is inside until the log says otherwise."""


class RoomReader:
    """
    Reads the rooms of ``uid`` for one log-in, on a device (empty: the unnamed one).

    ``says_synced``: the client is told when it has all that waited. ``delivered`` counts the entries.
    """

    __slots__ = (
        *("_behind", "_closed", "_delivered", "_earlier", "_feeds", "_joining", "_over"),
        *("_owner", "_reading", "_rejoined", "_rooms", "_says_synced", "_sink"),
        *("mark", "paused", "subscriptions", "uid"),
    )
    _log = Logger()

    def __init__(
        self,
        feeds: RoomFeeds,
        rooms: Rooms,
        uid: int,
        device: str,
        owner: RoomReaderOwner,
        sink: EntrySink,
        delivered: Tally,
        says_synced: bool,
    ) -> None:
        self.uid = uid
        self.paused = True
        self.subscriptions: dict[int, Subscription] = {}
        self._feeds = feeds
        self._rooms = rooms
        self.mark = device or "-"
        self._owner = owner
        self._sink = sink
        self._delivered = delivered
        self._says_synced = says_synced
        self._behind: dict[Subscription, list[Membership]] = {}
        # Rooms that are over, with the last entry that was for this user: until that is acknowledged.
        self._over: dict[int, tuple[int, int]] = {}
        # Joinings that the inbox told of before the end of an earlier membership was reached in the log.
        self._rejoined: dict[int, list[e.Joining]] = {}
        self._joining: dict[int, list[e.Joining]] = {}
        # Memberships before the one at which a device begins that says nothing of a room, with where that is.
        self._earlier: dict[int, tuple[int, Sequence[Membership]]] = {}
        self._reading = False
        self._closed = False

    # Beginning

    async def open(self, rooms: Sequence[RoomOfUser], known: Known) -> list[e.Event]:
        """
        Find out where to begin in each room, and subscribe; nothing is delivered before ``resume``.

        :return: what the client is told of its rooms.
        :raise StoreUnavailable: a store is away.
        """
        ended = [one for one in rooms if is_over(one, known)]
        beginnings, others = await self._begin(
            [one for one in rooms if not is_over(one, known)], known
        )
        if others and known.positions is None:
            found = await self._rooms.of_user(self.uid, others)
            left = [one for one in found if one.room.number in others and not is_over(one, known)]
            beginnings += (await self._begin(left, known))[0]
        named = known.positions or {}
        events = [event for one in beginnings for event in one.shown()]
        over = {one.room.number: one for one in ended if one.memberships}
        here = {one.room for one in beginnings}
        for number in named:
            if number in over:
                last = over[number].memberships[-1]
                self._over[number] = (0, last.until)
                events.append(e.RoomLeft(number, over[number].room.name, last.why or "left"))
            elif number not in here:
                events.append(e.RoomLeft(number, "", "left"))
        return events

    async def _begin(
        self, rooms: Sequence[RoomOfUser], known: Known
    ) -> tuple[list[Beginning], list[int]]:
        """Subscribe to rooms; also return the numbers of others in which the account has a position."""
        if not rooms and known.positions is not None:
            return [], []
        return await open_rooms(self._feeds, self._rooms, self.uid, rooms, known, self._subscribe)

    def _subscribe(self, beginning: Beginning) -> None:
        feed = self._feeds.feed(beginning.room)
        if feed is None:
            return
        if self._closed:
            self._feeds.close_unread([beginning.room])
            return
        begin = (
            feed.cursor if beginning.begin == feed.cursor else beginning.begin
        )  # one int, not two
        subscription = Subscription(feed, self, begin)
        self.subscriptions[beginning.room] = subscription
        self._over.pop(beginning.room, None)
        if len(beginning.memberships) < len(beginning.of_user.memberships):
            self._earlier[beginning.room] = beginning.begin, beginning.of_user.memberships
        if beginning.of_user.role and subscription.cursor >= feed.cursor:
            feed.level[subscription] = None
        else:
            feed.behind[subscription] = None
            self._behind[subscription] = list(beginning.memberships)

    def joined(self, mark: e.Joining) -> None:
        """Begin to read a room, which the inbox says was joined; if it is read already, nothing happens."""
        room = mark.room
        subscription = self.subscriptions.get(room)
        if subscription is not None:
            begin, memberships = self._earlier.get(room, (-1, ()))
            if mark.id > subscription.cursor:
                # Perhaps an earlier membership ends before that.
                self._rejoined.setdefault(room, []).append(mark)
            elif subscription.cursor == begin:
                self._begin_earlier(subscription, mark, memberships)
            return
        if room in self._over and mark.serial <= self._over[room][1]:
            return  # told at the log-in
        if room in self._joining:
            self._joining[room].append(mark)
        else:
            self._joining[room] = []
            Deferred.fromCoroutine(self._join(mark)).addErrback(self.failed)

    def _begin_earlier(
        self, subscription: Subscription, mark: e.Joining, memberships: Sequence[Membership]
    ) -> None:
        """Begin with an earlier membership, of which the device has not heard: nothing was delivered yet."""
        del self._earlier[mark.room]
        subscription.cursor = subscription.handed = subscription.acknowledged = mark.id - 1
        subscription.feed.level.pop(subscription, None)
        subscription.feed.behind[subscription] = None
        self._behind[subscription] = [one for one in memberships if one.serial >= mark.serial]
        self.read_on()

    async def _join(self, mark: e.Joining) -> None:
        known = Known({mark.room: (mark.id - 1, mark.serial - 1)})
        try:
            beginnings = await self._feeds.patiently(
                lambda: self._begin_at(mark, known), lambda: not self._closed
            )
        finally:
            later = self._joining.pop(mark.room)
        for one in beginnings or ():
            for event in one.shown(joining=True):
                self._owner.say(event)
        for one_more in later:
            self.joined(one_more)
        self.read_on()

    async def _begin_at(self, mark: e.Joining, known: Known) -> list[Beginning]:
        found = await self._rooms.of_user(self.uid, [mark.room])
        here = [one for one in found if one.room.number == mark.room and not is_over(one, known)]
        return (await self._begin(here, known))[0]

    # Delivery

    def deliver_batch(self, batch: EntryBatch, own: Collection[int]) -> None:
        """Send a batch to the client: all of it is for this session, but for those places in it."""
        self._delivered.count += len(batch.entries) - len(own)
        self._sink.deliver_batch(batch, own)

    def deliver(self, subscription: Subscription, entry: e.RoomEntry) -> None:
        """Send an entry to the client, if it is for this session, and end the subscription where it is its end."""
        if type(entry) is e.RoomMessage and entry.sender == self.uid and entry.device == self.mark:
            subscription.cursor = entry.id
            return
        self._hand_over(subscription, entry)
        if type(entry) is e.RoomEvent:
            self._follow(subscription, entry)

    def _hand_over(self, subscription: Subscription, entry: e.RoomEntry) -> None:
        before, subscription.cursor = subscription.cursor, entry.id
        self._delivered.count += 1
        try:
            self._sink.deliver_entry(entry, subscription.feed.name)
        except BaseException:
            subscription.cursor = before  # P3: nothing later may acknowledge it
            raise
        subscription.handed = entry.id

    def _follow(self, subscription: Subscription, event: e.RoomEvent) -> None:
        """Take note of what an event means for the membership."""
        why = ends_membership(event, self.uid)
        if why:
            self._over[event.room] = (event.id, event.serial)
            self._end(subscription, event.serial, why)
        elif event.room in self._rejoined and begins_membership(event, self.uid):
            later = [mark for mark in self._rejoined.pop(event.room) if mark.serial > event.serial]
            if later:
                self._rejoined[event.room] = later

    def _end(self, subscription: Subscription, serial: int, why: str) -> None:
        """End a subscription behind its membership, whose end has ``serial``."""
        feed = subscription.feed
        self._drop(subscription)
        if feed.room not in self._over:  # the event is not kept, so nobody will acknowledge it
            self._over[feed.room] = (0, serial)
            self._owner.acknowledged_room(self.uid, feed.room, subscription.cursor, over=True)
        self._owner.say(e.RoomLeft(feed.room, feed.name, why))
        for mark in self._rejoined.pop(feed.room, ()):
            if mark.serial > serial:
                self.joined(mark)

    def _drop(self, subscription: Subscription) -> None:
        del self.subscriptions[subscription.feed.room]
        self._behind.pop(subscription, None)
        self._feeds.drop(subscription)

    def fell_behind(self, subscription: Subscription) -> None:
        """Read the log from where the subscription is, once the connection takes more."""
        self._behind[subscription] = list(EVERYTHING)
        self.read_on()

    def acknowledge(self, room: int, id: int) -> bool:
        """
        Take note that the client has recorded all entries of a room up to an id.

        Only what was delivered counts. Returns whether that was news.
        """
        subscription = self.subscriptions.get(room)
        if subscription is None:
            last = self._over.get(room)
            if last is None or not last[0] or id < last[0]:
                return False
            self._over[room] = (0, last[1])
            self._owner.acknowledged_room(self.uid, room, last[0], over=True)
            return True
        up_to = id if id < subscription.handed else subscription.cursor
        if up_to <= subscription.acknowledged or up_to <= subscription.feed.void:
            return False
        subscription.acknowledged = up_to
        self._owner.acknowledged_room(self.uid, room, up_to)
        return True

    def pause(self) -> None:
        """Deliver nothing for now: the connection can take no more."""
        self.paused = True

    def resume(self) -> None:
        """Deliver (again). Every room reader begins paused."""
        self.paused = False
        self.read_on()

    def close(self) -> None:
        """End the log-in."""
        self._closed = True
        for subscription in list(self.subscriptions.values()):
            if subscription.acknowledged >= subscription.handed:  # what came then was not for it
                self.acknowledge(subscription.feed.room, subscription.handed)
            self._drop(subscription)

    def failed(self, failure: Failure) -> None:
        """End the connection: a reader that only seems to be here would be worse."""
        if self._closed:
            return
        self._log.failure(
            "reading rooms failed", redacted(failure), event="room-unreadable", uid=self.uid
        )
        self.paused = True
        self._owner.failed()

    # Catching up

    def read_on(self) -> None:
        """Go on to catch up, as far as the connection and the inbox allow."""
        if self._may_read and not self._reading:
            self._reading = True
            Deferred.fromCoroutine(self._catch_up()).addErrback(self.failed)

    @property
    def _may_read(self) -> bool:
        if self.paused or self._closed or self._feeds.is_closed:
            return False
        return self._owner.is_caught_up()

    async def _catch_up(self) -> None:
        try:
            while self._behind and self._may_read:
                await self._read_page(next(iter(self._behind)))
        finally:
            self._reading = False
        if self._says_synced and not (self._behind or self._joining) and self._may_read:
            self._says_synced = False
            self._owner.say(e.Synced())

    async def _read_page(self, subscription: Subscription) -> None:
        room, before = subscription.feed.room, subscription.cursor
        page = await self._feeds.patiently(
            lambda: self._feeds.read(room, before),
            lambda: self._may_read and subscription in self._behind,
        )
        if page is None or subscription not in self._behind or subscription.cursor != before:
            return
        if subscription.feed.in_doubt:  # this may not be the log that was read before
            await self._feeds.pause()
            return
        if page.front > before:
            self._miss(subscription, page)
        if not self._take(subscription, page):
            return
        if len(page.entries) < PAGE and subscription.cursor >= subscription.feed.cursor:
            self._become_level(subscription)
        elif subscription.cursor == before and len(page.entries) < PAGE:
            # The feed is ahead of the log: the store has lost entries, and it is about to find out.
            self._feeds.resync(subscription.feed)
            await self._feeds.pause()

    def _miss(self, subscription: Subscription, page: RoomPage) -> None:
        """Tell that entries are not kept any more."""
        after, subscription.cursor = subscription.cursor, page.front
        feed, serial = subscription.feed, page.first_serial or None
        self._owner.say(e.RoomMissed(feed.room, after, page.front, serial, feed.name))

    def _take(self, subscription: Subscription, page: RoomPage) -> bool:
        """Deliver a page, as far as the connection takes it and memberships allow; False: not all of it."""
        memberships = self._behind[subscription]
        for entry in page.entries:
            if self.paused or subscription not in self._behind:
                return False
            if entry.id <= subscription.cursor:
                continue
            if covers(memberships, entry.serial):
                self._take_inside(subscription, entry, memberships)
            elif any(one.serial > entry.serial for one in memberships):
                subscription.cursor = entry.id
            elif begins_membership(entry, self.uid):
                memberships.append(Membership(entry.id, entry.serial))
                self.deliver(subscription, entry)
            else:
                last = memberships[-1]
                self._end(subscription, last.until, last.why or "left")
                return False
        return subscription in self._behind

    def _take_inside(
        self, subscription: Subscription, entry: e.RoomEntry, memberships: list[Membership]
    ) -> None:
        """Deliver an entry of a membership; its end is the end of the subscription only if none follows."""
        why = ends_membership(entry, self.uid)
        follows = any(one.serial > entry.serial for one in memberships)
        if why and follows:
            self._hand_over(subscription, entry)
            return
        if why:
            place = max(i for i, one in enumerate(memberships) if one.serial <= entry.serial)
            memberships[place] = replace(memberships[place], until=entry.serial, why=why)
        self.deliver(subscription, entry)

    def _become_level(self, subscription: Subscription) -> None:
        last = self._behind[subscription][-1]
        if last.until:
            self._end(subscription, last.until, last.why or "left")
            return
        del self._behind[subscription]
        subscription.feed.become_level(subscription)
        if not self._behind:
            self._behind = {}  # an emptied dict keeps its size
