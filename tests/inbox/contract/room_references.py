"""Messages in rooms' logs that answer, edit or retract earlier ones."""

from __future__ import annotations

from typing import Any

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import (
    Behind,
    Duplicate,
    Gone,
    Moved,
    NotMember,
    RoomDraft,
    Stored,
    Unregistered,
)
from chatsvc.inbox.room_log import RoomLogLimits, RoomStart
from chatsvc.wire.entries import Reference
from chatsvc.wire.events import RoomEvent, RoomMessage
from tests.inbox.contract.room_case import (
    AT,
    ELSEWHERE,
    ROOM,
    RoomCase,
    changed,
    created,
    invitation,
    joined,
    left,
    says,
)
from tests.inbox.fixtures import DEVICE, OTHER, PHONE, A, B


def replies(serial: int, text: str = "x", sender: int = A, **more: Any) -> RoomDraft:
    """A message of A to a room that answers another, unless told otherwise."""
    return says(text, sender, reference=Reference("reply", serial), **more)


def edits(serial: int, text: str = "new", sender: int = A, **more: Any) -> RoomDraft:
    """A edits a message in a room, unless told otherwise."""
    return says(text, sender, reference=Reference("edited", serial), **more)


def retracts(serial: int, sender: int = A, **more: Any) -> RoomDraft:
    """A retracts a message in a room, unless told otherwise."""
    return says("", sender, reference=Reference("retracted", serial), **more)


