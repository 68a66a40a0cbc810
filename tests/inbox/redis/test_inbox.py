"""What only the inbox in Redis does: its keys, the older server's lists, and a Redis that goes away and comes back."""

from __future__ import annotations

import time

from twisted.logger import capturedLogs

from chatsvc.inbox.claim import Registration
from chatsvc.inbox.interface import Backlog
from chatsvc.inbox.outcome import Draft, Duplicate, Failed, Full, Gap, Removal, Stored
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Message
from tests.inbox.fixtures import DAY, DEVICE, READER, A, committed, draft
from tests.inbox.redis.stores import OnOneRedis
from tests.support.script_rules import replace_rule
from tests.support.servers import redis

OLD_LIST = f"list_usermessages_of_userid:userid:{READER}"


class GenerationTests(OnOneRedis):
    """An acknowledgement from before the store lost its newest messages, when their ids have been given out again."""

    async def left_after_a_late_removal(self) -> int:
        """How many of two new messages wait after an older session has acknowledged the two that were lost."""
        await self.begin()
        older = await self.inbox.claim(READER, None)
        await self.inbox.commit([draft(), draft()], [])
        self.ask("FLUSHDB")
        await self.inbox.commit([draft(), draft()], [])
        await self.inbox.claim(READER, 2)
        await self.inbox.claim(READER, 2)
        await self.inbox.commit([], [Removal(READER, older.generation, 2)])
        return int(await self.inbox.count(READER))

    async def test_refused(self) -> None:
        """Confirmed messages that nobody has seen would be removed."""
        self.assertEqual(await self.left_after_a_late_removal(), 2)

    async def test_it_is_the_generation(self) -> None:
        """Something else would refuse the removal, and the generation be of no use."""
        replace_rule(
            "if log.generation ~= generation then return", "if false then return", self.patch
        )
        self.assertEqual(await self.left_after_a_late_removal(), 0)


