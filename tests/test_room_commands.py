"""Commands for rooms, from a session's command to what rooms are asked, and from their answer to what is said."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.limits.token_bucket import Rate
from chatsvc.rooms.room import RoomRefused
from chatsvc.storage.url import StoreUnavailable
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from tests.support.connections import GREETING, ClientEnd, ProtocolCase
from tests.support.worlds import ALICE, BOB, CAROL, UNLIMITED, RecordingConnection, World

PHONE = "b" * 16

CHANGES: list[tuple[c.Command, tuple[Any, ...], str]] = [
    (c.CreateRoom("dev", "private", "x"), ("create", ALICE, "dev", "private", "x"), "created"),
    (c.JoinRoom("dev"), ("join", ALICE, "dev"), "joined"),
    (c.LeaveRoom(7), ("leave", ALICE, 7), "left"),
    (c.Invite(7, BOB), ("invite", ALICE, 7, BOB), "invited"),
    (c.RemoveMember("dev", BOB, True), ("remove", ALICE, "dev", BOB, True), "removed"),
    (c.Unban(7, BOB), ("unban", ALICE, 7, BOB), "unbanned"),
    (c.SetRole(7, BOB, "owner"), ("set_role", ALICE, 7, BOB, "owner"), "role"),
    (
        c.ChangeRoom(7, "a", "b", "public", "all"),
        ("change", ALICE, 7, "a", "b", "public", "all"),
        "changed",
    ),
    (c.CloseRoom(7), ("close", ALICE, 7), "closed"),
]
"""Each command that changes a room, what it asks, and what is then said to be done."""


class RoomCommandsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.make()

    def make(self, room_rate: Rate = UNLIMITED, find_rate: Rate = UNLIMITED) -> None:
        self.world = World(room_rate=room_rate, find_rate=find_rate)
        self.rooms = self.world.rooms

    def log_in(self, uid: int = ALICE) -> RecordingConnection:
        """Somebody who is logged in, and whose answers so far are forgotten."""
        connection = RecordingConnection(self.world.services)
        connection.do(c.Auth(uid, self.world.accounts.rows[uid][1]))
        connection.answers()
        return connection

    def test_changes(self) -> None:
        """A command would do something else, or to another room, than was asked, or have no answer."""
        connection = self.log_in()
        for command, asked, what in CHANGES:
            connection.do(command)
            self.assertEqual(self.rooms.asked.pop(), asked)
            self.assertEqual(connection.answers(), [e.RoomDone(what, 7, "dev")])
        connection.do(c.JoinRoom(7, n=5))
        self.assertEqual(connection.answers(), [e.RoomDone("joined", 7, "dev", re=5)])

    def test_invites_a_member(self) -> None:
        """Who invites somebody who is there already would wait for an answer to an invitation that nobody got."""
        connection = self.log_in()
        self.rooms.there = {BOB}
        connection.do(c.Invite(7, BOB, n=5), c.Invite(7, CAROL, n=6))
        self.assertEqual(
            connection.answers(),
            [e.RoomDone("member", 7, "dev", re=5), e.RoomDone("invited", 7, "dev", re=6)],
        )

    def test_needs_log_in(self) -> None:
        """Somebody who is not logged in would change a room, or look into it."""
        connection = RecordingConnection(self.world.services)
        lists = [c.ListRooms(), c.ListMembers(7), c.Malformed(Problem.JOIN_USAGE, c.JoinRoom)]
        for command in [*(command for command, _, _ in CHANGES), *lists]:
            connection.do(command)
            self.assertEqual(connection.answers(), [e.Refused(Problem.NOT_LOGGED_IN)], command)
        self.assertEqual(self.rooms.asked, [])
        connection.do(c.HelpOnRooms())
        self.assertEqual(connection.answers(), [e.HelpOnRoomsShown()])

    def test_refused(self) -> None:
        """A refusal would end the connection, or keep from a program what it has to know."""
        connection = self.log_in()
        for problem, more in (
            (Problem.UNKNOWN_ROOM, {}),
            (Problem.ROOM_NAME_TAKEN, {"room": 7}),
            (Problem.INBOX_FULL, {"waiting": 1000}),
        ):
            self.rooms.refusal = RoomRefused(problem, **more)
            for command in [*(command for command, _, _ in CHANGES), c.ListMembers(7)]:
                connection.do(command)
                self.assertEqual(connection.answers(), [e.Refused(problem, **more)])
        counted = self.world.services.metrics.registry.get_sample_value(
            "chatsvc_refusals_total", {"reason": "unknown-room"}
        )
        self.assertEqual(counted, 1 + len(CHANGES))

    def test_store_away(self) -> None:
        """The absence of a store would pass for a refusal, and a program not ask again."""
        connection = self.log_in()
        for command, _, _ in CHANGES:
            self.rooms.hold = {*dir(self.rooms)}
            connection.do(command)
            self.rooms.let(StoreUnavailable("away"))
            self.assertEqual(connection.answers(), [e.Refused(Problem.STORE_UNAVAILABLE)])

    def test_in_order(self) -> None:
        """What is asked after a change would be carried out before it."""
        connection = self.log_in()
        self.rooms.hold = {"join"}
        connection.do(c.JoinRoom(7, n=1), c.LeaveRoom(7, n=2), c.Ping(n=3))
        self.assertEqual((connection.said, len(self.rooms.asked)), ([], 1))
        self.rooms.let()
        self.assertEqual([answer.re for answer in connection.said], [1, 2, 3])

    def test_changes_without_end(self) -> None:
        """One account could fill its rooms' logs, and the database, with events."""
        for command, _, _ in CHANGES:
            self.make(room_rate=Rate(1, 3))
            connection = self.log_in()
            connection.do(*[command] * 3)
            self.assertEqual(connection.held, set())
            connection.do(command)
            left = isinstance(command, c.LeaveRoom)
            self.assertEqual(connection.held, set() if left else {"room-command-rate"}, command)
            self.world.clock.advance(1.1)
            self.assertEqual(connection.held, set())

    def test_lists_without_end(self) -> None:
        """One account could have the database do nothing but look for rooms."""
        self.make(find_rate=Rate(1, 3))
        connection = self.log_in()
        connection.do(c.ListRooms(), c.ListMembers(7), c.ListRooms())
        self.assertEqual(connection.held, set())
        connection.do(c.ListMembers(7))
        self.assertEqual(connection.held, {"find-rate"})

    def test_rooms(self) -> None:
        """Somebody would not find a room, or be told of as many as they like to ask for at once."""
        connection = self.log_in()
        listed = e.ListedRoom(7, "dev", "", 1, True)
        self.rooms.listed, self.rooms.more = [listed], True
        connection.do(c.ListRooms("d", 3, 20, n=9))
        self.assertEqual(self.rooms.asked.pop(), ("list_rooms", ALICE, "d", 3, 20, False))
        self.assertEqual(connection.answers(), [e.RoomsListed((listed,), True, re=9)])
        connection.do(c.ListRooms(limit=c.MAX_N, mine=True))
        self.assertEqual(self.rooms.asked.pop(), ("list_rooms", ALICE, "", 0, 1000, True))

    def test_members(self) -> None:
        """Somebody would not see who is in a room, or that one is online here or at another node."""
        connection, _ = self.log_in(), self.log_in(BOB)
        self.world.inbox.taken = {CAROL}
        self.rooms.members = [
            (ALICE, "alice", "owner"),
            (BOB, "bob", "moderator"),
            (CAROL, "carol", "member"),
            (10009, "dave", "member"),
        ]
        connection.do(c.ListMembers("dev", -5, 9999, n=1))
        self.assertEqual(self.rooms.asked.pop(), ("list_members", ALICE, "dev", -5, 1000))
        (answer,) = connection.answers()
        assert isinstance(answer, e.MembersListed)
        self.assertEqual((answer.room, answer.name, answer.more, answer.re), (7, "dev", False, 1))
        told = [(one.uid, one.name, one.role, one.online) for one in answer.members]
        online = [True, True, True, False]
        self.assertEqual(
            told, [(*one, here) for one, here in zip(self.rooms.members, online, strict=True)]
        )

    def test_too_much_is_said(self) -> None:
        """A room could be filled by all its members together, or somebody who is none hold up those who are."""
        self.world = World(into_room_rate=Rate(1, 2))
        log = self.world.inbox.room_logs.logs[7]
        log.version, log.members = 1, {ALICE: "owner"}
        member, other = self.log_in(), self.log_in(BOB)
        for connection, problem in ((other, Problem.NOT_A_MEMBER), (member, None)):
            connection.do(*[c.SendToRoom(7, "x") for _ in range(3)])
            self.world.clock.advance(0)
            problems = [getattr(one, "problem", None) for one in connection.answers()]
            self.assertEqual(problems, [problem] * 3)
        self.assertEqual((other.held, member.held), (set(), {"room-rate"}))

    def test_refused_message(self) -> None:
        """A program could not tell which room a message was for that is refused."""
        connection = self.log_in()
        for command, more in (
            (c.SendToRoom(7, "x", n=3), {"room": 7}),
            (c.SendToRoom("dev", "x"), {}),
            (c.Malformed(Problem.TOO_LONG, c.SendToRoom, room=7, n=3), {"room": 7}),
        ):
            connection.session.refuse(command, Problem.TOO_LONG)
            (answer,) = connection.answers()
            self.assertEqual(answer, e.Refused(Problem.TOO_LONG, re=command.n, **more))


