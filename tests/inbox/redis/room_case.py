"""A room that is read at one of two nodes."""

from __future__ import annotations

from typing import Any

from chatsvc.inbox.outcome import Stored
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.room_log import RoomStart
from tests.inbox.contract.room_case import (
    ROOM,
    created,
    says,
)
from tests.inbox.fixtures import READER
from tests.inbox.redis.stores import OlderData
from tests.support.servers import redis


class RoomsOnTwoNodes(OlderData):
    """A test with a room that A has made and that is read at the node ``here``; messages come from ``there``."""

    async def begin_room(self) -> None:
        """Open both nodes, and the room here."""
        await self.begin()
        await self.there.rooms.apply(ROOM, [created()])
        await self.here.rooms.open(READER, [RoomStart(ROOM)])
        self.mine.rooms_here = {ROOM}

    async def say(self, node: RedisInbox, *texts: str, **more: Any) -> list[Stored]:
        """Store messages of A at a node."""
        outcomes = (await node.commit([says(text, **more) for text in texts], [])).outcomes
        stored = [one for one in outcomes if isinstance(one, Stored)]
        self.assertEqual(len(stored), len(texts), outcomes)
        return stored

    def readers(self) -> set[str]:
        """The nodes at which the room is read, as Redis has it."""
        lines = redis().execute("SMEMBERS", f"chat:{{#{ROOM}}}:nodes", db=self.db).split(b"\r\n")
        return {line.decode() for line in lines if line and line[:1] not in b"*$"}
