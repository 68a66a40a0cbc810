"""Messages in inboxes that answer, edit or retract earlier ones."""

from __future__ import annotations

from chatsvc.inbox.interface import Backlog
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Draft, Duplicate, Full, Gap, Moved, Outcome, Stored, Unregistered
from chatsvc.wire.entries import Reference
from chatsvc.wire.events import Message
from tests.inbox.contract.case import StoreCase
from tests.inbox.contract.copies import from_device
from tests.inbox.fixtures import DAY, DESK, DEVICE, LAPTOP, OTHER, PHONE, READER, A, B, draft

REPLY, EDIT, RETRACTION = (
    Reference("reply", 1_763_888_424_123_000),
    Reference("edited", 1_763_888_424_123_010),
    Reference("retracted", 1_763_888_424_123_020),
)
ALL = (REPLY, EDIT, RETRACTION)
CHANGES = (EDIT, RETRACTION)
ALL_AGAIN = (REPLY, EDIT, Reference("retracted", 1_763_888_424_123_030))
"""What is retracted once is not retracted again."""


class ReferencesContract(StoreCase):
    """Messages in inboxes that answer, edit or retract earlier ones."""

    def said_serial(self, outcome: Outcome) -> int:
        """The serial under which a message was stored."""
        assert isinstance(outcome, Stored), outcome
        return outcome.serial

    async def test_answer(self) -> None:
        """Nobody would see what a message answers, or an answer be another message than it was (P1)."""
        await self.begin()
        references = [REPLY, Reference("reply", 1), None, Reference("reply", 2**53 - 1)]
        for at in (0, 4):
            texts = ["你好", "", "\0", "0 a5"]
            outcomes = await self.commit(
                *[
                    Draft(READER, A, "张 三", 7, text, reference=one)
                    for text, one in zip(texts, references, strict=True)
                ]
            )
            self.assertEqual(outcomes, [Stored(id, id) for id in range(at + 1, at + 5)])
            page = (await self.inbox.read(READER, 0, 9))[at:]
            self.assertEqual(
                page,
                [
                    Message(at + place, A, "张 三", 7, text, mark=one)
                    for place, (text, one) in enumerate(zip(texts, references, strict=True), 1)
                ],
            )
            self.assertEqual(
                [one.serial for one in page], [self.said_serial(one) for one in outcomes]
            )
            await self.claim(PHONE)
        await self.begin()
        marks = [message.mark for message in await self.inbox.read(READER, 0, 9)]
        self.assertEqual(marks, references * 2)

    async def test_answer_of_anybody(self) -> None:
        """An answer would be lost that is not for a usual uid, as of a user who is nobody's copy."""
        await self.begin()
        for to in (1, -1, -7, 2**53 - 1):
            await self.commit(draft("x", to, reference=REPLY))
            (message,) = await self.inbox.read(to, 0, 9)
            self.assertEqual((message.to, message.device, message.mark), (0, "", REPLY))

    async def test_change_for_no_device(self) -> None:
        """A program that knows of no changes would be sent them, or wait for ids that never come."""
        await self.begin()
        await self.commit(draft("before"))
        for one in CHANGES:
            (stored,) = await self.commit(draft("new", reference=one))
            self.assertEqual(stored, Stored(0, 1))
            self.assertGreater(self.said_serial(stored), (await self.serials())[-1])
        self.assertEqual((await self.texts(), await self.inbox.count(READER)), (["before"], 1))
        await self.inbox.claim(READER, None, device=DEVICE)
        (stored,) = await self.commit(draft("new", reference=EDIT))
        self.assertEqual(stored, Stored(0, 1), "the unnamed device alone is none")
        self.assertEqual(await self.commit(draft("after")), [Stored(2, 2)])
        self.assertEqual(await self.commit(draft(to=OTHER, reference=EDIT)), [Stored(0, 0)])
        self.assertEqual((await self.ids(OTHER), await self.inbox.count(OTHER)), ([], 0))
        self.assertEqual(await self.inbox.backlogs(OTHER), [])
        self.assertEqual(await self.inbox.total(), 2)

    async def test_change_for_a_device(self) -> None:
        """A device would not be told of a change that was made while it was away, or not as it was made."""
        await self.begin()
        claim = await self.claim(PHONE)
        await self.left(PHONE, claim)
        outcomes = await self.commit(
            draft("before"),
            draft("你好", at=7, reference=EDIT),
            draft("", at=8, reference=RETRACTION),
        )
        self.assertEqual(outcomes, [Stored(1, 1), Stored(2, 2), Stored(3, 3)])
        page = await self.inbox.read(READER, 1, 9)
        self.assertEqual(
            page,
            [
                Message(2, A, "名", 7, "你好", mark=EDIT),
                Message(3, A, "名", 8, "", mark=RETRACTION),
            ],
        )
        self.assertEqual(
            [one.serial for one in page], [self.said_serial(one) for one in outcomes[1:]]
        )
        await self.begin()
        self.assertEqual(await self.inbox.read(READER, 1, 9), page)

    async def test_change_after_the_last_device(self) -> None:
        """Changes would be kept for devices that are not there any more, or not for the one that comes."""
        await self.begin()
        await self.claim(PHONE)
        self.assertEqual(await self.commit(draft(reference=EDIT)), [Stored(1, 1)])
        await self.inbox.forget(READER, PHONE)
        self.assertEqual(await self.commit(draft(reference=EDIT)), [Stored(0, 1)])
        self.assertEqual(await self.commit(draft()), [Stored(2, 2)])
        await self.claim(DESK)
        self.assertEqual(await self.commit(draft(reference=RETRACTION)), [Stored(3, 3)])

    async def test_copies_with_references(self) -> None:
        """A user's desk would not see what the phone answers, edits or retracts (P4)."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        outcomes = await self.commit(
            *[from_device(PHONE, phone, "hi", at=7, reference=one) for one in ALL],
        )
        self.assertEqual(
            outcomes, [Stored(1, 1, copy=1), Stored(0, 1, copy=2), Stored(0, 1, copy=3)]
        )
        page = await self.inbox.read(READER, 0, 9)
        self.assertEqual(
            page,
            [Message(id, READER, "名", 7, "hi", 0, A, PHONE, one) for id, one in enumerate(ALL, 1)],
        )
        self.assertEqual([one.serial for one in page], [self.said_serial(one) for one in outcomes])
        self.assertEqual((await self.inbox.count(READER), await self.ids(A)), (0, [1]))
        await self.begin()
        self.assertEqual(await self.inbox.read(READER, 0, 9), page)

    async def test_copies_to_both(self) -> None:
        """A change would reach only one of the two whose conversation it is."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        await self.claim(LAPTOP, uid=A)
        (stored,) = await self.commit(from_device(PHONE, phone, "new", at=7, reference=EDIT))
        self.assertEqual(stored, Stored(1, 1, copy=1))
        (theirs,), (mine,) = await self.inbox.read(A, 0, 9), await self.inbox.read(READER, 0, 9)
        self.assertEqual(theirs, Message(1, READER, "名", 7, "new", mark=EDIT))
        self.assertEqual(mine, Message(1, READER, "名", 7, "new", 0, A, PHONE, EDIT))
        self.assertEqual(theirs.serial, mine.serial)

    async def test_copies_from_other_sessions(self) -> None:
        """A change at the text dialect would be shown at no device, or that of a script at all of them (P4)."""
        await self.begin()
        await self.claim(PHONE)
        unnamed = await self.inbox.claim(READER, None)
        plain = draft(to=A, sender=READER, generation=unnamed.generation, reference=EDIT)
        self.assertEqual(await self.commit(plain), [Stored(0, 0, copy=1)])
        (copy,) = await self.inbox.read(READER, 0, 9)
        self.assertEqual((copy.to, copy.device, copy.mark), (A, "", EDIT))
        script = await self.inbox.claim_device(READER, LAPTOP)
        sent = draft(
            *("x", A, READER), device=LAPTOP, sending=script.generation, reference=RETRACTION
        )
        self.assertEqual(await self.commit(sent), [Stored(0, 0)])
        self.assertEqual(await self.ids(), [1])

    async def test_change_of_a_message_to_oneself(self) -> None:
        """A change of a note to oneself would be told twice, or at no device."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        sent = [from_device(PHONE, phone, to=READER, reference=one) for one in ALL]
        self.assertEqual(await self.commit(*sent), [Stored(1, 1), Stored(2, 2), Stored(3, 3)])
        page = await self.inbox.read(READER, 0, 9)
        self.assertEqual(
            [(one.to, one.device, one.mark) for one in page], [(0, "", one) for one in ALL]
        )

    async def test_full_for_a_change(self) -> None:
        """Who edits without end would fill an inbox past its limit, or what goes into none be refused (P8)."""
        await self.begin(InboxLimits(waiting=2, share=9))
        await self.commit(draft(), draft(sender=B))
        outcomes = await self.commit(*[draft(reference=one) for one in ALL])
        self.assertEqual(outcomes, [Full(2, False), Stored(0, 2), Stored(0, 2)])
        await self.claim(PHONE)
        for one in ALL_AGAIN:
            self.assertEqual(await self.commit(draft(reference=one)), [Full(2, False)])
        self.assertEqual((await self.ids(), await self.inbox.count(READER)), ([1, 2], 2))
        await self.acknowledge(1)
        self.assertEqual(
            await self.commit(draft(reference=EDIT), draft(reference=EDIT)),
            [Stored(3, 2), Full(2, False)],
        )

    async def test_share_of_changes(self) -> None:
        """A sender would have a share of an inbox for messages and another for changes (P8)."""
        await self.begin(InboxLimits(share=3))
        await self.claim(PHONE)
        self.assertEqual(
            await self.commit(*[draft(reference=one) for one in (*ALL, EDIT)]),
            [Stored(1, 1), Stored(2, 2), Stored(3, 3), Full(3, True)],
        )
        self.assertEqual(await self.commit(draft(sender=B)), [Stored(4, 4)])

    async def test_no_share_of_changes_for_nobody(self) -> None:
        """Who edits much would be refused messages to somebody whose inbox has none of the edits."""
        await self.begin(InboxLimits(share=2))
        changes = (*ALL[1:], *ALL_AGAIN[1:])
        outcomes = await self.commit(draft(), *[draft(reference=one) for one in changes])
        self.assertEqual(outcomes, [Stored(1, 1), *[Stored(0, 1)] * 4])
        self.assertEqual(await self.commit(draft(), draft()), [Stored(2, 2), Full(2, True)])

    async def test_changes_wait(self) -> None:
        """An inbox would seem fuller or emptier than it is, because changes are in it."""
        await self.begin()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        for one, other in zip(ALL, ALL_AGAIN, strict=True):
            mine = from_device(PHONE, phone, reference=other)
            await self.commit(draft(at=5, reference=one), mine)
        self.assertEqual(await self.inbox.count(READER), 3)
        self.assertEqual(await self.inbox.backlogs(READER), [Backlog(READER, 3, 6, 5)])
        for up_to, waiting in ((1, 2), (2, 2), (3, 1), (4, 1), (5, 0), (6, 0)):
            await self.passed(DESK, desk, up_to)
            self.assertEqual(await self.inbox.count(READER), waiting, up_to)
        self.assertEqual(await self.inbox.total(), 1, "A's")
        await self.passed(PHONE, phone, 6, shown=5)
        self.assertEqual(await self.ids(), [])
        claim = await self.claim(LAPTOP)
        self.assertEqual((claim.waiting, claim.last_id, claim.begin), (0, 6, 6))

    async def test_answers_wait_without_devices(self) -> None:
        """An inbox with answers would be counted wrong, or be, as one with devices, never emptied."""
        await self.begin()
        await self.commit(draft(reference=REPLY), draft(), draft(reference=REPLY))
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.waiting, claim.last_id), (3, 3))
        await self.passed("", claim, 2)
        self.assertEqual((await self.ids(), await self.inbox.count(READER)), ([3], 1))
        phone = await self.claim(PHONE)
        self.assertEqual((phone.begin, phone.waiting), (2, 1))
        await self.commit(draft(reference=REPLY))
        await self.passed(PHONE, phone, 3)
        await self.passed("", claim, 4)
        self.assertEqual((await self.ids(), await self.inbox.count(READER)), ([4], 0))
        await self.passed(PHONE, phone, 4)
        self.assertEqual(await self.ids(), [])

    async def test_purge_of_changes(self) -> None:
        """An admin could not empty an inbox, or be told another number than waited."""
        await self.begin()
        await self.claim(PHONE)
        await self.commit(*[draft(reference=one) for one in (None, *ALL)])
        self.assertEqual(await self.inbox.purge(READER, 3), 3)
        self.assertEqual((await self.ids(), await self.inbox.count(READER)), ([4], 1))

    async def test_changes_that_are_too_old(self) -> None:
        """Changes would wait for ever, or be deleted before their time."""
        await self.begin(InboxLimits(days=7))
        await self.claim(PHONE)
        now = self.time()
        await self.commit(*[draft(at=now, reference=one) for one in ALL])
        await self.pass_days(6.9)
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.waiting, claim.expired), (3, 0))
        await self.pass_days(0.2)
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.waiting, claim.expired), (0, 3), DAY)

    async def test_beginning_at_a_change(self) -> None:
        """A device whose last entry is a change would be shown it again, or miss what came after it (P3)."""
        await self.begin()
        await self.claim(PHONE)
        await self.claim(DESK)
        await self.commit(draft(), draft(reference=EDIT), draft(reference=REPLY), draft())
        serials = await self.serials()
        for id in (2, 3):
            claim = await self.claim(PHONE, id, serials[id - 1])
            self.assertEqual((claim.begin, claim.serial, claim.missed), (id, serials[id - 1], None))
        claim = await self.claim(LAPTOP, 9, serials[1] + 5)
        self.assertEqual(claim.begin, 2)

    async def test_answer_that_is_sent_again(self) -> None:
        """An answer that is sent again would be stored twice, or be confirmed as another message (P1)."""
        await self.begin()
        for to in (READER, OTHER):
            if to == OTHER:
                await self.claim(PHONE, uid=to)
            sent = draft("yes", to, device=DEVICE, n=1, reference=REPLY)
            stored, again = await self.commit(sent, sent)
            self.assertEqual((stored, again), (Stored(1, 1), Duplicate(1, 1)))
            assert isinstance(again, Duplicate)
            self.assertEqual(again.serial, self.said_serial(stored))
            other = draft("no", to, device=DEVICE, n=1, reference=REPLY)
            self.assertEqual(await self.commit(other), [Gap(2)])
            third = draft("x", to, device=DEVICE, n=3, reference=REPLY)
            self.assertEqual(await self.commit(third), [Gap(2)])
            asked = draft("no", to, device=DEVICE, n=2, again=True, reference=REPLY)
            self.assertEqual(await self.commit(asked), [Gap(2)])
            (message,) = await self.inbox.read(to, 0, 9)
            self.assertEqual((message.text, message.mark), ("yes", REPLY))

    async def test_who_changes_nothing(self) -> None:
        """A session that was taken over, or a device that was forgotten, would change what its user has said."""
        await self.begin()
        first = await self.claim(PHONE)
        await self.claim(DESK)
        await self.claim(PHONE)
        for one in ALL:
            self.assertEqual(await self.commit(from_device(PHONE, first, reference=one)), [Moved()])
        await self.inbox.forget(READER, PHONE)
        for one in ALL:
            sent = from_device(PHONE, first, reference=one)
            self.assertEqual(await self.commit(sent), [Unregistered()])
        self.assertEqual((await self.ids(), await self.ids(A)), ([], []))

    async def test_changes_in_a_batch(self) -> None:
        """One change's outcome would be another message's, or serials not have the order of the batch."""
        await self.begin()
        await self.claim(PHONE, uid=OTHER)
        outcomes = await self.commit(
            draft("1"),
            draft("2", reference=EDIT),
            draft("3", OTHER, reference=EDIT),
            draft("4", reference=REPLY),
            draft("5", OTHER),
            draft("6", reference=RETRACTION),
            draft("7"),
        )
        self.assertEqual(
            outcomes,
            [
                *(Stored(1, 1), Stored(0, 1), Stored(1, 1), Stored(2, 2)),
                *(Stored(2, 2), Stored(0, 2), Stored(3, 3)),
            ],
        )
        serials = [self.said_serial(one) for one in outcomes]
        self.assertEqual(serials, sorted(set(serials)))
        self.assertEqual(
            (await self.texts(), await self.texts(OTHER)), (["1", "4", "7"], ["3", "5"])
        )

    async def test_device_that_is_too_far_behind(self) -> None:
        """A change would be kept for a device that is about to be forgotten, in one store and not in another."""
        await self.begin(InboxLimits(device_backlog=3))
        await self.claim(PHONE)
        outcomes = await self.commit(*[draft() for _ in range(4)], draft(reference=EDIT))
        self.assertEqual(outcomes[-1], Stored(0, 4))
        self.assertEqual(await self.registered(), set())
