"""Rooms that several nodes read: what they hear of each other, and data that has lost writes."""

from __future__ import annotations

from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import gatherResults
from twisted.internet.task import deferLater

from chatsvc.inbox.claim import Registration
from chatsvc.inbox.outcome import Behind, Draft, RoomAcknowledgement, RoomDraft, Stored
from chatsvc.inbox.room_log import Applied, RoomStart
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.events import Invitation, Joining, RoomEvent, RoomMessage
from tests.inbox.contract.room_case import (
    AT,
    ELSEWHERE,
    ROOM,
    created,
    invitation,
    joined,
    left,
    says,
)
from tests.inbox.fixtures import PHONE, READER, A, B, draft, until
from tests.inbox.redis.room_case import RoomsOnTwoNodes
from tests.inbox.redis.stores import OnOneRedis
from tests.support.script_rules import replace_rule
from tests.support.servers import PrivateRedis, redis


class RoomNewsTests(RoomsOnTwoNodes):
    """What nodes are told of what others have stored in rooms."""

    async def test_message_at_another_node(self) -> None:
        """A member would not be shown what another wrote at another node, or under another id (P3)."""
        await self.begin_room()
        (stored,) = await self.say(self.there, "hello", mark=PHONE)
        self.assertFalse(stored.elsewhere)
        await until(lambda: self.mine.entries)
        message = RoomMessage(ROOM, 2, stored.serial, A, "名", AT, "hello", PHONE)
        self.assertEqual(self.mine.entries, [message])
        self.assertEqual((await self.here.rooms.read(ROOM, 1, 9)).entries, [message])
        self.assertEqual(self.theirs.entries[1:], [], "who stores it knows it")

    async def test_event_at_another_node(self) -> None:
        """A member would be told too late who has come or gone, or differently at each node."""
        await self.begin_room()
        before = len(self.theirs.entries)
        (place,) = (await self.there.rooms.apply(ROOM, [joined(2, B)])).places
        await until(lambda: self.mine.entries)
        event = RoomEvent(ROOM, 2, place.serial, 2, AT, "joined", A, B, "名", {})
        self.assertEqual(self.mine.entries, [event])
        self.assertEqual(self.theirs.entries[before:], [event])

    async def test_room_that_is_not_read(self) -> None:
        """Each node would be sent what is said in all rooms."""
        await self.begin_room()
        await self.there.rooms.apply(ELSEWHERE, [created(ELSEWHERE)])
        await self.say(self.there, "nobody reads this", room=ELSEWHERE)
        await self.here.rooms.close_here([ROOM])
        await self.say(self.there, "nor this")
        await self.there.commit([draft("news")], [])
        await until(lambda: self.mine.stored)
        self.assertEqual(self.mine.entries, [])

    async def test_reading_is_enough(self) -> None:
        """A node that was taken for dead would not hear of a room any more, though it reads there again."""
        await self.begin_room()
        await self.here.rooms.close_here([ROOM])
        await self.here.rooms.read(ROOM, 0, 9)
        await self.say(self.there, "hello")
        await until(lambda: self.mine.entries)

    async def test_nobody_reads_here(self) -> None:
        """A node would be sent for ever what is said in a room that nobody reads there any more."""
        await self.begin_room()
        self.mine.rooms_here = set()
        await self.say(self.there, "hello")
        await until(lambda: self.readers() == set())
        self.assertEqual(len(self.mine.entries), 1)

    async def test_while_it_is_opened(self) -> None:
        """A session would not learn of what was stored while it began to read, or its node give the room up."""
        await self.begin_room()
        await self.say(self.there, *"ab")
        await until(lambda: len(self.mine.entries) == 2)
        self.mine.entries, self.mine.rooms_here = [], set()
        protocol: Any = await self.here._connection.connected()
        ask, held = protocol.execute_command, []

        def hold(*words: Any) -> Any:
            answer = ask(*words)
            if words[3:4] != (b"open",):
                return answer
            held.append(answer)
            said = self.there.commit([says("meanwhile")], [])
            said.addCallback(lambda _: deferLater(reactor, 0.1))  # type: ignore[arg-type]
            return gatherResults([answer, said]).addCallback(lambda both: both[0])

        self.patch(protocol, "execute_command", hold)
        (ends,) = (await self.here.rooms.open(B, [RoomStart(ROOM)])).ends
        self.assertEqual(len(held), 1)
        self.assertEqual([one.id for one in self.mine.entries], [4])
        newest = self.mine.entries[0].serial
        self.assertEqual((ends.begin, ends.last, ends.serial), (0, 4, newest))
        self.assertEqual(self.readers(), {"here"})

    async def test_dead_node(self) -> None:
        """Each message would ask for ever after nodes that have ended."""
        await self.begin_room()
        await self.there.rooms.open(A, [RoomStart(ROOM)])
        self.assertEqual(self.readers(), {"here", "there"})
        redis().execute("DEL", "chat:node:here", db=self.db)
        await self.say(self.there, "hello")
        self.assertEqual(self.readers(), {"there"})

    async def test_one_publish(self) -> None:
        """A batch would be published message by message."""
        await self.begin_room()
        published: list[bytes] = []
        self.patch(self.here._subscriber, "_rooms", lambda entries, known: published.append(b""))
        drafts: list[Draft | RoomDraft] = [says("1"), draft("2"), says("3"), draft("4")]
        await self.there.commit(drafts, [])
        await until(lambda: len(self.mine.stored) == 2)
        self.assertEqual(len(published), 1)

    async def test_marks_at_another_node(self) -> None:
        """A user at another node would not begin to read a room that was joined, or not see an invitation."""
        await self.begin_room()
        applied = await self.there.rooms.apply(ROOM, [invitation(2, READER), joined(3, READER)])
        await until(lambda: len(self.mine.stored) == 2)
        place = applied.places[1]
        marks = [(uid, message.id, message.mark) for uid, message in self.mine.stored]
        joining = Joining(ROOM, place.id, place.serial)
        self.assertEqual(marks, [(READER, 1, Invitation(ROOM, "dev")), (READER, 2, joining)])
        self.assertEqual([message.serial for _, message in self.mine.stored][1], place.serial)

    async def test_forgotten_by_a_mark(self) -> None:
        """The session of a device that was left behind would not be told."""
        await self.begin_room()
        await self.here.forget(READER, PHONE)
        said = Registration("x")
        await self.here.claim(READER, None, device=PHONE, registration=said)
        replace_rule("return id - device.position > args.device_backlog", "return true", self.patch)
        await self.there.rooms.apply(ROOM, [joined(2, READER)])
        await until(lambda: self.mine.gone)
        self.assertIn((READER, PHONE), self.mine.gone)

    async def test_two_nodes_finish(self) -> None:
        """Events that two nodes finish at once would stand in the log twice (P5)."""
        await self.begin_room()
        await self.there.rooms.open(A, [RoomStart(ROOM)])
        self.theirs.entries = []
        events = [joined(2, B), left(3, B), joined(4, B)]
        both: list[Applied] = []
        for node in (self.here, self.there):
            both.append(await node.rooms.apply(ROOM, events))
        self.assertEqual(both[0], both[1])
        await until(lambda: len(self.theirs.entries) == 3)
        self.assertEqual([one.id for one in self.mine.entries], [2, 3, 4])
        self.assertEqual([one.id for one in self.theirs.entries], [2, 3, 4])
        self.assertEqual(len(await self.here.read(B, 0, 9)), 2)


