"""The history, as sessions use it: pages of conversations, on connections of their own, so that no message waits."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Concatenate, ParamSpec, TypeVar

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from chatsvc.accounts.name_index import HIGHEST, LOWEST
from chatsvc.archive.message import ArchivedMessage
from chatsvc.archive.pages import page
from chatsvc.archive.positions import positions
from chatsvc.archive.reading import NOTHING, mark_read, readings
from chatsvc.archive.search import search_page
from chatsvc.archive.segmenter import Query
from chatsvc.history.access import Conversation, all_readable, named, room_scope, scope_of
from chatsvc.history.changing import Original, editable, retractable
from chatsvc.history.conversations import conversations
from chatsvc.history.limits import HistoryLimits
from chatsvc.history.progress import PATIENCE, Progress
from chatsvc.history.settings import have_receipts, settings
from chatsvc.rooms.room import Room
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable
from chatsvc.waiters import Turns
from chatsvc.wire.history_events import Hit, ListedConversation, Searched
from chatsvc.wire.record import record

P = ParamSpec("P")
T = TypeVar("T")

MOST = 200
"""Messages, or conversations, in one answer at most."""

SEARCHED = 1.0
"""Seconds for which a search looks; then it says how far it came."""

_POLLED_EVERY = 0.02
"""Seconds between two looks at the index while somebody waits for it."""


@record
class Page:
    """
    Messages of one conversation, ascending; ``complete``: nothing lies beyond them in the direction asked for.

    ``room`` is the room's, None if it is a conversation of two.
    """

    messages: list[ArchivedMessage]
    complete: bool
    room: Room | None = None


@record
class Wanted:
    """
    What somebody looks for: in one conversation (``where``) or in all, of one ``sender`` or of all, below a serial.

    ``with_rooms``: in rooms, too, where all are meant.
    """

    query: Query
    where: Conversation | None
    sender: int | None
    before: int | None
    limit: int
    with_rooms: bool


class History:
    """
    What a user may read of what was said.

    ``limits`` say how long messages can be changed. ``database`` only reads, ``writer`` is for markers, ``progress``
    knows how far the archive is; all None: there is no history, and nothing may be asked. ``now`` gives seconds since
    1970. Each coroutine waits until what was confirmed before is there, and raises
    :class:`~chatsvc.storage.url.StoreUnavailable` if that takes too long, or a store is away.
    """

    def __init__(
        self,
        clock: IReactorTime,
        now: Callable[[], float],
        limits: HistoryLimits,
        database: Database | None = None,
        writer: Database | None = None,
        progress: Progress | None = None,
    ) -> None:
        self._clock = clock
        self._now = now
        self._limits = limits
        self._database = database
        self._writer = writer
        self._searching = Turns[int]()
        self._reading = Turns[int]()
        self._changing = Turns[int]()
        self._progress = progress

    @property
    def is_on(self) -> bool:
        """Whether there is a history."""
        return self._database is not None

    async def page(
        self, uid: int, where: Conversation, before: int | None, after: int | None, limit: int
    ) -> Page:
        """
        Read a page of a conversation.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``.
        """
        now = int(self._now() * 1000)
        async with self._reading.turn(uid):
            return await self._read(_page, uid, where, before, after, min(limit, MOST), now)

    async def conversations(
        self, uid: int, before: int | None, limit: int, with_rooms: bool
    ) -> tuple[list[ListedConversation], bool]:
        """List the conversations of a user, the newest first; whether there are no older ones."""
        async with self._reading.turn(uid):
            return await self._read(conversations, uid, before, min(limit, MOST), with_rooms)

    async def search(self, uid: int, wanted: Wanted) -> Searched:
        """
        Look for messages that a user may read, for a second at most.

        One user's searches come one after another: each has a connection for that long.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``.
        """
        async with self._searching.turn(uid):
            await self._indexed()
            now, end = int(self._now() * 1000), time.monotonic() + SEARCHED
            return await self._run(_search, uid, wanted, now, lambda: time.monotonic() > end)

    async def mark_read(
        self, uid: int, where: Conversation, serial: int
    ) -> tuple[int, bool] | None:
        """
        Note that a user has read a conversation up to a serial.

        :return: where the marker is now, and whether the other of two users is told; None if it was there already.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``.
        """
        assert self._progress is not None and self._writer is not None
        await self._progress.reached()
        now = int(self._now() * 1000)
        return await self._writer.run(lambda t: _mark_read(t, uid, where, serial, now))

    async def settings(
        self, uid: int, receipts: bool | None, where: Conversation | None, muted: bool | None
    ) -> tuple[bool, bool | None]:
        """
        Change what is not None; whether the user has receipts, and whether the conversation is muted.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``.
        """
        assert self._writer is not None
        now = int(self._now() * 1000)
        return await self._writer.run(lambda t: settings(t, uid, receipts, where, muted, now))

    async def markers(self, uid: int, room: int, uids: Sequence[int]) -> dict[int, int]:
        """
        Read for ``uid`` how far members have read a room, by uid; those who do not tell it are left out.

        :raise RoomRefused: ``UNKNOWN_ROOM``, ``NOT_A_MEMBER``.
        """
        return await self._run(_markers, uid, room, uids, int(self._now() * 1000))

    def changing(self, serial: int) -> AbstractAsyncContextManager[None]:
        """Wait until nobody else here changes the message ``serial``, and keep others from it meanwhile."""
        return self._changing.turn(serial)

    async def editable(self, uid: int, serial: int, text: str) -> Original:
        """
        Find a message that a user may edit, and have read ``text``.

        :raise NotAllowed: there is none.
        """
        now, minutes = int(self._now() * 1000), self._limits.edit_minutes
        return await self._read(editable, uid, serial, text, now, minutes)

    async def retractable(self, uid: int, serial: int) -> Original:
        """
        Find a message that a user may retract.

        :raise NotAllowed: there is none.
        """
        now, minutes = int(self._now() * 1000), self._limits.edit_minutes
        return await self._read(retractable, uid, serial, now, minutes)

    async def _indexed(self) -> None:
        """
        Wait until what is archived by now is in the index.

        :raise StoreUnavailable: that takes too long.
        """
        assert self._database is not None and self._progress is not None
        await self._progress.reached()
        newest = await self._database.run(_newest_unindexed, write=False)
        deadline = self._clock.seconds() + PATIENCE
        while newest and await self._database.run(
            lambda t: _waits_for_index(t, newest), write=False
        ):
            if self._clock.seconds() > deadline:
                raise StoreUnavailable("the index is behind")
            await deferLater(self._clock, _POLLED_EVERY)

    async def _read(
        self,
        interaction: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        assert self._progress is not None
        await self._progress.reached()
        return await self._run(interaction, *args, **kwargs)

    async def _run(
        self,
        interaction: Callable[Concatenate[Transaction, P], T],
        *args: P.args,
        **kwargs: P.kwargs,
    ) -> T:
        assert self._database is not None
        return await self._database.run(lambda t: interaction(t, *args, **kwargs), write=False)


def _newest_unindexed(transaction: Transaction) -> int:
    row = transaction.one("SELECT MAX(serial) FROM chat_unindexed")
    return int(row[0] or 0) if row else 0


def _waits_for_index(transaction: Transaction, serial: int) -> bool:
    row = transaction.one("SELECT MIN(serial) FROM chat_unindexed")
    return row is not None and row[0] is not None and row[0] <= serial


def _page(
    transaction: Transaction,
    uid: int,
    where: Conversation,
    before: int | None,
    after: int | None,
    limit: int,
    now: int,
) -> Page:
    room, scope = scope_of(transaction, uid, where, now)
    if scope is None:
        return Page([], complete=True)
    return Page(*page(transaction, scope, before, after, limit), room)


def _mark_read(
    transaction: Transaction, uid: int, where: Conversation, serial: int, now: int
) -> tuple[int, bool] | None:
    _, scope = scope_of(transaction, uid, where, now)
    marked = None if scope is None else mark_read(transaction, uid, scope, serial)
    if marked is None:
        return None
    if where.other is None or where.other == uid:
        return marked, False
    return marked, len(have_receipts(transaction, [uid, where.other])) > 1


def _markers(
    transaction: Transaction, uid: int, room: int, uids: Sequence[int], now: int
) -> dict[int, int]:
    tell = have_receipts(transaction, [uid, *uids])
    if uid not in tell:
        return {}
    _, scope = room_scope(transaction, uid, room, now)
    found = readings(transaction, [(one, -room) for one in uids])
    seen = {one: found.get((one, -room), NOTHING).seen for one in uids if one in tell}
    # Of what was said before one joined, one is not to know.
    return {one: serial if serial >= scope.since else 0 for one, serial in seen.items()}


def _search(
    transaction: Transaction, uid: int, wanted: Wanted, now: int, deadline: Callable[[], bool]
) -> Searched:
    if wanted.sender is not None and not LOWEST <= wanted.sender <= HIGHEST:
        return Searched((), 0, True)  # nobody's
    if wanted.where is None:
        scopes = all_readable(transaction, uid, wanted.with_rooms)
    else:
        _, scope = scope_of(transaction, uid, wanted.where, now)
        scopes = [] if scope is None else [scope]
    limit = min(wanted.limit, MOST)
    found = search_page(
        transaction, scopes, wanted.query, wanted.before, wanted.sender, limit, deadline
    )
    numbers = list(dict.fromkeys(message.conversation for message in found.messages))
    places = named(transaction, numbers, uid)
    hits = [
        Hit(message, place.other, place.room, place.name, positions(wanted.query, message.text))
        for message in found.messages
        if (place := places.get(message.conversation)) is not None
    ]
    return Searched(tuple(hits), found.until, found.complete)
