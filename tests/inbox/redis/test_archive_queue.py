"""The archive's queue in one real Redis: what goes in, once and in order, and how it is taken out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from chatsvc.archive.entry import Pair, Place, Said
from chatsvc.archive.queue import Done, Ends
from chatsvc.inbox.claim import Registration
from chatsvc.inbox.outcome import (
    Draft,
    Duplicate,
    Failed,
    Full,
    Gap,
    NotMember,
    RoomDraft,
    Stored,
)
from chatsvc.inbox.redis.archive_queue import LEASE_MS
from tests.inbox.contract.room_case import ROOM, created, says
from tests.inbox.fixtures import DESK, DEVICE, OTHER, PHONE, READER, A, B, draft
from tests.inbox.redis.queue_case import KEY, LEASE, REFUSED, QueueCase
from tests.support.servers import redis


class PutTests(QueueCase):
    """What goes into the queue: what is stored, and nothing else."""

    async def test_stored(self) -> None:
        """What was confirmed would be in no history, or not as it was said (P6)."""
        await self.begin()
        drafts: Sequence[Draft | RoomDraft] = (
            draft("你好 😂", at=5),
            draft("to myself", to=A),
            draft("", to=A, sender=OTHER),
            draft('a\0b\\"\n', to=-5, sender=2**53 + 1),
        )
        outcomes = await self.commit(*drafts)
        outcomes += await self.commit(says("room", A, at=7))
        places: tuple[Place, ...] = (
            Pair(READER, A),
            Pair(A, A),
            Pair(OTHER, A),
            Pair(-5, 2**53 + 1),
            ROOM,
        )
        expected = []
        for one, place, outcome in zip(
            (*drafts, says("room", A, at=7)), places, outcomes, strict=True
        ):
            assert isinstance(outcome, Stored), outcome
            expected.append(Said(outcome.serial, place, one.sender, one.name, one.at, one.text))
        self.assertEqual([one.entry for one in await self.take()], expected)
        serials = [one.serial for one in expected]
        self.assertEqual(serials, sorted(set(serials)))

    async def test_mixed_batch(self) -> None:
        """Messages to users and to rooms of one batch would come into the queue in another order than their serials."""
        await self.begin()
        await self.commit(draft("1"), says("2"), draft("3", sender=B), says("4"), draft("5", to=A))
        self.assertEqual(await self.texts(), ["1", "2", "3", "4", "5"])

    async def test_fields(self) -> None:
        """A node of another release would not find the messages, or not their fields."""
        await self.begin()
        at = draft().at
        (stored,) = await self.commit(draft("你好"))
        (in_room,) = await self.commit(says("x", at=7))
        assert isinstance(stored, Stored)
        assert isinstance(in_room, Stored)
        name = "名".encode()
        self.assertEqual(
            self.entries(KEY),
            [
                [
                    *(b"f", b"%d" % A, b"u", name, b"a", b"%d" % at, b"t", "你好".encode()),
                    *(b"x", f"{stored.serial} {READER}".encode()),
                ],
                [
                    *(b"f", b"%d" % A, b"u", name, b"a", b"7", b"t", b"x"),
                    *(b"x", f"{in_room.serial} #{ROOM}".encode()),
                ],
            ],
        )

    async def test_long_text(self) -> None:
        """A long message would be cut, or not be archived."""
        await self.begin()
        text = "字😂" * 1170
        await self.commit(draft(text))
        self.assertEqual(await self.texts(), [text])

    async def test_duplicates(self) -> None:
        """What is sent again would be in the history twice (P6)."""
        await self.begin()
        for _ in range(3):
            await self.commit(draft("1", device=DEVICE, n=1), says("2", device=DEVICE, n=1))
        outcomes = await self.commit(
            draft("1", device=DEVICE, n=1, again=True), says("2", device=DEVICE, n=1, again=True)
        )
        self.assertEqual([type(one) for one in outcomes], [Duplicate, Duplicate])
        self.assertEqual(await self.texts(), ["1", "2"])

    async def test_refused(self) -> None:
        """What was refused would be in the history (P6)."""
        await self.begin(waiting=2, share=1)
        await self.commit(draft("1"))
        outcomes = await self.commit(
            draft("no share"),
            draft("gap", to=A, device=DEVICE, n=5),
            says("gap", device=DEVICE, n=7),
            says("no member", B),
            draft("2", sender=B),
            draft("full", sender=OTHER),
        )
        kinds = [type(one) for one in outcomes]
        self.assertEqual(kinds, [Full, Gap, Gap, NotMember, Stored, Full])
        self.assertEqual(await self.texts(), ["1", "2"])

    async def test_copies(self) -> None:
        """What somebody with several devices sends would be in the history twice (P6)."""
        await self.begin()
        said = Registration("x/1")
        phone = await self.inbox.claim(A, None, device=PHONE, registration=said)
        await self.inbox.claim(A, None, device=DESK, registration=said)
        sent = draft("hi", device=PHONE, n=1, sending=phone.generation, registered=True)
        (outcome,) = await self.commit(sent)
        assert isinstance(outcome, Stored)
        self.assertGreater(outcome.copy, 0)
        self.assertEqual(await self.texts(), ["hi"])

    async def test_events(self) -> None:
        """A room's events would be in its history, as if somebody had said something."""
        await self.begin()
        self.assertEqual((await self.take(), self.length()), ([], 0))

    async def test_without_archive(self) -> None:
        """With the history off a queue that nobody takes from would fill Redis."""
        self.inbox = self.store()
        await self.inbox.open(self.watcher)
        self.assertIsNone(self.inbox.archive)
        await self.inbox.rooms.apply(ROOM, [created()])
        await self.commit(draft(), says())
        self.assertEqual(self.ask("EXISTS", KEY), b":0\r\n")

    async def test_wrong_type(self) -> None:
        """A message would be confirmed, or stored and answered as if it were not, and be in no history (P1, P6)."""
        await self.begin()
        self.ask("SET", KEY, "rubbish")
        drafts = (draft("1", device=DEVICE, n=1), says("2", device=DEVICE, n=1), draft("3"))
        for batch in (drafts[:1], drafts[1:2], drafts):
            outcomes = await self.commit(*batch)
            self.assertEqual({type(one) for one in outcomes}, {Failed})
        self.assertEqual(await self.inbox.read(READER, 0, 9), [])
        self.assertEqual(len((await self.inbox.rooms.read(ROOM, 0, 9)).entries), 1)
        self.assertEqual(await self.inbox.total(), 0)
        self.ask("DEL", KEY)
        again = await self.commit(*drafts)
        self.assertEqual([type(one) for one in again], [Stored] * 3, "their numbers are free")
        self.assertEqual(await self.texts(), ["1", "2", "3"])

    async def test_no_more_ids(self) -> None:
        """The same, where another program has used up the ids of the queue."""
        await self.begin()
        self.ask("XADD", KEY, "18446744073709551615-18446744073709551615", "x", "y")
        outcomes = await self.commit(draft("1", device=DEVICE, n=1))
        stored = await self.inbox.read(READER, 0, 9)
        self.ask("DEL", KEY)
        again = await self.commit(draft("1", device=DEVICE, n=1))
        kinds = [type(one) for one in (*outcomes, *again)]
        self.assertEqual((kinds, stored), ([Failed, Stored], []))

    async def test_full_redis(self) -> None:
        """A Redis that is full would store a message without its archive entry, or the other way round (P6)."""
        await self.begin()
        await self.commit(draft("before"), says("before"))
        redis().execute("CONFIG", "SET", "maxmemory", "1")
        try:
            outcomes = await self.commit(draft("1", device=DEVICE, n=1))
            outcomes += await self.commit(says("2", device=DEVICE, n=1))
        finally:
            redis().execute("CONFIG", "SET", "maxmemory", "0")
        self.assertEqual([type(one) for one in outcomes], [Failed, Failed])
        self.assertEqual([one.text for one in await self.inbox.read(READER, 0, 9)], ["before"])
        self.assertEqual(await self.texts(), ["before", "before"])


