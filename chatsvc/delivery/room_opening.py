"""
Finding where a session begins in its rooms: what SQL says of its user's memberships, and where the rooms' logs stand.

The two are asked one after the other. A log that has changes of which SQL had not told yet may hold the end of a
membership: then SQL is asked again, or a session that begins behind that end would read on for ever (P5 of
docs/protocol.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chatsvc.delivery.feeds import RoomFeeds
from chatsvc.delivery.room_start import Beginning, Known, beginning_of, is_over, start_of
from chatsvc.rooms.room import RoomOfUser
from chatsvc.rooms.rooms import Rooms
from chatsvc.storage.url import StoreUnavailable

_TRIES = 4
"""How often a room is opened that changes all the time."""


async def open_rooms(
    feeds: RoomFeeds,
    rooms: Rooms,
    uid: int,
    wanted: Sequence[RoomOfUser],
    known: Known,
    subscribe: Callable[[Beginning], None],
) -> tuple[list[Beginning], list[int]]:
    """
    Find where a session of ``uid`` begins in some rooms, and subscribe to each at once.

    :return: the beginnings, without rooms that turned out to be over, and the numbers of others in which the account
        has a position.
    :raise StoreUnavailable: a store is away, or a room changes all the time.
    """
    beginnings: list[Beginning] = []
    others: list[int] | None = None
    for _ in range(_TRIES):
        by_number = {one.room.number: one for one in wanted}
        try:
            starts = [start_of(one, known) for one in wanted]
            opened = await feeds.open(uid, starts, [one.room for one in wanted])
            others = opened.others if others is None else others
            changed = []
            for ends in opened.ends:
                one = by_number[ends.room]
                if ends.version > one.room.version:
                    changed.append(ends.room)
                    continue
                beginning = beginning_of(one, known, ends)
                subscribe(beginning)
                beginnings.append(beginning)
        finally:
            feeds.close_unread(list(by_number))
        for number in changed:
            await rooms.ready(number)
        found = await rooms.of_user(uid, changed) if changed else []
        wanted = [one for one in found if one.room.number in changed and not is_over(one, known)]
        if not wanted:
            return beginnings, others
    raise StoreUnavailable("rooms change all the time")
