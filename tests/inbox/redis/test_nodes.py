"""Two nodes and one Redis: who reads where, what the nodes tell each other, and what if that gets lost."""

from __future__ import annotations

import orjson
from twisted.internet import reactor
from twisted.internet.task import deferLater

from chatsvc.inbox.claim import Cursor, InboxClaim, TakenOver
from chatsvc.inbox.outcome import Duplicate, Moved, Removal, Stored
from chatsvc.storage.url import StoreUnavailable
from tests.inbox.fixtures import DEVICE, OTHER, READER, A, RecordingWatcher, draft, until
from tests.inbox.redis.stores import OnTwoNodes
from tests.support.servers import redis


class StoredElsewhereTests(OnTwoNodes):
    """Messages that a node stores for readers of another."""

    async def test_news(self) -> None:
        """A reader would learn of another node's messages only when somebody here writes to the same user."""
        await self.begin()
        sent = [draft("第一"), draft('second\n"', sender=READER), draft("x", to=OTHER)]
        outcomes = await self.store_there(*sent)
        self.assertEqual(
            outcomes, [Stored(1, 1, True, taken=True), Stored(2, 2, True, taken=True), Stored(1, 1)]
        )
        await until(lambda: len(self.mine.stored) == 2)
        heard = [(uid, m.id, m.sender, m.name, m.at, m.text) for uid, m in self.mine.stored]
        expected = [(READER, i, d.sender, d.name, d.at, d.text) for i, d in enumerate(sent[:2], 1)]
        self.assertEqual(heard, expected)
        self.assertEqual(self.theirs.stored, [])

    async def test_own_messages(self) -> None:
        """A node would be told what it stored itself, and its readers get that twice."""
        await self.begin()
        committed = await self.here.commit([draft()], [])
        self.assertEqual(committed.outcomes, [Stored(1, 1)])
        await self.store_there()
        await until(lambda: self.mine.stored)
        self.assertEqual([m.id for _, m in self.mine.stored], [2])

    async def test_repetition(self) -> None:
        """The sender of a repeated message would hear that a reader at another node is away."""
        await self.begin()
        again = draft(device=DEVICE, n=1)
        await self.store_there(again)
        self.assertEqual(await self.store_there(again), [Duplicate(1, 1, True)])

    async def test_elsewhere(self) -> None:
        """Who asks after somebody would hear that users of other nodes are offline, or that those who left are not."""
        claim = await self.begin()
        self.assertEqual(await self.there.elsewhere([READER, OTHER]), {READER})
        self.assertEqual(await self.here.elsewhere([READER]), set())
        self.assertEqual(await self.there.elsewhere([]), set())
        await self.here.commit([], [Removal(READER, claim.generation, 0, leaving=True)])
        self.assertEqual(await self.there.elsewhere([READER]), set())
        self.assertEqual(await self.store_there(), [Stored(1, 1)])

    async def test_claim_that_was_given_up(self) -> None:
        """A user whose log-in failed while Redis was slow would be told online for ever."""
        await self.begin()
        self.mine.here = set()
        self.assertEqual(await self.store_there(), [Stored(1, 1, True, taken=True)])
        await until(lambda: self.session().startswith(b"- "))
        self.assertEqual(await self.store_there(), [Stored(2, 2)])

    async def test_news_before_the_answer_to_a_claim(self) -> None:
        """A message stored right after a log-in would stay unread until the next one."""
        await self.begin()
        claiming = self.here.claim(READER, None)
        with self.here._subscriber.claiming(READER):
            news = {"news": [[str(READER), "3", "1", "n", "5", "t"]], "taken": []}
            self.here._subscriber._received(orjson.dumps(news))
            claim = await claiming
        self.assertEqual((claim.last_id, claim.waiting), (3, 3))


