"""Where sessions begin in rooms, and how far accounts have acknowledged them."""

from __future__ import annotations

from chatsvc.inbox.outcome import RoomAcknowledgement
from chatsvc.inbox.room_log import RoomLogLimits, RoomStart
from tests.inbox.contract.room_case import ELSEWHERE, ROOM, RoomCase, created, joined, left, says
from tests.inbox.fixtures import PHONE, READER, A, B, draft


class RoomPositionsContract(RoomCase):
    """Where sessions begin in rooms, and how far accounts have acknowledged them."""

    async def begin_with_messages(self, rooms: RoomLogLimits | None = None) -> None:
        """Open the store; the log has A's making, B's joining, and messages, with ids up to 9."""
        await self.begin_room(B, rooms=rooms)
        await self.commit(*[says(f"{id}") for id in range(3, 10)])

    async def test_ends(self) -> None:
        """A session would be told wrong ends of a room, or read nothing of it."""
        await self.begin_with_messages()
        serials = await self.room_serials()
        ends = await self.ends()
        self.assertEqual((ends.room, ends.version), (ROOM, 2))
        self.assertEqual((ends.front, ends.last), (0, 9))
        self.assertEqual((ends.serial, ends.first_serial), (serials[9], serials[1]))
        self.assertEqual((ends.begin, ends.after), (0, None))

    async def test_ends_of_no_room(self) -> None:
        """A room that has no log would stop a log-in."""
        await self.begin_room()
        ends = await self.ends(room=ELSEWHERE, after=3, serial=5, floor=9)
        self.assertEqual((ends.room, ends.version, ends.front, ends.last), (ELSEWHERE, 0, 0, 0))
        self.assertEqual((ends.begin, ends.serial, ends.first_serial), (0, 0, 0))
        self.assertEqual((await self.opened(A)).ends, [])

    async def test_many_rooms(self) -> None:
        """One room's beginning would be another's."""
        await self.begin_with_messages()
        await self.apply(created(ELSEWHERE), room=ELSEWHERE)
        await self.commit(says(room=ELSEWHERE), says(room=ELSEWHERE))
        here, there = await self.room_serials(), await self.room_serials(ELSEWHERE)
        starts = (
            RoomStart(ELSEWHERE, 2, there[2]),
            RoomStart(9),
            RoomStart(ROOM, 5, here[5]),
        )
        ends = (await self.opened(A, *starts)).ends
        self.assertEqual(
            [(one.room, one.begin, one.last) for one in ends],
            [(ELSEWHERE, 2, 3), (9, 0, 0), (ROOM, 5, 9)],
        )

    async def test_where_a_session_says(self) -> None:
        """A device would be shown something twice, or miss something (P3)."""
        await self.begin_with_messages()
        serials = await self.room_serials()
        for after, serial, begin in (
            *((5, serials[5], 5), (0, 0, 0), (9, serials[9], 9), (1, serials[1], 1)),
            # The log has another message there, or none: it was lost, and others came.
            *((5, serials[3], 3), (7, serials[4] + 5, 4), (12, serials[9] + 5, 9)),
            *((3, serials[8], 8), (0, serials[8] - 5, 7), (4, 5, 0)),
        ):
            ends = await self.ends(after=after, serial=serial)
            self.assertEqual((ends.begin, ends.after), (begin, after), (after, serial))
            if begin:
                self.assertGreaterEqual(ends.known, serials[begin])
            else:
                self.assertLess(ends.known, serials[1])

    async def test_floor(self) -> None:
        """A device would be shown what was said before its user joined, or not the joining itself (P5)."""
        await self.begin_with_messages()
        serials = await self.room_serials()
        ends = await self.ends(floor=serials[2])
        self.assertEqual((ends.begin, ends.known, ends.after), (1, serials[1], None))
        self.assertEqual((await self.ends(floor=serials[6] + 1)).begin, 6)
        self.assertEqual((await self.ends(floor=serials[9] + 1)).begin, 9)
        for after, begin in ((0, 4), (3, 4), (4, 4), (5, 5), (9, 9)):
            serial = serials[after] if after else 0
            ends = await self.ends(after=after, serial=serial, floor=serials[5])
            self.assertEqual((ends.begin, ends.after), (begin, after))
            self.assertEqual(ends.known, serials[begin])

    async def test_position(self) -> None:
        """What one session has acknowledged, the account's next one would be shown again."""
        await self.begin_with_messages()
        serials = await self.room_serials()
        await self.passed_in_room(B, 6)
        ends = await self.ends(B, floor=serials[2])
        self.assertEqual((ends.begin, ends.known, ends.after), (6, serials[6], 6))
        other = await self.ends(A)
        self.assertEqual((other.begin, other.after), (0, None), "another account")
        said = await self.ends(B, after=4, serial=serials[4])
        self.assertEqual((said.begin, said.after), (4, 4), "a session's own word comes first")
        self.assertEqual((await self.ends(B, floor=serials[8])).begin, 7)
        await self.begin()
        self.assertEqual((await self.ends(B)).begin, 6, "after a restart")

    async def test_positions_in_rooms_only_grow(self) -> None:
        """An acknowledgement that comes late would bring something back (P7)."""
        await self.begin_with_messages()
        for id, position in (
            (4, 4),
            (2, 4),
            (4, 4),
            (0, 4),
            (7, 7),
            (5, 7),
            (10, 7),
            (99, 7),
            (9, 9),
        ):
            await self.passed_in_room(B, id)
            self.assertEqual((await self.ends(B)).begin, position, id)
        await self.commit(says())
        some = [RoomAcknowledgement(B, ROOM, id) for id in (10, 3)]
        await self.commit(acknowledgements=[*some, RoomAcknowledgement(A, ROOM, 2)])
        self.assertEqual((await self.ends(B)).begin, 10)
        self.assertEqual((await self.ends(A)).begin, 2)

    async def test_acknowledged_before_appended(self) -> None:
        """In a batch, what is appended could pass for what an acknowledgement means."""
        await self.begin_with_messages()
        early = RoomAcknowledgement(B, ROOM, 10)
        await self.commit(says(), acknowledgements=[early])
        ends = await self.ends(B)
        self.assertEqual((ends.begin, ends.after), (0, None))

    async def test_acknowledged_without_a_log(self) -> None:
        """An acknowledgement of a log that was lost would stop a batch, or count in the next log."""
        await self.begin_room()
        acknowledgement = RoomAcknowledgement(B, ELSEWHERE, 5)
        await self.commit(draft(), acknowledgements=[acknowledgement])
        self.assertEqual((await self.opened(B)).others, [])

    async def test_over(self) -> None:
        """A position would be kept for ever in a room that was left."""
        await self.begin_with_messages()
        await self.apply(left(3, B))
        await self.passed_in_room(B, 6)
        self.assertEqual((await self.opened(B)).others, [ROOM])
        self.assertEqual((await self.opened(B, RoomStart(ROOM))).others, [])
        self.assertEqual((await self.opened(A)).others, [])
        await self.passed_in_room(B, 10)
        await self.passed_in_room(B, 10, over=True)
        self.assertEqual((await self.opened(B)).others, [])
        self.assertEqual((await self.ends(B)).after, None)
        await self.passed_in_room(B, 10, over=True)
        self.assertEqual((await self.opened(B)).others, [])

    async def test_late_end_of_a_membership(self) -> None:
        """Who left and came back would begin anew, because of the end of the time before (P7)."""
        await self.begin_with_messages()
        await self.apply(left(3, B), joined(4, B))
        await self.passed_in_room(B, 11)
        await self.passed_in_room(B, 10, over=True)
        self.assertEqual((await self.ends(B)).begin, 11)

    async def test_others(self) -> None:
        """What lies before its user's leaving would be kept from a session."""
        await self.begin_room(B)
        await self.apply(created(ELSEWHERE), room=ELSEWHERE)
        for room in (ROOM, ELSEWHERE):
            await self.passed_in_room(A, 1, room)
        self.assertEqual(sorted((await self.opened(A)).others), [ROOM, ELSEWHERE])
        self.assertEqual((await self.opened(A, RoomStart(ROOM), RoomStart(9))).others, [ELSEWHERE])

    async def test_behind_what_is_kept(self) -> None:
        """A session would not be told exactly what it has missed (P3)."""
        await self.begin_with_messages(RoomLogLimits(window=4))
        await self.passed_in_room(B, 9)
        await self.commit(says())
        serials = await self.room_serials()
        ends = await self.ends(after=2, serial=serials[7] - 35)
        self.assertEqual((ends.begin, ends.after, ends.front), (6, 2, 6))
        self.assertEqual(ends.first_serial, serials[7])
        self.assertEqual((await self.ends(B)).begin, 9)
        self.assertEqual((await self.ends(floor=serials[7] - 35)).begin, 6)
        await self.passed_in_room(A, 3)
        ends = await self.ends(A)
        self.assertEqual((ends.begin, ends.after), (6, 3))
        await self.passed_in_room(A, 5)
        await self.passed_in_room(A, 4)
        self.assertEqual((await self.ends(A)).after, 5)
        await self.passed_in_room(A, 8)
        await self.passed_in_room(A, 6)
        self.assertEqual((await self.ends(A)).begin, 8)

    async def test_closed_here(self) -> None:
        """A room that nobody reads here any more could not be read again."""
        await self.begin_with_messages()
        await self.ends()
        await self.inbox.rooms.close_here([ROOM, ELSEWHERE])
        await self.inbox.rooms.close_here([])
        self.assertEqual((await self.ends()).last, 9)

    async def test_registered_at(self) -> None:
        """A new device would be shown what was said in its user's rooms before it was there (P3)."""
        await self.begin_room()
        (before,) = await self.commit(says())
        claim = await self.claim(PHONE)
        (after,) = await self.commit(says())
        self.assertGreaterEqual(claim.registered_at, self.serial_in(before))
        self.assertLess(claim.registered_at, self.serial_in(after))
        again = await self.claim(PHONE)
        self.assertEqual(again.registered_at, claim.registered_at)
        await self.begin()
        self.assertEqual((await self.claim(PHONE)).registered_at, claim.registered_at)
        self.assertEqual((await self.inbox.claim(READER, None)).registered_at, 0)
        await self.inbox.forget(READER, PHONE)
        self.assertGreaterEqual((await self.claim(PHONE)).registered_at, self.serial_in(after))
