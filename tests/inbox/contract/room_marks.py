"""What rooms put into inboxes: marks of who has joined, and invitations."""

from __future__ import annotations

from chatsvc.inbox.interface import Backlog
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Full, Removal, Stored
from chatsvc.wire.entries import Mark
from chatsvc.wire.events import Invitation, Joining, Message
from tests.inbox.contract.room_case import (
    AT,
    ELSEWHERE,
    ROOM,
    RoomCase,
    created,
    invitation,
    joined,
    left,
    says,
)
from tests.inbox.fixtures import DESK, LAPTOP, PHONE, READER, A, B, draft


class RoomMarksContract(RoomCase):
    """What rooms put into inboxes."""

    async def marks(self, uid: int = READER) -> list[Mark | None]:
        """The marks of what waits for a user."""
        return [one.mark for one in await self.inbox.read(uid, 0, 10_000)]

    async def test_mark(self) -> None:
        """A session would not learn that its user has joined a room (P3)."""
        await self.begin_room()
        await self.commit(draft("before"))
        (place,) = (await self.apply(joined(2, READER))).places
        await self.commit(draft("after"))
        joining = Joining(ROOM, place.id, place.serial)
        self.assertEqual(await self.marks(), [None, joining, None])
        before, mark, after = await self.inbox.read(READER, 0, 9)
        self.assertEqual((before.id, mark.id, after.id), (1, 2, 3))
        self.assertEqual((mark.to, mark.device), (0, ""))
        self.assertLess(before.serial, mark.serial)
        self.assertLess(mark.serial, after.serial)
        (made,) = await self.inbox.read(A, 0, 9)
        self.assertEqual(made.mark, Joining(ROOM, 1, (await self.room_serials())[1]))
        told = [(uid, message.id, message.mark) for uid, message in self.watcher.stored]
        self.assertEqual(told, [(A, 1, made.mark), (READER, 2, joining)])

    async def test_marks_are_not_counted(self) -> None:
        """Who joins rooms would have the own inbox filled, or be told of messages that are none."""
        await self.begin(InboxLimits(waiting=2, share=9))
        for room in range(1, 5):
            await self.apply(created(room), joined(2, READER, room), room=room)
        self.assertEqual((await self.inbox.count(READER), await self.inbox.total()), (0, 0))
        self.assertEqual(await self.inbox.backlogs(READER), [])
        stored = await self.commit(draft(at=5), draft(at=6), draft())
        self.assertEqual(stored, [Stored(5, 1), Stored(6, 2), Full(2, False)])
        self.assertEqual(await self.inbox.backlogs(READER), [Backlog(READER, 2, 6, 5)])
        self.assertEqual((await self.inbox.claim(READER, None)).waiting, 2)
        self.assertEqual((await self.claim(LAPTOP)).waiting, 2)

    async def marked(self) -> None:
        """Put messages 1, 3, 5 and marks 2, 4, 6 into READER's inbox."""
        for room in (1, 2, 3):
            await self.commit(draft())
            await self.apply(created(room), joined(2, READER, room), room=room)

    async def test_marks_and_the_unnamed_device(self) -> None:
        """An inbox without registered devices would seem full or empty, or keep marks that were passed over."""
        await self.begin_room()
        claim = await self.inbox.claim(READER, None)
        await self.marked()
        for up_to, waiting in ((0, 3), (1, 2), (2, 2), (3, 1), (4, 1), (5, 0)):
            await self.commit(removals=[Removal(READER, claim.generation, up_to)])
            self.assertEqual((self.refused, await self.inbox.count(READER)), ([], waiting), up_to)
            self.assertEqual(await self.ids(), list(range(up_to + 1, 7)))
        self.assertEqual((await self.inbox.claim(READER, 6)).epoch, claim.epoch)
        again = await self.inbox.claim(READER, None)
        await self.commit(draft(), removals=[Removal(READER, again.generation, 6)])
        self.assertEqual((await self.ids(), await self.inbox.count(READER)), ([7], 1))
        await self.commit(removals=[Removal(READER, again.generation, 7)])
        self.assertEqual(await self.commit(draft(), draft()), [Stored(8, 1), Stored(9, 2)])

    async def test_marks_and_registered_devices(self) -> None:
        """Marks would be kept for a device that has passed them over, or go before another has come to them."""
        await self.begin_room()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.marked()
        for up_to, waiting in ((1, 2), (2, 2), (3, 1), (4, 1), (5, 0), (6, 0)):
            await self.passed(DESK, desk, up_to)
            self.assertEqual(await self.inbox.count(READER), waiting, up_to)
        self.assertEqual(await self.ids(), [1, 2, 3, 4, 5, 6])
        await self.passed(PHONE, phone, 6, shown=5)
        self.assertEqual(await self.ids(), [])
        self.assertEqual(await self.commit(draft()), [Stored(7, 1)])

    async def test_a_device_among_marks(self) -> None:
        """A device that is registered while marks are kept would be told of a wrong number of messages."""
        await self.begin_room()
        await self.apply(joined(2, READER))
        await self.commit(draft())
        phone = await self.claim(PHONE)
        self.assertEqual((phone.begin, phone.waiting), (0, 1))
        await self.apply(left(3, READER), joined(4, READER))
        await self.passed(PHONE, phone, 2)
        self.assertEqual((await self.inbox.count(READER), await self.ids()), (0, [3]))
        await self.inbox.forget(READER, PHONE)
        self.assertEqual(await self.commit(draft()), [Stored(4, 1)])
        self.assertEqual(
            (await self.inbox.count(READER), await self.inbox.purge(READER, 9)), (1, 1)
        )
        self.assertEqual(await self.inbox.count(READER), 0)

    async def test_counted_between_marks(self) -> None:
        """An inbox without a device would seem fuller than it is, once one comes that knows a part of it."""
        await self.begin_room()
        await self.marked()
        serials = await self.serials()
        self.assertEqual(
            (await self.inbox.purge(READER, 1), await self.inbox.count(READER)), (1, 2)
        )
        claim = await self.claim(PHONE, 3, serials[2])
        self.assertEqual((claim.begin, claim.waiting, await self.inbox.count(READER)), (3, 1, 1))

    async def test_marks_after_a_restart(self) -> None:
        """A mark would become a message, or count as one, after a restart."""
        await self.begin_room()
        await self.apply(joined(2, READER), invitation(3, READER))
        before = await self.marks()
        await self.begin()
        self.assertEqual(await self.marks(), before)
        self.assertEqual(await self.commit(draft()), [Stored(3, 2)])

    async def test_invitation(self) -> None:
        """Who is invited would not hear of it, or not be able to accept."""
        await self.begin_room()
        before = await self.room_ids()
        (place,) = (await self.apply(invitation(2, READER))).places
        self.assertEqual((place.version, place.id, place.full), (2, 0, False))
        (message,) = await self.inbox.read(READER, 0, 9)
        wanted = Message(1, A, "名", AT, "join #dev", mark=Invitation(ROOM, "dev"))
        self.assertEqual(message, wanted)
        self.assertGreater(message.serial, (await self.room_serials())[1])
        self.assertEqual(self.watcher.stored[-1], (READER, wanted))
        self.assertEqual(self.watcher.stored[-1][1].serial, message.serial)
        self.assertEqual(await self.room_ids(), before, "the log gets no event")
        self.assertEqual(await self.inbox.count(READER), 1)
        self.assertEqual(await self.commit(says(version=2), draft()), [Stored(2, 0), Stored(2, 2)])

    async def test_invitation_again(self) -> None:
        """An invitation that two nodes finish would be shown twice."""
        await self.begin_room()
        once = await self.apply(invitation(2, READER))
        again = await self.apply(invitation(2, READER))
        self.assertEqual(len(await self.ids()), 1)
        self.assertEqual((again.version, again.places[0].full), (once.version, False))
        self.assertEqual(len([uid for uid, _ in self.watcher.stored if uid == READER]), 1)

    async def test_names_of_rooms(self) -> None:
        """An invitation would name another room, because of a letter in its name."""
        await self.begin_room()
        for version, name in enumerate(("a:b", "开发", "i7:x", "-", '’"', "x" * 128), 2):
            await self.apply(invitation(version, READER, name=name))
            self.assertEqual((await self.marks())[-1], Invitation(ROOM, name))

    async def test_invitation_into_a_full_inbox(self) -> None:
        """An invitation would be confirmed that nobody will see, or an inbox grow past its limit (P8)."""
        await self.begin_room(limits=InboxLimits(waiting=2, share=9))
        await self.commit(draft(), draft(sender=B))
        told = len(self.watcher.stored)
        applied = await self.apply(invitation(2, READER), joined(3, B), invitation(4, READER))
        self.assertEqual([one.full for one in applied.places], [True, False, True])
        self.assertEqual([one.id for one in applied.places], [0, 2, 0])
        self.assertEqual(applied.version, 4, "the version counts all the same")
        self.assertEqual((await self.marks(), len(self.watcher.stored)), ([None, None], told + 1))
        await self.acknowledge(1)
        again = await self.apply(invitation(2, READER), joined(3, B), invitation(4, READER))
        self.assertEqual([one.full for one in again.places], [True, False, True])
        self.assertEqual(await self.ids(), [2])
        (place,) = (await self.apply(invitation(5, READER))).places
        self.assertEqual((place.full, await self.marks()), (False, [None, Invitation(ROOM, "dev")]))

    async def test_one_who_invites_all_the_time(self) -> None:
        """One user could fill another's inbox with invitations (P8)."""
        await self.begin_room(B, limits=InboxLimits(waiting=99, share=2))
        await self.commit(draft())
        applied = await self.apply(
            invitation(3, READER), invitation(4, READER), invitation(5, READER, sender=B)
        )
        self.assertEqual([one.full for one in applied.places], [False, True, False])
        self.assertEqual(await self.commit(draft()), [Full(3, True)])
        await self.apply(created(ELSEWHERE), room=ELSEWHERE)
        applied = await self.apply(invitation(2, READER, ELSEWHERE), room=ELSEWHERE)
        self.assertEqual([one.full for one in applied.places], [True])

    async def test_invitation_to_a_registered_device(self) -> None:
        """An invitation would be lost for a device, or not count as waiting."""
        await self.begin_room()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.apply(invitation(2, READER), joined(3, READER))
        self.assertEqual(await self.inbox.count(READER), 1)
        await self.passed(PHONE, phone, 2)
        self.assertEqual((await self.inbox.count(READER), await self.ids()), (0, [1, 2]))
        await self.passed(DESK, desk, 2)
        self.assertEqual(await self.ids(), [])

    async def test_a_device_that_marks_leave_behind(self) -> None:
        """Somebody's device would hold an inbox for ever that only marks come into."""
        await self.begin_room(limits=InboxLimits(device_backlog=3))
        await self.claim(PHONE)
        for room in range(11, 16):
            await self.apply(created(room), joined(2, READER, room), room=room)
        self.assertEqual(await self.registered(), set())
        self.assertEqual(self.watcher.gone, [(READER, PHONE)])