class KeyTests(OnOneRedis):
    """The table of keys in docs/architecture.md, which other programs rely on."""

    async def test_stream(self) -> None:
        """Another node would not find the messages, or not their fields."""
        await self.begin()
        at = int(time.time() * 1000)
        await self.inbox.commit([Draft(READER, A, "张三", at, "你好"), draft("b", at=123)], [])
        entry = self.array("XRANGE", f"chat:{{{READER}}}:inbox", "-", "+", "COUNT", 1)
        self.assertEqual(
            entry[:-1],
            [
                *(b"1-0", b"f", b"20001", b"u", "张三".encode(), b"a", b"%d" % at),
                *(b"t", "你好".encode(), b"x"),
            ],
        )
        second = self.array("XRANGE", f"chat:{{{READER}}}:inbox", "(1-0", "+")
        self.assertEqual(second[:1] + second[5:10], [b"2-0", b"a", b"123", b"t", b"b", b"x"])
        for serial in (int(entry[10]), int(second[10])):
            self.assertLess(abs(serial // 1000 - at), 60_000, "this is Redis's own time")
        self.assertEqual(int(second[10]), int(entry[10]) + 10)

    async def test_names_of_keys(self) -> None:
        """A key would have another name, or there would be one that the table does not have."""
        await self.begin()
        await self.inbox.commit([draft(device=DEVICE, n=1)], [])
        await self.inbox.claim(READER, None)
        await self.inbox.claim(READER, 99)
        await self.inbox.claim_device(READER, DEVICE)
        await self.inbox.claim(READER, None, device=DEVICE, registration=Registration("x/1"))
        kinds = ("inbox", "from", "session", "epoch", "generations", "devices")
        keys = {f"chat:{{{READER}}}:{kind}".encode() for kind in kinds}
        keys |= {b"chat:epoch", b"chat:waiting", b"chat:nodes", b"chat:node:node"}
        keys |= {b"chat:life", b"chat:order:node", b"chat:serial"}
        self.assertEqual(set(self.array("KEYS", "*")), keys)

    async def test_read_by_another_client(self) -> None:
        """A message that another program put in would not be read."""
        await self.begin()
        key = f"chat:{{{READER}}}:inbox"
        self.ask("XADD", key, "1-0", "f", "7", "u", "七", "a", "5", "t", b"\xff text")
        page = await self.inbox.read(READER, 0, 10)
        self.assertEqual(page, [Message(1, 7, "七", 5, "\ufffd text")])
        self.assertEqual(await self.inbox.commit([draft()], []), committed(Stored(2, 2)))

    async def test_session(self) -> None:
        """Another node would not learn where a user is, or which claim is the last."""
        await self.begin()
        claim = await self.inbox.claim(READER, None)
        self.assertIn(
            f"node {claim.generation}".encode(), self.ask("GET", f"chat:{{{READER}}}:session")
        )

    async def test_lifetimes(self) -> None:
        """A key would expire that must not, or one stay for ever that must not."""
        await self.begin()
        await self.inbox.commit([draft(device=DEVICE, n=1)], [])
        await self.inbox.claim(READER, 99)
        for kind in ("inbox", "session", "epoch"):
            self.assertEqual(self.ask("TTL", f"chat:{{{READER}}}:{kind}"), b":-1\r\n", kind)
        self.assertEqual(self.ask("TTL", "chat:epoch"), b":-1\r\n")
        ttl = int(self.ask("TTL", f"chat:{{{READER}}}:from")[1:])
        self.assertTrue(30 * DAY - 10 <= ttl <= 30 * DAY, ttl)

    async def test_many_inboxes(self) -> None:
        """Somebody for whom something waits would be overlooked, or a key of somebody else's end the look."""
        await self.begin()
        await self.inbox.commit([draft(to=uid) for uid in range(1, 301)], [])
        self.ask("MSET", *[f"other:{number}" for number in range(4000)])
        self.ask("SET", "chat:{400}:inbox", "no stream")
        self.ask("XADD", "chat:{x}:inbox", "1-0", "f", "7")
        self.ask("XADD", "chat:{500}:inbox", "1-0", "f", "7", "u", "", "a", "soon")
        found = await self.inbox.backlogs(None)
        self.assertEqual([one.uid for one in found], [*range(1, 301), 500])
        self.assertEqual(found[-1], Backlog(500, 1, 1, 0))

    async def test_an_empty_inbox_stays(self) -> None:
        """An inbox whose messages were all read would forget its last id."""
        await self.begin()
        claim = await self.inbox.claim(READER, None)
        await self.inbox.commit([draft(), draft()], [])
        await self.inbox.commit([], [Removal(READER, claim.generation, 2)])
        self.assertEqual(self.ask("EXISTS", f"chat:{{{READER}}}:inbox"), b":1\r\n")

    async def test_share_of_the_database(self) -> None:
        """A database number would be ignored, and two services mix their messages."""
        await self.begin()
        await self.inbox.commit([draft()], [])
        other = self.store(url=redis().url(63))
        redis().execute("FLUSHDB", db=63)
        await other.open(self.watcher)
        self.assertEqual(await other.count(READER), 0)


class ForeignTests(OnOneRedis):
    """What another program puts into an inbox, or takes out of it."""

    def put(self, id: str, *fields: str) -> None:
        """Put an entry into READER's inbox, as a plain client does."""
        self.ask("XADD", f"chat:{{{READER}}}:inbox", id, *fields)

    async def test_what_is_no_message(self) -> None:
        """One odd entry would make an inbox unreadable for good, or be said with each look at it."""
        await self.begin(days=1)
        await self.inbox.commit([draft("first", at=int(time.time() * 1000))], [])
        huge = str(2**63)
        odd = (
            *(("f", huge, "u", "n", "a", "5", "t", "x"), ("f", "1", "u", "n", "a", huge, "t", "x")),
            *(("f", "1", "u", "n", "a", "1e300", "t", "x"), ("f", "1", "u", "n", "a", "nan", "t")),
            *(("f", "", "u", "n", "a", "5", "t", "x"), ("just", "this"), ("a", "inf", "b", "-1")),
        )
        for id, fields in enumerate(odd, 2):
            self.put(f"{id}-0", *fields, *("?",) * (len(fields) % 2))
        self.put("8-5", "f", "1", "u", "n", "a", "7", "t", "with the id of another")
        await self.inbox.commit([draft("last", at=int(time.time() * 1000))], [])
        with capturedLogs() as logged:
            claim = await self.inbox.claim(READER, None)
            pages = [await self.inbox.read(READER, 0, 100) for _ in range(2)]
        self.assertEqual([m.text for m in pages[0] if m.text][:1], ["first"])
        self.assertEqual([m.text for m in pages[0] if m.text][-1:], ["last"])
        self.assertEqual(pages[0], pages[1])
        said = [event["id"] for event in logged if event.get("event") == "foreign-entry"]
        self.assertEqual(said, list(range(2, 9)))
        await self.inbox.commit([], [Removal(READER, claim.generation, claim.last_id)])
        self.assertEqual(await self.inbox.count(READER), 0)

    async def test_expiry_after_a_clock_that_was_ahead(self) -> None:
        """Nothing would ever wait too long again, because Redis's clock was years ahead for a minute."""
        await self.begin(days=1)
        hour = 3_600_000
        now = int(time.time() * 1000)
        self.ask("SET", "chat:serial", (now + 10 * 365 * 24 * hour) * 1000)
        ages = (25 * hour, 23 * hour)
        await self.inbox.commit([draft(at=now - age) for age in ages], [])
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.expired, claim.waiting), (1, 1))

    async def test_deleted_in_the_middle(self) -> None:
        """A message would be hidden, because another one behind it is gone."""
        await self.begin()
        await self.inbox.commit([draft(f"{n}") for n in range(1, 6)], [])
        self.ask("XDEL", f"chat:{{{READER}}}:inbox", "3-0")
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.acknowledged, claim.last_id, claim.waiting), (0, 5, 4))
        page = await self.inbox.read(READER, claim.acknowledged, 100)
        self.assertEqual([message.text for message in page], ["1", "2", "4", "5"])
        self.ask("XDEL", f"chat:{{{READER}}}:inbox", "5-0")
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.acknowledged, claim.last_id, claim.waiting), (0, 5, 3))

    async def test_expiry_around_it(self) -> None:
        """An entry whose time nobody can tell would keep what is behind it for ever, or end the log-in."""
        await self.begin(days=1)
        old = str(int((time.time() - 2 * DAY) * 1000))
        self.put("1-0", "f", "1", "u", "n", "a", "soon", "t", "x")
        self.put("2-0", "f", "1", "u", "n", "a", old, "t", "old")
        self.put("3-0", "f", "1", "u", "n")
        await self.inbox.commit([draft("new", at=int(time.time() * 1000))], [])
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.expired, claim.acknowledged), (2, 2))
        page = await self.inbox.read(READER, 0, 9)
        self.assertEqual([message.text for message in page], ["", "new"])

    async def test_deleted_under_a_device(self) -> None:
        """A device would never be shown what got the ids that it has acknowledged, nor the inbox be emptied (P2)."""
        await self.begin()
        said = Registration("x")
        phone = await self.inbox.claim(READER, None, device=DEVICE, registration=said)
        await self.inbox.commit([draft()] * 8, [])
        left = Removal(READER, phone.generation, 7, True, DEVICE, 7)
        await self.inbox.commit([], [left])
        self.ask("DEL", f"chat:{{{READER}}}:inbox")
        await self.inbox.commit([draft(), draft()], [])
        await self.inbox.commit([draft()], [])
        self.assertEqual(await self.inbox.count(READER), 3)
        phone = await self.inbox.claim(READER, None, device=DEVICE, registration=said)
        self.assertEqual((phone.begin, phone.acknowledged, phone.waiting), (0, 0, 3))
        await self.inbox.commit([], [Removal(READER, phone.generation, 2, False, DEVICE, 2)])
        self.assertEqual([one.id for one in await self.inbox.read(READER, 0, 9)], [3])

    async def test_rubbish_among_devices(self) -> None:
        """A field that no server wrote would keep the messages of all others in the batch from being confirmed."""
        await self.begin()
        await self.inbox.claim(READER, None, device=DEVICE, registration=Registration("x"))
        self.ask("HSET", f"chat:{{{READER}}}:devices", "f" * 16, "rubbish")
        batch = [draft(), draft(), draft(to=A)]
        failed, again, stored = (await self.inbox.commit(batch, [])).outcomes
        self.assertEqual((type(failed), type(again), stored), (Failed, Failed, Stored(1, 1)))
        self.assertEqual(await self.inbox.read(READER, 0, 9), [], "it was not stored after all")

    async def test_rubbish_in_place_of_the_older_servers_list(self) -> None:
        """A message would be stored and answered as if it were not, so that it comes twice."""
        await self.begin()
        self.ask("SET", OLD_LIST, "rubbish")
        outcomes = (await self.inbox.commit([draft(), draft()], [])).outcomes
        self.assertEqual(list(map(type, outcomes)), [Failed, Failed])
        self.ask("DEL", OLD_LIST)
        self.assertEqual(await self.inbox.read(READER, 0, 9), [])

    async def test_devices_of_the_version_before(self) -> None:
        """After an upgrade, what was stored before it would be stored once more when it is sent again."""
        await self.begin()
        await self.inbox.commit([draft(), draft()], [])
        other = "f" * 32
        self.ask("HSET", f"chat:{{{READER}}}:from", A, f"2 0 {DEVICE} 7 2 {other} 3 1")
        committed = await self.inbox.commit(
            [
                *(draft(device=DEVICE, n=7), draft(device=DEVICE, n=6), draft(device=DEVICE, n=8)),
                *(draft(device=other, n=3), draft(device=other, n=5), draft(device=DEVICE, n=8)),
            ],
            [],
        )
        self.assertEqual(
            committed.outcomes,
            [
                *(Duplicate(2, 2), Duplicate(None, 2), Stored(3, 3)),
                *(Duplicate(1, 3), Gap(4), Duplicate(3, 3)),
            ],
        )

    async def test_beside_the_version_before(self) -> None:
        """While servers are upgraded one after the other, those of before would store once more what is sent again."""
        await self.begin()
        await self.inbox.commit([draft("one", device=DEVICE, n=1)], [])
        key = f"chat:{{{READER}}}:from"
        field = self.ask("HGET", key, A).split(b"\r\n")[1].decode()
        self.assertRegex(field, rf"^1 0 {DEVICE} 1 1 /,{DEVICE}:[0-9]+:1:[0-9a-f]{{6}}$")
        # One of before stores the next, and knows nothing of texts.
        self.ask("HSET", key, A, field.replace(f" {DEVICE} 1 1", f" {DEVICE} 2 2"))
        committed = await self.inbox.commit(
            [draft(text, device=DEVICE, n=n) for text, n in (("two", 2), ("1", 1), ("3", 3))], []
        )
        kinds = [type(outcome) for outcome in committed.outcomes]
        self.assertEqual(kinds, [Duplicate, Duplicate, Stored])
        committed = await self.inbox.commit([draft("other", device=DEVICE, n=3)], [])
        self.assertEqual(committed.outcomes, [Gap(4)])


