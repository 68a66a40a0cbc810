"""Copies of what a user's other devices send."""

from __future__ import annotations

from typing import Any

from chatsvc.inbox.claim import InboxClaim
from chatsvc.inbox.interface import Backlog
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Draft, Duplicate, Full, Outcome, Stored
from chatsvc.wire.events import Message
from tests.inbox.contract.case import StoreCase
from tests.inbox.fixtures import DESK, LAPTOP, OTHER, PHONE, READER, A, draft


def from_device(device: str, claim: InboxClaim, text: str = "x", **more: Any) -> Draft:
    """A message of READER's registered device to A."""
    how = {"registered": True, "sending": claim.generation, "device": device}
    return draft(text, **{"to": A, "sender": READER, **how, **more})


class CopiesContract(StoreCase):
    """Copies of what a user's other devices send."""

    async def test_copy(self) -> None:
        """A user would not see at the desk what was written on the phone (P4)."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        await self.commit(draft("before"))
        (stored,) = await self.commit(from_device(PHONE, phone, "hello", at=7))
        self.assertEqual(stored, Stored(1, 1, copy=2))
        (message,) = await self.inbox.read(A, 0, 9)
        self.assertEqual(message, Message(1, READER, "名", 7, "hello"))
        before, copy = await self.inbox.read(READER, 0, 9)
        self.assertEqual((before.to, before.device), (0, ""))
        self.assertEqual(copy, Message(2, READER, "名", 7, "hello", 0, A, PHONE))
        self.assertEqual((copy.serial, message.serial), (self.serial_of(stored),) * 2)
        self.assertGreater(copy.serial, before.serial)

    def serial_of(self, outcome: Outcome) -> int:
        """The serial under which a message was stored."""
        assert isinstance(outcome, Stored)
        return outcome.serial

    async def test_no_copy_for_the_device_that_sent(self) -> None:
        """A device would be shown what it sent itself, also after its crash (P4)."""
        await self.begin()
        phone = await self.claim(PHONE)
        (stored,) = await self.commit(from_device(PHONE, phone))
        self.assertEqual(stored, Stored(1, 1))
        bot = await self.inbox.claim(READER, None, device=PHONE)
        mine = draft(to=A, sender=READER, device=PHONE, generation=bot.generation)
        self.assertEqual(await self.commit(mine), [Stored(2, 2)], "the same without the feature")
        self.assertEqual(await self.ids(), [])

    async def test_copy_from_the_unnamed_device(self) -> None:
        """A phone would not show what was written at an older program (P4)."""
        await self.begin()
        await self.claim(PHONE)
        bot = await self.inbox.claim(READER, None)
        plain = draft(to=A, sender=READER, generation=bot.generation)
        self.assertEqual(await self.commit(plain), [Stored(1, 1, copy=1)])
        named = await self.inbox.claim(READER, None, device=LAPTOP)
        sent = draft(
            *("x", A, READER), device=LAPTOP, generation=named.generation, sending=named.generation
        )
        self.assertEqual(await self.commit(sent), [Stored(2, 2, copy=2)])
        copies = await self.inbox.read(READER, 0, 9)
        self.assertEqual([(copy.to, copy.device) for copy in copies], [(A, ""), (A, LAPTOP)])

    async def test_one_who_only_sends(self) -> None:
        """A script that sends would fill its user's inbox with copies."""
        await self.begin()
        await self.claim(PHONE)
        script = await self.inbox.claim_device(READER, LAPTOP)
        sent = draft(to=A, sender=READER, device=LAPTOP, n=1, sending=script.generation)
        self.assertEqual(
            await self.commit(sent, draft(to=A, sender=READER)), [Stored(1, 1), Stored(2, 2)]
        )
        sent = draft(to=A, sender=READER, device=LAPTOP, n=2, sending=script.generation)
        self.assertEqual(await self.commit(draft(), sent), [Stored(1, 1), Stored(3, 3)])
        self.assertEqual((await self.ids(), await self.registered()), ([1], {PHONE}))

    async def test_message_to_oneself(self) -> None:
        """A note to oneself would be there twice."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        (stored,) = await self.commit(from_device(PHONE, phone, to=READER))
        self.assertEqual(stored, Stored(1, 1))
        (message,) = await self.inbox.read(READER, 0, 9)
        self.assertEqual((message.to, message.device), (0, ""))

    async def test_no_copy_of_what_was_not_stored(self) -> None:
        """A message that is sent again, or was refused, would be shown at the user's other devices (P4)."""
        await self.begin(InboxLimits(share=1))
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        first = from_device(PHONE, phone, n=1)
        self.assertEqual(await self.commit(first, first), [Stored(1, 1, copy=1), Duplicate(1, 1)])
        self.assertEqual(await self.commit(from_device(PHONE, phone, n=2)), [Full(1, True)])
        self.assertEqual(await self.ids(), [1])

    async def test_copies_are_not_counted(self) -> None:
        """What a user writes would fill the own inbox, or count as waiting."""
        await self.begin(InboxLimits(waiting=2, share=9))
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        for to in (A, OTHER):
            for _ in range(2):
                await self.commit(from_device(PHONE, phone, to=to))
        self.assertEqual((await self.inbox.count(READER), await self.ids()), (0, [1, 2, 3, 4]))
        self.assertEqual(await self.inbox.backlogs(READER), [])
        stored = await self.commit(draft(at=5), draft(at=6), draft())
        self.assertEqual(stored, [Stored(5, 1), Stored(6, 2), Full(2, False)])
        self.assertEqual(await self.inbox.backlogs(READER), [Backlog(READER, 2, 6, 5)])
        claim = await self.claim(LAPTOP)
        self.assertEqual((claim.waiting, claim.begin, claim.last_id), (2, 0, 6))
        await self.passed(DESK, desk, 5)
        self.assertEqual((await self.inbox.count(READER), await self.inbox.total()), (1, 1 + 4))
        self.assertEqual(await self.inbox.purge(READER, 9), 1)
        self.assertEqual((await self.inbox.count(READER), await self.inbox.total()), (0, 4))

    async def test_counted_between_copies(self) -> None:
        """An inbox would seem full or empty, because copies lie between what was acknowledged and what was not."""
        await self.begin()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        for _ in range(3):
            await self.commit(draft(), from_device(PHONE, phone))
        for up_to, waiting in ((1, 2), (2, 2), (3, 1), (4, 1), (5, 0), (6, 0)):
            await self.passed(DESK, desk, up_to)
            self.assertEqual(await self.inbox.count(READER), waiting, up_to)
        self.assertEqual(await self.inbox.backlogs(READER), [])

    async def test_counted_after_all_were_forgotten(self) -> None:
        """An inbox would seem fuller than it is, because no device was there to count from."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        await self.commit(draft(), from_device(PHONE, phone), draft())
        first, _, _ = await self.serials()
        for device in (PHONE, DESK):
            await self.inbox.forget(READER, device)
        claim = await self.claim(LAPTOP, 1, first)
        self.assertEqual((claim.begin, claim.waiting), (1, 1))
        self.assertEqual(await self.inbox.count(READER), 1)

    async def test_passing_over(self) -> None:
        """What a device sent itself would be kept for it, or what it was not shown count as shown."""
        await self.begin()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.commit(draft(), from_device(PHONE, phone), from_device(PHONE, phone))
        await self.passed(PHONE, phone, 3, shown=1)
        await self.passed(DESK, desk, 2)
        self.assertEqual(await self.ids(), [3])
        await self.passed(DESK, desk, 3)
        self.assertEqual(await self.ids(), [])
        claim = await self.claim(PHONE)
        self.assertEqual((claim.begin, claim.acknowledged), (3, 3))

    async def test_copies_end(self) -> None:
        """Who acknowledges nothing, and comes again whenever forgotten, would fill the store with copies (P8)."""
        await self.begin(InboxLimits(device_backlog=5, share=99, waiting=999))
        await self.commit(draft())
        for _ in range(9):
            phone = await self.claim(PHONE)
            await self.claim(DESK)
            outcomes = await self.commit(*[from_device(PHONE, phone) for _ in range(4)])
            self.assertIsInstance(outcomes[-1], Stored)
        self.assertEqual(await self.ids(), [1, 2, 3, 4, 5, 6])

    async def test_copies_for_nobody(self) -> None:
        """Copies would be kept though no device is there any more."""
        await self.begin()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.commit(from_device(PHONE, phone))
        await self.passed(PHONE, phone, 1, shown=0)
        self.assertEqual(await self.ids(), [1])
        await self.left(DESK, desk)
        await self.inbox.forget(READER, DESK)
        await self.commit(from_device(PHONE, phone))
        self.assertEqual(await self.ids(), [])
        self.assertEqual(await self.ids(A), [1, 2])
