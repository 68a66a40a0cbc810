"""Who may read what, on a real SQLite and a real MariaDB."""

from __future__ import annotations

from chatsvc.archive.entry import Pair
from chatsvc.archive.pages import page
from chatsvc.archive.scope import Scope
from chatsvc.history.access import (
    Conversation,
    Readable,
    all_readable,
    last_messages,
    named,
    scope_of,
)
from chatsvc.rooms.room import ALL, JOINED, PRIVATE, PUBLIC, RoomRefused
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire.problems import Problem
from tests.support.archive_stores import OnArchive, retracted, said
from tests.support.databases import OnMariaDB, OnSQLite
from tests.support.rooms import ANN, BOB, CAT, DAN, EVE, OnRooms

NOT_A_MEMBER, UNKNOWN = Problem.NOT_A_MEMBER, Problem.UNKNOWN_ROOM
STRANGE = (0, -1, -(2**63), 2**63 - 1, 2**63, -(2**63) - 1, 10**30)


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnRooms, OnArchive):
        """The tests, for each kind of database."""

        async def room(self, kind: str = PUBLIC, history: str = ALL) -> int:
            """ANN makes the room `dev`."""
            await self.set_rooms_up()
            number = (await self.rooms.create(ANN, "dev", kind, "")).number
            await self.rooms.change(ANN, number, history=history)
            return number

        async def say(self, number: int, *texts: str) -> None:
            """Have things said in a room, with the serials that follow; each text must be another one."""
            await self.write(
                *[said(self.logs.serial(), text, number, sender=ANN) for text in texts]
            )

        async def scope(
            self, uid: int, room: int | str | None = None, other: int | None = None
        ) -> Scope | None:
            """What somebody may read of a conversation."""
            now = int(self.now * 1000)
            _, scope = await self.run_in(scope_of, uid, Conversation(other, room), now)
            return scope  # type: ignore[no-any-return]

        async def texts(self, uid: int, room: int | str = "dev") -> list[str] | Problem:
            """What somebody can read of a room; or why not."""
            try:
                scope = await self.scope(uid, room)
            except RoomRefused as refused:
                self.assertEqual(await self.everywhere(uid), [], "the list must say the same")
                return refused.problem
            messages, _ = await self.run_in(page, scope, None, None, 100)
            texts = [one.text for one in messages]
            self.assertEqual(await self.everywhere(uid), texts, "the list must say the same")
            return texts

        async def everywhere(self, uid: int) -> list[str]:
            """All that somebody can read in rooms, by the list that a search and `conversations` use."""
            texts: list[str] = []
            lasts = []
            for scope in await self.run_in(all_readable, uid):
                messages, _ = await self.run_in(page, scope, None, None, 100)
                texts += [one.text for one in messages if scope.conversation < 0]
                lasts += [one.serial for one in messages[-1:]]
            found = await self.run_in(last_messages, uid)
            self.assertEqual(sorted(last for last, _ in found), sorted(lasts))
            return texts

        # Conversations of two

        async def test_partners(self) -> None:
            """One of two users could not read what both have said, or a third one could."""
            await self.set_rooms_up()
            await self.write(said(10), said(20, sender=BOB), said(30, place=Pair(BOB, CAT)))
            numbers = self.conversations()
            expected = {
                (ANN, BOB): numbers[ANN, BOB],
                (BOB, ANN): numbers[ANN, BOB],
                (BOB, CAT): numbers[BOB, CAT],
                (CAT, BOB): numbers[BOB, CAT],
            }
            for uid in (ANN, BOB, CAT, DAN):
                for other in (ANN, BOB, CAT, DAN):
                    scope = await self.scope(uid, other=other)
                    number = expected.get((uid, other))
                    self.assertEqual(scope, None if number is None else Scope(number))
                readable = {scope.conversation for scope in await self.run_in(all_readable, uid)}
                own = {number for (one, _), number in expected.items() if one == uid}
                self.assertEqual(readable, own)

        async def test_to_oneself(self) -> None:
            """What somebody writes to themselves would not be in the history, or be there twice."""
            await self.set_rooms_up()
            await self.write(said(10, place=Pair(ANN, ANN)), said(20))
            scope = await self.scope(ANN, other=ANN)
            assert scope is not None
            self.assertEqual(scope, Scope(self.conversations()[ANN, ANN]))
            readable = await self.run_in(all_readable, ANN)
            self.assertEqual(readable.count(scope), 1)
            self.assertEqual(len(readable), 2)
            found = await self.run_in(last_messages, ANN)
            self.assertEqual(
                sorted((last, one.other) for last, one in found), [(10, ANN), (20, BOB)]
            )

        async def test_strange_uids(self) -> None:
            """A client could name somebody whom the database does not take, or see another's conversation."""
            await self.set_rooms_up()
            await self.write(said(10), said(20, place=Pair(-5, ANN)))
            for other in STRANGE:
                self.assertEqual(await self.scope(ANN, other=other), None)
            self.assertEqual(await self.scope(ANN, other=-5), Scope(self.conversations()[-5, ANN]))
            (own,) = await self.run_in(all_readable, -5)
            self.assertEqual(own, Scope(self.conversations()[-5, ANN]))

        async def test_erased(self) -> None:
            """What somebody said who has no account any more could not be read by the other one."""
            await self.set_rooms_up()
            await self.write(said(10, place=Pair(ANN, EVE), sender=EVE))
            self.sql("DELETE FROM user WHERE id = ?", (EVE,))
            self.assertEqual(
                await self.scope(ANN, other=EVE), Scope(self.conversations()[ANN, EVE])
            )

        # Rooms

        async def test_members_read_all(self) -> None:
            """Under the rule `all` who joins could not read what was said before."""
            number = await self.room()
            await self.say(number, "before")
            await self.rooms.join(BOB, number)
            await self.say(number, "after")
            for uid in (ANN, BOB):
                for name in (number, "dev", "DEV"):
                    self.assertEqual(await self.texts(uid, name), ["before", "after"])

        async def test_members_read_from_joining(self) -> None:
            """Under the rule `joined` who joins could read what was said before, or not what was said since."""
            number = await self.room(history=JOINED)
            await self.say(number, "before")
            await self.rooms.join(BOB, number)
            await self.say(number, "between")
            await self.rooms.join(CAT, number)
            await self.say(number, "after")
            self.assertEqual(await self.texts(ANN), ["before", "between", "after"])
            self.assertEqual(await self.texts(BOB), ["between", "after"])
            self.assertEqual(await self.texts(CAT), ["after"])

        async def test_after_another_change(self) -> None:
            """Another role, or another change of the room, would count as joining anew."""
            number = await self.room(history=JOINED)
            await self.rooms.join(BOB, number)
            await self.say(number, "one")
            await self.rooms.set_role(ANN, number, BOB, "moderator")
            await self.rooms.change(ANN, number, topic="x", name="dev2")
            await self.rooms.join(BOB, number)
            await self.say(number, "two")
            self.assertEqual(await self.texts(BOB, "dev2"), ["one", "two"])

        async def test_leaving(self) -> None:
            """Who left could go on reading, or could read again from before the second joining."""
            for history in (ALL, JOINED):
                self.setUp()
                number = await self.room(history=history)
                await self.rooms.join(BOB, number)
                await self.say(number, "one")
                await self.rooms.leave(BOB, number)
                await self.say(number, "two")
                self.assertEqual(await self.texts(BOB), NOT_A_MEMBER)
                await self.rooms.join(BOB, number)
                await self.say(number, "three")
                expected = ["one", "two", "three"] if history == ALL else ["three"]
                self.assertEqual(await self.texts(BOB), expected)

        async def test_rule_is_changed(self) -> None:
            """Another history rule would hold only for some, or not at once."""
            number = await self.room(history=JOINED)
            await self.say(number, "before")
            await self.rooms.join(BOB, number)
            await self.say(number, "after")
            await self.rooms.change(ANN, number, history=ALL)
            self.assertEqual(await self.texts(BOB), ["before", "after"])
            await self.rooms.change(ANN, number, history=JOINED)
            self.assertEqual(await self.texts(BOB), ["after"])

        async def test_removed(self) -> None:
            """Who was removed, or banned, could read what was said, also what was said before."""
            number = await self.room()
            await self.say(number, "one")
            for uid, ban in ((BOB, False), (CAT, True)):
                await self.rooms.join(uid, number)
                await self.rooms.remove(ANN, number, uid, ban)
                self.assertEqual(await self.texts(uid), NOT_A_MEMBER)

        async def test_closed(self) -> None:
            """A closed room could be read, or be told apart from one that is not there."""
            number = await self.room()
            await self.rooms.join(BOB, number)
            await self.say(number, "one")
            await self.rooms.close(ANN, number)
            for uid in (ANN, BOB, CAT):
                for room in (number, "dev"):
                    self.assertEqual(await self.texts(uid, room), UNKNOWN)
            again = (await self.rooms.create(BOB, "dev", PUBLIC, "")).number
            await self.say(again, "new")
            self.assertEqual(await self.texts(BOB), ["new"])

        async def test_stranger(self) -> None:
            """A stranger could read a public room."""
            number = await self.room()
            await self.say(number, "one")
            for uid in (EVE, 99, *STRANGE[:4]):
                self.assertEqual(await self.texts(uid), NOT_A_MEMBER)

        async def test_private(self) -> None:
            """A stranger would learn that there is a private room, or somebody who is invited read it."""
            number = await self.room(PRIVATE)
            await self.say(number, "one")
            for room in (number, "dev", number + 1, "nothing"):
                self.assertEqual(await self.texts(BOB, room), UNKNOWN)
            await self.rooms.invite(ANN, number, BOB)
            self.assertEqual(await self.texts(BOB), NOT_A_MEMBER)
            self.now += 31 * 86_400
            self.assertEqual(await self.texts(BOB), UNKNOWN, "the invitation is too old")

        async def test_default_of_private_rooms(self) -> None:
            """Who is invited could read what was said among the others."""
            await self.set_rooms_up()
            number = (await self.rooms.create(ANN, "dev", PRIVATE, "")).number
            await self.say(number, "before")
            await self.rooms.invite(ANN, number, BOB)
            await self.rooms.join(BOB, number)
            await self.say(number, "after")
            self.assertEqual(await self.texts(BOB), ["after"])

        async def test_joining_under_way(self) -> None:
            """Who has joined, and whose joining is not in the room's log yet, could read what was said before it."""
            number = await self.room(history=JOINED)
            await self.say(number, "before")
            self.logs.away = True
            with self.assertRaises(StoreUnavailable):
                await self.rooms.join(BOB, number)
            self.logs.away = False
            self.assertEqual(await self.texts(BOB), [])
            await self.rooms.ready(number)
            await self.say(number, "after")
            self.assertEqual(await self.texts(BOB), ["after"])

        async def test_joining_that_is_not_kept(self) -> None:
            """A member of many years would read nothing, once the joining is kept nowhere."""
            number = await self.room(history=JOINED)
            await self.rooms.join(BOB, number)
            await self.say(number, "one")
            self.sql("DELETE FROM chat_room_event WHERE uid = ?", (BOB,))
            self.assertEqual(await self.texts(BOB), ["one"])

        async def test_strange_rooms(self) -> None:
            """A client could name a room that the database does not take, or read a conversation of two as one."""
            await self.room()
            await self.write(said(10))
            number = self.conversations()[ANN, BOB]
            for room in (*STRANGE, -number, "", "no such", "#", "\0", "x" * 1000):
                self.assertEqual(await self.refused(self.scope(CAT, room)), UNKNOWN, room)

        # Lists

        async def test_last_messages(self) -> None:
            """A conversation would be listed by a message that cannot be read, or without one."""
            number = await self.room(history=JOINED)
            await self.say(number, "before")
            await self.rooms.join(BOB, number)
            self.assertEqual(await self.run_in(last_messages, BOB), [])
            await self.write(said(10), said(20), said(30, place=Pair(BOB, CAT)))
            await self.write(retracted(40, 20), retracted(50, 30))
            await self.say(number, "after")
            found = dict(await self.run_in(last_messages, BOB))
            since = (await self.scope(BOB, number)) or Scope(0)
            expected = {
                10: Readable(Scope(self.conversations()[ANN, BOB]), ANN),
                self.logs._serial: Readable(since, None, number, "dev"),
            }
            self.assertEqual(found, expected)

        async def test_named(self) -> None:
            """A hit of a search would be shown as said somewhere else."""
            number = await self.room()
            await self.write(
                said(10), said(20, place=Pair(BOB, CAT)), said(30, place=Pair(BOB, BOB))
            )
            numbers = self.conversations()
            found = await self.run_in(named, [*numbers.values(), -number], BOB)
            self.assertEqual(
                {key: (one.other, one.room, one.name) for key, one in found.items()},
                {
                    numbers[ANN, BOB]: (ANN, None, ""),
                    numbers[BOB, CAT]: (CAT, None, ""),
                    numbers[BOB, BOB]: (BOB, None, ""),
                    -number: (None, number, "dev"),
                },
            )
            self.assertEqual(await self.run_in(named, [], BOB), {})


class SQLiteAccessTests(BothKinds.Tests, OnSQLite):
    """SQLite."""


class MariaDBAccessTests(BothKinds.Tests, OnMariaDB):
    """MariaDB."""