class AdoptionTests(OnOneRedis):
    """Messages that the older asyncio server left."""

    async def leave(self, *texts: str | bytes) -> None:
        """Open the store, and leave texts as the older server did."""
        await self.begin()
        self.ask("RPUSH", OLD_LIST, *texts)

    async def texts(self) -> list[str]:
        """The texts that wait for READER."""
        return [message.text for message in await self.inbox.read(READER, 0, 100)]

    async def test_by_reading(self) -> None:
        """A reader would not get what the older server left, in order, with its text as it was."""
        await self.leave("1", "2\n你好", b"\xff3")
        self.assertEqual(
            await self.inbox.read(READER, 0, 100),
            [
                Message(1, 0, "", 0, "1"),
                Message(2, 0, "", 0, "2\n你好"),
                Message(3, 0, "", 0, "\ufffd3"),
            ],
        )
        self.assertEqual(self.ask("EXISTS", OLD_LIST), b":0\r\n")
        self.assertEqual(await self.texts(), ["1", "2\n你好", "\ufffd3"], "moved once")

    async def test_by_appending(self) -> None:
        """A new message would come before what the older server left."""
        await self.leave("1", "2")
        self.assertEqual(await self.inbox.commit([draft("new")], []), committed(Stored(3, 3)))
        self.assertEqual(await self.texts(), ["1", "2", "new"])

    async def test_by_claiming(self) -> None:
        """A log-in would not count what the older server left."""
        await self.leave("1", "2")
        claim = await self.inbox.claim(READER, None)
        self.assertEqual((claim.last_id, claim.waiting), (2, 2))

    async def test_by_counting(self) -> None:
        """An admin would not see what the older server left."""
        await self.leave("1", "2")
        self.assertEqual(await self.inbox.count(READER), 2)

    async def test_counts_for_the_limits(self) -> None:
        """An inbox would grow past its limit, or lose what the older server left."""
        await self.begin(waiting=2)
        self.ask("RPUSH", OLD_LIST, "1", "2", "3")
        self.assertEqual(await self.inbox.commit([draft()], []), committed(Full(3, False)))
        self.assertEqual(await self.texts(), ["1", "2", "3"])

    async def test_is_not_too_old(self) -> None:
        """What the older server left would be taken for messages of 1970 and dropped."""
        await self.begin(days=1)
        self.ask("RPUSH", OLD_LIST, "1", "2")
        self.assertEqual((await self.inbox.claim(READER, None)).waiting, 2)
        self.assertEqual((await self.inbox.claim(READER, None)).waiting, 2)

    async def test_left_by_looking(self) -> None:
        """A look before the move would take messages away from the older server, or overlook them."""
        await self.leave("1", "2")
        await self.inbox.commit([draft("x", to=7)], [])
        found = [Backlog(7, 1, 1, 1_700_000_000_000), Backlog(READER, 2, 2, 0)]
        self.assertEqual(await self.inbox.backlogs(None), found)
        self.assertEqual(await self.inbox.backlogs(READER), found[1:])
        self.assertEqual(self.ask("LLEN", OLD_LIST), b":2\r\n")
        self.assertEqual(await self.inbox.purge(READER, 1), 1)
        self.assertEqual(await self.texts(), ["2"])

    async def test_again(self) -> None:
        """An older server that runs beside this one for a while would lose messages."""
        await self.leave("1")
        await self.inbox.commit([draft("2")], [])
        self.ask("RPUSH", OLD_LIST, "3")
        self.assertEqual(await self.texts(), ["1", "2", "3"])

    async def test_acknowledged(self) -> None:
        """What the older server left would come again after it was read."""
        await self.leave("1", "2")
        claim = await self.inbox.claim(READER, None)
        await self.inbox.commit([], [Removal(READER, claim.generation, 2)])
        self.assertEqual(await self.texts(), [])
        self.assertEqual(await self.inbox.commit([draft()], []), committed(Stored(3, 1)))


