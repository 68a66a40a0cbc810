"""The logs of rooms in Redis: a stream for each, with members, version and readers beside it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from twisted.logger import Logger

from chatsvc.inbox.interface import NullWatcher, StoreWatcher
from chatsvc.inbox.redis.batch_codec import decode_forgotten, decode_message
from chatsvc.inbox.redis.lease import ScriptCall
from chatsvc.inbox.redis.room_codec import (
    decode_applied,
    decode_entry,
    decode_opened,
    decode_rooms,
    encode_event,
    encode_start,
    key_of,
)
from chatsvc.inbox.rollback import RollbackDetector
from chatsvc.inbox.room_log import Applied, LogEvent, Opened, RoomEnds, RoomPage, RoomStart
from chatsvc.observability.redaction import redacted
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import RoomEntry

OTHER_DATA = "it does not hold the data that it held"


LateCall = Callable[[bytes, dict[str, Any], Callable[[Any], Any]], Awaitable[Any]]
"""Carries out a command, and hands its answer to a function also if it comes when nobody waits any more."""


@dataclass(slots=True)
class _Opening:
    """What was published about a room while ``sessions`` sessions were opening it: the newest entry."""

    sessions: int = 0
    newest: RoomEntry | None = None


class RedisRoomLogs:
    """
    The logs of all rooms in one Redis; a :class:`~chatsvc.inbox.room_log.RoomLogs`.

    ``call`` and ``late_call`` reach the script. ``rules`` are its arguments that say what inboxes and logs may hold.
    ``rollback`` is what this node knows of the data; ``missed`` is called when it is other data. ``in_background`` does
    something for which nobody waits.
    """

    _log = Logger()

    def __init__(
        self,
        call: ScriptCall,
        late_call: LateCall,
        rules: Mapping[str, Any],
        rollback: RollbackDetector,
        missed: Callable[[], None],
        in_background: Callable[[Any], None],
    ) -> None:
        self._call = call
        self._late_call = late_call
        self._rules = rules
        self._rollback = rollback
        self._missed = missed
        self._in_background = in_background
        self._opening: dict[int, _Opening] = {}
        self.watcher: StoreWatcher = NullWatcher()
        """Is told what other nodes and ``apply`` have stored."""

    async def apply(self, room: int, events: Sequence[LogEvent]) -> Applied:
        """Carry out all events by one call of the script."""
        arguments = {
            "room": key_of(room),
            "events": [encode_event(event) for event in events],
            **self._rules,
            **self._rollback.script_arguments(),
        }
        answer = await self._late_call(b"apply", arguments, self._tell)
        places, version, *_ = self._of_known_data(answer)
        return decode_applied(events, places, version)

    def _tell(self, answer: Any) -> None:
        """Tell the readers of this node what a call of ``apply`` has stored."""
        if not answer:
            return
        _, _, entries, messages, marks, forgotten, run, batches, serial = answer
        self._rollback.advance(run, batches, int(serial))
        try:
            if messages:
                self.watcher.stored_elsewhere(list(map(decode_message, messages, marks)))
            if entries:
                self.watcher.room_entries(list(map(decode_entry, entries)))
            for uid, device in decode_forgotten(forgotten):
                self.watcher.forgotten(uid, device)
        except Exception:
            self._log.failure("Telling what was stored failed", redacted(), event="reader-broken")

    async def load(self, room: int, version: int, members: Mapping[int, str], last: int) -> None:
        """Replace the members by one call of the script."""
        arguments = {
            "room": key_of(room),
            "version": version,
            "members": {str(uid): role for uid, role in members.items()},
            "last": last,
            **self._rollback.script_arguments(),
        }
        self._of_known_data(await self._call(b"load", arguments))

    async def open(self, uid: int, starts: Sequence[RoomStart]) -> Opened:
        """Ask for the ends, and count in what was published about these rooms before the answer came."""
        arguments = {
            "uid": str(uid),
            "starts": [encode_start(start) for start in starts],
            **self._rollback.script_arguments(),
        }
        with self._opening_rooms([start.room for start in starts]):
            answer = self._of_known_data(await self._call(b"open", arguments))
            ends, others, run, batches, serial = answer
            self._rollback.advance(run, batches, int(serial))
            opened = decode_opened(ends, others)
            return replace(opened, ends=list(map(self._newest, opened.ends)))

    def _newest(self, ends: RoomEnds) -> RoomEnds:
        newest = self._opening[ends.room].newest
        if newest is None or newest.id <= ends.last:
            return ends
        return replace(ends, last=newest.id, serial=newest.serial)

    async def read(self, room: int, after: int, limit: int) -> RoomPage:
        """Read a page of the stream; from then on this node hears of what is stored there."""
        arguments = {"room": key_of(room), "after": after, "limit": limit}
        answer = await self._call(b"read_room", arguments | self._rollback.script_arguments())
        run, batches, page, front, first_serial, serial = self._of_known_data(answer)
        self._rollback.advance(run, batches, int(serial))
        return RoomPage(front, int(first_serial), list(map(decode_entry, page)))

    async def expire(self, rooms: Sequence[int], before: int, limit: int) -> list[int]:
        """Let go of what is too old by one call of the script."""
        arguments = {
            "rooms": list(map(key_of, rooms)),
            "before": str(before),
            "limit": limit,
            **self._rollback.script_arguments(),
        }
        more, broken = self._of_known_data(await self._call(b"expire_rooms", arguments))
        for name, why in broken:
            self._log.warn(
                "What is too old in room {room} stays there: {why}",
                event="room-not-expired",
                room=name,
                why=why,
            )
        return decode_rooms(more)

    async def close_here(self, rooms: Sequence[int]) -> None:
        """Take this node out of the rooms' readers."""
        if rooms:
            await self._call(b"close_here", {"rooms": list(map(key_of, rooms))})

    def published(self, entries: list[RoomEntry], of_known_data: bool) -> None:
        """Take entries that another node has stored; if they are of other data, readers are compared with it first."""
        if not of_known_data:
            return
        for entry in entries:
            opening = self._opening.get(entry.room)
            if opening is not None:
                opening.newest = entry
        unread = self.watcher.room_entries(entries)
        rooms = [room for room in dict.fromkeys(unread) if room not in self._opening]
        if rooms:
            self._in_background(self.close_here(rooms))

    @contextmanager
    def _opening_rooms(self, rooms: Sequence[int]) -> Iterator[None]:
        for room in rooms:
            self._opening.setdefault(room, _Opening()).sessions += 1
        try:
            yield
        finally:
            for room in rooms:
                opening = self._opening[room]
                opening.sessions -= 1
                if not opening.sessions:
                    del self._opening[room]

    def _of_known_data(self, answer: Any) -> Any:
        """
        Return an answer that is about the data that this node knows.

        :raise StoreUnavailable: it is about other data: ids mean nothing there, so readers are compared with it first.
        """
        if not answer:
            self._missed()
            raise StoreUnavailable(OTHER_DATA)
        return answer