class FeatureTests(ProtocolCase):
    """Who has rooms: the frames themselves."""

    def hello(self, *features: str, device: str = PHONE) -> ClientEnd:
        """A program that has asked for features."""
        end = self.connect()
        end.send({"type": "hello", "device": device, "features": list(features)})
        self.turn()
        return end

    def log_in(self, end: ClientEnd) -> None:
        end.send({"type": "auth", "uid": ALICE, "password": "a"})
        self.turn()
        self.assertEqual(end.things()[0]["type"], "ok")
        self.world.rooms.asked.clear()

    def test_granted(self) -> None:
        """A program could not have rooms, or without what they need."""
        for asked, granted in (
            (("devices", "rooms"), ["devices", "rooms"]),
            (("rooms", "devices"), ["rooms", "devices"]),
            (("rooms",), []),
            (("devices",), ["devices"]),
        ):
            end = self.hello(*asked)
            (welcome,) = end.things()
            self.assertEqual(welcome["features"], granted)
            self.assertEqual(end.protocol.rooms, "devices" in asked and "rooms" in asked)
        (welcome,) = self.hello("devices", "rooms", device="").things() or [{}]
        self.assertEqual(welcome.get("features", []), [])

    def test_with_the_feature(self) -> None:
        """A program's command for a room would not reach it."""
        end = self.hello("devices", "rooms")
        end.things()
        self.log_in(end)
        end.send({"type": "join", "n": 2, "name": "dev"}, {"type": "leave", "n": 3, "room": 7})
        self.turn()
        said = [{"type": "ok", "re": 2, "room": 7}, {"type": "ok", "re": 3}]
        self.assertEqual(end.things(), said)

    def test_all_at_once(self) -> None:
        """A program that does not wait for the answer to ``hello`` would be refused what it is granted."""
        self.world.inbox.hold = {"nodes"}
        end = self.hello("devices", "rooms")
        end.send(
            {"type": "auth", "uid": ALICE, "password": "a", "rooms": {"7": [1, 2]}},
            {"type": "join", "n": 2, "room": 7},
        )
        self.assertEqual(end.things(), [])
        self.world.let_all()
        self.turn()
        self.assertEqual(end.things()[-1], {"type": "ok", "re": 2, "room": 7})

    def test_without_the_feature(self) -> None:
        """A program without rooms would come into one, whose messages it is not shown."""
        for features in ((), ("devices",), ("rooms",)):
            end = self.hello(*features)
            end.things()
            self.log_in(end)
            for command in (
                {"type": "create", "name": "dev"},
                {"type": "join", "room": 7},
                {"type": "rooms"},
                {"type": "members", "room": 7},
                {"type": "join"},
                {"type": "msg", "room": 7, "text": "x"},
            ):
                end.send({**command, "n": 2})
                self.turn()
                (error,) = end.things()
                self.assertEqual((error["code"], error["re"]), ("bad-request", 2), command)
                room = command["room"] if command["type"] == "msg" else None
                self.assertEqual(error.get("room"), room, command)
            end.lose()
        self.assertEqual(self.world.rooms.asked, [])

    def test_people(self) -> None:
        """Somebody at a keyboard, on either port, could not come into a room."""
        for legacy in (False, True):
            end = self.text(legacy=legacy)
            self.world.rooms.asked.clear()
            end.send("join ＃dev", "members #dev", "help rooms", "invite #dev x")
            self.turn()
            joined, members, explained, no_uid = end.raw()
            self.assertEqual(joined, "You are in #dev!")
            self.assertEqual(members, "Members of #dev:")
            self.assertTrue(explained.startswith("Commands for rooms:"))
            self.assertEqual(no_uid, "A userid is a whole number!")
            self.assertEqual(self.world.rooms.asked.pop(0), ("join", ALICE, "dev"))
            end.lose()

    def test_people_who_are_not_logged_in(self) -> None:
        """A stranger would learn which rooms there are."""
        end = self.connect()
        end.send("rooms", "rooms dev", "members #dev")
        self.turn()
        self.assertEqual(end.raw(), [GREETING] * 4)
        self.assertEqual(self.world.rooms.asked, [])

    def test_speaks_of_rooms(self) -> None:
        """A person would be shown nothing of the rooms, or a program before it has asked for them."""
        person, program = self.text(), self.structured(BOB)
        self.assertEqual((person.protocol.rooms, program.protocol.rooms), (True, False))