class TakeTests(QueueCase):
    """How it is taken out, by one node at a time."""

    async def test_pages(self) -> None:
        """A message would be skipped between two pages, or come again, or be deleted before it is archived (P6)."""
        await self.begin()
        await self.commit(*[draft(f"{n}") for n in range(7)])
        done: Done | None = None
        found: list[str] = []
        while page := await self.take(done, 3):
            self.assertEqual(self.length(), 7 - len(found), "nothing else is deleted")
            found += [one.entry.text for one in page if isinstance(one.entry, Said)]
            done = Done(page[-1])
        self.assertEqual(found, [str(n) for n in range(7)])
        self.assertEqual(self.length(), 0)

    async def test_not_done(self) -> None:
        """What a node has taken, and died with, would be lost (P6)."""
        await self.begin()
        await self.commit(draft("1"), draft("2"))
        for _ in range(3):
            self.assertEqual(await self.texts(), ["1", "2"])
        self.lease_ends()
        self.assertEqual(len(await (await self.another()).take(None, 10) or []), 2)

    async def test_what_comes_meanwhile(self) -> None:
        """What is stored while a page is archived would be deleted with it (P6)."""
        await self.begin()
        await self.commit(draft("1"), draft("2"))
        page = await self.take()
        await self.commit(draft("3"))
        self.assertEqual(await self.texts(Done(page[-1])), ["3"])
        await self.commit(draft("4"))
        self.assertEqual(await self.texts(Done(page[-1])), ["3", "4"], "the answer was lost")

    async def test_lease(self) -> None:
        """Two nodes would archive at once, or one delete what the other has not written (P6)."""
        await self.begin()
        await self.commit(draft("1"))
        there = await self.another()
        (one,) = await self.take()
        for done in (None, Done(one)):
            self.assertIsNone(await there.take(done, 10))
        self.assertEqual(self.length(), 1)
        left = int(self.ask("PTTL", LEASE)[1:])
        self.assertTrue(0 < left <= LEASE_MS == 5000, left)

    async def test_another_has_it_since(self) -> None:
        """A node that was frozen would delete what its successor has not written (P6)."""
        await self.begin()
        await self.commit(draft("1"))
        (one,) = await self.take()
        there = await self.another()
        self.lease_ends()
        self.assertIsNotNone(await there.take(None, 10))
        self.assertIsNone(await self.queue.take(Done(one, [one.id]), 10))
        self.assertEqual((self.length(), self.length(REFUSED)), (1, 0))

    async def test_lease_that_ended(self) -> None:
        """A node whose lease has ended would delete by it, though others may have archived meanwhile (P6)."""
        await self.begin()
        await self.commit(draft("1"))
        (one,) = await self.take()
        self.lease_ends()
        self.assertEqual(await self.texts(Done(one, [one.id])), ["1"])
        self.assertEqual((self.length(), self.length(REFUSED)), (1, 0))
        self.assertEqual(await self.texts(Done(one)), [])

    async def test_renewed(self) -> None:
        """A node that archives for longer than a lease would lose it."""
        await self.begin()
        await self.take()
        self.ask("PEXPIRE", LEASE, "1000")
        await self.take()
        self.assertGreater(int(self.ask("PTTL", LEASE)[1:]), 3000)

    async def test_leave(self) -> None:
        """A node that stops would keep the lease, or end another one's."""
        await self.begin()
        there = await self.another()
        await self.take()
        await there.leave()
        self.assertIsNone(await there.take(None, 1))
        await self.queue.leave()
        self.assertEqual(await there.take(None, 1), [])
        await self.queue.leave()
        self.assertIsNone(await self.queue.take(None, 1))

    async def test_ids_given_out_again(self) -> None:
        """After a fail-over, messages would be deleted that have the ids of others that were archived (P6)."""
        await self.begin()
        await self.commit(draft("1"), draft("2"))
        page = await self.take()
        self.ask("DEL", KEY)
        note = f"{2**52} {READER}"
        for id in [one.id for one in page]:
            self.ask("XADD", KEY, id, "f", A, "u", "名", "a", 5, "t", "new", "x", note)
        done = Done(page[-1], [page[0].id])
        self.assertEqual(await self.texts(done), ["new", "new"])
        self.assertEqual((self.length(), self.length(REFUSED)), (2, 0))

    async def test_gone_already(self) -> None:
        """What came after a page that is gone would be deleted with it (P6)."""
        await self.begin()
        await self.commit(draft("1"))
        (one,) = await self.take()
        self.ask("DEL", KEY)
        await self.commit(draft("2"))
        self.assertEqual(await self.texts(Done(one)), ["2"])

    async def test_put_aside(self) -> None:
        """What the archive does not take would be gone without a trace, or not as it was said (P6)."""
        await self.begin()
        await self.commit(draft("1"), draft("你好"), draft("3"), says("4"), draft("5"))
        before = self.entries(KEY)
        page = await self.take(limit=4)
        self.assertEqual(await self.texts(Done(page[-1], [page[1].id, page[3].id])), ["5"])
        self.assertEqual(self.entries(REFUSED), [before[1], before[3]])
        self.assertEqual(self.ask("TTL", REFUSED), b":-1\r\n")

    async def test_unreadable(self) -> None:
        """What another program put into the queue would make all that waits unreadable."""
        await self.begin()
        good = ("f", "1", "u", "x", "a", "5", "t", "y")
        for fields in (
            ("x", "y"),
            (*good, "x", "soon 5"),
            (*good, "x", "5"),
            (*good, "x", "5 6 7"),
            (*good, "x", "5 #"),
            (*good, "x", "5 #x"),
            (*good, "y", "5 6"),
            ("f", "who", *good[2:], "x", "5 6"),
            (*good, "x", "5 6", "z", "more"),
            good,
        ):
            self.ask("XADD", KEY, "*", *fields)
        await self.commit(draft("good"))
        page = await self.take()
        self.assertEqual([one.entry for one in page[:-1]], [None] * 10)
        self.assertIsInstance(page[-1].entry, Said)
        self.assertEqual(await self.take(Done(page[-1], [one.id for one in page[:-1]])), [])
        self.assertEqual((self.length(), self.length(REFUSED)), (0, 10))

    async def test_only_unreadable(self) -> None:
        """What another program put into the queue would stay at its front for ever, and be taken again and again."""
        await self.begin()
        for field in ("y", "", b"\xff\xfe", "\0", b"\xed\xa0\x80", "5 6"):
            self.ask("XADD", KEY, "*", "x", field)
            (one,) = await self.take()
            self.assertIsNone(one.entry)
            self.assertEqual(await self.take(Done(one, [one.id])), [], field)

    async def test_bytes_that_are_no_text(self) -> None:
        """A text that is no UTF-8 would make all that waits unreadable, or the database refuse it."""
        await self.begin()
        for text in (b"\xff", b"\xed\xa0\x80", b"\xc0\x80"):
            self.ask("XADD", KEY, "*", "f", 1, "u", text, "a", 5, "t", text, "x", "7 8")
        for one in await self.take():
            assert isinstance(one.entry, Said)
            self.assertEqual(set(one.entry.text) | set(one.entry.name), {"\ufffd"})
            one.entry.text.encode()

    async def test_script_is_loaded_again(self) -> None:
        """Somebody who flushes Redis's scripts would stop the archive."""
        await self.begin()
        await self.commit(draft("1"))
        self.ask("SCRIPT", "FLUSH")
        self.assertEqual(await self.texts(), ["1"])
        self.ask("SCRIPT", "FLUSH")
        await self.queue.leave()
        self.ask("SCRIPT", "FLUSH")
        self.assertEqual((await self.queue.ends()).length, 1)


