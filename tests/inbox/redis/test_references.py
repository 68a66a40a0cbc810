"""What other nodes are told of answers, edits and retractions, and what of them goes into the archive's queue."""

from __future__ import annotations

from typing import Any

from chatsvc.archive.entry import Edited, Pair, Retracted, Said
from chatsvc.inbox.claim import Registration
from chatsvc.inbox.outcome import Committed, Draft, Outcome, RoomDraft, Stored
from chatsvc.wire.entries import Reference
from chatsvc.wire.events import Message, RoomEvent, RoomMessage
from tests.inbox.contract.references import ALL, EDIT, REPLY, RETRACTION
from tests.inbox.contract.room_case import AT, ROOM, says
from tests.inbox.contract.room_references import edits, replies, retracts
from tests.inbox.fixtures import DESK, DEVICE, OTHER, PHONE, READER, A, B, draft, until
from tests.inbox.redis.queue_case import QueueCase
from tests.inbox.redis.room_case import RoomsOnTwoNodes
from tests.inbox.redis.stores import OnTwoNodes

AT_ONCE = 1_700_000_000_000


def serial_of(outcome: Outcome) -> int:
    """The serial under which something was stored."""
    assert isinstance(outcome, Stored), outcome
    return outcome.serial


class PublishedTests(OnTwoNodes):
    """What nodes are told of what others have stored in inboxes."""

    def heard(self) -> list[tuple[int, Message, int]]:
        """What the node of the reader was told: uid, message, serial."""
        return [(uid, message, message.serial) for uid, message in self.mine.stored]

    async def test_answer_at_another_node(self) -> None:
        """A reader at another node would not see what a message answers, or not see it at all."""
        await self.begin()
        outcomes = await self.store_there(draft(reference=REPLY), draft(), draft(reference=REPLY))
        await until(lambda: len(self.mine.stored) == 3)
        expected = [
            (READER, Message(id, A, "名", AT_ONCE, "x", mark=mark), serial_of(outcome))
            for id, mark, outcome in zip((1, 2, 3), (REPLY, None, REPLY), outcomes, strict=True)
        ]
        self.assertEqual(self.heard(), expected)
        self.assertEqual([m for _, m in self.mine.stored], await self.here.read(READER, 0, 9))

    async def test_changes_at_another_node(self) -> None:
        """A device at another node would not be told of an edit or a retraction, or not of which message."""
        await self.begin()
        await self.here.claim(READER, None, device=PHONE, registration=Registration("x"))
        outcomes = await self.store_there(
            draft("你好", reference=EDIT), draft("", reference=RETRACTION)
        )
        self.assertEqual(outcomes, [Stored(1, 1, True, taken=True), Stored(2, 2, True, taken=True)])
        await until(lambda: len(self.mine.stored) == 2)
        changes = [
            Message(1, A, "名", AT_ONCE, "你好", mark=EDIT),
            Message(2, A, "名", AT_ONCE, "", mark=RETRACTION),
        ]
        serials = map(serial_of, outcomes)
        self.assertEqual(self.heard(), list(zip((READER, READER), changes, serials, strict=True)))
        self.assertEqual(await self.here.read(READER, 0, 9), changes)

    async def test_change_that_is_in_no_inbox(self) -> None:
        """A program at another node would be handed a change that no inbox has, under an id of another message."""
        await self.begin()
        outcomes = await self.store_there(
            draft(reference=EDIT), draft(reference=RETRACTION), draft("next")
        )
        self.assertEqual([one.id for one in outcomes], [0, 0, 1])
        await until(lambda: self.mine.stored)
        self.assertEqual([(m.id, m.text) for _, m in self.mine.stored], [(1, "next")])

    async def test_copies_at_another_node(self) -> None:
        """A device at another node would not see what its user's other one answers, edits or retracts (P4)."""
        await self.begin()
        said = Registration("x")
        await self.here.claim(READER, None, device=DESK, registration=said)
        phone = await self.there.claim(READER, None, device=PHONE, registration=said)
        how: dict[str, Any] = {
            "device": PHONE,
            "sending": phone.generation,
            "registered": True,
        }
        outcomes = await self.store_there(
            *[draft(to=A, sender=READER, reference=one, **how) for one in ALL]
        )
        self.assertEqual([(one.id, one.copy) for one in outcomes], [(1, 1), (0, 2), (0, 3)])
        await until(lambda: len(self.mine.stored) == 3)
        copies = [
            Message(id, READER, "名", AT_ONCE, "x", 0, A, PHONE, one)
            for id, one in enumerate(ALL, 1)
        ]
        self.assertEqual([m for _, m in self.mine.stored], copies)
        self.assertEqual([serial for *_, serial in self.heard()], list(map(serial_of, outcomes)))
        unnamed = await self.there.claim(READER, None)
        plain = draft(to=A, sender=READER, generation=unnamed.generation, reference=EDIT)
        await self.store_there(plain)
        await until(lambda: len(self.mine.stored) == 4)
        self.assertEqual(
            self.mine.stored[-1][1], Message(4, READER, "名", AT_ONCE, "x", 0, A, "", EDIT)
        )