class TakeOverTests(OnTwoNodes):
    """A user who logs in at another node."""

    async def test_take_over(self) -> None:
        """A user's older connection at another node would go on as if nothing had happened."""
        before = await self.begin()
        claim = await self.there.claim(READER, None, origin="192.0.2.1")
        self.assertEqual(claim.generation, before.generation + 1)
        await until(lambda: self.mine.taken)
        self.assertEqual(self.mine.by, ["192.0.2.1"])
        self.assertEqual(self.mine.taken, [(READER, claim.generation)])
        self.assertEqual(self.theirs.taken, [])
        self.assertEqual(self.session(), b"there %d" % claim.generation)

    async def test_lost_kick(self) -> None:
        """A connection that did not hear of the take-over would remove what the new one has not seen."""
        before = await self.begin()
        await self.deaf(self.here)
        await self.there.claim(READER, None)
        await self.store_there()
        late = Removal(READER, before.generation, 1)
        committed = await self.here.commit([draft()], [late])
        self.assertEqual((committed.refused, committed.taken), ([], [late]))
        self.assertEqual(committed.outcomes, [Stored(2, 2, True, taken=True)])
        self.assertEqual(await self.here.count(READER), 2)

    async def test_sender_who_has_moved(self) -> None:
        """
        A message from a node that hung would be stored when it goes on, though its sender has moved to another node.

        By then its number may be another message's.
        """
        before = await self.begin()
        now = await self.there.claim(READER, None)
        late = draft(sender=READER, to=A, device=DEVICE, n=1, generation=before.generation)
        unnumbered = draft(sender=READER, to=A, generation=before.generation)
        committed = await self.here.commit([late, unnumbered, draft(to=A)], [])
        self.assertEqual(committed.outcomes, [Moved(), Moved(), Stored(1, 1)])
        again = draft(sender=READER, to=A, device=DEVICE, n=1, generation=now.generation)
        self.assertEqual(await self.store_there(again), [Stored(2, 2)])
        await self.there.commit([], [Removal(READER, now.generation, 0, leaving=True)])
        self.assertEqual((await self.here.commit([late], [])).outcomes, [Moved()])

    async def test_sender_whose_claim_was_lost(self) -> None:
        """A sender whose claim the store has forgotten, or which was renewed here, could send no more."""
        before = await self.begin()
        await self.here.claim(READER, None, before.generation)
        mine = draft(sender=READER, to=A, generation=before.generation)
        self.assertEqual((await self.here.commit([mine], [])).outcomes, [Stored(1, 1)])
        redis().execute("DEL", f"chat:{{{READER}}}:session", db=self.db)
        self.assertEqual((await self.here.commit([mine], [])).outcomes, [Stored(2, 2)])

    async def test_late_goodbye(self) -> None:
        """The end of an older connection would let a user appear offline who has moved to another node."""
        before = await self.begin()
        claim = await self.there.claim(READER, None)
        goodbye = Removal(READER, before.generation, 0, leaving=True)
        await self.here.commit([], [goodbye])
        self.assertEqual(self.session(), b"there %d" % claim.generation)

    async def test_renewal(self) -> None:
        """A node that renews a claim would take a user back from where that user has gone."""
        before = await self.begin()
        renewed = await self.here.claim(READER, 0, before.generation)
        self.assertEqual(renewed.generation, before.generation + 1)
        claim = await self.there.claim(READER, None)
        with self.assertRaises(TakenOver):
            await self.here.claim(READER, 0, renewed.generation)
        self.assertEqual(self.session(), b"there %d" % claim.generation)

    async def test_claim_that_comes_late(self) -> None:
        """A log-in that was given up at one node would run later, and log out who has logged in at another."""
        await self.begin()
        await self.there.claim(READER, None)
        before = self.session()
        assert self.lease_of_mine._ahead is not None
        # As if it had been under way for a second longer than it is waited for.
        self.lease_of_mine._ahead -= 6000
        with self.assertRaises(StoreUnavailable):
            await self.here.claim(READER, None)
        self.assertEqual(self.session(), before)
        self.assertEqual(self.theirs.taken, [])
        await self.here.examine()  # which looks at Redis's clock anew
        await self.here.claim(READER, None)

    async def test_kick_before_the_answer_to_a_claim(self) -> None:
        """Of two log-ins at the same moment both would stay."""
        await self.begin()
        claiming = self.here.claim(READER, None)
        with self.here._subscriber.claiming(READER):
            self.here._subscriber._received(orjson.dumps({"taken": [[str(READER), "9"]]}))
            await claiming
        await until(lambda: len(self.mine.taken) == 2)
        self.assertEqual(self.mine.taken, [(READER, 9)] * 2)
        self.assertEqual(self.mine.by, ["another node"] * 2, "older nodes do not say from where")


