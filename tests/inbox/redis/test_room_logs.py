"""Rooms' logs in one real Redis: their keys, what they cost, what another program or a version before left."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from chatsvc.inbox.claim import Registration
from chatsvc.inbox.outcome import Draft, Failed, RoomAcknowledgement, RoomDraft, Stored
from chatsvc.inbox.redis import script, sequence
from chatsvc.inbox.room_log import RoomStart
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Invitation, Joining, RoomEvent, RoomMessage
from tests.inbox.contract.room_case import AT, ROOM, closed, created, invitation, joined, left, says
from tests.inbox.fixtures import DEVICE, PHONE, READER, A, B, draft
from tests.inbox.redis.stores import OnOneRedis
from tests.support.servers import redis

LUA = Path(script.__file__).with_name("lua")
KEY = f"chat:{{#{ROOM}}}:"


class RoomsOnRedis(OnOneRedis):
    """A test with a room that A has made."""

    async def begin_room(self) -> None:
        """Open the store, and have A make the room: version and id 1."""
        await self.begin()
        await self.inbox.rooms.apply(ROOM, [created()])

    def field(self, key: str, name: str) -> str:
        """A field of a hash."""
        return self.ask("HGET", key, name).split(b"\r\n")[1].decode()

    def commands(self) -> dict[str, int]:
        """How often each command was carried out in Redis, by scripts too."""
        stats = redis().execute("INFO", "commandstats").decode()
        return {name: int(n) for name, n in re.findall(r"cmdstat_(\S+?):calls=(\d+)", stats)}

    async def cost(self, *drafts: RoomDraft) -> dict[str, int]:
        """How often each command is carried out for a batch."""
        before = self.commands()
        outcomes = (await self.inbox.commit(drafts, [])).outcomes
        self.assertEqual({type(one) for one in outcomes}, {Stored})
        after = self.commands()
        counts = {name: after[name] - before.get(name, 0) for name in after}
        return {name: n for name, n in counts.items() if n and name not in ("info", "evalsha")}


class RoomKeyTests(RoomsOnRedis):
    """What stands in Redis of a room."""

    async def test_log(self) -> None:
        """The documentation of the keys would be wrong, or a log of another release not be read."""
        await self.begin_room()
        await self.inbox.rooms.apply(ROOM, [joined(2, B)])
        sent = says("你好", B, device=DEVICE, n=1, version=2, mark=PHONE)
        (stored,) = (await self.inbox.commit([sent], [])).outcomes
        assert isinstance(stored, Stored)
        entry = self.array("XRANGE", f"{KEY}log", "3", "3")
        note = f"{stored.serial} 9 {PHONE}"
        fields = ("f", B, "u", "名", "a", AT, "t", "你好", "x", note)
        self.assertEqual(entry, [b"3-0", *[str(one).encode() for one in fields]])
        event = self.array("XRANGE", f"{KEY}log", "2", "2")
        self.assertRegex(event[-1], rb"^\d+ \d+ \* 2$")
        self.assertEqual(event[-3], b'{"event":"joined","user":20002,"details":{}}')
        self.assertEqual(self.field(f"{KEY}members", str(B)), "member")
        head = [self.field(f"{KEY}version", name) for name in ("version", "last", "serial")]
        self.assertEqual(head, ["2", "3", str(stored.serial)])
        self.assertRegex(self.field(f"{KEY}from", str(B)), rf"^0 0 {DEVICE} 1 3 /,{DEVICE}:")
        left_to_live = int(self.ask("TTL", f"{KEY}from")[1:])
        self.assertGreater(left_to_live, 29 * 86_400)
        await self.inbox.rooms.open(B, [RoomStart(ROOM)])
        self.assertEqual(self.array("SMEMBERS", f"{KEY}nodes"), [b"node"])
        await self.inbox.commit([], [], [RoomAcknowledgement(B, ROOM, 3)])
        self.assertEqual(self.field(f"chat:{{{B}}}:devices", "#7"), f"3 {stored.serial}")
        await self.inbox.rooms.close_here([ROOM])
        self.assertEqual(self.array("SMEMBERS", f"{KEY}nodes"), [])

    async def test_marks_in_inboxes(self) -> None:
        """A reader of another release would not know a mark or an invitation, or count it wrong."""
        await self.begin_room()
        await self.inbox.rooms.apply(ROOM, [invitation(2, READER)])
        applied = await self.inbox.rooms.apply(ROOM, [joined(3, READER), invitation(4, READER)])
        (mark,) = [one.serial for one in applied.places if one.id]
        key = f"chat:{{{READER}}}:inbox"
        notes = [self.array("XRANGE", key, n, n)[-1].decode() for n in "123"]
        self.assertRegex(notes[0], r"^\d+ 0 0 - i7:dev$")
        self.assertEqual(notes[1], f"{mark} 1 3 - j7:2:{mark}")
        self.assertRegex(notes[2], r"^\d+ 1 15 - i7:dev$")
        read = [one.mark for one in await self.inbox.read(READER, 0, 9)]
        self.assertEqual(read, [Invitation(7, "dev"), Joining(7, 2, mark), Invitation(7, "dev")])
        self.assertEqual((await self.inbox.backlogs(READER))[0].oldest, AT)

    async def test_closed(self) -> None:
        """Rooms that are closed would fill Redis for ever, or be gone before members who are away have read the end."""
        await self.begin_room()
        await self.inbox.rooms.apply(ROOM, [closed(2)])
        for key in ("log", "version"):
            days = int(self.ask("TTL", KEY + key)[1:]) / 86_400
            self.assertTrue(29 < days <= 30, (key, days))
        page = await self.inbox.rooms.read(ROOM, 0, 10)
        self.assertEqual([entry.id for entry in page.entries], [1, 2])

    async def test_what_is_no_entry(self) -> None:
        """What another program wrote into a room's log would hide all that stands there."""
        await self.begin_room()
        for fields in (("x", "y"), ("f", A, "u", "名", "a", "1", "t", "{}", "x", "5 5 * 9")):
            last = int(self.field(f"{KEY}version", "last"))
            self.ask("XADD", f"{KEY}log", f"{last + 1}-0", *fields)
            self.ask("HINCRBY", f"{KEY}version", "last", 1)
        await self.inbox.commit([says("after")], [])
        created, *foreign, message = (await self.inbox.rooms.read(ROOM, 0, 9)).entries
        self.assertIsInstance(created, RoomEvent)
        self.assertEqual([(one.id, one.serial) for one in foreign], [(2, 0), (3, 0)])
        for one in foreign:
            assert isinstance(one, RoomMessage)
            self.assertEqual((one.sender, one.text), (0, ""))
        assert isinstance(message, RoomMessage)
        self.assertEqual((message.id, message.text), (4, "after"))

    async def test_wrong_type(self) -> None:
        """A message would be stored and answered as if it were not, so that it is there twice."""
        await self.begin_room()
        for name in ("members", "nodes", "from", "version"):
            self.ask("RENAME", f"{KEY}{name}", "kept")
            self.ask("SET", f"{KEY}{name}", "rubbish")
            batch: list[Draft | RoomDraft] = [says(device=DEVICE, n=1), draft()]
            failed, stored = (await self.inbox.commit(batch, [])).outcomes
            self.assertEqual((type(failed), type(stored)), (Failed, Stored), name)
            if name != "from":
                with self.assertRaises(StoreUnavailable):
                    await self.inbox.rooms.apply(ROOM, [joined(2, B)])
            self.ask("DEL", f"{KEY}{name}")
            self.ask("RENAME", "kept", f"{KEY}{name}")
        self.assertEqual([one.id for one in (await self.inbox.rooms.read(ROOM, 0, 9)).entries], [1])

    async def test_version_that_is_gone(self) -> None:
        """A log whose version somebody deleted would take ids twice, and so nothing any more."""
        await self.begin_room()
        await self.inbox.commit([says(), says()], [])
        self.ask("DEL", f"{KEY}version")
        self.assertIsNone((await self.inbox.rooms.apply(ROOM, [joined(2, B)])).version)
        await self.inbox.rooms.load(ROOM, 2, {A: "owner"}, 1)
        stored = (await self.inbox.commit([says(version=2)], [])).outcomes
        self.assertEqual(stored, [Stored(4, 0)])

    async def test_place_of_what_was_lost(self) -> None:
        """Who joined in an event that was lost would be shown nothing, or what was said before (P5)."""
        await self.begin_room()
        before = (await self.inbox.commit([says()], [])).outcomes[0]
        await self.inbox.rooms.load(ROOM, 3, {A: "owner", B: "member"}, 9)
        after = (await self.inbox.commit([says()], [])).outcomes[0]
        (place,) = (await self.inbox.rooms.apply(ROOM, [joined(2, B)])).places
        assert isinstance(before, Stored)
        assert isinstance(after, Stored)
        self.assertEqual(place.id, 0)
        self.assertGreaterEqual(place.serial, before.serial)
        self.assertLess(place.serial, after.serial)

    async def test_event_far_back(self) -> None:
        """An event that many messages have come after would be put in once more, or not be found."""
        await self.begin_room()
        (place,) = (await self.inbox.rooms.apply(ROOM, [joined(2, B)])).places
        await self.inbox.commit([says() for _ in range(200)], [])
        (again,) = (await self.inbox.rooms.apply(ROOM, [joined(2, B)])).places
        self.assertEqual(again, place)


