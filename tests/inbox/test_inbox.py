"""What every inbox does, on a real SQLite file and on a real Redis."""

from __future__ import annotations

import time
from collections.abc import Sequence
from functools import partial
from itertools import count
from typing import Any

from twisted.internet import reactor
from twisted.trial.unittest import TestCase

from chatsvc.inbox.interface import (
    DEVICES,
    DIGESTS,
    MOST_DEVICES,
    Backlog,
    Committed,
    Cursor,
    Draft,
    Duplicate,
    Full,
    Gap,
    InboxLimits,
    Moved,
    Outcome,
    Removal,
    Stored,
)
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import parse_store_url
from chatsvc.wire.events import Message
from tests.support.servers import redis

READER, OTHER = 10001, 10002
A, B = 20001, 20002
DEVICE = "0123456789abcdef"
DAY = 86_400

_DATABASES = count(1)


class SilentWatcher:
    """Nobody reads, but those who stand in ``here``; notes what it is told."""

    def __init__(self) -> None:
        self.read: list[Cursor] = []
        self.here: set[int] = set()
        self.returned: list[list[int]] = []
        self.taken: list[tuple[int, int]] = []
        self.heard: list[tuple[int, Message]] = []

    def cursors(self) -> list[Cursor]:
        return self.read

    def store_returned(self, stale: list[int], taken: list[tuple[int, int]]) -> None:
        self.returned.append(stale)
        self.taken += taken

    def stored_elsewhere(self, messages: list[tuple[int, Message]]) -> list[int]:
        self.heard += messages
        return [uid for uid, _ in messages if uid not in self.here]

    def taken_over(self, uid: int, generation: int) -> None:
        self.taken.append((uid, generation))


def draft(text: str = "x", to: int = READER, sender: int = A, **more: Any) -> Draft:
    return Draft(to, sender, "名", more.pop("at", 1_700_000_000_000), text, **more)


