"""The store of rooms: their tables in the accounts' database, each change one transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from typing import Concatenate, ParamSpec, TypeVar

import pymysql

from chatsvc.inbox.room_log import Place
from chatsvc.rooms import lists, unfinished
from chatsvc.rooms.of_user import rooms_of
from chatsvc.rooms.room import Room, RoomOfUser, RoomRefused
from chatsvc.rooms.room_change import Pending
from chatsvc.rooms.standing import Standing, standing
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.wire.events import ListedRoom
from chatsvc.wire.problems import Problem

P = ParamSpec("P")
T = TypeVar("T")

_TAKEN = (pymysql.IntegrityError, sqlite3.IntegrityError)
"""The errors of both drivers for a name that another room has; nothing else in the tables of rooms could be taken."""

_OLD_ROOMS = 100
"""Rooms whose unfinished events are found at once."""


class RoomStore:
    """
    The rooms in one database, which the caller opens and closes; its tables are made with those of accounts.

    ``now`` gives seconds since 1970. Every coroutine raises ``chatsvc.storage.url.StoreUnavailable`` when the database
    is away.
    """

    def __init__(self, database: Database, now: Callable[[], float]) -> None:
        self._database = database
        self._now = now

    @property
    def now(self) -> int:
        """The time, in ms since 1970."""
        return int(self._now() * 1000)

    async def change(
        self,
        change: Callable[Concatenate[Transaction, P], Pending],
        *args: P.args,
        **settings: P.kwargs,
    ) -> Pending:
        """
        Carry out a change in one transaction.

        :raise RoomRefused: the change does, or another room got the name meanwhile.
        """

        def carried_out(transaction: Transaction) -> Pending:
            return change(transaction, *args, **settings)

        try:
            return await self._database.run(carried_out)
        except _TAKEN:
            pass  # another one has just got the name: now it is found
        try:
            return await self._database.run(carried_out)
        except _TAKEN:
            raise RoomRefused(Problem.ROOM_NAME_TAKEN) from None

    async def standing(self, uid: int, room: int | str) -> Standing:
        """Read how a user stands to a room, given by its number or its name: one query, whether it is there or not."""
        return await self._read(standing, uid, room, self.now)

    async def all_rooms(self, after: int, limit: int) -> list[Room]:
        """List rooms, as :func:`chatsvc.rooms.lists.all_rooms` does."""
        return await self._read(lists.all_rooms, after, limit)

    async def owners(self, number: int) -> list[int]:
        """Read the uids of a room's owners, ascending."""
        return await self._read(lists.owners, number)

    async def members(
        self, number: int, after: int | None, limit: int
    ) -> tuple[list[tuple[int, str, str]], bool]:
        """List members, whoever asks, as :func:`chatsvc.rooms.lists.members_page` does."""
        return await self._read(lists.members_page, number, after, limit)

    async def rooms_of(self, uid: int, also: Sequence[int]) -> tuple[list[RoomOfUser], list[int]]:
        """Read the rooms of a user, as :func:`chatsvc.rooms.of_user.rooms_of` does."""
        return await self._read(rooms_of, uid, also)

    async def listed_rooms(
        self, uid: int, name: str, after: int, limit: int, mine: bool
    ) -> tuple[list[ListedRoom], bool]:
        """List rooms, as :func:`chatsvc.rooms.lists.listed_rooms` does."""
        return await self._read(lists.listed_rooms, uid, name, after, limit, mine)

    async def listed_members(
        self, uid: int, room: int | str, after: int | None, limit: int
    ) -> tuple[Room, list[tuple[int, str, str]], bool]:
        """List members, as :func:`chatsvc.rooms.lists.listed_members` does."""
        return await self._read(lists.listed_members, uid, room, after, limit, self.now)

    async def pending(self, number: int) -> Pending | None:
        """Read a room and its unfinished changes; None: there is no such room."""
        return await self._read(unfinished.pending, number)

    async def rooms_with_unfinished(self, seconds: float) -> list[int]:
        """Read the numbers of some rooms with changes that have not been finished for ``seconds``."""
        until = self.now - int(seconds * 1000)
        return await self._read(unfinished.rooms_with_unfinished, until, _OLD_ROOMS)

    async def lost(self, number: int, version: int | None) -> Pending:
        """Read what a log at ``version`` lacks, as :func:`chatsvc.rooms.unfinished.lost` does."""
        # As for a change, or SQLite would not give everything as it was at one time.
        return await self._database.run(lambda t: unfinished.lost(t, number, version))

    async def raise_above(self, number: int, version: int) -> Pending | None:
        """Make a change above the ``version`` of a log, as :func:`chatsvc.rooms.unfinished.raise_above` does."""
        return await self._database.run(
            lambda t: unfinished.raise_above(t, number, version, self.now)
        )

    async def write_places(self, number: int, places: Sequence[Place], again: bool) -> list[int]:
        """Write down where changes stand in the log, as :func:`chatsvc.rooms.unfinished.write_places` does."""
        return await self._database.run(lambda t: unfinished.write_places(t, number, places, again))

    async def _read(
        self,
        question: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **settings: P.kwargs,
    ) -> T:
        return await self._database.run(lambda t: question(t, *args, **settings), write=False)
