"""What is too old in rooms' logs in a real Redis: what it costs, and what stands in the way."""

from __future__ import annotations

import re

from twisted.logger import capturedLogs

from chatsvc.inbox.outcome import Stored
from chatsvc.inbox.room_log import RoomStart
from tests.inbox.contract.room_case import ROOM, closed, created, says
from tests.inbox.fixtures import READER
from tests.inbox.redis.room_case import RoomsOnTwoNodes
from tests.inbox.redis.stores import OnOneRedis
from tests.support.servers import redis

KEY = f"chat:{{#{ROOM}}}:"
OLD = 2**53 - 1
"""A serial that none is above."""


class RetentionCase(OnOneRedis):
    """A test with rooms that A has made, and spoken in once."""

    async def begin_rooms(self, *rooms: int) -> list[int]:
        """Open the store and make the rooms, or ROOM; the serials of what was said."""
        await self.begin()
        rooms = rooms or (ROOM,)
        for room in rooms:
            await self.inbox.rooms.apply(room, [created(room)])
        outcomes = (await self.inbox.commit([says(room=room) for room in rooms], [])).outcomes
        return [one.serial for one in outcomes if isinstance(one, Stored)]

    async def ids(self, room: int) -> list[int]:
        """The ids that a room's log keeps."""
        return [one.id for one in (await self.inbox.rooms.read(room, 0, 9)).entries]

    def calls(self) -> dict[str, int]:
        """How often each command was carried out in Redis, by scripts too."""
        stats = redis().execute("INFO", "commandstats").decode()
        return {name: int(n) for name, n in re.findall(r"cmdstat_(\S+?):calls=(\d+)", stats)}


class RetentionTests(RetentionCase):
    """What is too old."""

    async def test_quiet_rooms(self) -> None:
        """Rooms in which nothing is too old would be written to each time, or have more than an entry read."""
        serials = await self.begin_rooms(*range(1, 21))
        before = self.calls()
        self.assertEqual(await self.inbox.rooms.expire(range(1, 31), serials[0] // 2, 99), [])
        after = self.calls()
        cost = {name: n - before.get(name, 0) for name, n in after.items()}
        for name, least, most in (("evalsha", 1, 1), ("hmget", 30, 30), ("xrange", 20, 20)):
            self.assertTrue(least <= cost[name] <= most, (name, cost[name]))
        for name in ("xtrim", "hset", "expire", "publish", "set"):
            self.assertEqual(cost.get(name, 0), 0, name)

    async def test_keys(self) -> None:
        """A log that became empty would lose its place, or a closed one be kept for ever."""
        (serial,) = await self.begin_rooms()
        await self.inbox.rooms.apply(ROOM, [closed(2)])
        await self.inbox.rooms.expire([ROOM, 9], OLD, 99)
        self.assertEqual(self.ask("XLEN", f"{KEY}log"), b":0\r\n")
        fields = self.array("HMGET", f"{KEY}version", "first", "last", "bytes")
        self.assertEqual(fields, [b"4", b"3", b"0"])
        for key in ("log", "version"):
            self.assertTrue(29 < int(self.ask("TTL", KEY + key)[1:]) / 86_400 <= 30, key)
        self.assertEqual(self.ask("EXISTS", "chat:{#9}:log", "chat:{#9}:version"), b":0\r\n")
        for key in ("log", "version"):
            self.ask("DEL", KEY + key)
        await self.inbox.rooms.expire([ROOM], OLD, 99)
        self.assertEqual(self.ask("EXISTS", f"{KEY}log", f"{KEY}version"), b":0\r\n")
        self.assertGreater(serial, 0)

    async def test_log_that_cannot_be_read(self) -> None:
        """One room that another program has broken would keep what is old in all others, unsaid."""
        await self.begin_rooms(6, ROOM, 8)
        self.ask("RENAME", f"{KEY}log", "kept")
        self.ask("SET", f"{KEY}log", "rubbish")
        with capturedLogs() as logged:
            self.assertEqual(await self.inbox.rooms.expire([6, ROOM, 8], OLD, 99), [])
        said = [(one["room"], one["why"]) for one in logged if one["event"] == "room-not-expired"]
        self.assertEqual([room for room, _ in said], ["#7"])
        self.assertIn("WRONGTYPE", said[0][1])
        self.assertEqual((await self.ids(6), await self.ids(8)), ([], []))
        self.ask("RENAME", "kept", f"{KEY}log")
        self.assertEqual(await self.ids(ROOM), [1, 2])

    async def test_log_that_is_gone(self) -> None:
        """A log whose entries somebody has deleted would give ids out again, or be asked about for ever."""
        await self.begin_rooms()
        self.ask("DEL", f"{KEY}log")
        self.assertEqual(await self.inbox.rooms.expire([ROOM], OLD, 99), [])
        self.assertEqual((await self.inbox.commit([says()], [])).outcomes, [Stored(3, 0)])

    async def test_what_is_no_entry(self) -> None:
        """What another program wrote into a room's log would keep what is old before it, or take what is new."""
        (serial,) = await self.begin_rooms()
        self.ask("XADD", f"{KEY}log", "3-0", "x", "y")
        self.ask("HINCRBY", f"{KEY}version", "last", 1)
        await self.inbox.commit([says()], [])
        await self.inbox.rooms.expire([ROOM], serial, 99)
        self.assertEqual(await self.ids(ROOM), [2, 3, 4])
        await self.inbox.rooms.expire([ROOM], serial + 1, 99)
        self.assertEqual(await self.ids(ROOM), [4])

    async def test_full(self) -> None:
        """A full Redis could not be rid of what is too old."""
        await self.begin_rooms()
        redis().execute("CONFIG", "SET", "maxmemory", "1")
        try:
            self.assertEqual(await self.inbox.rooms.expire([ROOM], OLD, 99), [])
            self.assertEqual(await self.ids(ROOM), [])
        finally:
            redis().execute("CONFIG", "SET", "maxmemory", "0")
        self.assertEqual((await self.inbox.commit([says()], [])).outcomes, [Stored(3, 0)])


class TwoNodesTests(RoomsOnTwoNodes):
    """What one node lets go of, at another one."""

    async def test_readers_elsewhere(self) -> None:
        """Somebody at another node would be shown again what went, or not what comes then."""
        await self.begin_room()
        await self.say(self.there, "1", "2")
        await self.there.rooms.expire([ROOM], OLD, 99)
        (stored,) = await self.say(self.there, "3")
        (ends,) = (await self.here.rooms.open(READER, [RoomStart(ROOM)])).ends
        self.assertEqual((ends.front, ends.begin, ends.last, stored.id), (3, 3, 4, 4))
        page = await self.here.rooms.read(ROOM, 1, 9)
        self.assertEqual((page.front, [one.id for one in page.entries]), (3, [4]))
