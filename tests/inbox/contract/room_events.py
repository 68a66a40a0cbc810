"""Events in rooms' logs, and the members beside them."""

from __future__ import annotations

from chatsvc.inbox.outcome import Behind, Duplicate, NotMember, Stored
from chatsvc.inbox.room_log import Applied, RoomLogLimits
from chatsvc.wire.events import RoomEvent
from tests.inbox.contract.room_case import (
    AT,
    ELSEWHERE,
    ROOM,
    RoomCase,
    changed,
    closed,
    created,
    joined,
    left,
    says,
)
from tests.inbox.fixtures import DEVICE, OTHER, READER, A, B


class RoomEventsContract(RoomCase):
    """Events in rooms' logs, and the members beside them."""

    async def test_event(self) -> None:
        """An event would not come back as SQL has it, or be told to nobody here."""
        await self.begin_room(B)
        await self.ends()
        role = {"role": "moderator", "文": [1, {"x": None}]}
        applied = await self.apply(
            changed(3, "role", B, details=role, members=((B, "moderator"),)),
        )
        (place,) = applied.places
        self.assertEqual((place.version, place.id, place.full), (3, 3, False))
        event = RoomEvent(ROOM, 3, place.serial, 3, AT, "role", A, B, "名", role)
        self.assertEqual((await self.log())[-1], event)
        self.assertEqual(self.watcher.entries[-1], event)
        self.assertEqual([one.id for one in self.watcher.entries], [1, 2, 3])

    async def test_versions_in_order(self) -> None:
        """Events would stand in another order than they happened in, or one be left out (P5)."""
        await self.begin()
        applied = await self.apply(created(), joined(2, B), left(3, B))
        self.assertEqual(
            [(one.version, one.id) for one in applied.places], [(1, 1), (2, 2), (3, 3)]
        )
        self.assertEqual(applied.version, 3)
        serials = list((await self.room_serials()).values())
        self.assertEqual([one.serial for one in applied.places], serials)
        self.assertEqual(serials, sorted(set(serials)))
        self.assertEqual(await self.apply(joined(5, B), left(6, B)), Applied([], 3), "4 is missing")
        self.assertEqual(len(await self.log()), 3)
        some = await self.apply(left(3, B), joined(4, B), joined(6, OTHER))
        self.assertEqual([(one.version, one.id) for one in some.places], [(3, 3), (4, 4)])
        self.assertEqual(some.version, 4)
        self.assertEqual(await self.apply(), Applied([], 4))

    async def test_applied_again(self) -> None:
        """An event that two nodes finish would stand in the log twice, or change its members anew (P5)."""
        await self.begin_room(B, OTHER)
        before = len(self.watcher.entries)
        once = await self.apply(left(4, B), joined(5, B), left(6, OTHER))
        said = len(self.watcher.entries)
        self.assertEqual(said, before + 3)
        again = await self.apply(left(4, B), joined(5, B), left(6, OTHER))
        self.assertEqual(again, once)
        self.assertEqual(await self.apply(left(4, B)), Applied(once.places[:1], 6))
        self.assertEqual(await self.commit(says(sender=B)), [Stored(7, 0)])
        self.assertEqual(len(self.watcher.entries), said, "told once")
        self.assertEqual(len(await self.ids(B)), 2, "a mark for each joining")
        more = await self.apply(joined(5, B), left(7, B))
        self.assertEqual([one.id for one in more.places], [5, 8])
        self.assertEqual(await self.commit(says(sender=B)), [NotMember()])

    async def test_log_that_is_not_there(self) -> None:
        """A log that lost its members would be written on as if nobody were in the room."""
        await self.begin()
        self.assertEqual(await self.apply(left(3, B), joined(4, B)), Applied([], None))
        self.assertEqual(await self.apply(), Applied([], None))
        self.assertEqual((await self.log(), self.watcher.entries), ([], []))
        self.assertEqual((await self.ends()).version, 0)
        self.assertEqual((await self.apply(created())).version, 1)

    async def test_change_without_an_entry(self) -> None:
        """A change that the log does not show would not raise its version, or take an id."""
        await self.begin_room()
        (message,) = await self.commit(says())
        applied = await self.apply(changed(2, "", 0), left(3, A))
        self.assertEqual([(one.version, one.id) for one in applied.places], [(2, 0), (3, 3)])
        self.assertGreaterEqual(applied.places[0].serial, self.serial_in(message))
        self.assertLess(applied.places[0].serial, applied.places[1].serial)
        again = (await self.apply(changed(2, "", 0))).places[0]
        self.assertGreaterEqual(again.serial, self.serial_in(message))
        self.assertLess(again.serial, applied.places[1].serial)
        self.assertEqual(await self.commit(says(version=3)), [NotMember()])

    async def test_place_of_what_is_no_longer_kept(self) -> None:
        """A membership whose ends have left the log would let through what lies behind it (P5)."""
        await self.begin_room(B, rooms=RoomLogLimits(window=3))
        await self.apply(left(3, B))
        await self.commit(*[says() for _ in range(4)])
        applied = await self.apply(created(), joined(2, B), left(3, B))
        self.assertEqual(
            [(one.version, one.id) for one in applied.places], [(1, 0), (2, 0), (3, 0)]
        )
        first = min((await self.room_serials()).values())
        for place in applied.places:
            self.assertLess(place.serial, first)
            self.assertGreater(place.serial, 0)

    async def test_roles(self) -> None:
        """Who changes hands of a room would be no member any more, or one who never was become one."""
        await self.begin_room(B)
        await self.apply(
            changed(3, "role", B, members=((B, "owner"), (A, "member"))),
            changed(4, "left", A, members=((A, None),)),
        )
        self.assertEqual(await self.commit(says(sender=B), says()), [Stored(5, 0), NotMember()])
        await self.apply(changed(5, "removed", A, details={"ban": True}, members=((A, None),)))
        self.assertEqual(
            await self.happened(),
            [
                *((1, "created", A), (2, "joined", B), (3, "role", B)),
                *((4, "left", A), (5, "removed", A)),
            ],
        )

    async def test_closed(self) -> None:
        """A closed room would still have members (P5)."""
        await self.begin_room(B)
        await self.apply(closed(3))
        self.assertEqual(await self.commit(says(), says(sender=B)), [NotMember()] * 2)
        self.assertEqual(
            await self.happened(), [(1, "created", A), (2, "joined", B), (3, "closed", 0)]
        )

    async def test_load(self) -> None:
        """A room whose log was lost would be dead, or give ids out again that members know."""
        await self.begin()
        await self.inbox.rooms.load(ROOM, 5, {A: "owner", B: "member"}, 40)
        ends = await self.ends()
        self.assertEqual((ends.version, ends.front, ends.last, ends.first_serial), (5, 40, 40, 0))
        (early,) = (await self.apply(joined(5, B))).places
        self.assertGreater(early.serial, 0)
        sent = await self.commit(
            says(version=5), says(sender=B), says(sender=OTHER), says(version=6)
        )
        self.assertEqual(sent, [Stored(41, 0), Stored(42, 0), NotMember(), Behind()])
        applied = await self.apply(left(6, B))
        self.assertEqual((applied.places[0].id, applied.version), (43, 6))
        self.assertEqual(await self.commit(says(sender=B)), [NotMember()])
        before = await self.apply(joined(5, B))
        self.assertEqual((before.places[0].version, before.places[0].id), (5, 0))
        first = min((await self.room_serials()).values())
        self.assertLess(before.places[0].serial, first)
        self.assertLess(early.serial, first)

    async def test_load_anew(self) -> None:
        """Members that are late would take the place of newer ones, or newer ones not get through (P5)."""
        await self.begin_room(B)
        await self.commit(says(device=DEVICE, n=1))
        for version in (1, 2):
            await self.inbox.rooms.load(ROOM, version, {READER: "owner"}, 99)
        self.assertEqual(
            await self.commit(says(sender=B), says(sender=READER)), [Stored(4, 0), NotMember()]
        )
        await self.inbox.rooms.load(ROOM, 9, {READER: "owner"}, 99)
        self.assertEqual(
            await self.commit(
                says(sender=B),
                says(sender=READER, version=9),
                says(device=DEVICE, n=1),
                says(version=10),
            ),
            [NotMember(), Stored(5, 0), Duplicate(3, 0), Behind()],
        )
        self.assertEqual(await self.room_ids(), [1, 2, 3, 4, 5])
        self.assertEqual(await self.apply(left(3, B)), await self.apply(left(3, B)))
        self.assertEqual(await self.commit(says(sender=READER)), [Stored(6, 0)])

    async def test_load_of_one_room(self) -> None:
        """The members of one room would become those of another (P5)."""
        await self.begin_room(B)
        await self.inbox.rooms.load(ELSEWHERE, 1, {OTHER: "owner"}, 0)
        self.assertEqual(
            await self.commit(
                says(sender=OTHER), says(sender=OTHER, room=ELSEWHERE), says(sender=B)
            ),
            [NotMember(), Stored(1, 0), Stored(3, 0)],
        )

    async def test_events_after_a_restart(self) -> None:
        """A version would be taken twice after a restart."""
        await self.begin_room(B)
        await self.begin()
        applied = await self.apply(created(), joined(2, B), left(3, B))
        self.assertEqual([one.id for one in applied.places], [1, 2, 3])
        self.assertEqual(await self.room_ids(), [1, 2, 3])
        self.assertEqual(await self.commit(says(sender=B)), [NotMember()])
