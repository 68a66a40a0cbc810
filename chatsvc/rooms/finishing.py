"""
Finishing changes: what SQL has goes into the room's log, in the order of versions, and then its place there into SQL.

Any node may do it, several at once, and again: the log takes each version once, and says where it stands. A log that
has lost events gets them again, one that is not there its members; where SQL has gone back, it is raised above the log.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from twisted.logger import Logger

from chatsvc.inbox.room_log import Place, RoomLogs
from chatsvc.rooms.event import RAISED, RoomChange, log_event, raised_members
from chatsvc.rooms.room import Room
from chatsvc.rooms.room_change import Pending
from chatsvc.rooms.store import RoomStore
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.record import record

_OLDER = "The accounts' database has gone back behind the log of room #{room}"

_BEHIND = "The log of room #{room} has lost what it had, and gets it again"

_TRIES = 4
"""How often something is put into a log that does not get further by it."""


@record
class Finished:
    """A room whose changes are finished; ``withdrawn`` are the uids whose invitations found a full inbox."""

    room: Room
    withdrawn: list[int]


@record
class _Put:
    """What a log said: its version (None: there is none), and where changes stand."""

    version: int | None
    places: list[Place]


class Finishing:
    """Puts changes from ``store`` into ``logs``."""

    _log = Logger()

    def __init__(self, store: RoomStore, logs: RoomLogs) -> None:
        self._store = store
        self._logs = logs

    async def finish(self, number: int) -> Finished | None:
        """Finish the changes of a room, and compare its log with SQL; None: there is no such room."""
        pending = await self._store.pending(number)
        return None if pending is None else await self._settle(pending)

    async def settle(self, pending: Pending) -> Finished:
        """
        Finish the changes of a room; without one its log is not asked.

        :raise StoreUnavailable: a store is away, or others change both all the time.
        """
        return await self._settle(pending) if pending.changes else Finished(pending.room, [])

    async def _settle(self, pending: Pending) -> Finished:
        number, withdrawn, tries, reached = pending.room.number, list[int](), 0, -1
        while tries < _TRIES:
            put = await self._put(pending)
            there, wanted = -1 if put.version is None else put.version, pending.room.version
            if there > wanted:
                # Another change was quicker, or SQL has gone back; then these are places of other changes.
                raised = await self._store.raise_above(number, there)
                if raised is not None:
                    self._log.warn(_OLDER, event="rooms-older", room=number)
                    pending, tries = raised, tries + 1
                    continue
            if put.places:
                withdrawn += await self._store.write_places(number, put.places, pending.again)
            if there >= wanted:
                return Finished(pending.room, withdrawn)
            tries, reached = (0, there) if there > reached else (tries + 1, reached)
            pending = await self._store.lost(number, put.version)
            self._log.warn(_BEHIND, event="room-log-behind", room=number)
        raise StoreUnavailable(f"the log of room {number} does not follow")

    async def _put(self, pending: Pending) -> _Put:
        """Put changes into the log, as far as they follow its version."""
        number, places = pending.room.number, list[Place]()
        if pending.start is not None:
            await self._logs.load(number, *pending.start, pending.last)
        for some in _parts(pending.changes):
            if some and some[0].event == RAISED:
                first = some[0]
                members = raised_members(first)
                await self._logs.load(number, first.version, members, pending.last)
            applied = await self._logs.apply(number, [log_event(number, one) for one in some])
            if applied.version is None:
                return _Put(None, [])
            places += applied.places
            if len(applied.places) < len(some):
                break
        return _Put(applied.version, places)


def _parts(changes: Sequence[RoomChange]) -> Iterator[Sequence[RoomChange]]:
    """Yield changes in parts, of which each but the first begins with loading members; without changes one is empty."""
    begin = 0
    for end in range(1, len(changes)):
        if changes[end].event == RAISED:
            yield changes[begin:end]
            begin = end
    yield changes[begin:]
