"""What other nodes say to this one: messages for users who read here, and users who have logged in elsewhere."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from twisted.internet.interfaces import IReactorTime

from chatsvc.inbox.interface import IStoreWatcher
from chatsvc.inbox.redis.connection import RedisConnection
from chatsvc.inbox.redis.locator import RedisLocator
from chatsvc.inbox.rollback import RollbackDetector
from chatsvc.transport.sockets import set_keepalive
from chatsvc.wire.events import Message

PEER_PATIENCE = 10
"""Seconds in which a silent Redis must answer the kernel's probes."""


@dataclass(slots=True)
class NewsOfUser:
    """What was said of a user whose inbox is being claimed: the answer to the claim may come later than this."""

    claims: int = 0
    newest: int = 0
    generation: int = 0


class Subscriber:
    """
    A connection of its own that subscribes to ``channel``.

    ``life`` is what this node knows of the data in Redis. ``returned`` is called when something may have been said that
    was not heard, or was of other data. ``nobody`` is called with the uid of a user who is not here.
    """

    def __init__(
        self,
        clock: IReactorTime,
        address: RedisLocator,
        channel: str,
        life: RollbackDetector,
        returned: Callable[[], None],
        nobody: Callable[[int], None],
    ) -> None:
        self._address = address
        self._channel = channel
        self._life = life
        self._returned = returned
        self._nobody = nobody
        self._was_here = False
        self._watcher: Any = None
        self._heard_of: dict[int, NewsOfUser] = {}
        # What is in the way is said of the other connection, too.
        self._link = RedisConnection(
            clock, address, self._subscribe, lambda problem: None, self._hear
        )

    async def open(self, watcher: IStoreWatcher) -> None:
        """Begin to hear; raises whatever is in the way."""
        self._watcher = watcher
        await self._link.open()

    async def close(self) -> None:
        """Hear no more."""
        await self._link.close()

    @contextmanager
    def about(self, uid: int) -> Iterator[NewsOfUser]:
        """Remember what is said of a user while the inbox is claimed."""
        heard = self._heard_of.setdefault(uid, NewsOfUser())
        heard.claims += 1
        try:
            yield heard
        finally:
            heard.claims -= 1
            if not heard.claims:
                del self._heard_of[uid]

    async def _subscribe(self, protocol: Any) -> None:
        set_keepalive(protocol.transport, PEER_PATIENCE)
        await self._address.greet(protocol)
        await protocol.subscribe([self._channel])
        if self._was_here:
            self._returned()
        self._was_here = True

    def _hear(self, said: bytes) -> None:
        words = orjson.loads(said)
        news = words.get("news")
        if news:
            self._life.counted(words.get("run", ""), int(words.get("batches", 0)))
            self._news(
                [
                    (int(uid), Message(int(id), int(sender), name, int(at), text))
                    for uid, id, sender, name, at, text in news
                ],
                self._life.is_of(words.get("epoch", ""), words.get("run", "")),
            )
        for uid, generation in words.get("taken", ()):
            self._taken(int(uid), int(generation))

    def _news(self, news: list[tuple[int, Message]], of_this_data: bool) -> None:
        if self._heard_of:
            for uid, message in news:
                heard = self._heard_of.get(uid)
                if heard is not None:
                    heard.newest = max(heard.newest, message.id)
        if not of_this_data:
            # Readers know these ids of other messages: they are compared with the store first.
            self._returned()
            return
        for uid in self._watcher.stored_elsewhere(news):
            if uid not in self._heard_of:
                self._nobody(uid)

    def _taken(self, uid: int, generation: int) -> None:
        heard = self._heard_of.get(uid)
        if heard is not None:
            heard.generation = max(heard.generation, generation)
        self._watcher.taken_over(uid, generation)