class PublishedInRoomsTests(RoomsOnTwoNodes):
    """What nodes are told of what others have stored in rooms."""

    async def test_references_in_a_room(self) -> None:
        """A member at another node would not be told what was answered, edited or retracted, or not by which name."""
        await self.begin_room()
        (first,) = await self.say(self.there, "first")
        target = first.serial
        drafts = [
            replies(target, "yes", mark=PHONE),
            edits(target, "你好", mark=PHONE),
            retracts(target, mark=PHONE),
        ]
        committed: Committed = await self.there.commit(drafts, [])
        answer, edit, retraction = map(serial_of, committed.outcomes)
        await until(lambda: len(self.mine.entries) == 4)
        about = {"target": target}
        expected = [
            RoomMessage(ROOM, 2, target, A, "名", AT, "first"),
            RoomMessage(ROOM, 3, answer, A, "名", AT, "yes", PHONE, target),
            RoomEvent(ROOM, 4, edit, 0, AT, "edited", A, 0, "名", {**about, "text": "你好"}),
            RoomEvent(ROOM, 5, retraction, 0, AT, "retracted", A, 0, "名", about),
        ]
        self.assertEqual(self.mine.entries, expected)
        page = await self.here.rooms.read(ROOM, 1, 9)
        self.assertEqual(page.entries, [expected[1], expected[3]])
        self.assertEqual(len(self.theirs.entries), 1, "who stores it knows it")


class QueueTests(QueueCase):
    """What goes into the archive's queue."""

    async def test_references(self) -> None:
        """The history would not have an answer as one, or not know of an edit or a retraction (P6)."""
        await self.begin()
        (first,) = await self.commit(says("first"))
        target = serial_of(first)
        drafts: list[Draft | RoomDraft] = [
            *[draft("你好", at=7, reference=one) for one in ALL],
            replies(target, "yes", at=8),
            edits(target, "new", at=9),
            retracts(target),
        ]
        serials = [serial_of(one) for one in await self.commit(*drafts)]
        page = await self.take()
        self.assertEqual(
            [one.entry for one in page],
            [
                Said(target, ROOM, A, "名", AT, "first"),
                Said(serials[0], Pair(READER, A), A, "名", 7, "你好", REPLY.serial),
                Edited(serials[1], EDIT.serial, 7, "你好"),
                Retracted(serials[2], RETRACTION.serial),
                Said(serials[3], ROOM, A, "名", 8, "yes", target),
                Edited(serials[4], target, 9, "new"),
                Retracted(serials[5], target),
            ],
        )

    async def test_once(self) -> None:
        """What was refused, or its copy, or what is sent again, would change the history (P6)."""
        await self.begin(share=2)
        said = Registration("x/1")
        phone = await self.inbox.claim(A, None, device=PHONE, registration=said)
        await self.inbox.claim(A, None, device=DESK, registration=said)
        await self.inbox.claim(READER, None, device=PHONE, registration=said)
        how: dict[str, Any] = {"sending": phone.generation, "registered": True, "device": PHONE}
        numbered = draft("answer", device=DEVICE, n=1, sender=OTHER, reference=REPLY)
        outcomes = await self.commit(
            draft("copied", reference=EDIT, **how),
            numbered,
            numbered,
            draft("1", sender=B),
            draft("2", sender=B),
            draft("no share", sender=B, reference=EDIT),
            retracts(5, sender=B),
            edits(5, sender=OTHER),
        )
        kinds = [type(one).__name__ for one in outcomes]
        self.assertEqual(
            kinds,
            [
                *("Stored", "Stored", "Duplicate", "Stored", "Stored", "Full"),
                *("NotMember", "NotMember"),
            ],
        )
        entries = [one.entry for one in await self.take()]
        self.assertEqual(
            [type(one).__name__ for one in entries], ["Edited", "Said", "Said", "Said"]
        )
        assert isinstance(entries[1], Said)
        self.assertEqual((entries[1].text, entries[1].reply), ("answer", REPLY.serial))

    async def test_of_no_message(self) -> None:
        """An edit of nothing would stop the archive."""
        await self.begin()
        (stored,) = await self.commit(draft(reference=Reference("edited", 1)))
        (one,) = await self.take()
        self.assertEqual(one.entry, Edited(serial_of(stored), 1, AT_ONCE, "x"))
