"""Registered devices on two nodes: take-overs, copies, what comes late, and a Redis that lost writes and went on."""

from __future__ import annotations

from typing import Any

from twisted.logger import capturedLogs

from chatsvc.inbox.claim import (
    Comparison,
    Cursor,
    InboxClaim,
    NotRegistered,
    Registration,
    TakenOver,
)
from chatsvc.inbox.outcome import Draft, Moved, Removal, Stored, Unregistered
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Message
from tests.inbox.fixtures import DAY, OTHER, READER, A, draft, until
from tests.inbox.redis.stores import OlderData, OnTwoNodes
from tests.support.script_rules import replace_rule
from tests.support.servers import redis

DESK, PHONE = "d" * 16, "f" * 16
MINUTE = 60_000_000
"""A minute in serials."""


class DevicesOnTwoNodes(OnTwoNodes):
    """A test whose READER has a desk here and a phone there."""

    async def register(
        self, node: RedisInbox, device: str, after: int | None = None, serial: int | None = None
    ) -> InboxClaim:
        """Log READER in as a registered device."""
        said = Registration(f"test/{device[0]}", serial)
        return await node.claim(READER, after, device=device, registration=said)

    async def begin_devices(self) -> tuple[InboxClaim, InboxClaim]:
        """Open both nodes, with READER's desk here and phone there."""
        await self.begin()
        await self.here.forget(READER, DESK)
        self.theirs.here = {READER}
        desk = await self.register(self.here, DESK)
        return desk, await self.register(self.there, PHONE)

    async def acknowledge(
        self, node: RedisInbox, device: str, claim: InboxClaim, up_to: int
    ) -> None:
        """A device has shown all up to an id."""
        removal = Removal(READER, claim.generation, up_to, device=device, shown=up_to)
        committed = await node.commit([], [removal])
        self.assertEqual((committed.refused, committed.taken, committed.forgotten), ([], [], []))

    def said(self, device: str, claim: InboxClaim, **more: Any) -> Draft:
        """A message that a device of READER sends to OTHER."""
        sent: dict[str, Any] = {"to": OTHER, "sender": READER, "device": device}
        return draft(**sent | {"sending": claim.generation, "registered": True} | more)

    async def send(self, node: RedisInbox, *drafts: Draft) -> list[Any]:
        """Store messages at a node; their outcomes."""
        return list((await node.commit(drafts, [])).outcomes)


