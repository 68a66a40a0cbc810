"""Registered devices: positions of their own, claims, and what comes late."""

from __future__ import annotations

from chatsvc.inbox.claim import NotRegistered
from chatsvc.inbox.interface import Backlog
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Full, Moved, Removal, Stored, Unregistered
from tests.inbox.contract.case import StoreCase
from tests.inbox.fixtures import DESK, LAPTOP, OTHER, PHONE, READER, A, draft


class RegisteredContract(StoreCase):
    """Registered devices: positions of their own, claims, and what comes late."""

    async def test_positions_of_their_own(self) -> None:
        """One device would take away what another has not received, or an inbox keep what all have (P2)."""
        await self.begin()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.commit(*[draft() for _ in range(4)])
        await self.passed(PHONE, phone, 3)
        self.assertEqual((self.refused, await self.ids()), ([], [1, 2, 3, 4]))
        await self.passed(DESK, desk, 2)
        self.assertEqual(await self.ids(), [3, 4])
        await self.passed(DESK, desk, 4)
        self.assertEqual(await self.ids(), [4])
        await self.passed(PHONE, phone, 4)
        self.assertEqual((self.refused, await self.ids()), ([], []))
        self.assertEqual(await self.commit(draft()), [Stored(5, 1)])

    async def test_waiting(self) -> None:
        """What a device alone has not received would fill the inbox, or be counted as waiting (P8)."""
        await self.begin(InboxLimits(waiting=3, share=99))
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.commit(draft(at=5), draft(at=6), draft(at=7))
        self.assertEqual(await self.commit(draft()), [Full(3, False)])
        await self.passed(PHONE, phone, 2)
        self.assertEqual((await self.inbox.count(READER), await self.inbox.total()), (1, 1))
        self.assertEqual(await self.inbox.backlogs(None), [Backlog(READER, 1, 3, 7)])
        self.assertEqual(await self.commit(draft(), draft()), [Stored(4, 2), Stored(5, 3)])
        await self.passed(DESK, desk, 1)
        self.assertEqual(await self.commit(draft()), [Full(3, False)])
        claim = await self.claim(DESK)
        self.assertEqual((claim.waiting, claim.last_id, claim.acknowledged), (3, 5, 1))
        await self.passed(PHONE, phone, 5)
        self.assertEqual(await self.inbox.backlogs(None), [])
        self.assertEqual(await self.inbox.total(), 0)

    async def test_shares_begin_anew_at_the_highest_position(self) -> None:
        """A sender would stay stopped though somebody reads, or be let in again by each device (P8)."""
        await self.begin(InboxLimits(share=2))
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.commit(draft(), draft())
        self.assertEqual(await self.commit(draft()), [Full(2, True)])
        await self.passed(PHONE, phone, 1)
        self.assertEqual(await self.commit(draft(), draft()), [Stored(3, 2), Stored(4, 3)])
        await self.passed(DESK, desk, 1)
        self.assertEqual(await self.commit(draft()), [Full(3, True)], "nothing new was read")

    async def test_positions_only_grow(self) -> None:
        """An acknowledgement that comes late would bring back what was received (P7)."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        await self.commit(draft(), draft(), draft())
        await self.passed(PHONE, phone, 2)
        await self.passed(PHONE, phone, 1)
        self.assertEqual(self.refused, [])
        self.assertEqual((await self.claim(PHONE)).begin, 2)

    async def test_removal_beyond_the_end_by_a_device(self) -> None:
        """A device that knows what the store has lost would pass what got the same ids."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.commit(draft())
        await self.passed(PHONE, phone, 2)
        self.assertEqual(len(self.refused), 1)
        self.assertEqual((await self.claim(PHONE)).begin, 0)

    async def test_trim_never_above_what_was_acknowledged(self) -> None:
        """A message would be gone that no device has received, because there is no device any more (P1)."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.commit(*[draft() for _ in range(5)])
        await self.left(PHONE, phone, 2)
        self.assertTrue(await self.inbox.forget(READER, PHONE))
        await self.commit(draft())
        self.assertEqual(await self.ids(), [3, 4, 5, 6])
        claim = await self.claim(DESK)
        self.assertEqual((claim.begin, claim.waiting), (2, 4))

    async def test_unnamed_device_beside_registered_ones(self) -> None:
        """Programs of today would lose messages to a phone, or take them from it (P2)."""
        await self.begin()
        phone = await self.claim(PHONE)
        bot = await self.inbox.claim(READER, None)
        await self.commit(draft(), draft(), draft())
        await self.passed(PHONE, phone, 3)
        self.assertEqual(await self.ids(), [1, 2, 3])
        again = await self.inbox.claim(READER, None)
        self.assertEqual((again.acknowledged, again.begin, again.epoch), (0, 0, bot.epoch))
        await self.passed("", again, 2)
        self.assertEqual((self.refused, await self.ids()), ([], [3]))
        await self.commit(draft())
        await self.passed("", again, 4)
        self.assertEqual(await self.ids(), [4], "the phone has not received it")
        self.assertEqual((await self.claim(PHONE)).waiting, 0)

    async def test_unnamed_device_that_never_came(self) -> None:
        """An inbox would be kept for a device that nobody has."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.commit(draft(), draft())
        await self.passed(PHONE, phone, 2)
        self.assertEqual(await self.ids(), [])
        self.assertEqual((await self.inbox.claim(READER, None)).acknowledged, 2)

    async def test_devices(self) -> None:
        """A user would not see which devices there are, since when, or which are in use."""
        await self.begin()
        self.assertEqual(await self.inbox.devices(READER), [])
        phone = await self.claim(PHONE)
        await self.inbox.claim(READER, None, device=LAPTOP)
        await self.claim(DESK)
        await self.left(PHONE, phone)
        first, second = await self.inbox.devices(READER)
        self.assertEqual((first.device, first.client, first.online), (PHONE, "client 1", False))
        self.assertEqual((second.device, second.online), (DESK, True))
        self.assertLess(abs(first.first - self.time()), 60_000)
        self.assertGreaterEqual(first.last, first.first)
        self.assertEqual(await self.inbox.devices(OTHER), [])

    async def test_devices_after_a_restart(self) -> None:
        """A device would be forgotten, lose its place, or seem to be logged in, because the server was restarted."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.commit(draft(), draft())
        await self.passed(PHONE, phone, 1)
        await self.begin()
        claim = await self.claim(PHONE)
        self.assertEqual((claim.begin, claim.last_id), (1, 2))
        self.assertGreater(claim.generation, phone.generation)

    async def test_take_over_of_a_device(self) -> None:
        """An older session of a device could pass what the newer one has not received (P7)."""
        await self.begin()
        before = await self.claim(PHONE)
        desk = await self.claim(DESK)
        await self.commit(draft(), draft())
        now = await self.claim(PHONE)
        await self.passed(PHONE, before, 2)
        self.assertEqual(len(self.refused), 1)
        late = draft(sender=READER, to=A, device=PHONE, registered=True, sending=before.generation)
        self.assertEqual(await self.commit(late), [Moved()])
        await self.passed(PHONE, now, 2)
        await self.passed(DESK, desk, 1)
        self.assertEqual((self.refused, await self.ids()), ([], [2]), "the other device goes on")

    async def test_take_over_by_the_same_device_without_registration(self) -> None:
        """Two sessions of one device would number its messages, each from where it stands (P1)."""
        await self.begin()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.commit(draft())
        bot = await self.inbox.claim(READER, None, device=PHONE)
        await self.passed(PHONE, phone, 1)
        self.assertEqual((len(self.refused), self.forgotten), (1, []))
        late = draft(sender=READER, to=A, device=PHONE, registered=True, sending=phone.generation)
        self.assertEqual(await self.commit(late), [Moved()])
        self.assertEqual(await self.registered(), {PHONE, DESK}, "it stays registered")
        await self.passed("", bot, 1)
        await self.passed(DESK, desk, 1)
        self.assertEqual((self.refused, await self.ids()), ([], [1]))
        self.assertEqual((await self.claim(PHONE)).begin, 0)

    async def test_take_over_by_the_same_device_with_registration(self) -> None:
        """A program's older version would go on beside the newer one, under the same numbers (P1)."""
        await self.begin()
        bot = await self.inbox.claim(READER, None, device=PHONE)
        await self.commit(draft())
        await self.claim(PHONE)
        await self.passed("", bot, 1)
        self.assertEqual((len(self.refused), await self.ids()), (1, [1]))
        other = await self.inbox.claim(READER, None, device=DESK)
        await self.claim(PHONE)
        await self.passed("", other, 1)
        self.assertEqual(self.refused, [], "another device does not disturb it")

    async def test_removal_of_an_unregistered_device(self) -> None:
        """A session would go on for ever whose acknowledgements count for nothing."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        await self.commit(draft(), draft())
        await self.inbox.forget(READER, PHONE)
        await self.passed(PHONE, phone, 2)
        self.assertEqual(self.forgotten, [(READER, PHONE)])
        await self.inbox.forget(READER, DESK)
        await self.passed(PHONE, phone, 2)
        self.assertEqual(self.forgotten, [(READER, PHONE)], "also where there is no device at all")
        other = await self.claim(PHONE, uid=OTHER)
        await self.inbox.forget(OTHER, PHONE)
        await self.passed(PHONE, other, 0, uid=OTHER)
        self.assertEqual(self.forgotten, [(OTHER, PHONE)])
        self.assertEqual((await self.ids(), await self.inbox.count(READER)), ([1, 2], 2))

    async def test_message_of_an_unregistered_device(self) -> None:
        """A device that was forgotten could go on writing."""
        await self.begin()
        phone = await self.claim(PHONE, uid=A)
        mine = draft(device=PHONE, n=1, registered=True, sending=phone.generation)
        self.assertEqual(await self.commit(mine), [Stored(1, 1)])
        await self.inbox.forget(A, PHONE)
        late = draft(device=PHONE, n=2, registered=True, sending=phone.generation)
        self.assertEqual(await self.commit(late), [Unregistered()])
        self.assertEqual(self.forgotten, [(A, PHONE)])
        self.assertEqual(await self.ids(), [1])

    async def test_forgotten_and_registered_again(self) -> None:
        """What comes late from before a device was forgotten would count for the same device of now (P7)."""
        await self.begin()
        before = await self.claim(PHONE)
        await self.commit(draft(), draft(), draft())
        await self.passed(PHONE, before, 1)
        await self.inbox.forget(READER, PHONE)
        now = await self.claim(PHONE)
        self.assertGreater(now.generation, before.generation)
        self.assertEqual(now.begin, 1)
        await self.passed(PHONE, before, 3)
        self.assertEqual((len(self.refused), self.forgotten), (1, []))
        late = draft(sender=READER, to=A, device=PHONE, registered=True, sending=before.generation)
        self.assertEqual(await self.commit(late), [Moved()])
        self.assertEqual(await self.ids(), [2, 3])

    async def test_renewed_claim(self) -> None:
        """A session that claims anew would lose its device's place, or pass what it was only handed (P2)."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.commit(draft(), draft(), draft())
        serials = await self.serials()
        await self.passed(PHONE, phone, 1)
        renewed = await self.claim(PHONE, 3, serials[2], renewed=phone.generation)
        self.assertGreater(renewed.generation, phone.generation)
        self.assertEqual((await self.ids(), await self.inbox.count(READER)), ([2, 3], 2))
        await self.passed(PHONE, renewed, 2)
        self.assertEqual((self.refused, await self.ids()), ([], [3]))

    async def test_renewed_claim_of_a_forgotten_device(self) -> None:
        """A session that was to end would register its device again."""
        await self.begin()
        phone = await self.claim(PHONE)
        await self.inbox.forget(READER, PHONE)
        with self.assertRaises(NotRegistered):
            await self.claim(PHONE, renewed=phone.generation)
        self.assertEqual(await self.registered(), set())

    async def test_generations_never_go_back(self) -> None:
        """What comes late would pass for something new, because its generation was given out twice."""
        await self.begin()
        taken = []
        for _ in range(2):
            taken.append((await self.claim(PHONE)).generation)
            taken.append((await self.inbox.claim(READER, None)).generation)
            taken.append((await self.inbox.claim_device(READER, LAPTOP)).generation)
            await self.inbox.forget(READER, PHONE)
            await self.pass_days_for_devices(400)
        taken.append((await self.claim(DESK)).generation)
        await self.begin()
        taken.append((await self.claim(PHONE)).generation)
        self.assertEqual(sorted(set(taken)), taken)

    async def test_purge_with_devices(self) -> None:
        """An admin could not remove what waits, because one device has not received it, or its session would end."""
        await self.begin()
        phone, desk = await self.claim(PHONE), await self.claim(DESK)
        await self.commit(*[draft() for _ in range(4)])
        await self.passed(PHONE, phone, 1)
        self.assertEqual(await self.inbox.purge(READER, 3), 2)
        self.assertEqual((await self.ids(), await self.inbox.count(READER)), ([4], 1))
        await self.passed(DESK, desk, 2)
        await self.passed(PHONE, phone, 4)
        self.assertEqual((self.refused, await self.ids()), ([], [4]))
        await self.passed(DESK, desk, 4)
        self.assertEqual(await self.ids(), [])

    async def test_days_with_devices(self) -> None:
        """What has waited too long would be kept for a device that does not come, or gone for one that does."""
        await self.begin(InboxLimits(days=7))
        phone = await self.claim(PHONE)
        await self.claim(DESK)
        await self.commit(draft("1", at=self.time()), draft("2", at=self.time()))
        await self.passed(PHONE, phone, 1)
        await self.pass_days(8)
        await self.commit(draft("3", at=self.time()))
        claim = await self.claim(DESK)
        self.assertEqual((claim.expired, claim.waiting, claim.last_id), (1, 1, 3))
        self.assertEqual(await self.texts(), ["3"])
        self.assertEqual((await self.claim(PHONE)).waiting, 1)

    async def test_one_device_as_ever(self) -> None:
        """A removal for the unnamed device would be taken for a registered one's, or the other way round."""
        await self.begin()
        phone, bot = await self.claim(PHONE), await self.inbox.claim(READER, None)
        await self.commit(draft())
        wrong = Removal(READER, phone.generation, 1)
        await self.commit(removals=[wrong])
        self.assertEqual(self.refused, [wrong])
        await self.passed(PHONE, bot, 1)
        self.assertEqual((len(self.refused), await self.ids()), (1, [1]))
