"""What other nodes publish for this one: messages for users who read here, and users who have logged in elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import repeat
from typing import Any

import orjson
from twisted.internet.interfaces import IReactorTime

from chatsvc.inbox.interface import ANOTHER_NODE, NullWatcher, StoreWatcher
from chatsvc.inbox.redis.batch_codec import decode_message
from chatsvc.inbox.redis.room_codec import decode_entry, decode_notice
from chatsvc.inbox.redis.transport.connection import RedisConnection
from chatsvc.inbox.redis.transport.locator import RedisLocator
from chatsvc.inbox.rollback import RollbackDetector
from chatsvc.transport.sockets import set_keepalive
from chatsvc.wire.events import Message, RoomEntry

PEER_PATIENCE = 10
"""Seconds in which a silent Redis must answer the kernel's probes."""


@dataclass(slots=True)
class PendingClaim:
    """
    What was published about a user while ``claims`` claims of the inbox were under way.

    ``newest_id`` is the highest that was published, and ``generations`` has the highest by device; nothing if none was.
    The answer to a claim comes on another connection, perhaps later than these.
    """

    claims: int = 0
    newest_id: int = 0
    generations: dict[str, int] = field(default_factory=dict)


class Subscriber:
    """
    A connection of its own that subscribes to ``channel``.

    ``missed`` is called when something may have been published that was not received, or was about other data than
    ``rollback`` knows. ``absent`` is called with the uid of a user who does not read here, ``rooms`` with entries of
    rooms' logs, and whether they are of the data that ``rollback`` knows.
    """

    def __init__(
        self,
        clock: IReactorTime,
        locator: RedisLocator,
        channel: str,
        rollback: RollbackDetector,
        missed: Callable[[], None],
        absent: Callable[[int], None],
        rooms: Callable[[list[RoomEntry], bool], None],
    ) -> None:
        self._locator = locator
        self._channel = channel
        self._rollback = rollback
        self._missed = missed
        self._absent = absent
        self._rooms = rooms
        self._connected_before = False
        self._watcher: StoreWatcher = NullWatcher()
        self._pending: dict[int, PendingClaim] = {}
        # The other connection reports what is in the way, for both.
        self._connection = RedisConnection(
            clock, locator, self._subscribe, lambda problem: None, self._received
        )

    async def open(self, watcher: StoreWatcher) -> None:
        """
        Subscribe, and pass on to ``watcher`` what is published from then on.

        :raise Exception: whatever is in the way.
        """
        self._watcher = watcher
        await self._connection.open()

    async def close(self) -> None:
        """End the subscription."""
        await self._connection.close()

    @contextmanager
    def claiming(self, uid: int) -> Iterator[PendingClaim]:
        """Collect what is published about a user while the inbox is claimed."""
        pending = self._pending.setdefault(uid, PendingClaim())
        pending.claims += 1
        try:
            yield pending
        finally:
            pending.claims -= 1
            if not pending.claims:
                del self._pending[uid]

    async def _subscribe(self, protocol: Any) -> None:
        set_keepalive(protocol.transport, PEER_PATIENCE)
        await self._locator.log_in(protocol)
        await protocol.subscribe([self._channel])
        if self._connected_before:
            self._missed()
        self._connected_before = True

    def _received(self, published: bytes) -> None:
        """
        Pass on one message of the channel, a JSON object.

        ``news`` are messages that were stored, each ``[uid, id, sender, name, at, text]``, with the ``epoch``, ``run``
        and ``batches`` of their data. ``marks`` says of each its serial and, if it is a copy, to whom it was sent and
        by which device: ``[serial, to, device]``; older nodes leave it out. ``rooms`` are entries of rooms' logs, as
        ``decode_entry`` takes them, of the same data. ``taken`` are devices that logged in
        elsewhere, each ``[uid, generation, device]``, without a name for the unnamed one; ``by`` says from where, which
        older nodes leave out. ``forgotten`` are devices that are not registered any more, each
        ``[uid, device]``, and ``true`` behind it if somebody asked for that. ``notices`` are for devices that are
        logged in, as ``decode_notice`` takes them.
        """
        content = orjson.loads(published)
        stored = content.get("news")
        entries = content.get("rooms")
        if stored or entries:
            messages = list(
                map(decode_message, stored or (), content.get("marks") or repeat(("0",)))
            )
            self._stored(content, messages, list(map(decode_entry, entries or ())))
        by = str(content.get("by", ANOTHER_NODE))
        for uid, generation, *device in content.get("taken", ()):
            self._taken_over(int(uid), int(generation), by, *device)
        if notices := content.get("notices"):
            self._watcher.noticed(list(map(decode_notice, notices)))
        for uid, device, *on_request in content.get("forgotten", ()):
            self._watcher.forgotten(int(uid), device, any(on_request))

    def _stored(
        self, content: Any, messages: list[tuple[int, Message]], entries: list[RoomEntry]
    ) -> None:
        serial = max([one.serial for _, one in messages] + [one.serial for one in entries])
        run, batches = content.get("run", ""), int(content.get("batches", 0))
        self._rollback.advance(run, batches, serial)
        known = self._rollback.matches(content.get("epoch", ""), run)
        if entries:
            self._rooms(entries, known)
        if messages:
            self._stored_elsewhere(messages, known)
        elif not known:
            self._missed()

    def _stored_elsewhere(self, messages: list[tuple[int, Message]], of_known_data: bool) -> None:
        if self._pending:
            for uid, message in messages:
                pending = self._pending.get(uid)
                if pending is not None:
                    pending.newest_id = max(pending.newest_id, message.id)
        if not of_known_data:
            # Readers know these ids for other messages: they are compared with the store first.
            self._missed()
            return
        for uid in self._watcher.stored_elsewhere(messages):
            if uid not in self._pending:
                self._absent(uid)

    def _taken_over(self, uid: int, generation: int, by: str, device: str = "") -> None:
        pending = self._pending.get(uid)
        if pending is not None:
            newest = pending.generations.get(device, 0)
            pending.generations[device] = max(newest, generation)
        self._watcher.taken_over(uid, generation, by, device)
