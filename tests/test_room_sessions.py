"""What a session does with rooms: it reads those of its user, and sends messages into them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.inbox.features import DEVICES, ROOMS
from chatsvc.inbox.outcome import (
    Behind,
    Gap,
    Moved,
    NotMember,
    Outcome,
    RoomAcknowledgement,
    Unregistered,
)
from chatsvc.inbox.room_log import LogEvent
from chatsvc.rooms.room import MEMBER, PRIVATE, Membership, Room, RoomOfUser
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from tests.support.worlds import ALICE, BOB, DEVICE, RecordingConnection, World

ROOM = 7


class RoomSessionCase(SynchronousTestCase):
    """Alice is a member of a room, and logs in."""

    def setUp(self) -> None:
        self.world = World()
        self.put("created", ALICE, 1)
        (created,) = self.world.inbox.room_logs.logs[ROOM].entries
        membership = Membership(created.id, created.serial)
        self.world.rooms.own = [RoomOfUser(self.world.rooms.room, MEMBER, (membership,))]

    def put(self, event: str, user: int, version: int) -> None:
        """Put an event into the room's log."""
        members = ((user, None if event in ("left", "removed") else MEMBER),)
        one = LogEvent(ROOM, version, 0, event, user, user, "x", members=members)
        applied = Deferred.fromCoroutine(self.world.inbox.rooms.apply(ROOM, [one]))
        self.successResultOf(applied)
        self.world.clock.advance(0.1)

    def log_in(self, uid: int = ALICE, **more: Any) -> RecordingConnection:
        """A program with rooms that has logged in, and was told all that waited."""
        connection = RecordingConnection(self.world.services)
        hello = c.Hello(device=DEVICE, features=(DEVICES, ROOMS))
        password = {ALICE: "a", BOB: "b"}[uid]
        connection.do(hello, c.Auth(uid, password, rooms=more.pop("rooms", {ROOM: (0, 0)}), **more))
        self.world.clock.advance(0)
        self.told = connection.answers()
        return connection

    def person(self) -> RecordingConnection:
        """Alice, who types, and is logged in."""
        connection = RecordingConnection(self.world.services)
        connection.is_for_people = True
        connection.do(c.Auth(ALICE, "a"))
        self.world.clock.advance(0)
        return connection

    def send(self, connection: RecordingConnection, **more: Any) -> e.Event:
        """Send a message into the room; the answer."""
        connection.do(c.SendToRoom(ROOM, "hello", **{"n": 1, **more}))
        self.world.clock.advance(0)
        answer, *self.told = connection.answers()
        return answer

    def judged(self, connection: RecordingConnection, outcome: Outcome) -> e.Event:
        """The answer to a message of which the store says this."""
        self.world.inbox.outcomes.append(outcome)
        return self.send(connection)

    def ids(self, connection: RecordingConnection) -> list[int]:
        """The ids of the entries that a client was handed since this was last asked."""
        self.world.clock.advance(0.1)
        entries, connection.entries = connection.entries, []
        return [entry.id for _, entry in entries]