class RoomCostTests(RoomsOnRedis):
    """What rooms cost Redis."""

    async def test_members(self) -> None:
        """A message to a large room would cost more than one to a small room."""
        await self.begin_room()
        await self.cost(says(device=DEVICE, n=1))
        few = await self.cost(says(device=DEVICE, n=2))
        members = dict.fromkeys(range(30000, 31000), "member") | {A: "owner"}
        await self.inbox.rooms.load(ROOM, 2, members, 0)
        many = await self.cost(says(device=DEVICE, n=3))
        self.assertEqual(few, many)
        self.assertLess(sum(few.values()), 20)

    async def test_batch(self) -> None:
        """Each message of a batch would look at the room anew."""
        await self.begin_room()
        one, ten = await self.cost(says()), await self.cost(*[says() for _ in range(10)])
        for name in ("hmget", "smembers"):
            self.assertEqual((one[name], ten[name]), (1, 1), name)
        more = {name for name in ten if ten[name] > one.get(name, 0)}
        self.assertEqual(more, {"xadd", "hset", "hget"})

    async def test_other_batches(self) -> None:
        """Messages between users would pay for rooms."""
        for path in LUA.glob("room_*.lua"):
            first_function = re.search(r"\nlocal function .*", path.read_text())
            assert first_function is not None
            self.assertNotIn(first_function[0].encode(), script.BATCHES.source, path.name)
        await self.begin_room()
        called: list[bytes] = []

        def noted(protocol: Any, command: bytes, arguments: dict[str, Any]) -> Any:
            called.append(command)
            return script.evaluate(protocol, command, arguments)

        self.patch(sequence, "evaluate", noted)
        await self.inbox.commit([draft()], [])
        await self.inbox.commit([draft(), says()], [])
        await self.inbox.commit([], [], [RoomAcknowledgement(A, ROOM, 1)])
        self.assertEqual(called, [b"commit", b"commit_rooms", b"commit_rooms"])

    async def test_scripts_are_loaded_again(self) -> None:
        """Somebody who flushes Redis's scripts would stop all rooms."""
        await self.begin_room()
        for _ in range(2):
            self.ask("SCRIPT", "FLUSH")
            await self.inbox.commit([says()], [])
            self.ask("SCRIPT", "FLUSH")
            await self.inbox.rooms.read(ROOM, 0, 9)
        self.assertEqual(len((await self.inbox.rooms.read(ROOM, 0, 9)).entries), 3)


