"""How much an inbox takes, and for how long."""

from __future__ import annotations

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Duplicate, Full, Stored
from tests.inbox.contract.case import StoreCase
from tests.inbox.fixtures import DAY, DEVICE, READER, B, draft


class LimitsContract(StoreCase):
    """How much an inbox takes, and for how long."""

    async def test_full(self) -> None:
        """An inbox would grow past its limit, drop something, or use a number up (P8)."""
        await self.begin(InboxLimits(waiting=3, share=100))
        outcomes = await self.commit(*[draft(f"{i}", sender=i) for i in range(1, 6)])
        self.assertEqual(
            outcomes, [Stored(1, 1), Stored(2, 2), Stored(3, 3), Full(3, False), Full(3, False)]
        )
        self.assertEqual(await self.texts(), ["1", "2", "3"])
        refused = draft(device=DEVICE, n=1)
        self.assertEqual(await self.commit(refused), [Full(3, False)])
        await self.acknowledge(1)
        self.assertEqual(await self.commit(refused), [Stored(4, 3)])
        self.assertEqual(await self.commit(refused), [Duplicate(4, 3)], "known though full")

    async def test_share(self) -> None:
        """One sender could fill an inbox for all others, or would be stopped for good (P8)."""
        await self.begin(InboxLimits(waiting=100, share=2))
        outcomes = await self.commit(draft(), draft(), draft(), draft(sender=B))
        self.assertEqual(outcomes, [Stored(1, 1), Stored(2, 2), Full(2, True), Stored(3, 3)])
        await self.acknowledge(1)
        self.assertEqual(
            await self.commit(draft(), draft(), draft()),
            [Stored(4, 3), Stored(5, 4), Full(4, True)],
        )
        await self.acknowledge(1)
        self.assertEqual(await self.commit(draft()), [Full(4, True)], "nothing new was read")

    async def test_share_keeps_devices(self) -> None:
        """A sender's numbers would begin anew when the share does."""
        await self.begin(InboxLimits(waiting=100, share=2))
        await self.commit(draft(device=DEVICE, n=1), draft())
        await self.acknowledge(2)
        await self.commit(draft())
        self.assertEqual(await self.commit(draft(device=DEVICE, n=2)), [Stored(4, 2)])

    async def test_days(self) -> None:
        """Messages would go too early, never, or without having waited."""
        await self.begin(InboxLimits(waiting=4, share=99, days=7))
        await self.commit(draft("1", at=self.time()), draft("2", at=self.time()))
        await self.pass_days(3)
        await self.commit(draft("3", at=self.time()), draft("4", at=self.time()))
        await self.pass_days(3.9)
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.waiting, claim.expired), (4, 0), "nothing goes before it must")
        await self.pass_days(0.2)
        committed = await self.inbox.commit([draft("5", at=self.time())], [])
        self.assertEqual((committed.outcomes, committed.expired), ([Stored(5, 3)], 2))
        self.assertEqual(await self.texts(), ["3", "4", "5"])
        await self.pass_days(7.1)
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.last_id, claim.waiting, claim.expired), (5, 0, 3))
        self.assertEqual(await self.commit(draft("6", at=self.time())), [Stored(6, 1)])

    async def test_clock_of_a_node(self) -> None:
        """A node whose clock is wrong would have messages deleted that are a second old, or kept for ever."""
        await self.begin(InboxLimits(days=7))
        await self.commit(draft("from the past", at=1000), draft("now", at=self.time()))
        self.assertEqual((await self.inbox.claim(READER, None)).expired, self.believes_nodes)
        await self.commit(draft("from the future", at=self.time() + 100 * DAY * 1000))
        await self.pass_days(8)
        claim = await self.inbox.claim(READER, None)
        self.assertEqual(claim.waiting, self.believes_nodes)

    async def test_many_days(self) -> None:
        """Of a large inbox that is too old only a part would go."""
        await self.begin(InboxLimits(waiting=1000, share=1000, days=1))
        for _ in range(3):
            await self.commit(*[draft(at=self.time()) for _ in range(100)])
        await self.pass_days(2)
        await self.commit(draft(at=self.time()))
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.last_id, claim.waiting), (301, 1))

    async def test_without_days(self) -> None:
        """A message that nobody read for years would be dropped."""
        await self.begin(InboxLimits(waiting=1, share=99))
        await self.commit(draft(at=1))
        self.assertEqual(await self.commit(draft()), [Full(1, False)])
        self.assertEqual((await self.inbox.claim(READER, None)).waiting, 1)
