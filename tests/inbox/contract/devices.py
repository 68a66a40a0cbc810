"""Numbered messages, and the devices that send them."""

from __future__ import annotations

from chatsvc.inbox.limits import DEVICES, DIGESTS, MOST_DEVICES, InboxLimits
from chatsvc.inbox.outcome import Draft, Duplicate, Full, Gap, Moved, Removal, Stored
from tests.inbox.contract.case import StoreCase
from tests.inbox.fixtures import DEVICE, OTHER, READER, A, B, draft


class DevicesContract(StoreCase):
    """Numbered messages, and the devices that send them."""

    async def test_numbered(self) -> None:
        """A message that is sent again would be stored twice, or a missing one not be noticed (P1)."""
        await self.begin()

        def numbered(n: int) -> Draft:
            return draft(f"{n}", device=DEVICE, n=n)

        self.assertEqual(await self.commit(numbered(2)), [Gap(1)])
        self.assertEqual(await self.commit(numbered(1), numbered(2)), [Stored(1, 1), Stored(2, 2)])
        self.assertEqual(await self.commit(numbered(2)), [Duplicate(2, 2)])
        self.assertEqual(await self.commit(numbered(1)), [Duplicate(None, 2)])
        self.assertEqual(await self.commit(numbered(4)), [Gap(3)])
        self.assertEqual(await self.commit(numbered(2**53 - 1)), [Gap(3)])
        self.assertEqual(await self.texts(), ["1", "2"])
        await self.acknowledge(2)
        self.assertEqual(await self.commit(numbered(2)), [Duplicate(2, 0)])
        self.assertEqual(await self.commit(numbered(3)), [Stored(3, 1)])

    async def test_asked_again(self) -> None:
        """A question for what was stored would store it once more when its device is forgotten."""
        await self.begin()

        def asked(n: int, again: bool = True) -> Draft:
            return draft(device=DEVICE, n=n, again=again)

        self.assertEqual(await self.commit(asked(1)), [Gap(1)])
        self.assertEqual(
            await self.commit(asked(1, False), asked(1)), [Stored(1, 1), Duplicate(1, 1)]
        )
        self.assertEqual(await self.commit(asked(2)), [Gap(2)])
        self.assertEqual(await self.commit(asked(2, False)), [Stored(2, 2)])
        self.assertEqual(await self.commit(asked(1)), [Duplicate(None, 2)])
        await self.pass_days_for_devices(2)
        for i in range(DEVICES):
            await self.commit(draft(device=f"{i:016x}", n=1))
        self.assertEqual(await self.commit(asked(1), asked(2)), [Gap(1), Gap(1)])
        self.assertEqual(await self.inbox.count(READER), 2 + DEVICES)

    async def test_numbers_are_counted_apart(self) -> None:
        """Two devices, senders or recipients would share their numbers."""
        await self.begin()
        self.assertEqual(
            await self.commit(
                draft(device=DEVICE, n=1),
                draft(device="f" * 32, n=1),
                draft(device=DEVICE, n=1, sender=B),
                draft(device=DEVICE, n=1, to=OTHER),
                draft(),
                draft(device=DEVICE, n=2),
            ),
            [
                Stored(1, 1),
                Stored(2, 2),
                Stored(3, 3),
                Stored(1, 1),
                Stored(4, 4),
                Stored(5, 5),
            ],
        )

    async def test_large_request_numbers(self) -> None:
        """Two large numbers next to each other would be taken for one."""
        await self.begin()
        self.assertEqual(await self.commit(draft(device=DEVICE, n=1)), [Stored(1, 1)])
        for n in (2**53 - 1, 2**53 - 2, 10**15):
            self.assertEqual(await self.commit(draft(device=DEVICE, n=n)), [Gap(2)])

    async def test_ninth_device(self) -> None:
        """A sender's devices would grow without end, or a device in use be forgotten."""
        await self.begin()
        devices = [f"{i:016x}" for i in range(DEVICES + 1)]
        for device in devices[:DEVICES]:
            await self.commit(draft(device=device, n=1))
        await self.pass_days_for_devices(2)
        # The first is used once more, so that the second is now the oldest.
        await self.commit(draft(device=devices[0], n=2))
        await self.commit(draft(device=devices[DEVICES], n=1))
        last = DEVICES + 2
        self.assertEqual(await self.commit(draft(device=devices[1], n=2)), [Gap(1)])
        for device, n in ((devices[0], 3), *((d, 2) for d in devices[2:])):
            last += 1
            self.assertEqual(
                await self.commit(draft(device=device, n=n)), [Stored(last, last)], device
            )

    async def test_devices_in_use(self) -> None:
        """A message on its way would be stored twice, because eight other devices were used meanwhile."""
        await self.begin(InboxLimits(waiting=9999, share=9999))
        first = draft(device=DEVICE, n=1)
        await self.commit(first)
        for i in range(MOST_DEVICES - 1):
            await self.commit(draft(device=f"{i:016x}", n=1))
        (again,) = await self.commit(first)
        self.assertIsInstance(again, Duplicate)
        await self.commit(draft(device="f" * 16, n=1))
        (forgotten,) = await self.commit(first)
        self.assertIsInstance(forgotten, Stored, "there is a bound all the same")

    async def test_device_of_long_ago(self) -> None:
        """A device that was not used for a month would be remembered for ever."""
        await self.begin()
        await self.commit(draft(device=DEVICE, n=1))
        await self.pass_days_for_devices(31)
        await self.commit(draft(device="f" * 16, n=1))
        self.assertEqual(await self.commit(draft(device=DEVICE, n=2)), [Gap(1)])

    async def test_another_text(self) -> None:
        """A sender whose state is older than the store's would be told that what nobody has was stored (P1)."""
        await self.begin()
        numbers = range(1, DIGESTS + 3)
        await self.commit(*[draft(f"{n}", device=DEVICE, n=n) for n in numbers])
        last = numbers[-1]
        oldest = last - DIGESTS + 1
        for n in (last, last - 1, oldest):
            (other,) = await self.commit(draft("other", device=DEVICE, n=n))
            self.assertEqual(other, Gap(last + 1), n)
            (same,) = await self.commit(draft(f"{n}", device=DEVICE, n=n))
            self.assertIsInstance(same, Duplicate, n)
        (asked,) = await self.commit(draft("other", device=DEVICE, n=last, again=True))
        self.assertEqual(asked, Gap(last + 1))
        (too_old,) = await self.commit(draft("other", device=DEVICE, n=oldest - 1))
        self.assertIsInstance(too_old, Duplicate, "whose text nobody remembers")
        self.assertEqual(await self.inbox.count(READER), last)

    async def test_number_that_was_given_back(self) -> None:
        """
        A late message of a session that ended would be stored under a number that was refused since.

        The next text under that number would then be taken for a repetition (P1)."""
        await self.begin(InboxLimits(share=1))
        before = await self.inbox.claim_device(A, DEVICE)
        await self.commit(draft())
        now = await self.inbox.claim_device(A, DEVICE)
        self.assertGreater(now.generation, before.generation)
        late = draft("A", device=DEVICE, n=1, sending=before.generation)
        new = draft("B", device=DEVICE, n=1, sending=now.generation)
        self.assertEqual(await self.commit(new), [Full(1, True)])
        await self.acknowledge(1)
        self.assertEqual(await self.commit(late), [Moved()])
        self.assertEqual(await self.commit(new), [Stored(2, 1)])
        self.assertEqual(await self.commit(late), [Moved()])
        self.assertEqual(await self.texts(), ["B"])

    async def test_generations_of_devices(self) -> None:
        """A log-in would stop what other devices or users send, or not what its own did, or fall behind."""
        await self.begin()
        device = await self.inbox.claim_device(A, DEVICE)
        other = await self.inbox.claim_device(A, "f" * 16)
        stranger = await self.inbox.claim_device(B, DEVICE)
        reader = await self.inbox.claim(A, None, device="e" * 16)
        taken = [device.generation, other.generation, reader.generation]
        self.assertEqual(sorted(set(taken)), taken, "one counter for all of a user's")
        mine = draft(device=DEVICE, n=1, sending=device.generation)
        theirs = draft(device=DEVICE, n=1, sender=B, sending=stranger.generation)
        self.assertEqual(await self.commit(mine, theirs), [Stored(1, 1), Stored(2, 2)])
        await self.inbox.claim(A, None, device=DEVICE)
        self.assertEqual(await self.commit(mine), [Moved()])
        removal = Removal(A, reader.generation, 0)
        await self.commit(removals=[removal])
        self.assertEqual(self.refused, [removal])

    async def test_claim_of_a_device_takes_nothing_over(self) -> None:
        """Who only sends would stop somebody who reads from acknowledging."""
        await self.begin()
        reader = await self.inbox.claim(READER, None)
        await self.commit(draft(), draft())
        claim = await self.inbox.claim_device(READER, DEVICE)
        self.assertEqual(claim.waiting, 2)
        await self.commit(removals=[Removal(READER, reader.generation, 1)])
        self.assertEqual((self.refused, await self.ids()), ([], [2]))

    async def test_generation_that_was_lost(self) -> None:
        """A store that has lost a log-in would refuse all that this session says, or obey an older one."""
        await self.begin()
        await self.inbox.claim_device(A, DEVICE)
        self.assertEqual(await self.commit(draft(device=DEVICE, n=1, sending=7)), [Stored(1, 1)])
        self.assertEqual(await self.commit(draft(device=DEVICE, n=2, sending=6)), [Moved()])
        self.assertGreater((await self.inbox.claim_device(A, DEVICE)).generation, 7)