class SideBySideTests(DevicesOnTwoNodes):
    """Two devices of one user, each at a node of its own."""

    async def test_news_for_both(self) -> None:
        """A device at another node would not be told of a message."""
        await self.begin_devices()
        third = await self.node("third", type(self.mine)())
        await third.commit([draft("for both")], [])
        await until(lambda: self.mine.stored and self.theirs.stored)
        for watcher in (self.mine, self.theirs):
            ((uid, message),) = watcher.stored
            self.assertEqual((uid, message.text, message.to), (READER, "for both", 0))
            self.assertGreater(message.serial, 0)

    async def test_copy_at_another_node(self) -> None:
        """What the desk sends would not be shown on the phone, or be shown as a message to oneself (P4)."""
        desk, _ = await self.begin_devices()
        (outcome,) = await self.send(self.here, self.said(DESK, desk, text="hello"))
        assert isinstance(outcome, Stored)
        self.assertEqual(outcome.copy, 1)
        await until(lambda: self.theirs.stored)
        ((uid, copy),) = self.theirs.stored
        self.assertEqual(
            (uid, copy), (READER, Message(1, READER, "名", draft().at, "hello", 0, OTHER, DESK))
        )
        self.assertEqual(copy.serial, outcome.serial)
        self.assertEqual(await self.there.read(READER, 0, 9), [copy])

    async def test_take_over_of_one(self) -> None:
        """A phone that logs in again would throw out the desk, or leave the older phone logged in."""
        desk, phone = await self.begin_devices()
        again = await self.register(self.here, PHONE)
        await until(lambda: self.theirs.taken_devices)
        self.assertEqual(self.theirs.taken_devices, [(READER, PHONE, again.generation)])
        self.assertEqual(self.mine.taken_devices, [])
        await self.send(self.here, draft())
        stale = Removal(READER, phone.generation, 1, device=PHONE, shown=1)
        self.assertEqual((await self.there.commit([], [stale])).taken, [stale])
        await self.acknowledge(self.here, DESK, desk, 1)

    async def test_lost_kick(self) -> None:
        """A phone that did not hear that another one took over would go on for ever."""
        _, phone = await self.begin_devices()
        await self.deaf(self.there)
        again = await self.register(self.here, PHONE)
        self.theirs.read = [Cursor(READER, 0, phone.generation, None, 0, PHONE, phone.serial)]
        await self.there._check_again()
        await until(lambda: self.theirs.comparisons)
        self.assertEqual(self.theirs.comparisons[0].taken, [(READER, PHONE, again.generation)])
        with self.assertRaises(TakenOver):
            said = Registration("test/f", phone.serial)
            await self.there.claim(READER, 0, phone.generation, PHONE, registration=said)

    async def test_forgotten_at_another_node(self) -> None:
        """A lost phone would stay logged in although its owner had it forgotten."""
        _, phone = await self.begin_devices()
        self.assertTrue(await self.here.forget(READER, PHONE))
        await until(lambda: self.theirs.gone)
        self.assertEqual((self.theirs.gone, self.mine.gone), ([(READER, PHONE)], []))
        self.assertEqual(self.theirs.on_request, [(READER, PHONE)], "it stays out")
        late = Removal(READER, phone.generation, 0, device=PHONE)
        committed = await self.there.commit([self.said(PHONE, phone)], [late])
        self.assertEqual(committed.outcomes, [Unregistered()])
        self.assertEqual(committed.forgotten, [(READER, PHONE)])
        with self.assertRaises(NotRegistered):
            said = Registration("test/f", phone.serial)
            await self.there.claim(READER, 0, phone.generation, PHONE, registration=said)
        self.assertFalse(await self.here.forget(READER, PHONE))

    async def test_forgotten_here(self) -> None:
        """A lost phone would come back by itself, if it was at the node where its owner had it forgotten."""
        await self.begin_devices()
        await self.here.forget(READER, DESK)
        await until(lambda: self.mine.gone)
        self.assertEqual((self.mine.gone, self.mine.on_request), ([(READER, DESK)],) * 2)
        self.assertEqual(self.theirs.gone, [])

    async def test_forgotten_and_registered_again(self) -> None:
        """A session of before the device was forgotten would acknowledge, and send, for the one after (P7)."""
        _, before = await self.begin_devices()
        await self.send(self.here, draft("1"), draft("2"))
        await self.here.forget(READER, PHONE)
        after = await self.register(self.here, PHONE)
        late = Removal(READER, before.generation, 2, device=PHONE, shown=2)
        committed = await self.there.commit([self.said(PHONE, before)], [late])
        self.assertEqual((committed.outcomes, committed.taken), ([Moved()], [late]))
        self.assertGreater(after.generation, before.generation)
        self.assertEqual([one.id for one in await self.here.read(READER, after.begin, 9)], [1, 2])

    async def test_late_claim(self) -> None:
        """A log-in that was given up would take the device over when its node thaws."""
        _, phone = await self.begin_devices()
        deadline = self.patch(self.here, "_deadline", lambda: {"until": 1})
        with self.assertRaises(StoreUnavailable):
            await self.here.claim(READER, None, device=PHONE, registration=Registration("late"))
        deadline.restore()
        await self.acknowledge(self.there, PHONE, phone, 0)
        self.assertEqual(self.theirs.taken_devices, [])

    async def test_frozen_node(self) -> None:
        """A node that hung would store under a number that the device has given back and used again."""
        desk, _ = await self.begin_devices()
        again = await self.register(self.there, DESK)
        newer = self.said(DESK, again, n=1, text="newer")
        self.assertIsInstance((await self.send(self.there, newer))[0], Stored)
        older = self.said(DESK, desk, n=1, text="older")
        self.assertEqual(await self.send(self.here, older), [Moved()])

    async def test_who_only_sends_through_two_nodes(self) -> None:
        """A message of the session before would be stored after the number was given back."""
        await self.begin_devices()
        first = await self.here.claim_device(READER, DESK)
        second = await self.there.claim_device(READER, DESK)
        sent = [
            draft(to=OTHER, sender=READER, device=DESK, n=1, sending=claim.generation)
            for claim in (first, second)
        ]
        self.assertEqual(await self.send(self.here, sent[0]), [Moved()])
        (outcome,) = await self.send(self.there, sent[1])
        assert isinstance(outcome, Stored)
        self.assertEqual(outcome.copy, 0, "who only sends makes no copies")

    async def test_it_is_the_generation(self) -> None:
        """Something else would refuse the older session's message, and its generation be of no use."""
        desk, _ = await self.begin_devices()
        await self.register(self.there, DESK)
        replace_rule("return generation < sending[key]", "return false", self.patch)
        replace_rule("if known.generation > sent_by then", "if false then", self.patch)
        (outcome,) = await self.send(self.here, self.said(DESK, desk, n=1, text="older"))
        self.assertIsInstance(outcome, Stored)

    async def test_same_device_without_the_feature(self) -> None:
        """Two programs would number the messages of one device, each from where it knows (P1)."""
        desk, _ = await self.begin_devices()
        plain = await self.there.claim(READER, None, device=DESK)
        await until(lambda: self.mine.taken_devices)
        self.assertIn((READER, DESK, plain.generation), self.mine.taken_devices)
        self.assertEqual(await self.send(self.here, self.said(DESK, desk, n=1)), [Moved()])
        again = await self.register(self.here, DESK)
        await until(lambda: self.theirs.taken_devices)
        self.assertEqual(self.theirs.taken_devices, [(READER, "", again.generation)])

    async def test_node_that_was_killed(self) -> None:
        """A device that was logged in for weeks without news would be forgotten because its node was killed."""
        _, phone = await self.begin_devices()
        unnamed = await self.there.claim(READER, None)
        month = -31 * DAY * 1000
        for device in (PHONE, "-"):
            key = f"chat:{{{READER}}}:devices"
            (_, field) = redis().execute("HGET", key, device, db=self.db).split(b"\r\n")[:2]
            node, generation, position, serial, size, first, used, client = field.split(b" ", 7)
            used = b"%d" % (int(used) + month)
            words = (node, generation, position, serial, size, first, used, client)
            redis().execute("HSET", key, device, b" ".join(words), db=self.db)
        redis().execute("DEL", "chat:node:there", db=self.db)
        self.assertEqual((await self.here.commit([draft()], [])).forgotten, [])
        self.assertIn(PHONE, {one.device for one in await self.here.devices(READER)})
        self.assertEqual(self.session(), b"- %d" % unnamed.generation + b" +")
        await self.acknowledge(self.there, "", unnamed, 1)
        self.theirs.read = [
            Cursor(READER, 1, unnamed.generation, draft().at),
            Cursor(READER, 0, phone.generation, None, 0, PHONE, phone.serial),
        ]
        await self.there._check_again()
        await until(lambda: self.theirs.comparisons)
        self.assertEqual(self.theirs.comparisons, [Comparison()])
        self.assertEqual(self.session(), b"there %d" % unnamed.generation + b" +")
        self.theirs.stored.clear()
        await self.send(self.here, draft("it was only frozen"))
        await until(lambda: self.theirs.stored)

    async def test_behind(self) -> None:
        """A phone that is never switched on again would keep everything for ever."""
        desk, _ = await self.begin_devices()
        self.here._batch_rules["device_backlog"] = 3
        forgotten = []
        for n in range(1, 5):
            removal = Removal(READER, desk.generation, n, device=DESK, shown=n)
            await self.send(self.here, draft(str(n)))
            forgotten += (await self.here.commit([], [removal])).forgotten
        await until(lambda: self.theirs.gone)
        self.assertEqual((forgotten, self.theirs.gone), ([(READER, "")], [(READER, PHONE)]))
        self.assertEqual(self.theirs.on_request, [], "it may come back by itself")
        self.assertEqual(await self.here.read(READER, 0, 9), [])
        claim = await self.register(self.there, PHONE, 1, 10)
        assert claim.missed is not None
        self.assertEqual(
            (claim.missed.after, claim.missed.until, claim.missed.serial), (1, 4, None)
        )