class FullRoomTests(RoomsOnRedis):
    """A Redis that takes no more."""

    async def test_full(self) -> None:
        """A full Redis would keep members from reading, or take half of a change."""
        await self.begin_room()
        await self.inbox.commit([says()], [])
        redis().execute("CONFIG", "SET", "maxmemory", "1")
        try:
            (failed,) = (await self.inbox.commit([says()], [])).outcomes
            with self.assertRaises(StoreUnavailable):
                await self.inbox.rooms.apply(ROOM, [joined(2, B)])
            await self.inbox.commit([], [], [RoomAcknowledgement(A, ROOM, 2)])
            opened = await self.inbox.rooms.open(A, [RoomStart(ROOM)])
            page = await self.inbox.rooms.read(ROOM, 0, 9)
        finally:
            redis().execute("CONFIG", "SET", "maxmemory", "0")
        self.assertIsInstance(failed, Failed)
        self.assertEqual((opened.ends[0].begin, opened.ends[0].version), (2, 1))
        self.assertEqual([one.id for one in page.entries], [1, 2])
        self.assertEqual((await self.inbox.rooms.apply(ROOM, [left(2, A)])).places[0].id, 3)


class OlderDevicesTests(RoomsOnRedis):
    """Devices that were registered before there were rooms."""

    async def test_field_without_a_serial(self) -> None:
        """After the upgrade a device would not be read, or its program be shown with a number."""
        await self.begin()
        key = f"chat:{{{READER}}}:devices"
        said = Registration("12 monkeys/1.0")
        claim = await self.inbox.claim(READER, None, device=PHONE, registration=said)
        self.assertGreater(claim.registered_at, 0)
        field = self.field(key, PHONE)
        self.assertTrue(field.endswith(f" +{claim.registered_at} 12 monkeys/1.0"), field)
        self.ask("HSET", key, PHONE, field.replace(f"+{claim.registered_at} ", ""))
        await self.inbox.commit([draft()], [])
        (device,) = await self.inbox.devices(READER)
        self.assertEqual(device.client, "12 monkeys/1.0")
        for _ in range(2):
            again = await self.inbox.claim(READER, None, device=PHONE, registration=said)
            self.assertEqual(again.registered_at, 0, "nobody knows")
            (device,) = await self.inbox.devices(READER)
            self.assertEqual(device.client, "12 monkeys/1.0")
        self.assertTrue(self.field(key, PHONE).endswith(" +0 12 monkeys/1.0"))

    async def test_position_before_there_are_devices(self) -> None:
        """A position in a room would be taken for a device, or be lost when the first device comes."""
        await self.begin_room()
        await self.inbox.rooms.load(ROOM, 2, {A: "owner", READER: "member"}, 0)
        await self.inbox.commit([], [], [RoomAcknowledgement(READER, ROOM, 1)])
        said = Registration("x")
        await self.inbox.claim(READER, None, device=PHONE, registration=said)
        await self.inbox.commit([draft()], [])
        self.assertEqual([one.device for one in await self.inbox.devices(READER)], [PHONE])
        (ends,) = (await self.inbox.rooms.open(READER, [RoomStart(ROOM)])).ends
        self.assertEqual(ends.after, 1)