class TroubleTests(OnOneRedis):
    """Other programs that do what they should not."""

    async def test_scripts_flushed(self) -> None:
        """SCRIPT FLUSH by an admin would stop all messages."""
        await self.begin()
        self.ask("SCRIPT", "FLUSH")
        self.assertEqual(await self.inbox.commit([draft()], []), committed(Stored(1, 1)))
        self.ask("SCRIPT", "FLUSH")
        self.assertEqual(len(await self.inbox.read(READER, 0, 10)), 1)

    async def test_wrong_type(self) -> None:
        """One damaged key would stop the messages of everybody in the batch."""
        for key in (f"chat:{{{READER}}}:inbox", f"chat:{{{READER}}}:from", OLD_LIST):
            redis().execute("FLUSHDB", db=self.db)
            await self.begin()
            self.ask("SET", key, "damaged")
            other = READER + 1
            committed = await self.inbox.commit([draft("a", other), draft(), draft("b", other)], [])
            first, failed, second = committed.outcomes
            self.assertEqual((first, second), (Stored(1, 1), Stored(2, 2)))
            assert isinstance(failed, Failed), key
            self.assertIn("WRONGTYPE", failed.reason)

    async def test_wrong_type_of_a_removal(self) -> None:
        """One damaged key would stop the removals of everybody in the batch."""
        await self.begin()
        mine = await self.inbox.claim(READER, None)
        other = await self.inbox.claim(READER + 1, None)
        await self.inbox.commit([draft(to=READER + 1)], [])
        self.ask("SET", f"chat:{{{READER}}}:inbox", "damaged")
        await self.inbox.commit(
            [], [Removal(READER, mine.generation, 1), Removal(READER + 1, other.generation, 1)]
        )
        self.assertEqual(await self.inbox.count(READER + 1), 0)

    async def test_reading_what_is_damaged(self) -> None:
        """A damaged key would show as something else than an absent store."""
        await self.begin()
        self.ask("SET", f"chat:{{{READER}}}:inbox", "damaged")
        with self.assertRaises(StoreUnavailable):
            await self.inbox.read(READER, 0, 10)


