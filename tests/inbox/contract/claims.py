"""Claims of an inbox, removals under them, and epochs."""

from __future__ import annotations

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Removal, Stored
from tests.inbox.contract.case import StoreCase
from tests.inbox.fixtures import OTHER, READER, draft


class ClaimsContract(StoreCase):
    """Claims of an inbox, removals under them, and epochs."""

    async def test_removed_before_appended(self) -> None:
        """In a batch, what is appended could pass for what a removal means, and be removed unread."""
        await self.begin(InboxLimits(waiting=2, share=9))
        claim = await self.inbox.claim(READER, None)
        await self.commit(draft(), draft())
        removal = Removal(READER, claim.generation, 2)
        self.assertEqual(await self.commit(draft(), removals=[removal]), [Stored(3, 1)])
        early = Removal(READER, claim.generation, 4)
        self.assertEqual(await self.commit(draft(), removals=[early]), [Stored(4, 2)])
        self.assertEqual((self.refused, await self.ids()), ([early], [3, 4]))

    async def test_claims(self) -> None:
        """An older log-in could remove what the newer one has not received (P7)."""
        await self.begin()
        await self.commit(draft(), draft(), draft(to=OTHER))
        first = await self.inbox.claim(READER, None)
        second = await self.inbox.claim(READER, None)
        self.assertGreater(second.generation, first.generation)
        other = await self.inbox.claim(OTHER, None)
        stale = Removal(READER, first.generation, 2)
        await self.commit(removals=[stale, Removal(OTHER, other.generation, 1)])
        self.assertEqual(self.refused, [stale])
        self.assertEqual((await self.ids(), await self.ids(OTHER)), ([1, 2], []))
        await self.commit(removals=[Removal(READER, second.generation, 1)])
        self.assertEqual((self.refused, await self.ids()), ([], [2]))

    async def test_removal_of_the_unclaimed(self) -> None:
        """Somebody who never logged in could remove messages."""
        await self.begin()
        await self.commit(draft())
        removal = Removal(READER, 1, 1)
        await self.commit(removals=[removal])
        self.assertEqual((self.refused, await self.ids()), ([removal], [1]))

    async def test_removal_beyond_the_end(self) -> None:
        """An acknowledgement of what the store has lost would remove what got the same ids."""
        await self.begin()
        claim = await self.inbox.claim(READER, None)
        await self.commit(draft(), draft())
        beyond = Removal(READER, claim.generation, 3)
        await self.commit(removals=[beyond])
        self.assertEqual((self.refused, await self.ids()), ([beyond], [1, 2]))

    async def test_removal_again(self) -> None:
        """An acknowledgement that comes twice or late would bring back, or remove, something (P7)."""
        await self.begin()
        await self.commit(draft(), draft(), draft())
        await self.acknowledge(2)
        await self.acknowledge(2)
        await self.acknowledge(1)
        await self.acknowledge(0)
        self.assertEqual(await self.ids(), [3])
        self.assertEqual(await self.commit(draft()), [Stored(4, 2)])

    async def test_epoch(self) -> None:
        """A reader would forget its cursor for nothing, or keep one that no longer counts."""
        await self.begin()
        first = await self.inbox.claim(READER, None)
        await self.commit(draft(), draft())
        for after in (None, 0, 1, 2):
            claim = await self.inbox.claim(READER, after)
            self.assertEqual(claim.epoch, first.epoch, after)
        other = await self.inbox.claim(OTHER, None)
        await self.begin()
        self.assertEqual((await self.inbox.claim(READER, 2)).epoch, first.epoch)
        renewed = await self.inbox.claim(READER, 3)
        self.assertNotEqual(renewed.epoch, first.epoch)
        self.assertEqual((renewed.last_id, renewed.waiting), (2, 2))
        self.assertEqual((await self.inbox.claim(READER, None)).epoch, renewed.epoch)
        self.assertEqual((await self.inbox.claim(OTHER, None)).epoch, other.epoch)
        again = await self.inbox.claim(READER, 2**53 - 1)
        self.assertNotIn(again.epoch, (first.epoch, renewed.epoch))
