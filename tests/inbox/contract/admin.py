"""What an administrator asks of a store."""

from __future__ import annotations

from chatsvc.inbox.interface import Backlog
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Full, Removal, Stored
from tests.inbox.contract.case import StoreCase
from tests.inbox.fixtures import OTHER, READER, B, draft


class AdminContract(StoreCase):
    """What an administrator asks of a store."""

    async def test_total(self) -> None:
        """Those who watch over the server would see another number than that of the messages that wait."""
        await self.begin()
        self.assertEqual(await self.inbox.total(), 0)
        await self.commit(draft(), draft(), draft(to=B))
        claim = await self.inbox.claim(READER, None)
        self.assertEqual(await self.inbox.total(), 3)
        await self.inbox.commit([], [Removal(READER, claim.generation, 1)])
        self.assertEqual(await self.inbox.total(), 2)
        await self.inbox.purge(READER, 9)
        self.assertEqual(await self.inbox.total(), 1)

    async def test_backlogs(self) -> None:
        """An admin would not see for whom something waits, how much, or since when."""
        await self.begin()
        self.assertEqual(await self.inbox.backlogs(None), [])
        self.assertEqual(await self.inbox.backlogs(READER), [])
        await self.commit(draft(at=5), draft(at=6), draft(at=7), draft(to=OTHER, at=8))
        await self.acknowledge(1)
        found = [Backlog(READER, 2, 3, 6), Backlog(OTHER, 1, 1, 8)]
        self.assertEqual(await self.inbox.backlogs(None), found)
        self.assertEqual(await self.inbox.backlogs(OTHER), found[1:])
        await self.acknowledge(3)
        self.assertEqual(await self.inbox.backlogs(None), found[1:])

    async def test_purge(self) -> None:
        """An admin could not remove what waits, or would remove more, or give an id out again."""
        await self.begin()
        await self.commit(*[draft(to=to) for to in (READER, READER, READER, OTHER)])
        self.assertEqual(await self.inbox.purge(READER, 2), 2)
        self.assertEqual(await self.inbox.purge(READER, 2), 0)
        self.assertEqual(await self.ids(), [3])
        self.assertEqual(await self.inbox.purge(READER, 2**53 - 1), 1)
        self.assertEqual(await self.inbox.backlogs(None), await self.inbox.backlogs(OTHER))
        self.assertEqual(await self.commit(draft()), [Stored(4, 1)])
        self.assertEqual(await self.inbox.purge(12345, 9), 0)

    async def test_purge_under_a_reader(self) -> None:
        """Who reads meanwhile would lose the hold on the inbox, or a sender keep the used-up share."""
        await self.begin(InboxLimits(share=2))
        claim = await self.inbox.claim(READER, None)
        await self.commit(draft(), draft())
        self.assertEqual(await self.commit(draft()), [Full(2, True)])
        await self.inbox.purge(READER, 1)
        self.assertEqual(await self.commit(draft(), draft()), [Stored(3, 2), Stored(4, 3)])
        await self.inbox.purge(READER, 3)
        removal = Removal(READER, claim.generation, 2)
        self.assertEqual(await self.commit(draft(), removals=[removal]), [Stored(5, 2)])
        self.assertEqual((self.refused, await self.ids()), ([], [4, 5]))
        again = await self.inbox.claim(READER, 5)
        self.assertEqual((again.epoch, again.last_id), (claim.epoch, 5))

    async def test_about(self) -> None:
        """An admin would not be told what the store is."""
        await self.begin()
        self.assertRegex(await self.inbox.about(), r"^(SQLite|Redis|Valkey) \d+\.\d+")