class EndsTests(QueueCase):
    """How far the queue goes."""

    async def test_ends(self) -> None:
        """Somebody would wait for the archive too long or too short a time, or an admin be told another backlog."""
        await self.begin()
        self.assertEqual(await self.queue.ends(), Ends("", "", 0, 0))
        await self.commit(*[draft("x" * 100) for _ in range(50)])
        page = await self.take()
        ends = await self.queue.ends()
        self.assertEqual((ends.first, ends.last, ends.length), (page[0].id, page[-1].id, 50))
        self.assertTrue(50 * 100 < ends.bytes < 50 * 200, ends.bytes)
        first = await self.take(limit=31)
        await self.take(Done(first[30]))
        ends = await self.queue.ends()
        self.assertEqual((ends.first, ends.last, ends.length), (page[31].id, page[-1].id, 19))
        self.assertTrue(ends.has_passed(page[30].id))
        self.assertFalse(ends.has_passed(page[31].id))

    async def test_without_lease(self) -> None:
        """Asking how far the archive is would take the lease, or be refused to all nodes but one."""
        await self.begin()
        there = await self.another()
        await self.commit(draft("1"))
        await there.ends()
        self.assertEqual(self.ask("EXISTS", LEASE), b":0\r\n")
        await self.take()
        self.assertEqual((await there.ends()).length, 1)

    async def test_as_many_as_there_are(self) -> None:
        """Looking how far the archive is would cost the more, the further it is behind."""
        await self.begin()
        await self.commit(*[draft("x") for _ in range(500)])
        reads = self.reads()
        await self.queue.ends()
        self.assertEqual(self.reads(), {name: n + 1 for name, n in reads.items()})

    def reads(self) -> dict[str, int]:
        """How often parts of a stream were read."""
        stats: dict[str, Any] = {}
        for line in redis().execute("INFO", "commandstats").decode().splitlines():
            name, _, rest = line.removeprefix("cmdstat_").partition(":calls=")
            if name in ("xrange", "xrevrange"):
                stats[name] = int(rest.split(",")[0])
        return {"xrange": stats.get("xrange", 0), "xrevrange": stats.get("xrevrange", 0)}