class TotalTests(OnOneRedis):
    """The counter of all messages that wait, and a Redis that is full."""

    async def test_every_way(self) -> None:
        """The number of messages that wait would be wrong after one of the ways in which they come and go."""
        self.ask("RPUSH", OLD_LIST, "1", "2", "3")
        await self.begin(days=1, waiting=4)
        self.assertEqual(await self.inbox.total(), 0)
        claim = await self.inbox.claim(READER, None)
        self.assertEqual(await self.inbox.total(), 3)
        await self.inbox.commit([draft(), draft("does not fit")], [])
        await self.inbox.commit([draft(to=A)], [Removal(READER, claim.generation, 3)])
        self.assertEqual(await self.inbox.total(), 2)
        at = str(int((time.time() - 2 * DAY) * 1000))
        fields = ("f", "7", "u", "n", "a", at, "t", "x")
        self.ask("DEL", f"chat:{{{A}}}:inbox")
        self.ask("XADD", f"chat:{{{A}}}:inbox", "1-0", *fields)
        await self.inbox.claim(A, None)  # its only message has waited too long
        self.assertEqual(await self.inbox.total(), 1)

    async def test_examination(self) -> None:
        """A Redis that takes no more messages would pass for one that is well, because it can still be read."""
        await self.begin()
        await self.inbox.examine()
        redis().execute("CONFIG", "SET", "maxmemory", "1")
        try:
            with self.assertRaises(StoreUnavailable) as caught:
                await self.inbox.examine()
        finally:
            redis().execute("CONFIG", "SET", "maxmemory", "0")
        self.assertIn("maxmemory", str(caught.exception))
        await self.inbox.examine()

    async def test_full(self) -> None:
        """When Redis is full, what leaves it would go on being counted."""
        await self.begin()
        claim = await self.inbox.claim(READER, None)
        await self.inbox.commit([draft()] * 3, [])
        redis().execute("CONFIG", "SET", "maxmemory", "1")
        try:
            await self.inbox.commit([draft()], [Removal(READER, claim.generation, 2)])
        finally:
            redis().execute("CONFIG", "SET", "maxmemory", "0")
        waits = await self.inbox.count(READER)
        self.assertEqual((await self.inbox.total(), waits < 3), (waits, True))

    async def test_full_for_some(self) -> None:
        """A full Redis would fail a batch as a whole, or show again what was acknowledged before a log-out."""
        await self.begin()
        claim = await self.inbox.claim(READER, None)
        await self.inbox.commit([draft()] * 3, [])
        redis().execute("CONFIG", "SET", "maxmemory", "1")
        try:
            goodbye = Removal(READER, claim.generation, 2, leaving=True)
            removed = await self.inbox.commit([], [goodbye])
            refused = await self.inbox.commit([draft(), draft(to=A)], [])
        finally:
            redis().execute("CONFIG", "SET", "maxmemory", "0")
        self.assertEqual((removed.refused, removed.taken), ([], []))
        self.assertEqual(await self.inbox.count(READER), 1)
        self.assertEqual([type(outcome) for outcome in refused.outcomes], [Failed, Failed])
        self.assertEqual(await self.inbox.total(), 1)