class ReadingTests(RoomSessionCase):
    """Log-ins, and what is handed to them."""

    def test_log_in(self) -> None:
        """A client would not know its rooms, or not when it has all that waited."""
        connection = self.log_in()
        kinds = [type(one) for one in self.told]
        self.assertEqual(kinds, [e.Welcome, e.LoggedIn, e.RoomShown, e.Synced])
        self.assertEqual(self.ids(connection), [1])

    def test_person_who_was_long_away(self) -> None:
        """A person would take the newest 50 entries for all, or a program that asked for them be told."""
        for version in range(2, 61):
            self.put("joined", BOB, version)
        (own,) = self.world.rooms.own
        self.world.rooms.own = [replace(own, room=replace(own.room, version=60))]
        person = self.person()
        missed = [one for one in person.answers() if isinstance(one, e.RoomMissed)]
        self.assertEqual(missed, [e.RoomMissed(ROOM, 0, 10, None, "dev")])
        self.log_in(backlog=50, rooms=None)
        self.assertEqual([one for one in self.told if isinstance(one, e.RoomMissed)], [])

    def test_send_only(self) -> None:
        """A session that only sends would be handed what is said."""
        connection = self.log_in(receive=False, rooms=None)
        self.assertEqual([type(one) for one in self.told], [e.Welcome, e.LoggedIn])
        self.assertIsInstance(self.send(connection), e.RoomSent)
        self.assertEqual(self.ids(connection), [])

    def test_rooms_away(self) -> None:
        """A log-in whose rooms cannot be read would seem to have none, or hold its device for ever."""
        self.world.rooms.refusal = StoreUnavailable("away")  # type: ignore[assignment]
        connection = self.log_in()
        self.assertEqual(self.told[-1], e.Refused(Problem.STORE_UNAVAILABLE))
        self.assertFalse(self.world.online)
        self.world.rooms.refusal = None
        connection.do(c.Auth(ALICE, "a", rooms={ROOM: (0, 0)}))
        self.world.clock.advance(0)
        self.assertIsInstance(connection.answers()[-1], e.Synced)

    def test_gone_while_rooms_are_read(self) -> None:
        """A connection that ends during its log-in would be subscribed to rooms for ever."""
        for held in ("of_user", "rooms.open"):
            self.world.rooms.hold = self.world.inbox.hold = {held}
            connection = self.log_in()
            connection.session.close("lost")
            self.world.let_all()
            self.world.clock.advance(5)
            self.assertEqual((len(self.world.feeds), self.world.feeds.subscriptions), (0, 0))
            self.assertFalse(self.world.online)

    def test_ended_while_rooms_are_read(self) -> None:
        """A log-in that another one ends before it is answered would go on, or its client not hear of it."""
        self.world.rooms.hold = {"of_user"}
        first = self.log_in()
        self.world.rooms.hold = set()
        self.log_in()
        self.world.let_all()
        kinds = [type(one) for one in first.answers()]
        self.assertEqual(kinds, [e.LoggedIn, e.RoomShown, e.Kicked])
        self.assertIsNone(first.session.user)
        self.assertEqual(self.world.feeds.subscriptions, 1)

    def test_forgotten_while_rooms_are_read(self) -> None:
        """A device that is forgotten before its log-in is answered would go on."""
        self.world.rooms.hold = {"of_user"}
        connection = self.log_in()
        self.world.router.forgotten(ALICE, DEVICE)
        self.world.let_all()
        self.assertIsInstance(connection.answers()[-1], e.Bye)
        self.assertFalse(self.world.online)

    def test_pause(self) -> None:
        """A connection that takes nothing would be handed what is said in its rooms all the same."""
        connection = self.log_in()
        self.ids(connection)
        connection.session.pause()
        self.put("joined", BOB, 2)
        self.assertEqual(self.ids(connection), [])
        connection.session.resume()
        self.assertEqual(self.ids(connection), [2])

    def test_log_out(self) -> None:
        """A session that has logged out would be handed what is said in the rooms of its user."""
        connection = self.log_in()
        self.ids(connection)
        connection.do(c.Logout())
        self.put("joined", BOB, 2)
        self.assertEqual((self.ids(connection), self.world.feeds.subscriptions), ([], 0))

    def test_acknowledgements(self) -> None:
        """The account's position would be written with each acknowledgement, or not at all when the session ends."""
        connection = self.log_in()
        connection.do(c.AckRoom(ROOM, 1))
        self.world.clock.advance(1)
        self.assertEqual(self.world.inbox.room_batches, [])
        self.world.clock.advance(1)
        position = [RoomAcknowledgement(ALICE, ROOM, 1)]
        self.assertEqual(self.world.inbox.room_batches, [([], position)])
        self.put("joined", BOB, 2)
        connection.do(c.AckRoom(ROOM, 2), c.Logout())
        self.world.clock.advance(0)
        self.assertEqual(
            self.world.inbox.room_batches[1:], [([], [RoomAcknowledgement(ALICE, ROOM, 2)])]
        )

    def test_acknowledgement_of_nothing(self) -> None:
        """Acknowledgements that say nothing new would cost their sender nothing."""
        connection = self.log_in()
        connection.do(c.AckRoom(ROOM, 1), c.AckRoom(ROOM, 1), c.AckRoom(8, 1))
        self.world.clock.advance(2)
        self.assertEqual(len(self.world.inbox.room_batches), 1)