class RoomReferencesContract(RoomCase):
    """Messages in rooms' logs that answer, edit or retract earlier ones."""

    async def say(self, *texts: str, room: int = ROOM, **more: Any) -> list[int]:
        """Have A say something in a room; the serials."""
        outcomes = await self.commit(*[says(text, room=room, **more) for text in texts])
        return [self.serial_in(one) for one in outcomes]

    async def test_answer_in_a_room(self) -> None:
        """Nobody would see in a room what a message answers, or another device be left out of it."""
        await self.begin_room()
        (first,) = await self.say("first")
        for mark in ("", "-", PHONE, "1" * 16, "0123456789abcdef"):
            (stored,) = await self.commit(replies(first, "yes", mark=mark))
            message = (await self.log())[-1]
            serial = self.serial_in(stored)
            self.assertEqual(
                message, RoomMessage(ROOM, message.id, serial, A, "名", AT, "yes", mark, first)
            )
            self.assertEqual(stored, Stored(message.id, 0))
        await self.commit(replies(2**53 - 1))
        await self.begin()
        replied = [one.reply for one in await self.log() if isinstance(one, RoomMessage)]
        self.assertEqual(replied, [0, *[first] * 5, 2**53 - 1])

    async def test_edit_in_a_room(self) -> None:
        """Members would not be told of an edit, or for a message of somebody, or a device be left out (P5)."""
        await self.begin_room(B)
        (first,) = await self.say("first")
        for text in ("你好 😂", "", "\0", "{}", '"\\', "x" * 8192):
            (stored,) = await self.commit(edits(first, text, B, mark=PHONE))
            event = (await self.log())[-1]
            about = (AT, "edited", B, 0, "名", {"target": first, "text": text})
            self.assertEqual(stored, Stored(event.id, 0))
            self.assertEqual(event, RoomEvent(ROOM, event.id, self.serial_in(stored), 0, *about))
        self.assertEqual(await self.said(), ["first"], "the log keeps what was said")

    async def test_retraction_in_a_room(self) -> None:
        """What was retracted would still be in the room's log, or an edit of it, or more be gone (P6)."""
        await self.begin_room(B)
        first, second = await self.say("first", "second")
        await self.commit(edits(first, "1"), edits(second, "2"), edits(first, "3", B))
        (answer,) = await self.commit(replies(first, "answer"))
        self.assertEqual(await self.room_ids(), [1, 2, 3, 4, 5, 6, 7, 8])
        (stored,) = await self.commit(retracts(first, B, mark=PHONE))
        self.assertEqual(stored, Stored(9, 0))
        log = await self.log()
        self.assertEqual([one.id for one in log], [1, 2, 4, 6, 8, 9])
        about = (AT, "retracted", B, 0, "名", {"target": first})
        self.assertEqual(log[-1], RoomEvent(ROOM, 9, self.serial_in(stored), 0, *about))
        self.assertEqual(await self.said(), ["second", "answer"])
        self.assertEqual(await self.commit(says()), [Stored(10, 0)], "ids go on")
        await self.commit(retracts(self.serial_in(answer)))
        self.assertEqual(await self.room_ids(), [1, 2, 4, 6, 9, 10, 11])
        await self.begin()
        self.assertEqual(await self.room_ids(), [1, 2, 4, 6, 9, 10, 11])

    async def test_retraction_in_the_same_batch(self) -> None:
        """What is retracted as soon as it is there would stay in the log, or another message go for it (P6)."""
        await self.begin_room(B)
        (before,) = await self.say("before")
        (more,) = await self.commit(says("more", B))
        later = self.serial_in(more)
        await self.commit(edits(later, "x", B), says("2"), edits(later), retracts(later), says("3"))
        self.assertEqual(await self.said(), ["before", "2", "3"])
        self.assertEqual(await self.room_ids(), [1, 2, 3, 6, 8, 9])
        outcomes = await self.commit(retracts(before), retracts(before), retracts(later))
        self.assertEqual(outcomes, [Stored(10, 0), Gone(), Gone()])
        self.assertEqual(await self.room_ids(), [1, 2, 6, 8, 9, 10])

    async def test_edit_after_the_retraction(self) -> None:
        """What was retracted would be said again by an edit that was judged before (P6), or be retracted twice."""
        await self.begin_room(B)
        first, second = await self.say("first", "second")
        outcomes = await self.commit(retracts(first), edits(first), edits(second), replies(first))
        self.assertEqual(outcomes, [Stored(5, 0), Gone(), Stored(6, 0), Stored(7, 0)])
        self.assertEqual(await self.commit(edits(first, "x", B)), [Gone()])
        self.assertEqual(await self.room_ids(), [1, 2, 4, 5, 6, 7])
        self.assertEqual(await self.commit(retracts(first)), [Gone()])

    async def test_retraction_of_what_is_far_back(self) -> None:
        """Of a message that many have written after, or that was edited many times, something would stay (P6)."""
        await self.begin_room(limits=InboxLimits())
        (first,) = await self.say("first")
        for i in range(3):
            await self.commit(*[edits(first, f"{i} {j}") for j in range(64)])
            await self.say(*[f"{i} {j}" for j in range(70)])
        await self.commit(retracts(first))
        log = await self.log()
        self.assertEqual(
            [one.event for one in log if isinstance(one, RoomEvent)][1:], ["retracted"]
        )
        self.assertEqual(len(await self.said()), 3 * 70)

    async def test_retraction_of_nothing(self) -> None:
        """A retraction of what is no message of the room, as of an event, would delete something."""
        await self.begin_room(B)
        await self.apply(created(ELSEWHERE), room=ELSEWHERE)
        (there,) = await self.say("there", room=ELSEWHERE)
        await self.say("here")
        before = await self.log()
        for serial in (1, before[1].serial, before[0].serial, there, there - 5, 2**53 - 1):
            (stored,) = await self.commit(retracts(serial, B))
            log = await self.log()
            self.assertEqual(log[:-1], before, serial)
            self.assertEqual(stored, Stored(log[-1].id, 0))
            before = log
        self.assertEqual(await self.said(ELSEWHERE), ["there"])

    async def test_who_changes(self) -> None:
        """Who is no member, or has moved, would change something in a room, or delete it (P5)."""
        await self.begin_room(B)
        (first,) = await self.say("first")
        phone = await self.claim(PHONE, uid=B)
        older: dict[str, Any] = {
            "device": PHONE,
            "sending": phone.generation,
            "registered": True,
        }
        await self.claim(PHONE, uid=B)
        await self.commit(edits(first))
        before = await self.log()
        for one in (edits, retracts, replies):
            self.assertEqual(
                await self.commit(
                    one(first, sender=OTHER),
                    one(first, sender=B, **older),
                    one(first, sender=A, device=DEVICE, registered=True, sending=1),
                    one(first, version=9),
                    one(first, room=ELSEWHERE),
                ),
                [NotMember(), Moved(), Unregistered(), Behind(), Behind()],
            )
        await self.apply(left(3, B))
        outcomes = await self.commit(edits(first, sender=B), retracts(first, sender=B))
        self.assertEqual(outcomes, [NotMember(), NotMember()])
        self.assertEqual((await self.log())[:-1], before)

    async def test_answer_in_a_room_that_is_sent_again(self) -> None:
        """An answer would stand in a room twice, or be another message's answer after all (P1)."""
        await self.begin_room()
        (first,) = await self.say("first")
        sent = replies(first, "yes", device=DEVICE, n=1, mark=DEVICE)
        (stored,) = await self.commit(sent)
        (again,) = await self.commit(sent)
        self.assertEqual(again, Duplicate(3, 0))
        assert isinstance(again, Duplicate)
        self.assertEqual(again.serial, self.serial_in(stored))
        self.assertEqual(await self.said(), ["first", "yes"])
        await self.commit(replies(first, "no", device=DEVICE, n=2))
        self.assertEqual(await self.said(), ["first", "yes", "no"])

    async def test_retracted_and_sent_again(self) -> None:
        """What was retracted would be back in the room because its sender did not hear that it was stored (P6)."""
        await self.begin_room()
        sent = says("first", device=DEVICE, n=1)
        (stored,) = await self.commit(sent)
        await self.commit(retracts(self.serial_in(stored)))
        (again,) = await self.commit(sent)
        self.assertEqual(again, Duplicate(2, 0))
        assert isinstance(again, Duplicate)
        self.assertEqual(again.serial, 0, "it is no longer there")
        self.assertEqual((await self.said(), await self.room_ids()), ([], [1, 3]))
        self.assertEqual(await self.commit(says("x", device=DEVICE, n=2)), [Stored(4, 0)])

    async def test_pages_over_gaps(self) -> None:
        """A page would end at what was retracted, or say that something is not kept any more."""
        await self.begin_room()
        serials = await self.say(*[f"{id}" for id in range(2, 9)])
        await self.commit(*[retracts(serials[place]) for place in (1, 2, 3, 6)])
        self.assertEqual(await self.room_ids(), [1, 2, 6, 7, 9, 10, 11, 12])
        for after, limit, ids in (
            *((0, 3, [1, 2, 6]), (2, 2, [6, 7]), (3, 2, [6, 7]), (5, 1, [6]), (4, 1, [6])),
            *((7, 2, [9, 10]), (8, 1, [9]), (11, 9, [12]), (12, 9, [])),
        ):
            page = await self.inbox.rooms.read(ROOM, after, limit)
            self.assertEqual([one.id for one in page.entries], ids, after)
            self.assertEqual(page.front, 0)
            self.assertEqual(page.first_serial, (await self.log())[0].serial)

    async def test_window_over_gaps(self) -> None:
        """What is within the window would be let go of because a message before it was retracted (P8)."""
        await self.begin_room(rooms=RoomLogLimits(window=6))
        serials = await self.say("2", "3", "4", "5")
        await self.commit(retracts(serials[0]))
        self.assertEqual(await self.room_ids(), [1, 3, 4, 5, 6])
        for id, kept, front in (
            (7, [3, 4, 5, 6, 7], 1),
            (8, [3, 4, 5, 6, 7, 8], 2),
            (9, [4, 5, 6, 7, 8, 9], 3),
        ):
            await self.say(f"{id}")
            self.assertEqual(await self.room_ids(), kept, id)
            page = await self.inbox.rooms.read(ROOM, 0, 9)
            ends = await self.ends()
            self.assertEqual((page.front, ends.front, ends.last), (front, front, id))
            first = page.entries[0].serial
            self.assertEqual((page.first_serial, ends.first_serial), (first, first))

    async def test_window_that_is_almost_empty(self) -> None:
        """A retraction itself would be let go of, because all that was in the window before it is deleted (P8)."""
        await self.begin_room(rooms=RoomLogLimits(window=4))
        (first,) = await self.say("first")
        await self.commit(edits(first, "1"), edits(first, "2"), edits(first, "3"))
        await self.commit(retracts(first))
        self.assertEqual(await self.room_ids(), [6])
        await self.say("7")
        self.assertEqual(await self.room_ids(), [6, 7])

    async def test_retraction_of_what_the_window_let_go(self) -> None:
        """A retraction of an old message would fail, or delete something else, or leave an edit of it (P6)."""
        await self.begin_room(rooms=RoomLogLimits(window=4))
        (first,) = await self.say("first")
        await self.say("3", "4")
        await self.commit(edits(first, "x"), says("6"))
        self.assertEqual(await self.room_ids(), [3, 4, 5, 6])
        self.assertEqual(await self.commit(retracts(first)), [Stored(7, 0)])
        self.assertEqual(await self.room_ids(), [4, 6, 7], "and 3 is before the window")
        self.assertEqual(await self.said(), ["4", "6"])
        ends = await self.ends()
        self.assertEqual((ends.front, ends.last), (3, 7))

    async def test_bytes_over_gaps(self) -> None:
        """What was retracted would take away from what the room's log may keep (P8)."""
        await self.begin_room(rooms=RoomLogLimits(bytes=1000))
        name = len("名".encode())
        (large,) = await self.say("x" * (700 - name))
        await self.commit(edits(large, "y" * (150 - name)))
        await self.commit(retracts(large))
        self.assertEqual(await self.room_ids(), [1, 4])
        # What is kept of before: the room's making, and the retraction.
        texts = ["a" * (300 - name), "b" * (300 - name), "c" * (250 - name)]
        await self.say(*texts)
        self.assertEqual(await self.room_ids(), [1, 4, 5, 6, 7])
        await self.say("d" * (250 - name))
        self.assertEqual(await self.said(), [*texts[1:], "d" * (250 - name)])
        await self.say("e" * (200 - name))
        self.assertEqual(len(await self.said()), 4, "1000 bytes")
        await self.say("f")
        self.assertEqual(len(await self.said()), 4, "more than that")

    async def test_bytes_of_what_is_kept(self) -> None:
        """A log of which something was retracted would grow past its bytes (P8)."""
        await self.begin_room(rooms=RoomLogLimits(bytes=1000))
        name = len("名".encode())
        serials = await self.say(*["x" * (300 - name)] * 3)
        await self.commit(retracts(serials[1]))
        for _ in range(5):
            (one,) = await self.say("y" * (300 - name))
            await self.commit(edits(one, "z" * (290 - name)))
            kept = [
                len(entry.text) + name
                for entry in await self.log()
                if isinstance(entry, RoomMessage)
            ]
            changes = [
                len(entry.details.get("text", "")) + name
                for entry in await self.log()
                if isinstance(entry, RoomEvent) and not entry.version
            ]
            self.assertLessEqual(sum(kept) + sum(changes), 1000)
            self.assertGreater(sum(kept) + sum(changes), 1000 - 300)

    async def test_where_the_last_shown_entry_was(self) -> None:
        """A device whose last entry was retracted would be shown things twice, or miss some, or be told so (P3)."""
        await self.begin_room()
        serials = {1: 0, **dict(enumerate(await self.say(*"2345678"), 2))}
        await self.commit(*[retracts(serials[id]) for id in (4, 5, 8)])
        self.assertEqual(await self.room_ids(), [1, 2, 3, 6, 7, 9, 10, 11])
        for after, behind in ((4, [6, 7]), (5, [6, 7]), (8, [9]), (3, [6, 7]), (7, [9])):
            ends = await self.ends(after=after, serial=serials[after])
            page = await self.inbox.rooms.read(ROOM, ends.begin, len(behind))
            self.assertEqual([one.id for one in page.entries], behind, after)
            self.assertEqual((ends.after, ends.front, ends.last), (after, 0, 11))
            self.assertLessEqual(ends.begin, after)
            self.assertGreaterEqual(ends.known, (await self.room_serials())[max(ends.begin, 1)])
            self.assertLessEqual(ends.known, serials[after])

    async def test_first_entry_retracted(self) -> None:
        """A device would be told that it missed something where the log's first entry was retracted (P3)."""
        await self.begin_room(rooms=RoomLogLimits(window=4))
        serials = await self.say(*"23456")
        self.assertEqual(await self.room_ids(), [3, 4, 5, 6])
        await self.commit(retracts(serials[2]))
        self.assertEqual(await self.room_ids(), [5, 6, 7])
        page = await self.inbox.rooms.read(ROOM, 0, 9)
        self.assertEqual(page.front, 3)
        ends = await self.ends(after=4, serial=serials[2])
        self.assertEqual((ends.front, ends.after), (3, 4))
        self.assertIn(ends.begin, (3, 4))
        self.assertEqual((await self.ends(after=3, serial=serials[1])).begin, 3)

    async def test_floor_behind_a_gap(self) -> None:
        """Who joins right behind a message that is retracted then could not log in any more (P5)."""
        await self.begin_room()
        (first,) = await self.say("first")
        await self.apply(joined(2, B))
        await self.say("later")
        await self.commit(retracts(first))
        serials = await self.room_serials()
        self.assertEqual(list(serials), [1, 3, 4, 5])
        for start in (
            {"floor": serials[3]},
            {"floor": serials[3], "after": 0, "serial": serials[3] - 1},
            {"floor": serials[3] - 1},
            {"floor": serials[3], "after": 2, "serial": first},
        ):
            ends = await self.ends(B, **start)
            page = await self.inbox.rooms.read(ROOM, ends.begin, 9)
            self.assertEqual([one.id for one in page.entries], [3, 4, 5], start)
        (ends,) = (await self.opened(B, RoomStart(ROOM, floor=serials[4] - 1))).ends
        self.assertEqual(ends.begin, 3)

    async def test_floor_behind_all_that_was_retracted(self) -> None:
        """Who joins after nothing but what is retracted then could not log in any more (P5)."""
        await self.begin_room(rooms=RoomLogLimits(window=4))
        serials = await self.say(*"2345")
        await self.apply(joined(2, B))
        await self.commit(*[retracts(serials[place]) for place in (1, 2, 3)])
        self.assertEqual(await self.room_ids(), [6, 7, 8, 9])
        floor = (await self.room_serials())[6]
        ends = await self.ends(B, floor=floor)
        page = await self.inbox.rooms.read(ROOM, ends.begin, 9)
        self.assertEqual([one.id for one in page.entries], [6, 7, 8, 9])

    async def test_position_at_what_was_retracted(self) -> None:
        """An account's sessions would be shown things twice, or miss some, where its position was retracted (P7)."""
        await self.begin_room(B)
        serials = await self.say(*"3456")
        await self.passed_in_room(B, 5)
        await self.commit(retracts(serials[2]))
        ends = await self.ends(B)
        self.assertEqual((ends.after, ends.front), (5, 0))
        page = await self.inbox.rooms.read(ROOM, ends.begin, 9)
        self.assertEqual([one.id for one in page.entries], [6, 7])
        await self.passed_in_room(B, 4)
        page = await self.inbox.rooms.read(ROOM, (await self.ends(B)).begin, 9)
        self.assertEqual([one.id for one in page.entries], [6, 7], "it only grows")

    async def test_acknowledged_after_it_was_retracted(self) -> None:
        """What an account has acknowledged would be shown again, because the last of it was retracted before (P7)."""
        for before in (0, 3):
            await self.begin_room(B)
            serials = await self.say(*"3456")
            await self.passed_in_room(B, before)
            await self.commit(retracts(serials[2]))
            await self.passed_in_room(B, 5)
            ends = await self.ends(B)
            page = await self.inbox.rooms.read(ROOM, ends.begin, 9)
            self.assertEqual([one.id for one in page.entries], [6, 7], before)
            self.assertEqual(ends.after, 5)
            await self.passed_in_room(B, 4)
            self.assertEqual((await self.ends(B)).after, 5, "it only grows")
            await self.passed_in_room(B, 6)
            self.assertEqual((await self.ends(B)).begin, 6)
            await self.start_over()

    async def test_end_that_was_acknowledged_by_a_gap(self) -> None:
        """A position would be kept for ever in a room that was left, or be lost while it is read (P7)."""
        await self.begin_room(B)
        (first,) = await self.say("first")
        await self.passed_in_room(B, 3)
        await self.commit(retracts(first))
        await self.apply(left(3, B))
        await self.passed_in_room(B, 5, over=True)
        self.assertEqual((await self.opened(B)).others, [])

    async def start_over(self) -> None:
        """Begin with a store that has nothing."""
        self.setUp()

    async def test_places_of_events(self) -> None:
        """An event that is finished late would not be found behind what was edited or retracted (P5)."""
        await self.begin_room()
        first, second = await self.say("first", "second")
        await self.commit(edits(first), edits(second))
        events = [
            changed(2, "changed", 0, details={"topic": "x"}),
            invitation(3, OTHER),
            joined(4, B),
        ]
        stored = await self.apply(*events)
        await self.commit(retracts(first), edits(second), retracts(second))
        again = await self.apply(created(), *events)
        self.assertEqual(again.places[1::2], stored.places[::2])
        self.assertEqual([one.id for one in again.places], [1, 6, 0, 7])
        places = [one.serial for one in again.places]
        self.assertEqual(places, sorted(places))
        self.assertEqual(again.version, 4)
        self.assertEqual([one[1] for one in await self.happened()].count("joined"), 1)

    async def test_changes_are_no_versions(self) -> None:
        """An edit or a retraction would count as a change of the room, or undo what a member is."""
        await self.begin_room(B)
        (first,) = await self.say("first", version=2)
        await self.commit(edits(first, version=2), retracts(first, version=2))
        self.assertEqual((await self.ends()).version, 2)
        self.assertEqual(
            await self.happened(), [(1, "created", A), (2, "joined", B), (0, "retracted", 0)]
        )
        self.assertEqual(await self.commit(says(sender=B)), [Stored(6, 0)])
        await self.apply(left(3, B))
        self.assertEqual(await self.commit(says(sender=B)), [NotMember()])
