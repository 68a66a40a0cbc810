"""
Rooms, as sessions use them: a change is one transaction of SQL, then goes into the room's log, then is confirmed.

Every coroutine raises :class:`~chatsvc.storage.url.StoreUnavailable` if a store is away; a change may then have been
made or not, and may be asked for again. Rooms are given by their number or by their name.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Concatenate, ParamSpec

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from chatsvc.accounts.name_index import HIGHEST, LOWEST
from chatsvc.accounts.names import BadName
from chatsvc.inbox.room_log import RoomLogs
from chatsvc.rooms import members, settings
from chatsvc.rooms.finishing import Finished, Finishing
from chatsvc.rooms.name import enforce_room_name
from chatsvc.rooms.room import Room, RoomLimits, RoomOfUser, RoomRefused, is_long_topic
from chatsvc.rooms.room_change import NOBODY, Pending
from chatsvc.rooms.store import RoomStore
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable
from chatsvc.waiters import Waiters
from chatsvc.wire.events import ListedRoom
from chatsvc.wire.problems import Problem

P = ParamSpec("P")

UNFINISHED_SECONDS = 5.0
"""Changes that are older than this, and not finished, are finished by any node."""

UNFINISHED_SECONDS_ALONE = 1.0
"""The same for the one server that uses an SQLite file: commands leave their changes of rooms for it to finish."""

_KNOWN = 20_000
"""Rooms that are known at most: some 10 MB."""

_TRIES = 3
"""How often a user's rooms are read until all their changes are finished."""