class SendingTests(RoomSessionCase):
    """Messages into rooms, and what is said of them."""

    def setUp(self) -> None:
        super().setUp()
        self.connection = self.log_in()

    def test_sent(self) -> None:
        """A sender would not know under which id and serial its message stands."""
        answer = self.send(self.connection)
        assert isinstance(answer, e.RoomSent)
        self.assertEqual((answer.room, answer.name, answer.id, answer.re), (ROOM, "dev", 2, 1))
        self.assertGreater(answer.message.serial, 0)

    def test_not_to_the_sender(self) -> None:
        """A device would be handed what it has sent."""
        self.ids(self.connection)
        self.send(self.connection)
        self.assertEqual(self.ids(self.connection), [])

    def test_refusals(self) -> None:
        """A refusal would have the wrong code, or not say which message it is about."""
        for outcome, problem in (
            (Gap(5), Problem.GAP),
            (NotMember(), Problem.NOT_A_MEMBER),
            (Behind(), Problem.MAYBE_NOT_STORED),
        ):
            answer = self.judged(self.connection, outcome)
            assert isinstance(answer, e.Refused)
            self.assertEqual((answer.problem, answer.room, answer.re), (problem, ROOM, 1))

    def test_lost_events(self) -> None:
        """A log that has lost events would refuse messages for ever."""
        self.judged(self.connection, Behind())
        self.assertEqual(self.world.rooms.noted, ["lost events of 7"])

    def test_private(self) -> None:
        """A private room would be found out by a message to it, or one's own not be spoken in at once."""
        room = Room(ROOM, "dev", PRIVATE, "", "all", 1, 1)
        self.world.rooms.room = room
        stranger = self.log_in(BOB, rooms=None, receive=False)
        self.world.rooms.is_visible = False
        answer = self.judged(stranger, NotMember())
        assert isinstance(answer, e.Refused)
        self.assertEqual(answer.problem, Problem.UNKNOWN_ROOM)
        self.world.rooms.asked.clear()
        self.assertIsInstance(self.send(self.connection), e.RoomSent)
        self.assertEqual(self.world.rooms.asked, [])

    def test_not_ready(self) -> None:
        """A message into a room whose version is not known would be judged by members of before."""
        self.world.rooms.is_known = False
        self.assertIsInstance(self.send(self.connection), e.RoomSent)
        self.assertEqual(self.world.rooms.asked[-1], ("find", ALICE, ROOM))

    def test_session_that_is_over(self) -> None:
        """A session whose device has logged in elsewhere, or was forgotten, would go on."""
        self.judged(self.connection, Moved())
        self.assertIsNone(self.connection.session.user)
        other = self.log_in()
        self.world.inbox.outcomes.append(Unregistered())
        other.do(c.SendToRoom(ROOM, "x", n=1))
        self.world.clock.advance(0)
        self.assertIn("closed", other.noted)

    def test_logged_out_while_the_room_is_found(self) -> None:
        """A message would be said in the name of somebody who has been logged out."""
        self.world.rooms.is_known = False
        self.world.rooms.hold = {"find"}
        self.connection.do(c.SendToRoom(ROOM, "x", n=1))
        self.connection.session.taken_over()
        self.world.let_all()
        answers = self.connection.answers()
        self.assertIn(e.Refused(Problem.NOT_LOGGED_IN, room=ROOM, re=1), answers)

    def test_store_away(self) -> None:
        """A sender would wait for ever while the store is away, or the room not be read again when it is back."""
        self.world.inbox.hold = {"commit"}
        self.connection.do(c.SendToRoom(ROOM, "x", n=1))
        self.world.clock.advance(5)
        self.assertEqual(
            self.connection.answers(), [e.Refused(Problem.MAYBE_NOT_STORED, room=ROOM, re=1)]
        )
        self.ids(self.connection)
        self.world.let_all()
        self.assertEqual(self.ids(self.connection), [])