class LostRoomTests(RoomsOnTwoNodes):
    """Redis has lost writes, and went on."""

    async def went_back(self) -> None:
        """Store something that is lost then; nobody has noticed yet."""
        await self.begin_room()
        await self.say(self.there, "kept")
        copy = self.copy()
        await self.say(self.there, "lost", "lost")
        self.put_back(copy)

    async def test_nothing_is_stored(self) -> None:
        """A message would get an id that readers know for another (P1)."""
        await self.went_back()
        drafts: list[Draft | RoomDraft] = [says("in other data"), draft("to an inbox")]
        acknowledged = [RoomAcknowledgement(A, ROOM, 2)]
        committed = await self.there.commit(drafts, [], acknowledged)
        behind, stored = committed.outcomes
        self.assertEqual((behind, type(stored)), (Behind(), Stored))
        self.assertTrue(committed.lost)
        await until(lambda: self.theirs.comparisons)
        page = await self.there.rooms.read(ROOM, 0, 9)
        self.assertEqual([one.id for one in page.entries], [1, 2])
        (ends,) = (await self.there.rooms.open(A, [RoomStart(ROOM)])).ends
        self.assertIsNone(ends.after)
        (again,) = await self.say(self.there, "again")
        self.assertEqual(again.id, 3)

    async def test_ids_mean_nothing(self) -> None:
        """A reader would be handed other entries under ids that it knows (P3)."""
        for name in ("read", "open", "apply", "load", "expire"):
            await self.went_back()
            calls = {
                "read": lambda: self.there.rooms.read(ROOM, 0, 9),
                "open": lambda: self.there.rooms.open(A, [RoomStart(ROOM)]),
                "apply": lambda: self.there.rooms.apply(ROOM, [joined(2, B)]),
                "load": lambda: self.there.rooms.load(ROOM, 5, {A: "owner"}, 9),
                "expire": lambda: self.there.rooms.expire([ROOM], 2**53, 9),
            }
            told = len(self.theirs.entries)
            with self.assertRaises(StoreUnavailable):
                await calls[name]()
            self.assertEqual(len(self.theirs.entries), told, name)
            await until(lambda: self.theirs.comparisons)
            await calls[name]()
            for node in (self.here, self.there):
                await node.close()
            redis().execute("FLUSHDB", db=self.db)

    async def test_news_of_other_data(self) -> None:
        """A member would be shown an entry of other data under an id that is known (P3)."""
        await self.went_back()
        await until(lambda: len(self.mine.entries) == 3)
        await self.there.examine()
        await until(lambda: self.theirs.comparisons)
        self.assertEqual(self.mine.comparisons, [])
        await self.say(self.there, "new")
        await until(lambda: self.mine.comparisons)
        self.assertEqual(len(self.mine.entries), 3, "nothing of the new data was heard")
        await self.here.rooms.read(ROOM, 0, 9)
        await self.say(self.there, "heard")
        await until(lambda: len(self.mine.entries) == 4)

    async def test_lost_events(self) -> None:
        """Data that has lost nothing but an event would pass for what it was: who was removed could write on (P5)."""
        await self.begin_room()
        await self.there.rooms.apply(ROOM, [joined(2, B)])
        copy = self.copy()
        await self.there.rooms.apply(ROOM, [left(3, B)])
        self.put_back(copy)
        committed = await self.there.commit([says(sender=B, version=2)], [])
        self.assertEqual((committed.outcomes, committed.lost), ([Behind()], True))


class LateAnswerTests(OnOneRedis):
    """A Redis that hangs. It is this test's own."""

    async def test_told_late(self) -> None:
        """Members would not be told of an event that a Redis which hung has stored after all."""
        server = PrivateRedis()
        self.addCleanup(server.remove)
        server.start()
        inbox = self.store(url=server.url(), patience=0.2)
        await inbox.open(self.watcher)
        server.freeze()
        with self.assertRaises(StoreUnavailable):
            await inbox.rooms.apply(ROOM, [created()])
        self.assertEqual(self.watcher.entries, [])
        server.thaw()
        await until(lambda: self.watcher.entries)
        self.assertEqual([uid for uid, _ in self.watcher.stored], [A])
        (place,) = (await inbox.rooms.apply(ROOM, [created()])).places
        self.assertEqual(place.id, 1)
        self.assertEqual(len(self.watcher.entries), 1)