class MissedTests(OnTwoNodes):
    """What is said while a node cannot hear it."""

    lease = 0.6

    async def test_connection_lost(self) -> None:
        """News that got lost would be shown only after the next log-in."""
        before = await self.begin()
        self.mine.read = [Cursor(READER, 0, before.generation, None)]
        redis().execute("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: self.mine.returned)
        self.assertEqual((self.mine.returned, self.mine.taken), ([[]], []))

    async def test_taken_meanwhile(self) -> None:
        """A user who logged in at another node meanwhile would stay logged in here, too."""
        before = await self.begin()
        self.mine.read = [Cursor(READER, 0, before.generation, None)]
        redis().execute("SET", f"chat:{{{READER}}}:session", "there 7", db=self.db)
        redis().execute("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: self.mine.taken)
        self.assertEqual(self.mine.taken[0], (READER, 7))

    async def test_dead_node(self) -> None:
        """Users of a node that died would be told online for ever, and messages to them not be counted as waiting."""
        await self.begin()
        self.lease_of_mine._renewing.stop()  # as if it had died
        self.assertEqual(await self.store_there(), [Stored(1, 1, True, taken=True)])
        await deferLater(reactor, 0.7)  # type: ignore[arg-type]
        self.assertEqual(await self.store_there(), [Stored(2, 2)])
        self.assertEqual(await self.there.elsewhere([READER]), set())
        third = await self.node("third", RecordingWatcher())
        self.assertNotIn(b"\r\nhere\r\n", redis().execute("SMEMBERS", "chat:nodes", db=self.db))
        await third.close()

    async def test_taken_for_dead(self) -> None:
        """A node that slept for a while would not read what was stored meanwhile, of which nobody told it."""
        await self.begin()
        redis().execute("DEL", "chat:node:here", db=self.db)
        await self.store_there()
        await until(lambda: self.mine.returned)
        self.assertEqual(self.mine.stored, [])
        self.assertEqual(await self.store_there(), [Stored(2, 2, True, taken=True)])

    async def test_renewal_given_up(self) -> None:
        """A node whose renewal ran too late to be noticed would not read what was stored before, untold."""
        await self.begin()
        self.lease_of_mine._renewing.stop()
        redis().execute("DEL", "chat:node:here", db=self.db)
        await self.store_there()
        patience, self.here._patience = self.here._patience, 0
        await self.lease_of_mine._renew_if_possible()
        await until(lambda: redis().execute("EXISTS", "chat:node:here", db=self.db) == b":1\r\n")
        self.assertEqual((self.mine.stored, self.mine.returned), ([], []))
        self.here._patience = patience
        await self.lease_of_mine._renew_if_possible()
        await until(lambda: self.mine.returned)

    async def test_goodbye(self) -> None:
        """The users of a node that was stopped would be told online until its lease ends."""
        await self.begin()
        await self.here.close()
        self.assertEqual(redis().execute("EXISTS", "chat:node:here", db=self.db), b":0\r\n")
        self.assertEqual(await self.store_there(), [Stored(1, 1)])


class LostTests(OnTwoNodes):
    """A fail-over to a Redis that has not all."""

    async def stale(self, *cursors: Cursor) -> list[int]:
        """Which of these cursors no longer fit, when the connection is back."""
        self.mine.read = list(cursors)
        redis().execute("CLIENT", "KILL", "TYPE", "pubsub")
        await until(lambda: self.mine.returned)
        return self.mine.returned[0]

    async def test_ids_given_out_twice(self) -> None:
        """A reader would never see a message that got an id which it knows of one that was lost."""
        before = await self.begin()
        await self.store_there(draft(at=1), draft(at=2), draft(at=3))
        # READER has been handed a 2 that the store has lost; another node has stored two more since.
        stale = await self.stale(Cursor(READER, 2, before.generation, 99))
        self.assertEqual(stale, [READER])
        late = Removal(READER, before.generation, 2)
        self.assertEqual((await self.here.commit([], [late])).refused, [late])
        after = await self.here.claim(READER, None)
        self.assertNotEqual(after.epoch, before.epoch)

    async def test_the_same_message(self) -> None:
        """Every lost connection would begin new epochs, and all that waits be shown again."""
        before = await self.begin()
        await self.store_there(draft(at=1), draft(at=2), draft(at=3))
        cursor = Cursor(READER, 2, before.generation, 2)
        nothing = Cursor(A, 0, 0, None)
        self.assertEqual(await self.stale(cursor, nothing), [])
        committed = await self.here.commit([], [Removal(READER, before.generation, 2)])
        self.assertEqual(committed.refused, [])

    async def test_claim_lost(self) -> None:
        """A user whose claim was lost would get no news, and could acknowledge nothing."""
        before = await self.begin()
        claim = await self.here.claim(READER, None)
        redis().execute(
            "SET", f"chat:{{{READER}}}:session", b"there %d" % before.generation, db=self.db
        )
        # Without a lost connection: the other node would not be there for a moment, and miss what is published.
        self.mine.read = [Cursor(READER, 0, claim.generation, None)]
        await self.here._check_again()
        await until(lambda: self.mine.returned)
        self.assertEqual(self.mine.returned[0], [])
        self.assertEqual(self.session(), b"here %d" % claim.generation)
        await until(lambda: self.theirs.taken)
        self.assertEqual(self.theirs.taken, [(READER, claim.generation)])

    async def test_equal_generations(self) -> None:
        """Two log-ins to which a store that lost one gave one generation would both stay, and the later be deaf."""
        before = await self.begin()
        redis().execute(
            "SET", f"chat:{{{READER}}}:session", f"there {before.generation}", db=self.db
        )
        await self.store_there()
        goodbye = Removal(READER, before.generation, 1, leaving=True)
        committed = await self.here.commit([], [goodbye])
        self.assertEqual(committed.taken, [goodbye])
        self.assertEqual(self.session(), b"there %d" % before.generation)
        self.assertEqual(await self.there.count(READER), 1)
        self.mine.read = [Cursor(READER, 0, before.generation, None)]
        await self.stale(*self.mine.read)
        self.assertEqual(self.mine.taken, [(READER, before.generation)])


class DeletedTests(OnTwoNodes):
    """Somebody deletes everything, or puts older data in its place, while people are logged in."""

    async def delete(self) -> InboxClaim:
        """Delete everything; READER had been logged in here more than once, and been handed messages up to 3."""
        before = await self.begin()
        for _ in range(3):
            before = await self.here.claim(READER, None)
        redis().execute("FLUSHDB", db=self.db)
        return before

    async def test_unread_messages(self) -> None:
        """Messages that were confirmed afterwards would be removed unread, because their ids are known of others."""
        before = await self.delete()
        self.mine.read = [Cursor(READER, 3, before.generation, 5)]
        await self.store_there(draft(), draft(), draft())
        removal = Removal(READER, before.generation, 4)
        committed = await self.here.commit([draft()], [removal])
        self.assertEqual(committed.outcomes, [Stored(4, 4)])
        self.assertEqual(await self.here.count(READER), 4)
        await until(lambda: self.mine.returned)
        self.assertEqual(self.mine.returned[0], [READER])
        self.assertEqual((await self.here.commit([], [removal])).refused, [removal])

    async def test_new_log_in(self) -> None:
        """Who logged in at another node afterwards would be logged out for a connection of before."""
        before = await self.delete()
        now = await self.there.claim(READER, None)
        self.assertLess(now.generation, before.generation)
        with self.assertRaises(TakenOver):
            await self.here.claim(READER, 3, before.generation)
        self.mine.read = [Cursor(READER, 3, before.generation, 5)]
        await self.here.examine()
        await until(lambda: self.mine.returned)
        self.assertEqual(self.mine.returned[0], [])
        self.assertEqual(self.mine.taken, [(READER, now.generation)])
        self.assertEqual(self.session(), b"there %d" % now.generation)

    async def test_told_once(self) -> None:
        """Readers would begin anew for ever."""
        await self.delete()
        await self.here.examine()
        await until(lambda: self.mine.returned)
        await self.here.examine()
        await self.here.commit([draft()], [])
        await deferLater(reactor, 0.1)  # type: ignore[arg-type]
        self.assertEqual(len(self.mine.returned), 1)
