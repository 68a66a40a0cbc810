"""The end of what is older than the history in rooms' logs, so that it is handed to nobody any more (P6)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chatsvc.inbox.room_log import RoomLogs
from chatsvc.rooms.lists import room_numbers
from chatsvc.storage.database import Database

_EVERY = 3600.0
"""Seconds between two rounds through all rooms."""

_ROOMS_AT_ONCE = 50
_ENTRIES_AT_ONCE = 256
"""A step of some ms at most, and of much less where nothing is too old."""


class RoomRetention:
    """
    Goes through all rooms once an hour, closed ones too, some at a time, and has their ``logs`` let go of what is old.

    ``database`` has the rooms. ``seconds`` is a clock that only goes forward.
    """

    def __init__(self, database: Database, logs: RoomLogs, seconds: Callable[[], float]) -> None:
        self._database = database
        self._logs = logs
        self._seconds = seconds
        self._next = seconds()
        self._after = 0
        self._left: Sequence[int] = ()

    @property
    def is_due(self) -> bool:
        """Whether it is time for a round, or one has not come to its end."""
        return self._seconds() >= self._next

    async def go_on(self, before: int) -> bool:
        """
        Go one step on, and let go of what has serials below ``before``; False: the round has come to its end.

        :raise StoreUnavailable: a store is away; the same step comes again.
        """
        rooms = self._left or await self._database.run(
            lambda transaction: room_numbers(transaction, self._after, _ROOMS_AT_ONCE), write=False
        )
        if not rooms:
            self._after, self._next = 0, self._seconds() + _EVERY
            return False
        self._left = await self._logs.expire(rooms, before, _ENTRIES_AT_ONCE)
        self._after = max(self._after, *rooms)
        return True
