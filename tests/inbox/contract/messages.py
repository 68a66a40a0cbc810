"""What an inbox keeps: ids, texts, pages."""

from __future__ import annotations

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import Draft, Duplicate, Full, Gap, Stored
from chatsvc.wire.events import Message
from tests.inbox.contract.case import StoreCase
from tests.inbox.fixtures import DEVICE, OTHER, READER, A, B, draft


class MessagesContract(StoreCase):
    """What an inbox keeps: ids, texts, pages."""

    async def test_nothing(self) -> None:
        """An inbox that was never used would be an error."""
        await self.begin()
        self.assertEqual(await self.commit(), [])
        self.assertEqual(await self.inbox.read(READER, 0, 10), [])
        self.assertEqual(await self.inbox.count(READER), 0)
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.generation, claim.last_id, claim.waiting), (1, 0, 0))
        self.assertNotEqual(claim.epoch, "")

    async def test_ids(self) -> None:
        """Ids would not count 1, 2, 3, … for each inbox (P1)."""
        await self.begin()
        first = await self.commit(draft("a"), draft("b", sender=B), draft("c", to=OTHER))
        self.assertEqual(first, [Stored(1, 1), Stored(2, 2), Stored(1, 1)])
        self.assertEqual(await self.commit(draft("d")), [Stored(3, 3)])
        self.assertEqual(await self.ids(), [1, 2, 3])
        self.assertEqual(await self.texts(OTHER), ["c"])

    async def test_message(self) -> None:
        """A message would not come back as it went in."""
        await self.begin()
        at = 1_763_888_424_123
        await self.commit(Draft(READER, A, "张 三", at, "你好"))
        (message,) = await self.inbox.read(READER, 0, 10)
        self.assertEqual(message, Message(1, A, "张 三", at, "你好"))

    async def test_any_text(self) -> None:
        """A text with unusual characters would be changed, or refused."""
        await self.begin()
        texts = [
            *("\0", "a\0b", "\x7f", "\u2028", "😀" * 2048, "\x01" * 8192, "\r\n\t\x1b[2J", " "),
            *("'\"\\%s?{}[]", "\ufeff", "\U0010ffff", "\ue000", "e\u0301", "1", "007", "1e5"),
            *("null", "true", "x" * 8192, "你" * 2730, "\x85\x9b", "\u202e"),
        ]
        await self.commit(*[draft(text) for text in texts])
        self.assertEqual(await self.texts(), texts)

    async def test_large_numbers(self) -> None:
        """Times and uids would be rounded."""
        await self.begin()
        uids = [1, -1, 2**31 - 1, 2**53 - 1]
        for uid in uids:
            await self.commit(Draft(uid, uid, "n", 1_763_888_424_123, "x"))
            (message,) = await self.inbox.read(uid, 0, 10)
            self.assertEqual((message.sender, message.at), (uid, 1_763_888_424_123))

    async def test_pages(self) -> None:
        """A page would not begin after its id, or be too long."""
        await self.begin()
        await self.commit(*[draft(f"{i}") for i in range(1, 11)])
        for after, limit, ids in (
            *((0, 3, [1, 2, 3]), (3, 3, [4, 5, 6]), (9, 3, [10]), (10, 3, [])),
            *((99, 3, []), (0, 99, list(range(1, 11)))),
        ):
            page = await self.inbox.read(READER, after, limit)
            self.assertEqual([message.id for message in page], ids)

    async def test_count(self) -> None:
        """Somebody would be told a wrong number of waiting messages."""
        await self.begin()
        await self.commit(*[draft() for _ in range(5)])
        self.assertEqual(await self.inbox.count(READER), 5)
        await self.acknowledge(2)
        self.assertEqual(await self.inbox.count(READER), 3)
        self.assertEqual(await self.inbox.count(OTHER), 0)
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.last_id, claim.waiting), (5, 3))

    async def test_ids_go_on(self) -> None:
        """An id would be given out again after everything was read, or after a restart (P1)."""
        await self.begin()
        await self.commit(draft(), draft())
        await self.acknowledge(2)
        self.assertEqual(await self.commit(draft()), [Stored(3, 1)])
        await self.acknowledge(3)
        await self.begin()
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.last_id, claim.waiting), (3, 0))
        self.assertEqual(await self.commit(draft()), [Stored(4, 1)])

    async def test_all_is_kept(self) -> None:
        """Messages, numbers or claims would not survive a restart (P1)."""
        await self.begin()
        claim = await self.inbox.claim(READER, None)
        kept = draft("kept", device=DEVICE, n=1)
        await self.commit(kept)
        await self.begin()
        self.assertEqual(await self.texts(), ["kept"])
        self.assertEqual(await self.commit(kept), [Duplicate(1, 1)])
        again = await self.inbox.claim(READER, None)
        self.assertGreater(again.generation, claim.generation)

    async def test_mixed_batch(self) -> None:
        """One message's outcome would be another's."""
        await self.begin(InboxLimits(waiting=3, share=2))
        self.assertEqual(
            await self.commit(
                draft(device=DEVICE, n=1),
                draft(device=DEVICE, n=1),
                draft(device=DEVICE, n=3),
                draft(device=DEVICE, n=2),
                draft(),
                draft(sender=B),
                draft(sender=B),
                draft(to=OTHER),
            ),
            [
                *(Stored(1, 1), Duplicate(1, 1), Gap(2), Stored(2, 2), Full(2, True)),
                *(Stored(3, 3), Full(3, False), Stored(1, 1)),
            ],
        )

    async def test_largest_batch(self) -> None:
        """A batch of the largest size would fail."""
        await self.begin(InboxLimits(waiting=1000, share=1000))
        outcomes = await self.commit(*[draft("😀" * 256) for _ in range(256)])
        self.assertEqual(outcomes[-1], Stored(256, 256))