class LostWritesTests(OlderData, DevicesOnTwoNodes):
    """A Redis that lost what it had confirmed and went on, under devices that are here and devices that are away."""

    def cursor(self, device: str, claim: InboxClaim, id: int, serial: int) -> Cursor:
        """A device's reader that was handed all up to an id."""
        return Cursor(READER, id, claim.generation, draft().at, 0, device, serial)

    async def lose_two(self) -> tuple[InboxClaim, InboxClaim, list[Any]]:
        """Eight messages are kept, two are lost, three others are stored since by another node."""
        desk, phone = await self.begin_devices()
        sent = await self.send(self.there, *[draft(str(n)) for n in range(8)])
        copy = self.copy()
        sent += await self.send(self.there, draft("lost"), draft("lost"))
        await until(lambda: len(self.mine.stored) == 10)
        self.put_back(copy)
        return desk, phone, sent

    async def test_live_device(self) -> None:
        """A device that is here would be shown nothing of what came under ids that it knows of lost messages."""
        desk, phone, sent = await self.lose_two()
        self.mine.read = [self.cursor(DESK, desk, 10, sent[9].serial)]
        self.theirs.read = [self.cursor(PHONE, phone, 7, sent[6].serial)]
        new = await self.send(self.there, *[draft("new") for _ in range(3)])
        self.assertEqual([one.id for one in new], [9, 10, 11])
        self.assertGreater(new[0].serial, sent[9].serial)
        await until(lambda: self.mine.comparisons and self.theirs.comparisons)
        (back,) = self.mine.comparisons[0].stepped_back
        self.assertEqual((back.uid, back.device, back.id), (READER, DESK, 8))
        self.assertGreater(back.generation, desk.generation)
        self.assertEqual(self.theirs.comparisons[0].stepped_back, [], "it was handed nothing lost")
        late = Removal(READER, desk.generation, 10, device=DESK, shown=10)
        committed = await self.here.commit([], [late])
        self.assertEqual(committed.refused, [late], "an acknowledgement of what is lost")
        texts = [one.text for one in await self.here.read(READER, back.id, 9)]
        self.assertEqual(texts, ["new"] * 3)

    async def test_absent_device(self) -> None:
        """A device that was away would drop what came under ids that it knows of lost messages."""
        desk, _, sent = await self.lose_two()
        goodbye = Removal(READER, desk.generation, 8, leaving=True, device=DESK, shown=8)
        await self.send(self.there, *[draft("new") for _ in range(3)])
        await self.here.commit([], [goodbye])
        claim = await self.register(self.here, DESK, 10, sent[9].serial)
        self.assertEqual((claim.begin, claim.missed), (8, None))
        (first, *_) = await self.here.read(READER, claim.begin, 9)
        self.assertGreater(first.serial, sent[9].serial, "else the client would drop it")

    async def test_without_serials(self) -> None:
        """A device that read before there were serials would skip what waits, or be shown again what it has."""
        await self.begin_devices()
        key = f"chat:{{{OTHER}}}:inbox"
        for n in range(1, 4):
            words = ("f", A, "u", "a", "a", draft().at, "t", f"old {n}")
            redis().execute("XADD", key, f"{n}-0", *words, db=self.db)
        said = Registration("test/1", 0)
        claim = await self.here.claim(OTHER, 2, device=DESK, registration=said)
        self.assertEqual((claim.begin, claim.missed), (2, None))
        claim = await self.here.claim(OTHER, 0, device=PHONE, registration=said)
        self.assertEqual((claim.begin, claim.missed), (0, None))

    async def test_with_copies(self) -> None:
        """A copy that was lost would leave the phone deaf to what came under its id."""
        desk, phone = await self.begin_devices()
        await self.send(self.here, draft("kept"))
        kept = self.copy()
        (lost,) = await self.send(self.here, self.said(DESK, desk, text="lost"))
        assert isinstance(lost, Stored)
        await until(lambda: len(self.theirs.stored) == 2)
        self.put_back(kept)
        self.theirs.read = [self.cursor(PHONE, phone, 2, lost.serial)]
        self.mine.read = [self.cursor(DESK, desk, 2, lost.serial)]
        await self.send(self.here, draft("new"))
        await until(lambda: self.mine.comparisons)
        await self.there.examine()
        await until(lambda: self.theirs.comparisons)
        for watcher in (self.mine, self.theirs):
            self.assertEqual([back.id for back in watcher.comparisons[0].stepped_back], [1])

    async def test_clock_behind(self) -> None:
        """After a fail-over to a machine whose clock is behind, new messages would have serials that are known."""
        await self.begin_devices()
        ahead = (await self.send(self.here, draft()))[0]
        assert isinstance(ahead, Stored)
        serial = ahead.serial + 5 * MINUTE
        redis().execute("SET", "chat:serial", serial, db=self.db)
        (last,) = await self.send(self.here, draft("under a clock that is ahead"))
        assert isinstance(last, Stored)
        self.assertEqual(last.serial, serial + 10)
        redis().execute("SET", "chat:serial", ahead.serial, db=self.db)
        redis().execute("SET", "chat:life", b"%s 0" % (b"0" * 40), db=self.db)
        await self.here.examine()
        (new,) = await self.send(self.there, draft("under one that is behind"))
        assert isinstance(new, Stored)
        self.assertGreater(new.serial, last.serial)

    async def test_another_process(self) -> None:
        """A message that was lost may have been stored under a clock that was ahead of this machine's."""
        await self.begin_devices()
        (before,) = await self.send(self.here, draft())
        redis().execute("SET", "chat:life", b"%s 1" % (b"0" * 40), db=self.db)
        await self.there.examine()
        (after,) = await self.send(self.there, draft())
        assert isinstance(before, Stored) and isinstance(after, Stored)
        self.assertGreater(after.serial - before.serial, MINUTE - 10_000)

    async def test_registration_lost(self) -> None:
        """A device whose registration was lost would stay here, and acknowledge nothing."""
        await self.begin()
        copy = self.copy()
        desk = await self.register(self.here, DESK)
        self.mine.read = [self.cursor(DESK, desk, 0, desk.serial)]
        self.put_back(copy)
        await self.here._check_again()
        await until(lambda: self.mine.comparisons)
        self.assertEqual(self.mine.comparisons[0].forgotten, [(READER, DESK)])

    async def test_claim_lost(self) -> None:
        """A device whose claim was lost would get no news, and could acknowledge nothing."""
        before = await self.begin_devices()
        copy = self.copy()
        for _ in range(3):
            desk = await self.register(self.here, DESK)
        self.assertGreater(desk.generation, before[0].generation)
        self.put_back(copy)
        self.mine.read = [self.cursor(DESK, desk, 0, desk.serial)]
        await self.here._check_again()
        await until(lambda: self.mine.comparisons)
        await self.send(self.here, draft())
        await self.acknowledge(self.here, DESK, desk, 1)
        again = await self.register(self.there, DESK)
        self.assertGreater(again.generation, desk.generation, "generations never go back")

    async def test_step_back_is_needed(self) -> None:
        """Something else would show what came under known ids, and the step back be of no use."""
        replace_rule("if place < id then", "if false then", self.patch)
        desk, _, sent = await self.lose_two()
        self.mine.read = [self.cursor(DESK, desk, 10, sent[9].serial)]
        await self.send(self.there, draft("new"))
        await until(lambda: self.mine.comparisons)
        self.assertEqual(self.mine.comparisons[0].stepped_back, [])


