"""What is too old in rooms' logs, and is let go of."""

from __future__ import annotations

from chatsvc.inbox.outcome import Duplicate, NotMember, RoomAcknowledgement, Stored
from chatsvc.inbox.room_log import RoomLogLimits, RoomStart
from chatsvc.wire.entries import Reference
from chatsvc.wire.events import Joining, RoomEvent
from tests.inbox.contract.room_case import (
    ELSEWHERE,
    ROOM,
    RoomCase,
    closed,
    created,
    invitation,
    joined,
    left,
    says,
)
from tests.inbox.fixtures import DEVICE, OTHER, READER, A, B

MANY = 1000


class RoomRetentionContract(RoomCase):
    """What is too old in rooms' logs, and is let go of."""

    async def begin_with_old(self, rooms: RoomLogLimits | None = None) -> dict[int, int]:
        """Open the store; the log has A's making, B's joining, and messages, with ids up to 9; the serials by id."""
        await self.begin_room(B, rooms=rooms)
        await self.commit(*[says(f"{id}") for id in range(3, 10)])
        return await self.room_serials()

    async def expire(self, before: int, *rooms: int, limit: int = MANY) -> list[int]:
        """Let go of what has lower serials in some rooms, or ROOM; those that may have more."""
        return await self.inbox.rooms.expire(rooms or [ROOM], before, limit)

    async def change(self, kind: str, serial: int, text: str = "") -> None:
        """A edits or retracts a message."""
        await self.commit(says(text, reference=Reference(kind, serial)))

    async def test_too_old_in_a_room(self) -> None:
        """What retention has taken out of the history would be handed to a device that was away, untold (P3, P6)."""
        serials = await self.begin_with_old()
        self.assertEqual(await self.expire(serials[6]), [])
        self.assertEqual(await self.said(), ["6", "7", "8", "9"])
        page = await self.inbox.rooms.read(ROOM, 0, 2)
        self.assertEqual([one.id for one in page.entries], [6, 7])
        self.assertEqual((page.front, page.first_serial), (5, serials[6]))
        for start, begin, after in (
            ({}, 5, None),
            ({"after": 0, "serial": 0}, 5, 0),
            ({"after": 3, "serial": serials[3]}, 5, 3),
            ({"after": 5, "serial": serials[5]}, 5, 5),
            ({"after": 7, "serial": serials[7]}, 7, 7),
            ({"floor": serials[2]}, 5, None),
            ({"floor": serials[8]}, 7, None),
        ):
            ends = await self.ends(B, **start)
            self.assertEqual((ends.begin, ends.after), (begin, after), start)
            self.assertEqual((ends.front, ends.last, ends.serial), (5, 9, serials[9]))
            self.assertEqual(ends.first_serial, serials[6])
        self.assertEqual(await self.expire(serials[6]), [])
        self.assertEqual(await self.expire(serials[6] - 5), [], "the clock went back")
        self.assertEqual(await self.room_serials(), {id: serials[id] for id in (6, 7, 8, 9)})

    async def test_nothing_in_a_room_is_too_old(self) -> None:
        """What is younger than the retention would be let go of (P3)."""
        serials = await self.begin_with_old()
        before = await self.ends()
        for age in (-serials[1], 0, serials[1] - 1, serials[1]):
            self.assertEqual(await self.expire(age), [])
        self.assertEqual((await self.ends(), await self.room_serials()), (before, serials))

    async def test_all_of_a_room_is_too_old(self) -> None:
        """A quiet room would keep its last messages for ever, or be no room any more without them (P1, P5, P6)."""
        await self.begin_with_old()
        sent = says("sent", B, device=DEVICE, n=1, version=2)
        await self.commit(sent)
        serials = await self.room_serials()
        self.assertEqual(await self.expire(serials[10] + 1), [])
        for _ in range(2):
            self.assertEqual(await self.log(), [])
            ends = await self.ends(after=4, serial=serials[4])
            self.assertEqual((ends.version, ends.front, ends.last), (2, 10, 10))
            self.assertEqual((ends.begin, ends.after, ends.first_serial), (10, 4, 0))
            ends = await self.ends(after=10, serial=serials[10])
            self.assertEqual((ends.begin, ends.serial, ends.known), (10, serials[10], serials[10]))
            (again,) = await self.commit(sent)
            self.assertEqual(again, Duplicate(10, 0))
            await self.begin()
        outcomes = await self.commit(says("new", version=2), says(sender=OTHER))
        self.assertEqual(outcomes, [Stored(11, 0), NotMember()])
        self.assertGreater(self.serial_in(outcomes[0]), serials[10])
        await self.apply(joined(3, OTHER))
        self.assertEqual(await self.commit(says(sender=OTHER)), [Stored(13, 0)])
        self.assertEqual(await self.room_ids(), [11, 12, 13])
        self.assertEqual((await self.ends()).first_serial, self.serial_in(outcomes[0]))

    async def test_old_ones_in_steps(self) -> None:
        """Many old messages would hold up the store, or some of them stay."""
        serials = await self.begin_with_old()
        await self.apply(created(ELSEWHERE), room=ELSEWHERE)
        await self.commit(says(room=ELSEWHERE), says(room=ELSEWHERE))
        both, before = (ROOM, ELSEWHERE), serials[9] + 10**9
        kept = []
        for _ in range(5):
            more = await self.expire(before, *both, limit=4)
            kept.append((len(await self.log()), len(await self.log(ELSEWHERE)), more))
        self.assertEqual(
            kept,
            [(5, 3, [*both]), (1, 3, [*both]), (0, 0, [ELSEWHERE]), (0, 0, []), (0, 0, [])],
        )

    async def test_many_old_ones(self) -> None:
        """Of a long log something old would stay, or something new go."""
        await self.begin_room()
        outcomes = await self.commit(*[says(f"{n}") for n in range(200)])
        self.assertEqual(await self.expire(self.serial_in(outcomes[150])), [])
        self.assertEqual(await self.said(), [f"{n}" for n in range(150, 200)])
        self.assertEqual((await self.ends()).front, 151)

    async def test_old_ones_of_other_rooms(self) -> None:
        """One room's messages would go with those of another, or a room begin by having nothing to let go of."""
        serials = await self.begin_with_old()
        await self.apply(created(ELSEWHERE), room=ELSEWHERE)
        await self.commit(says("there", room=ELSEWHERE))
        self.assertEqual(await self.expire(serials[9] + 10**9, 9, ROOM, 10), [])
        self.assertEqual((await self.said(), await self.said(ELSEWHERE)), ([], ["there"]))
        self.assertEqual((await self.ends(room=9)).version, 0)
        self.assertIsNone((await self.apply(joined(2, B, 9), room=9)).version)
        self.assertEqual((await self.apply(created(9), room=9)).places[0].id, 1)
        self.assertEqual(await self.inbox.rooms.expire([], serials[9], MANY), [])

    async def test_old_ones_over_gaps(self) -> None:
        """Where something was retracted, something old would stay, or a device be told a wrong end."""
        serials = await self.begin_with_old()
        for id in (3, 5, 6):
            await self.change("retracted", serials[id])
        await self.expire(serials[5])
        self.assertEqual(await self.room_ids(), [7, 8, 9, 10, 11, 12])
        ends = await self.ends(after=6, serial=serials[6])
        self.assertEqual((ends.front, ends.first_serial), (4, serials[7]))
        page = await self.inbox.rooms.read(ROOM, ends.begin, 1)
        self.assertEqual([one.id for one in page.entries], [7])
        await self.expire(serials[7] + 1)
        self.assertEqual((await self.ends()).front, 7)

    async def test_old_edits(self) -> None:
        """The old text of an edited message would go, and its new one stay (P6)."""
        await self.begin_room()
        (first,) = await self.commit(says("first"))
        await self.change("edited", self.serial_in(first), "second")
        await self.commit(says("third"))
        serials = await self.room_serials()
        await self.expire(serials[4])
        self.assertEqual(await self.room_ids(), [4])
        self.assertEqual(await self.said(), ["third"])

    async def test_old_one_is_retracted(self) -> None:
        """A late retraction of a message that was let go of would fail, or take another one with it (P6)."""
        serials = await self.begin_with_old()
        await self.expire(serials[6])
        await self.change("retracted", serials[4])
        self.assertEqual(await self.room_ids(), [6, 7, 8, 9, 10])
        event = (await self.log())[-1]
        assert isinstance(event, RoomEvent)
        self.assertEqual((event.event, event.details), ("retracted", {"target": serials[4]}))

    async def test_window_behind_old_ones(self) -> None:
        """A log of which something was let go of would keep more or less than its window and its bytes (P8)."""
        serials = await self.begin_with_old(RoomLogLimits(window=6, bytes=1000))
        self.assertEqual(list(serials), [4, 5, 6, 7, 8, 9])
        await self.expire(serials[7])
        await self.commit(*[says(f"{id}") for id in (10, 11, 12)])
        self.assertEqual(await self.room_ids(), [7, 8, 9, 10, 11, 12])
        await self.commit(says("13"))
        self.assertEqual(await self.room_ids(), [8, 9, 10, 11, 12, 13])
        await self.expire((await self.room_serials())[13] + 1)
        size = 250 - len("名".encode())
        await self.commit(*[says("x" * size) for _ in range(4)])
        self.assertEqual(await self.room_ids(), [14, 15, 16, 17], "1000 bytes")
        await self.commit(says("y"))
        self.assertEqual(await self.room_ids(), [15, 16, 17, 18])
        await self.expire((await self.room_serials())[18])
        await self.commit(*[says("x" * size) for _ in range(3)])
        self.assertEqual(await self.room_ids(), [18, 19, 20, 21])
        await self.commit(says("x" * size))
        self.assertEqual(await self.room_ids(), [19, 20, 21, 22])

    async def test_old_events_come_again(self) -> None:
        """An event that was let go of would be put into the log once more, or not be known as done (P5)."""
        await self.begin_room(B)
        await self.apply(invitation(3, OTHER), left(4, B))
        await self.commit(says("kept"))
        serials = await self.room_serials()
        await self.expire(serials[4])
        events = (created(), joined(2, B), invitation(3, OTHER), left(4, B))
        for rest, least in ((1, serials[4]), (0, serials[4] + 1)):
            again = await self.apply(*events)
            self.assertEqual(
                [(one.version, one.id) for one in again.places][:3], [(1, 0), (2, 0), (3, 0)]
            )
            self.assertTrue(all(one.serial < least for one in again.places[:2]), again)
            self.assertEqual((again.version, len(await self.log())), (4, rest))
            await self.expire(serials[4] + 1)
        self.assertEqual(await self.commit(says(sender=B), says()), [NotMember(), Stored(5, 0)])

    async def test_members_come_behind_old_ones(self) -> None:
        """A log that has only old entries would give their ids out again when its members come anew (P1)."""
        serials = await self.begin_with_old()
        await self.expire(serials[9] + 1)
        await self.inbox.rooms.load(ROOM, 5, {A: "owner"}, 2)
        (stored,) = await self.commit(says("new", version=5))
        self.assertEqual(stored, Stored(10, 0))
        self.assertGreater(self.serial_in(stored), serials[9])

    async def test_positions_at_old_ones(self) -> None:
        """What an account has acknowledged would come again, or count for nothing, once it was let go of (P7)."""
        serials = await self.begin_with_old()
        await self.passed_in_room(B, 4)
        await self.expire(serials[7])
        ends = await self.ends(B)
        self.assertEqual((ends.begin, ends.after), (6, 4))
        await self.passed_in_room(B, 5)
        await self.passed_in_room(B, 3)
        self.assertEqual((await self.ends(B)).after, 5)
        await self.passed_in_room(B, 8)
        await self.expire(serials[9] + 1)
        ends = await self.ends(B)
        self.assertEqual((ends.begin, ends.after, ends.known), (9, 8, serials[8]))
        await self.passed_in_room(B, 9)
        self.assertEqual((await self.ends(B)).after, 9)
        await self.commit(says("new"))
        self.assertEqual((await self.ends(B)).begin, 9)
        await self.commit(acknowledgements=[RoomAcknowledgement(B, ROOM, 9, over=True)])
        self.assertEqual((await self.opened(B)).others, [])

    async def test_mark_of_an_old_joining(self) -> None:
        """A session would not be led to a room because the joining is too old, or not be told what it lacks (P3)."""
        await self.begin_room(READER)
        await self.commit(says("old"), says("new"))
        serials = await self.room_serials()
        await self.expire(serials[4])
        (mark,) = [one.mark for one in await self.inbox.read(READER, 0, 9)]
        self.assertEqual(mark, Joining(ROOM, 2, serials[2]))
        start = RoomStart(ROOM, 1, serials[2] - 1, serials[2])
        (ends,) = (await self.opened(READER, start)).ends
        self.assertEqual((ends.begin, ends.after, ends.front), (3, 1, 3))

    async def test_old_ones_of_a_closed_room(self) -> None:
        """What was said in a room that is closed would be kept when it is too old, or the room be open again (P6)."""
        await self.begin_with_old()
        await self.apply(closed(3))
        serials = await self.room_serials()
        await self.expire(serials[9])
        self.assertEqual(await self.room_ids(), [9, 10])
        await self.expire(serials[10] + 1)
        self.assertEqual(await self.log(), [])
        self.assertEqual(await self.commit(says()), [NotMember()])
        self.assertEqual((await self.apply(closed(3))).version, 3)

    async def test_nobody_is_told_of_old_ones(self) -> None:
        """Readers who have everything would be handed something, or nothing any more, when old messages go."""
        serials = await self.begin_with_old()
        told = len(self.watcher.entries)
        await self.expire(serials[9] + 1)
        self.assertEqual(len(self.watcher.entries), told)
