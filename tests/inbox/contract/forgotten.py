"""Registered devices that are forgotten."""

from __future__ import annotations

from chatsvc.inbox.claim import NotRegistered, TooManyDevices
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Moved, Stored
from tests.inbox.contract.case import StoreCase
from tests.inbox.fixtures import DESK, LAPTOP, PHONE, READER, A, draft


class ForgottenContract(StoreCase):
    """Registered devices that are forgotten."""

    async def test_forget(self) -> None:
        """A user could not get rid of a device that was lost, or an inbox be kept for it."""
        await self.begin()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.commit(draft(), draft())
        await self.left(PHONE, phone)
        await self.passed(DESK, desk, 1)
        self.assertTrue(await self.inbox.forget(READER, PHONE))
        self.assertFalse(await self.inbox.forget(READER, PHONE))
        self.assertFalse(await self.inbox.forget(READER, ""))
        self.assertFalse(await self.inbox.forget(A, DESK))
        await self.commit(draft())
        self.assertEqual((await self.registered(), await self.ids()), ({DESK}, [2, 3]))

    async def test_forget_who_only_sends(self) -> None:
        """A lost phone could go on writing in its owner's name, over a connection that only sends."""
        await self.begin()
        await self.left(PHONE, await self.claim(PHONE))
        sent = []
        for device in (PHONE, DESK):
            hold = await self.inbox.claim_device(READER, device)
            sent.append(draft(to=A, sender=READER, device=device, n=1, sending=hold.generation))
            self.assertEqual(await self.inbox.forget(READER, device), device == PHONE)
        self.assertEqual(await self.commit(*sent), [Moved(), Moved()])
        again = await self.claim(PHONE)
        mine = draft(to=A, sender=READER, device=PHONE, sending=again.generation, registered=True)
        self.assertEqual(await self.commit(mine), [Stored(1, 1)])

    async def test_forget_by_other_rules(self) -> None:
        """An admin's command, which knows no --device-days, would forget other devices along with one."""
        await self.begin(InboxLimits(device_days=300, device_backlog=9999))
        await self.left(DESK, await self.claim(DESK))
        await self.pass_days_for_registered(100)
        await self.claim(PHONE)
        await self.begin(InboxLimits(device_days=30, device_backlog=1))
        await self.inbox.forget(READER, PHONE)
        self.assertEqual(await self.registered(), {DESK})

    async def test_one_too_many(self) -> None:
        """A user's devices would grow without end, or one in use be forgotten for a new one."""
        await self.begin(InboxLimits(devices=3))
        for name in (DESK, PHONE, LAPTOP, DESK):
            await self.left(name, await self.claim(name))
            await self.pass_days_for_registered(1)
        await self.claim("d" * 16)
        self.assertEqual(await self.registered(), {DESK, LAPTOP, "d" * 16}, "unused longest")
        desk = await self.claim(DESK)
        await self.claim(PHONE)
        self.assertEqual(await self.registered(), {PHONE, DESK, "d" * 16})
        self.assertEqual((await self.claim(PHONE)).begin, 0, "one that is known takes no room")
        with self.assertRaises(TooManyDevices):
            await self.claim(LAPTOP)
        self.assertEqual(await self.registered(), {PHONE, DESK, "d" * 16})
        await self.passed(DESK, desk, 0)
        self.assertEqual((self.refused, self.forgotten), ([], []))
        await self.left(DESK, desk)
        await self.claim(LAPTOP)
        self.assertEqual(await self.registered(), {PHONE, LAPTOP, "d" * 16})

    async def test_fewer_devices_than_before(self) -> None:
        """A smaller --devices would change nothing for who has more already."""
        await self.begin()
        names = [f"{i:016x}" for i in range(6)]
        for name in names:
            await self.left(name, await self.claim(name))
            await self.pass_days_for_registered(0.1)
        await self.begin(InboxLimits(devices=2))
        await self.claim(PHONE)
        self.assertEqual(await self.registered(), {PHONE, names[-1]})

    async def test_unnamed_device_takes_no_room(self) -> None:
        """A program of today would take the place of a device, or be refused because of eight (P8)."""
        await self.begin(InboxLimits(devices=1))
        await self.inbox.claim(READER, None)
        await self.claim(PHONE)
        await self.inbox.claim(READER, None)
        with self.assertRaises(TooManyDevices):
            await self.claim(DESK)

    async def test_days_of_a_device(self) -> None:
        """An inbox would be kept for a device that nobody has used for months, or one in use be forgotten."""
        await self.begin(InboxLimits(device_days=30))
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.left(PHONE, phone)
        await self.commit(draft(), draft())
        await self.passed(DESK, desk, 1)
        await self.pass_days_for_registered(29.9)
        await self.commit(draft())
        self.assertEqual((await self.registered(), await self.ids()), ({PHONE, DESK}, [1, 2, 3]))
        await self.pass_days_for_registered(0.2)
        await self.commit(draft())
        self.assertEqual((await self.registered(), await self.ids()), ({DESK}, [2, 3, 4]))
        self.assertEqual(await self.inbox.count(READER), 3)

    async def test_days_of_the_unnamed_device(self) -> None:
        """An inbox would be kept for a program that nobody has used for months."""
        await self.begin(InboxLimits(device_days=30))
        bot = await self.inbox.claim(READER, None)
        await self.left("", bot)
        phone = await self.claim(PHONE)
        await self.commit(draft(), draft())
        await self.passed(PHONE, phone, 1)
        self.assertEqual(await self.ids(), [1, 2])
        await self.pass_days_for_registered(31)
        await self.passed(PHONE, phone, 1)
        await self.commit(draft())
        self.assertEqual(await self.ids(), [2, 3])
        self.assertEqual((await self.inbox.claim(READER, None)).acknowledged, 1)

    async def test_backlog(self) -> None:
        """One device that stays away would have an inbox grow without end (P8)."""
        await self.begin(InboxLimits(device_backlog=5, share=99))
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        laptop = await self.claim(LAPTOP)
        await self.left(PHONE, phone)
        await self.commit(*[draft() for _ in range(5)])
        await self.passed(LAPTOP, laptop, 4)
        self.assertEqual(await self.registered(), {PHONE, DESK, LAPTOP})
        await self.commit(draft())
        self.assertEqual(self.forgotten, [(READER, DESK)], "its session is told")
        self.assertEqual((await self.registered(), await self.ids()), ({LAPTOP}, [5, 6]))
        with self.assertRaises(NotRegistered):
            await self.claim(DESK, renewed=desk.generation)

    async def test_bytes(self) -> None:
        """A few long messages would take as much as thousands of short ones (P8)."""
        await self.begin(InboxLimits(device_bytes=4000))
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        await self.commit(draft("你" * 500), draft("你" * 500))
        await self.passed(PHONE, phone, 1)
        self.assertEqual(await self.registered(), {PHONE, DESK})
        await self.commit(draft("你" * 500))
        self.assertEqual((await self.registered(), await self.ids()), ({PHONE}, [2, 3]))

    async def test_nothing_that_waits_is_forgotten(self) -> None:
        """What no device has received would go with the devices (P1)."""
        await self.begin(InboxLimits(device_backlog=2, share=99))
        await self.claim(PHONE)
        outcomes = await self.commit(*[draft() for _ in range(6)])
        self.assertEqual((outcomes[-1], await self.registered()), (Stored(6, 6), set()))
        self.assertEqual(
            (await self.ids(), await self.inbox.count(READER)), ([1, 2, 3, 4, 5, 6], 6)
        )
        claim = await self.claim(PHONE)
        self.assertEqual((claim.begin, claim.missed), (0, None))

    async def test_more_waits_than_a_device_may_be_behind(self) -> None:
        """A user for whom more waits than --device-backlog could never come in with a device, and never read it."""
        await self.begin(InboxLimits(device_backlog=5, share=99))
        await self.commit(*[draft() for _ in range(9)])
        phone = await self.claim(PHONE)
        self.assertEqual(await self.registered(), {PHONE})
        await self.passed(PHONE, phone, 6)
        self.assertEqual((self.forgotten, await self.ids()), ([], [7, 8, 9]))

    async def test_unnamed_device_behind_what_was_acknowledged(self) -> None:
        """A program that was left running somewhere would have an inbox grow without end, or be forgotten early."""
        await self.begin(InboxLimits(device_backlog=3, share=99))
        bot = await self.inbox.claim(READER, None)
        phone = await self.claim(PHONE)
        await self.commit(*[draft() for _ in range(3)])
        await self.passed(PHONE, phone, 3)
        await self.commit(*[draft() for _ in range(3)])
        self.assertEqual((self.forgotten, await self.ids()), ([], [1, 2, 3, 4, 5, 6]))
        await self.passed(PHONE, phone, 4)
        self.assertEqual((self.forgotten, await self.ids()), ([(READER, "")], [5, 6]))
        await self.passed("", bot, 6)
        self.assertEqual((self.forgotten, await self.ids()), ([(READER, "")], [5, 6]))
        with self.assertRaises(NotRegistered):
            await self.inbox.claim(READER, 3, bot.generation)
        again = await self.inbox.claim(READER, None)
        self.assertEqual((again.acknowledged, await self.inbox.count(READER)), (4, 2))

    async def test_unnamed_device_alone(self) -> None:
        """A user of today with many unread messages would be taken for a device that is behind."""
        await self.begin(InboxLimits(device_backlog=3, share=99, device_days=1))
        bot = await self.inbox.claim(READER, None)
        await self.left("", bot)
        await self.pass_days_for_registered(9)
        await self.commit(*[draft() for _ in range(9)])
        self.assertEqual((self.forgotten, await self.ids()), ([], list(range(1, 10))))
        self.assertEqual((await self.inbox.claim(READER, None)).acknowledged, 0)