class UpgradeTests(DevicesOnTwoNodes):
    """Data of the version before, with messages waiting and the nodes of before gone."""

    def older(self, uid: int, waiting: int, session: str = "") -> None:
        """An inbox as the version before left it."""
        for n in range(1, waiting + 1):
            words = ("f", A, "u", "a", "a", draft().at, "t", f"old {n}")
            redis().execute("XADD", f"chat:{{{uid}}}:inbox", f"{n}-0", *words, db=self.db)
        if session:
            redis().execute("SET", f"chat:{{{uid}}}:session", session, db=self.db)

    async def test_bot_and_phone(self) -> None:
        """A bot's unacknowledged messages would be gone when the user's phone has read them first."""
        self.older(READER, 3, "gone 7")
        self.older(OTHER, 2)
        self.mine, self.theirs = type(self.watcher)(), type(self.watcher)()
        self.here = await self.node("here", self.mine)
        for uid, waiting in ((READER, 3), (OTHER, 2)):
            said = Registration("phone")
            phone = await self.here.claim(uid, None, device=PHONE, registration=said)
            self.assertEqual((phone.begin, phone.waiting, phone.last_id), (0, waiting, waiting))
            removal = Removal(uid, phone.generation, waiting, device=PHONE, shown=waiting)
            await self.here.commit([], [removal])
            bot = await self.here.claim(uid, 0, device=DESK)
            self.assertEqual((bot.acknowledged, bot.waiting), (0, 0), uid)
            self.assertEqual(len(await self.here.read(uid, 0, 9)), waiting)
            await self.here.commit([], [Removal(uid, bot.generation, waiting)])
            self.assertEqual(await self.here.read(uid, 0, 9), [])
        self.assertGreater(bot.generation, 0)

    async def test_said_once(self) -> None:
        """An admin would not learn that the data was upgraded, or be told at each start."""
        self.older(READER, 3, "gone 7")
        self.older(OTHER, 2)
        with capturedLogs() as logged:
            await self.node("here", type(self.watcher)())
            await self.node("there", type(self.watcher)())
        said = [event for event in logged if event.get("event") == "store-upgraded"]
        self.assertEqual([(event["users"], event["messages"]) for event in said], [(2, 5)])