class BothKinds:
    """What holds for both kinds of store."""

    class Tests(TestCase):
        inbox: Any
        believes_nodes = False
        """Whether the store has no other clock than that of its one node."""

        def time(self) -> int:
            """The store's time in ms."""
            raise NotImplementedError

        async def pass_days(self, days: float) -> None:
            """Make all that waits for READER so much older."""
            raise NotImplementedError

        async def pass_days_for_devices(self, days: float) -> None:
            """Make so much older when A's devices were used to write to READER."""
            raise NotImplementedError

        async def make(self, limits: InboxLimits) -> Any:
            """A store of the kind under test, open, with whatever is kept for this test."""
            raise NotImplementedError

        async def begin(self, limits: InboxLimits | None = None) -> None:
            """(Re)open the store."""
            self.inbox = await self.make(limits or InboxLimits())

        async def commit(self, *drafts: Draft, removals: Sequence[Removal] = ()) -> list[Outcome]:
            committed = await self.inbox.commit(list(drafts), list(removals))
            self.assertIsInstance(committed, Committed)
            self.assertEqual(len(committed.outcomes), len(drafts))
            self.refused = committed.refused
            return list(committed.outcomes)

        async def acknowledge(self, up_to: int, uid: int = READER) -> None:
            """Acknowledge as a new log-in of the reader."""
            claim = await self.inbox.claim(uid, None)
            await self.commit(removals=[Removal(uid, claim.generation, up_to)])
            self.assertEqual(self.refused, [])

        async def texts(self, uid: int = READER) -> list[str]:
            return [message.text for message in await self.inbox.read(uid, 0, 10_000)]

        async def ids(self, uid: int = READER) -> list[int]:
            return [message.id for message in await self.inbox.read(uid, 0, 10_000)]

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
            """Ids would not count 1, 2, 3, … for each inbox."""
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

        async def test_numbered(self) -> None:
            """A message that is sent again would be stored twice, or a missing one not be noticed."""
            await self.begin()

            def numbered(n: int) -> Draft:
                return draft(f"{n}", device=DEVICE, n=n)

            self.assertEqual(await self.commit(numbered(2)), [Gap(1)])
            self.assertEqual(
                await self.commit(numbered(1), numbered(2)), [Stored(1, 1), Stored(2, 2)]
            )
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
            """A sender whose state is older than the store's would be told that what nobody has was stored."""
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
            What was said in a session that ended, and comes late, would be stored under a number that was refused
            since, and the next text be taken for a repetition.
            """
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
            self.assertEqual(
                await self.commit(draft(device=DEVICE, n=1, sending=7)), [Stored(1, 1)]
            )
            self.assertEqual(await self.commit(draft(device=DEVICE, n=2, sending=6)), [Moved()])
            self.assertGreater((await self.inbox.claim_device(A, DEVICE)).generation, 7)

        async def test_full(self) -> None:
            """An inbox would grow past its limit, drop something, or use a number up."""
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
            """One sender could fill an inbox for all others, or would be stopped for good."""
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
            """An older log-in could remove what the newer one has not received."""
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
            """An acknowledgement that comes twice or late would bring back, or remove, something."""
            await self.begin()
            await self.commit(draft(), draft(), draft())
            await self.acknowledge(2)
            await self.acknowledge(2)
            await self.acknowledge(1)
            await self.acknowledge(0)
            self.assertEqual(await self.ids(), [3])
            self.assertEqual(await self.commit(draft()), [Stored(4, 2)])

        async def test_ids_go_on(self) -> None:
            """An id would be given out again after everything was read, or after a restart."""
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
            """Messages, numbers or claims would not survive a restart."""
            await self.begin()
            claim = await self.inbox.claim(READER, None)
            kept = draft("kept", device=DEVICE, n=1)
            await self.commit(kept)
            await self.begin()
            self.assertEqual(await self.texts(), ["kept"])
            self.assertEqual(await self.commit(kept), [Duplicate(1, 1)])
            again = await self.inbox.claim(READER, None)
            self.assertGreater(again.generation, claim.generation)

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

        async def test_largest_batch(self) -> None:
            """A batch of the largest size would fail."""
            await self.begin(InboxLimits(waiting=1000, share=1000))
            outcomes = await self.commit(*[draft("😀" * 256) for _ in range(256)])
            self.assertEqual(outcomes[-1], Stored(256, 256))


class ForeignTests(TestCase):
    """Rows that another program put into an inbox in SQLite."""

    async def test_what_is_no_message(self) -> None:
        """A row with something else than a number or a text would make the inbox unreadable."""
        database = Database(parse_store_url(f"sqlite:{self.mktemp()}", ("sqlite",)), reactor)
        self.addCleanup(database.close)
        await database.open()
        inbox = SQLiteInbox(database, InboxLimits())
        await inbox.open(SilentWatcher())
        await inbox.commit([draft("1"), draft("2"), draft("3"), draft("4")], [])
        for id, column, value in ((2, "at", 1e300), (3, "text", b"\xff"), (4, "sender", "who")):
            change = f"UPDATE chat_inbox SET {column} = ? WHERE id = ?"  # noqa: S608
            await database.run(partial(Transaction.execute, sql=change, args=(value, id)))
        page = await inbox.read(READER, 0, 9)
        self.assertEqual([(m.id, m.text) for m in page], [(1, "1"), (2, ""), (3, ""), (4, "")])


class UpgradeTests(TestCase):
    async def test_devices_of_the_version_before(self) -> None:
        """After an upgrade, what was stored before it would be stored once more when it is sent again."""
        database = Database(parse_store_url(f"sqlite:{self.mktemp()}", ("sqlite",)), reactor)
        self.addCleanup(database.close)
        await database.open()
        inbox = SQLiteInbox(database, InboxLimits())
        await inbox.open(SilentWatcher())
        before = f"INSERT INTO chat_device VALUES ({READER}, {A}, '{DEVICE}', 7, 2, 1)"  # noqa: S608
        for change in (before, "DROP TABLE chat_sending", "DELETE FROM chat_schema"):
            await database.run(partial(Transaction.execute, sql=change))
        await inbox.open(SilentWatcher())
        committed = await inbox.commit([draft(device=DEVICE, n=n) for n in (7, 6, 9, 8)], [])
        kinds = [type(outcome) for outcome in committed.outcomes]
        self.assertEqual(kinds, [Duplicate, Duplicate, Gap, Stored])


class SQLite(BothKinds.Tests):
    def setUp(self) -> None:
        self.url = parse_store_url(f"sqlite:{self.mktemp()}", ("sqlite",))

    believes_nodes = True
    now = 1_700_000_000.0
    leap = 0.0

    def time(self) -> int:
        return int(self.now * 1000)

    async def pass_days(self, days: float) -> None:
        self.now += days * DAY

    pass_days_for_devices = pass_days

    async def test_leap(self) -> None:
        """A clock that is set forward while the server runs would delete what was stored a second ago."""
        await self.begin(InboxLimits(days=7))
        await self.commit(draft(at=self.time()))
        self.leap = 100 * DAY
        self.assertEqual((await self.inbox.claim(READER, None)).expired, 0)
        await self.pass_days(8)
        self.assertEqual((await self.inbox.claim(READER, None)).expired, 1)

    async def make(self, limits: InboxLimits) -> SQLiteInbox:
        database = Database(self.url, reactor)
        self.addCleanup(database.close)
        await database.open()
        inbox = SQLiteInbox(database, limits, lambda: self.now + self.leap, lambda: self.now)
        self.assertEqual(await inbox.open(SilentWatcher()), [])
        return inbox


class OnRedis(TestCase):
    """A test with an empty Redis database."""

    def setUp(self) -> None:
        self.db = next(_DATABASES) % 63
        redis().execute("FLUSHDB", db=self.db)
        self.watcher = SilentWatcher()

    def store(self, limits: InboxLimits | None = None, **more: Any) -> RedisInbox:
        """A store, not open yet."""
        url = parse_store_url(more.pop("url", redis().url(self.db)), ("redis", "redis+unix"))
        node = more.pop("node", "node")
        inbox = RedisInbox(reactor, url, limits or InboxLimits(), node, **more)
        self.addCleanup(inbox.close)
        return inbox


_OLDER = """
local entries = redis.call('XRANGE', KEYS[1], '-', '+')
local last = redis.call('XREVRANGE', KEYS[1], '+', '-', 'COUNT', 1)[1][1]
redis.call('DEL', KEYS[1])
for _, entry in ipairs(entries) do
  local fields = entry[2]
  for i = 6, #fields, 4 do fields[i] = string.format('%.0f', fields[i] - ARGV[1]) end
  redis.call('XADD', KEYS[1], entry[1], unpack(fields))
end
redis.call('XSETID', KEYS[1], last)
"""
"""The stream with all times earlier: fields 6 (``a``) and 10 (``s``)."""


_UNUSED = """
local field = redis.call('HGET', KEYS[1], ARGV[1])
field = string.gsub(field, ',(%x+):(%d+):', function (device, used)
  return ',' .. device .. ':' .. string.format('%.0f', used - ARGV[2]) .. ':'
end)
redis.call('HSET', KEYS[1], ARGV[1], field)
"""


class Redis(OnRedis, BothKinds.Tests):
    def time(self) -> int:
        return int(time.time() * 1000)

    async def pass_days(self, days: float) -> None:
        key = f"chat:{{{READER}}}:inbox"
        redis().execute("EVAL", _OLDER, "1", key, str(int(days * DAY * 1000)), db=self.db)

    async def pass_days_for_devices(self, days: float) -> None:
        key = f"chat:{{{READER}}}:from"
        redis().execute("EVAL", _UNUSED, "1", key, str(A), str(int(days * DAY)), db=self.db)

    async def make(self, limits: InboxLimits) -> RedisInbox:
        inbox = self.store(limits)
        self.assertEqual(await inbox.open(self.watcher), [])
        return inbox
