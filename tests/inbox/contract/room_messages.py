"""Messages in rooms' logs: who may send, which were sent before, what is kept."""

from __future__ import annotations

from typing import Any

from chatsvc.inbox.limits import DEVICES, DIGESTS
from chatsvc.inbox.outcome import (
    Behind,
    Duplicate,
    Gap,
    Moved,
    NotMember,
    RoomDraft,
    Stored,
    Unregistered,
)
from chatsvc.inbox.room_log import RoomLogLimits
from chatsvc.wire.events import RoomMessage
from tests.inbox.contract.room_case import (
    AT,
    ELSEWHERE,
    ROOM,
    RoomCase,
    closed,
    created,
    joined,
    left,
    says,
)
from tests.inbox.fixtures import DESK, DEVICE, OTHER, PHONE, A, B, draft


class RoomMessagesContract(RoomCase):
    """Messages in rooms' logs."""

    async def test_room_message(self) -> None:
        """A room's message would not come back as it went in."""
        await self.begin_room()
        (stored,) = await self.commit(RoomDraft(ROOM, A, "张 三", AT, "你好", mark=PHONE))
        self.assertEqual(stored, Stored(2, 0))
        event, message = await self.log()
        serial = self.serial_in(stored)
        self.assertEqual(message, RoomMessage(ROOM, 2, serial, A, "张 三", AT, "你好", PHONE))
        self.assertEqual(message.serial, serial)
        self.assertGreater(serial, event.serial)
        await self.commit(says("1", mark="-"), says("2"))
        marks = [one.device for one in await self.log() if isinstance(one, RoomMessage)]
        self.assertEqual(marks, [PHONE, "-", ""])

    async def test_any_text_in_a_room(self) -> None:
        """A text with unusual characters would be changed, or refused, in a room."""
        await self.begin_room()
        texts = [
            *("\0", "a\0b", "😀" * 2048, "\x01" * 8192, "\r\n\t\x1b[2J", " ", "{}", "[]", "null"),
            *("'\"\\%s?{}[]", "\ufeff", "e\u0301", "1", "007", "1e5", "x" * 8192, "- * -"),
        ]
        await self.commit(*[says(text) for text in texts])
        self.assertEqual(await self.said(), texts)

    async def test_ids_of_rooms(self) -> None:
        """Messages and events of a room would not have the ids 1, 2, 3, … together, each room by itself (P1)."""
        await self.begin_room(B)
        await self.apply(created(ELSEWHERE), room=ELSEWHERE)
        sent = await self.commit(says("a"), says("b", B), says("c", room=ELSEWHERE))
        self.assertEqual(sent, [Stored(3, 0), Stored(4, 0), Stored(2, 0)])
        await self.apply(left(3, B))
        self.assertEqual(await self.commit(says("d")), [Stored(6, 0)])
        self.assertEqual(await self.room_ids(), [1, 2, 3, 4, 5, 6])
        self.assertEqual(await self.said(ELSEWHERE), ["c"])
        serials = list((await self.room_serials()).values())
        self.assertEqual(serials, sorted(set(serials)))

    async def test_all_of_a_room_is_kept(self) -> None:
        """Messages, numbers or members of a room would not survive a restart (P1)."""
        await self.begin_room(B)
        first = says("kept", B, device=DEVICE, n=1, version=2)
        await self.commit(first)
        await self.begin()
        self.assertEqual(await self.said(), ["kept"])
        self.assertEqual(await self.commit(first, says()), [Duplicate(3, 0), Stored(4, 0)])
        self.assertEqual(await self.commit(says(sender=OTHER)), [NotMember()])

    async def test_room_and_inbox_in_one_batch(self) -> None:
        """One message's outcome would be another's, or serials not have the order of the batch."""
        await self.begin_room()
        outcomes = await self.commit(
            draft("1"),
            says("2"),
            says("3", B),
            draft("4"),
            says("5", device=DEVICE, n=2),
            says("6"),
        )
        self.assertEqual(
            outcomes,
            [Stored(1, 1), Stored(2, 0), NotMember(), Stored(2, 2), Gap(1), Stored(3, 0)],
        )
        serials = [self.serial_in(one) for one in outcomes if isinstance(one, Stored)]
        self.assertEqual(serials, sorted(set(serials)))
        self.assertEqual((await self.texts(), await self.said()), (["1", "4"], ["2", "6"]))

    async def test_largest_room_batch(self) -> None:
        """A batch of the largest size would fail if it is for rooms."""
        await self.begin_room()
        outcomes = await self.commit(*[says("😀" * 256) for _ in range(256)])
        self.assertEqual(outcomes[-1], Stored(257, 0))

    async def test_not_a_member(self) -> None:
        """A message would be taken from who is no member at that point of the log (P5)."""
        await self.begin_room(B)
        self.assertEqual(
            await self.commit(says(sender=OTHER), says(sender=B)), [NotMember(), Stored(3, 0)]
        )
        await self.apply(left(3, B))
        self.assertEqual(await self.commit(says(sender=B)), [NotMember()])
        await self.apply(joined(4, B))
        self.assertEqual(await self.commit(says(sender=B)), [Stored(6, 0)])
        await self.apply(closed(5))
        self.assertEqual(await self.commit(says(sender=B), says()), [NotMember(), NotMember()])
        self.assertEqual(len(await self.said()), 2)

    async def test_members_of_another_room(self) -> None:
        """Who is in one room could write into another (P5)."""
        await self.begin_room(B)
        await self.apply(created(ELSEWHERE), room=ELSEWHERE)
        self.assertEqual(await self.commit(says(sender=B, room=ELSEWHERE)), [NotMember()])
        await self.apply(closed(2, ELSEWHERE), room=ELSEWHERE)
        self.assertEqual(await self.commit(says(sender=B), says()), [Stored(3, 0), Stored(4, 0)])

    async def test_judged_in_order(self) -> None:
        """What was confirmed would be refused when it is sent again, because its sender was removed since (P1)."""
        await self.begin_room(B)

        def numbered(n: int, text: str = "x") -> RoomDraft:
            return says(text, B, device=DEVICE, n=n)

        self.assertEqual(await self.commit(numbered(1)), [Stored(3, 0)])
        await self.apply(left(3, B))
        self.assertEqual(
            await self.commit(numbered(1), numbered(3), numbered(1, "y"), numbered(2)),
            [Duplicate(3, 0), Gap(2), Gap(2), NotMember()],
        )
        await self.apply(joined(4, B))
        self.assertEqual(await self.commit(numbered(2)), [Stored(6, 0)], "no number was used up")

    async def test_refused_at_first(self) -> None:
        """The first message of who is no member would use its number up."""
        await self.begin_room()
        first = says(sender=B, device=DEVICE, n=1)
        self.assertEqual(await self.commit(first), [NotMember()])
        await self.apply(joined(2, B))
        self.assertEqual(await self.commit(first, first), [Stored(3, 0), Duplicate(3, 0)])

    async def test_log_that_is_behind(self) -> None:
        """A log that has lost events would take messages from who was removed, or twice what it lost (P5)."""
        await self.begin_room()
        sent = says(device=DEVICE, n=1, version=1)
        self.assertEqual(await self.commit(sent), [Stored(2, 0)])
        ahead = says(device=DEVICE, n=1, version=2)
        self.assertEqual(await self.commit(ahead, says(sender=B, version=2)), [Behind()] * 2)
        self.assertEqual(await self.commit(says(room=ELSEWHERE)), [Behind()], "there is no log")
        self.assertEqual(await self.commit(says(room=ELSEWHERE, version=3)), [Behind()])
        await self.apply(joined(2, B))
        self.assertEqual(await self.commit(ahead), [Duplicate(2, 0)])
        self.assertEqual(
            await self.commit(says(version=1)), [Stored(4, 0)], "a later log is as good"
        )
        self.assertEqual(await self.log(ELSEWHERE), [])

    async def test_numbered_in_a_room(self) -> None:
        """A message that is sent again would be stored twice, or a missing one not be noticed, in a room (P1)."""
        await self.begin_room()

        def numbered(n: int) -> RoomDraft:
            return says(f"{n}", device=DEVICE, n=n)

        self.assertEqual(await self.commit(numbered(2)), [Gap(1)])
        sent = await self.commit(numbered(1), numbered(2))
        self.assertEqual(sent, [Stored(2, 0), Stored(3, 0)])
        (again,) = await self.commit(numbered(2))
        self.assertEqual(again, Duplicate(3, 0))
        assert isinstance(again, Duplicate)
        self.assertEqual(again.serial, self.serial_in(sent[1]))
        self.assertEqual(await self.commit(numbered(1)), [Duplicate(None, 0)])
        self.assertEqual(await self.commit(numbered(4)), [Gap(3)])
        self.assertEqual(await self.commit(numbered(2**53 - 1)), [Gap(3)])
        self.assertEqual(await self.said(), ["1", "2"])

    async def test_numbers_in_rooms_are_counted_apart(self) -> None:
        """Two devices, senders or rooms, or a room and the inbox with its number, would share their numbers."""
        await self.begin_room(B)
        await self.apply(created(ELSEWHERE), room=ELSEWHERE)
        one: dict[str, Any] = {"device": DEVICE, "n": 1}
        outcomes = await self.commit(
            says(**one),
            says(device=PHONE, n=1),
            says(sender=B, **one),
            says(room=ELSEWHERE, **one),
            draft(to=ROOM, **one),
            says(),
            says(device=DEVICE, n=2),
        )
        ids = [outcome.id for outcome in outcomes if isinstance(outcome, Stored)]
        self.assertEqual(ids, [3, 4, 5, 2, 1, 6, 7])

    async def test_another_text_in_a_room(self) -> None:
        """A text that was never stored would be confirmed, because another one has its number (P1)."""
        await self.begin_room()

        def numbered(n: int, text: str) -> RoomDraft:
            return says(text, device=DEVICE, n=n)

        texts = [numbered(n, f"{n}") for n in range(1, DIGESTS + 2)]
        await self.commit(*texts)
        last = DIGESTS + 1
        self.assertEqual(
            await self.commit(numbered(last, "y"), numbered(2, "y"), numbered(1, "y")),
            [Gap(last + 1), Gap(last + 1), Duplicate(None, 0)],
            "only so many are remembered",
        )

    async def test_asked_again_in_a_room(self) -> None:
        """A question for what was stored would store it once more."""
        await self.begin_room()
        asked = says(device=DEVICE, n=1, again=True)
        self.assertEqual(await self.commit(asked), [Gap(1)])
        sent = says(device=DEVICE, n=1)
        self.assertEqual(await self.commit(sent, asked), [Stored(2, 0), Duplicate(2, 0)])
        self.assertEqual(len(await self.said()), 1)

    async def test_many_devices_in_a_room(self) -> None:
        """A message on its way would be stored twice, because more devices wrote to the room than are kept for long."""
        await self.begin_room()
        first = says(device=DEVICE, n=1)
        await self.commit(first)
        for i in range(DEVICES + 1):
            await self.commit(says(device=f"{i:016x}", n=1))
        self.assertEqual(await self.commit(first), [Duplicate(2, 0)])

    async def test_duplicate_that_is_no_longer_kept(self) -> None:
        """The serial of a message that has left the log would be told as if it could be found there."""
        await self.begin_room(rooms=RoomLogLimits(window=2))
        first = says(device=DEVICE, n=1)
        await self.commit(first, says(), says())
        (again,) = await self.commit(first)
        self.assertEqual(again, Duplicate(2, 0))
        assert isinstance(again, Duplicate)
        self.assertEqual(again.serial, 0)

    async def test_late_message_to_a_room(self) -> None:
        """A message of an older session would be taken for one of the newer session with the same number (P1)."""
        await self.begin_room()
        first = await self.claim(PHONE, uid=A)
        second = await self.claim(PHONE, uid=A)
        both = [
            says(f"{one.generation}", device=PHONE, n=1, sending=one.generation, registered=True)
            for one in (first, second)
        ]
        self.assertEqual(await self.commit(*both), [Moved(), Stored(2, 0)])
        script = await self.inbox.claim_device(A, DESK)
        await self.inbox.claim_device(A, DESK)
        self.assertEqual(
            await self.commit(says(device=DESK, n=1, sending=script.generation)), [Moved()]
        )

    async def test_unregistered_device_in_a_room(self) -> None:
        """A device that was forgotten could go on writing into rooms."""
        await self.begin_room()
        phone = await self.claim(PHONE, uid=A)
        await self.inbox.forget(A, PHONE)
        sent = says(device=PHONE, n=1, sending=phone.generation, registered=True, version=9)
        self.assertEqual(await self.commit(sent), [Unregistered()], "before all else")
        self.assertEqual(self.forgotten, [(A, PHONE)])

    async def test_no_copy_of_a_room_message(self) -> None:
        """What a user writes into a room would be shown on the other devices twice: there, and in the inbox (P4)."""
        await self.begin_room()
        phone = await self.claim(PHONE, uid=A)
        await self.claim(DESK, uid=A)
        before = await self.ids(A)
        sent = says(device=PHONE, sending=phone.generation, registered=True, mark=PHONE)
        self.assertEqual(await self.commit(sent), [Stored(2, 0)])
        self.assertEqual(await self.ids(A), before)

    async def test_pages_of_a_room(self) -> None:
        """A page of a room's log would not begin after its id, or be too long."""
        await self.begin_room()
        await self.commit(*[says(f"{i}") for i in range(2, 11)])
        for after, limit, ids in (
            *((0, 3, [1, 2, 3]), (3, 3, [4, 5, 6]), (9, 3, [10]), (10, 3, [])),
            *((99, 3, []), (0, 99, list(range(1, 11)))),
        ):
            page = await self.inbox.rooms.read(ROOM, after, limit)
            self.assertEqual([one.id for one in page.entries], ids)
            first = (await self.room_serials())[1]
            self.assertEqual((page.front, page.first_serial), (0, first))
        nothing = await self.inbox.rooms.read(ELSEWHERE, 0, 9)
        self.assertEqual((nothing.front, nothing.first_serial, nothing.entries), (0, 0, []))

    async def test_window(self) -> None:
        """A room's log would grow without end, or keep less than it should (P8)."""
        await self.begin_room(rooms=RoomLogLimits(window=4))
        await self.commit(*[says(f"{i}") for i in range(2, 5)])
        self.assertEqual(await self.room_ids(), [1, 2, 3, 4])
        await self.commit(*[says(f"{i}") for i in range(5, 8)])
        self.assertEqual(await self.said(), ["4", "5", "6", "7"])
        await self.apply(joined(2, B))
        self.assertEqual(await self.room_ids(), [5, 6, 7, 8])
        page = await self.inbox.rooms.read(ROOM, 0, 2)
        self.assertEqual([one.id for one in page.entries], [5, 6])
        self.assertEqual((page.front, page.first_serial), (4, page.entries[0].serial))
        ends = await self.ends()
        self.assertEqual((ends.front, ends.last, ends.first_serial), (4, 8, page.first_serial))
        await self.commit(*[says(f"{i}") for i in range(9, 30)])
        self.assertEqual(await self.room_ids(), [26, 27, 28, 29], "more than the window at once")
        await self.begin(rooms=RoomLogLimits(window=2))
        await self.commit(says())
        self.assertEqual(await self.room_ids(), [29, 30], "an option that was made smaller")

    async def test_bytes_of_a_room(self) -> None:
        """A room's log would grow past its bytes, or names not count, or let go of more than it must (P8)."""
        await self.begin_room(rooms=RoomLogLimits(bytes=1000))
        name = len("名".encode())
        await self.commit(*[says("你" * 100) for _ in range(9)])
        self.assertEqual(await self.room_ids(), [8, 9, 10], "three times 303 bytes")
        await self.commit(says("x" * (1000 - 3 * 303 - name)))
        self.assertEqual(await self.room_ids(), [8, 9, 10, 11], "1000 bytes")
        await self.commit(says("x" * 300))
        self.assertEqual(await self.room_ids(), [9, 10, 11, 12])
        await self.commit(says("x" * 900))
        self.assertEqual(await self.room_ids(), [13], "903 and 303 are too much")
        await self.commit(says("x"), says("y"))
        self.assertEqual(await self.room_ids(), [13, 14, 15])