class Rooms:
    """
    What sessions and readers ask of rooms. All coroutines may raise ``RoomRefused``.

    ``store`` has the rooms in SQL, ``logs`` follow it. Changes that are unfinished for ``old`` seconds were left so.
    """

    def __init__(
        self,
        store: RoomStore,
        logs: RoomLogs,
        limits: RoomLimits,
        old: float = UNFINISHED_SECONDS,
    ) -> None:
        self._store = store
        self._old = old
        self._finishing = Finishing(store, logs)
        self._limits = limits
        self._known: dict[int, Room] = {}
        self._getting_ready: dict[int, Waiters[Room | Failure]] = {}

    async def create(self, by: int, name: str, kind: str, topic: str) -> Room:
        """
        Make a room.

        :raise RoomRefused: ``FORBIDDEN``: users make none here; ``BAD_ROOM_NAME``, ``LONG_TOPIC``; ``ROOM_NAME_TAKEN``,
            with the number of a room of one's own; ``TOO_MANY_ROOMS``.
        """
        if not self._limits.open:
            raise RoomRefused(Problem.FORBIDDEN)
        stored = _room_name(name)
        _require_topic(topic)
        pending = await self._store.change(
            members.create, by, stored, kind, topic, self._limits, self._store.now
        )
        return (await self._settle(pending)).room

    async def join(self, uid: int, room: int | str) -> Room:
        """
        Become a member.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``BANNED``, ``ROOM_FULL``, ``TOO_MANY_ROOMS``.
        """
        number = await self._visible(uid, room)
        return await self._change(members.join, uid, number, self._limits, self._store.now)

    async def leave(self, uid: int, room: int | str) -> Room:
        """
        Be a member no longer.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``.
        """
        number = await self._compared((await self._store.standing(uid, room)).known().number)
        return await self._change(members.leave, uid, number, self._store.now)

    async def invite(self, by: int, room: int | str, user: int) -> tuple[Room, bool]:
        """
        Invite a user; also return whether that is a member already, who is then not invited.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``FORBIDDEN``, ``UNKNOWN_USER``, ``INBOX_FULL``;
            ``BANNED``: the user may not join.
        """
        number = await self._visible(by, room)
        pending = await self._store.change(members.invite, by, number, _uid(user), self._store.now)
        finished = await self._settle(pending)
        if user in finished.withdrawn:
            raise RoomRefused(Problem.INBOX_FULL)
        return finished.room, pending.is_member

    async def remove(self, by: int, room: int | str, user: int, ban: bool) -> Room:
        """
        Remove a member, or withdraw the invitation of who is none; ``ban``: who may then not join.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``FORBIDDEN``, ``UNKNOWN_USER``.
        """
        number = await self._visible(by, room)
        return await self._change(members.remove, by, number, _uid(user), ban, self._store.now)

    async def unban(self, by: int, room: int | str, user: int) -> Room:
        """
        Let a user join again.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``FORBIDDEN``.
        """
        number = await self._visible(by, room)
        return await self._change(members.unban, by, number, _uid(user), self._store.now)

    async def set_role(self, by: int, room: int | str, user: int, role: str) -> Room:
        """
        Give a member another role.

        :raise RoomRefused: ``UNKNOWN_ROOM``; ``NOT_A_MEMBER``, also if ``user`` is none; ``FORBIDDEN``, also for the
            last owner's role; ``TOO_MANY_ROOMS``.
        """
        number, limits = await self._visible(by, room), self._limits
        return await self._change(
            settings.set_role, by, number, _uid(user), role, limits, self._store.now
        )

    async def change(
        self,
        by: int,
        room: int | str,
        name: str | None = None,
        topic: str | None = None,
        kind: str | None = None,
        history: str | None = None,
    ) -> Room:
        """
        Change what is not None.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``FORBIDDEN``, ``BAD_ROOM_NAME``, ``LONG_TOPIC``;
            ``ROOM_NAME_TAKEN``, with the number of a room of one's own.
        """
        number = await self._visible(by, room)
        if topic is not None:
            _require_topic(topic)
        given = {
            "name": None if name is None else _room_name(name),
            "topic": topic,
            "kind": kind,
            "history": history,
        }
        wanted: Mapping[str, str] = {key: new for key, new in given.items() if new is not None}
        return await self._change(settings.change_room, by, number, wanted, self._store.now)

    async def close(self, by: int, room: int | str) -> Room:
        """
        Close a room.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``, ``FORBIDDEN``.
        """
        own = await self._store.standing(by, room)
        number = await self._compared(own.closed_or_visible().number)
        return await self._change(members.close, by, number, self._store.now)

    async def list_rooms(
        self, uid: int, name: str, after: int, limit: int, mine: bool
    ) -> tuple[list[ListedRoom], bool]:
        """List public rooms and the user's own; whether there are more."""
        return await self._store.listed_rooms(uid, name, after, limit, mine)

    async def list_members(
        self, uid: int, room: int | str, after: int | None, limit: int
    ) -> tuple[Room, list[tuple[int, str, str]], bool]:
        """
        List the members of a room: uid, name, role each; whether there are more.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``.
        """
        return await self._store.listed_members(uid, room, after, limit)

    async def of_user(self, uid: int, also: Sequence[int] = ()) -> list[RoomOfUser]:
        """
        Read the rooms of a user, and those of ``also`` in which the user was once, each with its events finished.

        A room of ``also`` that the user was never in is left out. A joining that others are just finishing is not among
        the memberships: its mark comes into the inbox.
        """
        rooms, unfinished = await self._store.rooms_of(uid, also)
        for _ in range(_TRIES):
            if not unfinished:
                break
            for number in unfinished:
                await self._finishing.finish(number)
            rooms, unfinished = await self._store.rooms_of(uid, also)
        return rooms

    async def ready(self, room: int) -> Room:
        """
        Finish a room's events, and remember its version in SQL, so that messages can be stored.

        :raise RoomRefused: ``UNKNOWN_ROOM``.
        """
        others = self._getting_ready.get(room)
        waiters = self._getting_ready.setdefault(room, others or Waiters())
        answer = waiters.wait()
        if others is None:
            # Apart from whoever asks first: that session may end meanwhile.
            getting = Deferred.fromCoroutine(self._get_ready(room, self._known))
            getting.addBoth(self._is_ready, room, waiters)
        found = await answer
        if isinstance(found, Failure):
            found.raiseException()
        return found

    async def find(self, uid: int, room: int | str) -> tuple[Room, bool]:
        """
        Find the room that a message of ``uid`` is for, ready for messages; whether the user may know of it now.

        Who was a member once finds it, too: the message may be one that was stored then.

        :raise RoomRefused: ``UNKNOWN_ROOM``: there is none that this user may, or once could, know of.
        """
        own = await self._store.standing(uid, room)
        number = own.known().number
        return self._known.get(number) or await self.ready(number), own.is_visible

    async def finish_old(self) -> None:
        """
        Finish old changes: whoever made them has died meanwhile, or hangs, or cannot reach the logs.

        One room that cannot be finished holds up no other.

        :raise StoreUnavailable: a store is away, or one room's log.
        """
        failure: Exception | None = None
        for number in await self._store.rooms_with_unfinished(self._old):
            try:
                await self._finishing.finish(number)
            except StoreUnavailable as problem:
                if isinstance(failure, StoreUnavailable):
                    raise  # it is not the log of one room
                failure = problem
            except Exception as problem:
                failure = failure or problem
        if failure is not None:
            raise failure

    def known(self, room: int) -> Room | None:
        """The room, if it was made ready since the store was connected to last: nothing needs to be waited for."""
        return self._known.get(room)

    def entry_seen(self, room: int, version: int, name: str | None, kind: str | None) -> None:
        """Take note of an event of a room's log, so that what is known of the room stays true."""
        was = self._known.get(room)
        if was is not None and version > was.version:
            self._known[room] = replace(
                was, version=version, name=name or was.name, kind=kind or was.kind
            )

    def lost_events(self, room: int) -> None:
        """Make a room ready anew before the next message: its log was found to lack events."""
        self._known.pop(room, None)

    def reconnected(self) -> None:
        """Forget which rooms are ready: the store may have lost events."""
        self._known, self._getting_ready = {}, {}

    async def _get_ready(self, number: int, known: dict[int, Room]) -> Room:
        """Get a room ready; what was begun before the store was connected to anew is not remembered."""
        finished = await self._finishing.finish(number)
        if finished is None:
            raise RoomRefused(Problem.UNKNOWN_ROOM)
        self._remember(finished.room, known)
        return finished.room

    def _is_ready(
        self, found: Room | Failure, number: int, waiters: Waiters[Room | Failure]
    ) -> None:
        if self._getting_ready.get(number) is waiters:
            del self._getting_ready[number]
        waiters.fire(found)

    async def _settle(self, pending: Pending) -> Finished:
        known = self._known
        finished = await self._finishing.settle(pending)
        if pending.changes:
            self._remember(finished.room, known)
        return finished

    def _remember(self, room: Room, known: dict[int, Room]) -> None:
        was = known.pop(room.number, None)
        while len(known) >= _KNOWN:
            del known[next(iter(known))]
        known[room.number] = room if was is None or room.version >= was.version else was

    async def _change(
        self,
        change: Callable[Concatenate[Transaction, P], Pending],
        *args: P.args,
        **settings: P.kwargs,
    ) -> Room:
        pending = await self._store.change(change, *args, **settings)
        return (await self._settle(pending)).room

    async def _visible(self, uid: int, room: int | str) -> int:
        """The number of a room that a user may know of: whoever may not locks nothing, and nobody out."""
        return await self._compared((await self._store.standing(uid, room)).visible().number)

    async def _compared(self, number: int) -> int:
        """Compare a log with SQL before this node changes the room: later it could not be told which has gone back."""
        if number not in self._known:
            await self.ready(number)
        return number


def _uid(user: int) -> int:
    """A uid that the database can hold; none that it cannot is anybody's."""
    return user if LOWEST <= user <= HIGHEST else NOBODY


def _room_name(raw: str) -> str:
    try:
        return enforce_room_name(raw)
    except BadName:
        raise RoomRefused(Problem.BAD_ROOM_NAME) from None


def _require_topic(topic: str) -> None:
    if is_long_topic(topic):
        raise RoomRefused(Problem.LONG_TOPIC)
