"""Rooms in the structured dialect."""

from __future__ import annotations

import json
from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.rooms import room as sql
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.problems import Problem
from chatsvc.wire.structured.dialect import StructuredDialect
from chatsvc.wire.structured.rooms import fitting_list
from tests.wire.samples import ANY, AT, EVENTS, PATIENT, message, room_event, room_message

GOOD: dict[str, dict[str, Any]] = {
    "create": {"name": "dev", "kind": "public", "topic": "x"},
    "join": {"room": 7},
    "leave": {"room": 7},
    "invite": {"room": 7, "user": 10002},
    "remove": {"room": 7, "user": 10002, "ban": True},
    "unban": {"room": 7, "user": 10002},
    "role": {"room": 7, "user": 10002, "role": "moderator"},
    "change": {"room": 7, "name": "x", "topic": "y", "kind": "private", "history": "joined"},
    "close": {"room": 7},
    "rooms": {"name": "d", "after": 3, "limit": 20},
    "members": {"room": 7, "after": -5, "limit": 20},
    "msg": {"room": 7, "text": "hi"},
    "ack": {"room": 7, "id": 121},
}
"""A frame of each kind, with all that it can say."""

OPTIONAL = {
    *(("create", "kind"), ("create", "topic"), ("remove", "ban"), ("rooms", "name")),
    *(("rooms", "after"), ("rooms", "limit"), ("members", "after"), ("members", "limit")),
    *(("change", field) for field in ("name", "topic", "kind", "history")),
}
NULLABLE = {("change", field) for field in ("name", "topic", "kind", "history")} | {
    ("members", "after")
}
"""Where ``null`` says as much as nothing."""


class ParseTests(SynchronousTestCase):
    """Frames to commands."""

    def parse(self, **thing: Any) -> c.Command:
        return StructuredDialect("en").parse(json.dumps(thing).encode())

    def test_commands(self) -> None:
        """A documented request would not be understood, or lose a field on the way."""
        for kind, command in {
            "create": c.CreateRoom("dev", "public", "x", n=1),
            "join": c.JoinRoom(7, n=1),
            "leave": c.LeaveRoom(7, n=1),
            "invite": c.Invite(7, 10002, n=1),
            "remove": c.RemoveMember(7, 10002, True, n=1),
            "unban": c.Unban(7, 10002, n=1),
            "role": c.SetRole(7, 10002, "moderator", n=1),
            "change": c.ChangeRoom(7, "x", "y", "private", "joined", n=1),
            "close": c.CloseRoom(7, n=1),
            "rooms": c.ListRooms("d", 3, 20, n=1),
            "members": c.ListMembers(7, -5, 20, n=1),
            "msg": c.SendToRoom(7, "hi", n=1),
            "ack": c.AckRoom(7, 121, n=1),
        }.items():
            self.assertEqual(self.parse(type=kind, n=1, **GOOD[kind]), command)

    def test_short_forms(self) -> None:
        """A field that may be left out would be needed, or mean something else than the page says."""
        self.assertEqual(self.parse(type="create", name="a"), c.CreateRoom("a", "public", ""))
        self.assertEqual(self.parse(type="join", name="dev"), c.JoinRoom("dev"))
        self.assertEqual(self.parse(type="remove", room=7, user=5), c.RemoveMember(7, 5))
        self.assertEqual(self.parse(type="change", room=7, topic=""), c.ChangeRoom(7, topic=""))
        self.assertEqual(self.parse(type="rooms"), c.ListRooms("", 0, 50))
        self.assertEqual(self.parse(type="members", room=7), c.ListMembers(7, None, 100))
        again = self.parse(type="msg", room=7, text="x", again=True, n=3)
        self.assertEqual(again, c.SendToRoom(7, "x", True, n=3))

    def assertMalformed(self, thing: dict[str, Any]) -> None:
        """Fail unless a frame is refused because of a field; a message says where it was for."""
        named = thing.get("room") if thing["type"] == "msg" else None
        room = named if type(named) is int else None
        to = thing.get("to") if thing["type"] == "msg" else None
        expected = c.Malformed(Problem.BAD_FIELD, to=to, room=room)
        self.assertEqual(self.parse(**thing), expected, thing)

    def test_types_of_fields(self) -> None:
        """A value of the wrong kind would be taken for something."""
        for kind, fields in GOOD.items():
            for field, value in fields.items():
                strangers: list[Any] = [1.0, 1.5, [], {}, [7], "" if field == "text" else [1]]
                strangers += [7] if type(value) is str else ["7", "x"]
                strangers += [] if type(value) is bool else [True, False]
                strangers += [] if (kind, field) in NULLABLE else [None]
                for stranger in strangers:
                    self.assertMalformed({"type": kind, **fields, field: stranger})

    def test_missing_fields(self) -> None:
        """A command without what it is about would be carried out on something."""
        for kind, fields in GOOD.items():
            for field in fields:
                if (kind, field) in OPTIONAL or (field == "room" and kind in ("msg", "ack")):
                    continue
                self.assertMalformed(
                    {"type": kind, **{name: fields[name] for name in fields if name != field}}
                )
        self.assertMalformed({"type": "change", "room": 7})
        self.assertMalformed({"type": "change", "room": 7, "topic": None})

    def test_ranges(self) -> None:
        """A number that no room, entry or list can have would be taken."""
        for bad in (0, -1, 2**53, 2**63):
            for kind in ("join", "leave", "close", "members", "msg"):
                self.assertMalformed({"type": kind, **GOOD[kind], "room": bad})
            self.assertMalformed({"type": "rooms", "limit": bad})
            self.assertMalformed({"type": "members", "room": 7, "limit": bad})
        for bad in (-1, 2**53):
            self.assertMalformed({"type": "rooms", "after": bad})
            self.assertMalformed({"type": "ack", "room": 7, "id": bad})
        self.assertMalformed({"type": "members", "room": 7, "after": 2**63})
        top = 2**53 - 1
        self.assertEqual(self.parse(type="ack", room=top, id=top), c.AckRoom(top, top))

    def test_words(self) -> None:
        """A kind, a rule or a role that there is not would get into the database."""
        for bad in ("", "Public", "secret", "public "):
            self.assertMalformed({"type": "create", "name": "a", "kind": bad})
            self.assertMalformed({"type": "change", "room": 7, "kind": bad})
            self.assertMalformed({"type": "change", "room": 7, "history": bad})
            self.assertMalformed({"type": "role", "room": 7, "user": 5, "role": bad})
        for kind in sql.KINDS:
            self.assertEqual(
                self.parse(type="create", name="a", kind=kind), c.CreateRoom("a", kind)
            )
        for history in sql.HISTORIES:
            change = c.ChangeRoom(7, history=history)
            self.assertEqual(self.parse(type="change", room=7, history=history), change)
        for role in sql.ROLES:
            self.assertEqual(
                self.parse(type="role", room=7, user=5, role=role), c.SetRole(7, 5, role)
            )

    def test_one_of_two(self) -> None:
        """A message would go to one of two places, or somebody join one of two rooms."""
        self.assertMalformed({"type": "msg", "room": 7, "to": 5, "text": "x"})
        self.assertMalformed({"type": "msg", "text": "x"})
        self.assertMalformed({"type": "join", "room": 7, "name": "dev"})
        self.assertMalformed({"type": "join", "name": ""})
        for name in ("#dev", "＃开发", "#"):
            malformed = self.parse(type="join", name=name, n=3)
            self.assertEqual(malformed, c.Malformed(Problem.BAD_ROOM_NAME, c.JoinRoom, n=3))
        self.assertMalformed({"type": "join"})

    def test_asked_again(self) -> None:
        """A question that names no message would be taken for a message."""
        self.assertMalformed({"type": "msg", "room": 7, "text": "x", "again": True})
        self.assertMalformed({"type": "msg", "room": 7, "text": "x", "again": 1})

    def test_users_out_of_range(self) -> None:
        """A uid that no database can hold would make it fail."""
        for uid in (2**63, 2**64 - 1):
            self.assertEqual(self.parse(type="invite", room=7, user=uid), c.Invite(7, c.NO_UID))
        self.assertEqual(self.parse(type="unban", room=7, user=-(2**63)), c.Unban(7, -(2**63)))

    def test_sizes(self) -> None:
        """A text or topic of the largest size would be refused, or a larger one taken."""
        self.assertEqual(c.MAX_TOPIC, sql.MAX_TOPIC)
        for text in ("x" * 8192, "你" * 2730 + "xx", "😀" * 2048):
            self.assertEqual(self.parse(type="msg", room=7, text=text), c.SendToRoom(7, text))
            self.assertEqual(
                self.parse(type="msg", n=3, room=7, text=text + "x"),
                c.Malformed(Problem.TOO_LONG, c.SendToRoom, room=7, n=3),
            )
        for topic in ("x" * 512, "你" * 170 + "xx"):
            create = c.CreateRoom("a", topic=topic)
            self.assertEqual(self.parse(type="create", name="a", topic=topic), create)
            change = c.ChangeRoom(7, topic=topic)
            self.assertEqual(self.parse(type="change", room=7, topic=topic), change)
            more = topic + "x"
            self.assertEqual(
                self.parse(type="create", name="a", topic=more, n=3),
                c.Malformed(Problem.LONG_TOPIC, c.CreateRoom, n=3),
            )
            self.assertEqual(
                self.parse(type="change", room=7, topic=more),
                c.Malformed(Problem.LONG_TOPIC, c.ChangeRoom),
            )

    def test_log_in(self) -> None:
        """A device could not say how far it has shown its rooms, or would be believed what it cannot have shown."""
        good: dict[str, Any] = {"type": "auth", "uid": 1, "token": "t"}
        auth = self.parse(**good, rooms={"7": [120, 5], "12": [0, 0]}, backlog=0)
        positions = {7: (120, 5), 12: (0, 0)}
        self.assertEqual(auth, c.Auth(1, token="t", rooms=positions, backlog=0))
        self.assertEqual(self.parse(**good, rooms={}), c.Auth(1, token="t", rooms={}))
        bad: list[Any] = [None, [], 7, "7", {"7": 5}, {"7": [1]}, {"7": [1, 2, 3]}, {"7": [-1, 2]}]
        bad += [{"7": [1, 2**53]}, {"7": [1, True]}, {"7": [1, 2.0]}, {"7": ["1", 2]}, {"7": None}]
        bad += [{key: [1, 2]} for key in ("", "0", "07", "+7", "７", "dev", "7 ", str(2**53))]
        for rooms in bad:
            self.assertMalformed({**good, "rooms": rooms})
        for backlog in (-1, 2**53, "5", 1.0, True):
            self.assertMalformed({**good, "backlog": backlog})

    @given(
        st.dictionaries(
            st.sampled_from(
                [
                    *("type", "n", "room", "name", "user", "role", "kind", "history", "topic"),
                    *("text", "to", "again", "ban", "after", "limit", "id", "rooms", "backlog"),
                ]
            ),
            st.sampled_from([*GOOD, "auth"])
            | st.none()
            | st.booleans()
            | st.integers(-(2**70), 2**70)
            | st.floats()
            | st.text(max_size=5)
            | st.dictionaries(st.text("0123456789", max_size=18), st.lists(st.integers())),
        )
    )
    @PATIENT
    def test_anything(self, thing: dict[str, Any]) -> None:
        """Some object would raise an exception."""
        self.assertIsInstance(self.parse(**{"type": "join", **thing}), c.Command)


class SayTests(SynchronousTestCase):
    """Events and entries to frames."""

    def setUp(self) -> None:
        self.dialect = StructuredDialect("en")
        self.dialect.bring_devices()
        self.dialect.bring_rooms()

    def say(self, event: e.Event | e.Message) -> Any:
        (frame,) = self.dialect.encode(event)
        return orjson.loads(frame)

    def entry(self, entry: e.RoomEntry) -> Any:
        frame = self.dialect.encode_entry(entry, "dev")
        assert frame is not None
        return orjson.loads(frame)

    def test_events(self) -> None:
        """A program would read something else than the contract says."""
        serial = 10 * AT
        table: list[tuple[e.Event, dict[str, Any]]] = [
            (
                e.RoomShown(7, "dev", "public", "x", "all", "member", 12, 120, 118),
                {
                    "type": "room",
                    "room": 7,
                    "name": "dev",
                    "kind": "public",
                    "topic": "x",
                    "history": "all",
                    "role": "member",
                    "members": 12,
                    "last": 120,
                    "acked": 118,
                },
            ),
            (e.RoomLeft(7, "dev", "removed"), {"type": "left", "room": 7, "why": "removed"}),
            (
                e.RoomMissed(7, 12, 3400, serial),
                {"type": "missed", "room": 7, "after": 12, "until": 3400, "serial": serial},
            ),
            (
                e.RoomMissed(7, 12, 3400),
                {"type": "missed", "room": 7, "after": 12, "until": 3400},
            ),
            (e.Synced(), {"type": "synced"}),
            (
                e.RoomSent(7, "dev", 121, room_message(), re=3),
                {"type": "sent", "re": 3, "room": 7, "id": 121, "serial": serial, "at": AT},
            ),
            (
                e.RoomSent(7, "dev", None, e.RoomMessage(7, 0, 0, 1, "a", AT, "x"), True, re=3),
                {"type": "sent", "re": 3, "room": 7, "at": AT, "duplicate": True},
            ),
            (e.RoomDone("created", 7, "dev", re=1), {"type": "ok", "re": 1, "room": 7}),
            (e.RoomDone("joined", 7, "dev", re=1), {"type": "ok", "re": 1, "room": 7}),
            (e.RoomDone("left", 7, "dev", re=1), {"type": "ok", "re": 1}),
            (
                e.RoomsListed((e.ListedRoom(7, "dev", "x", 12, True),), False, re=9),
                {
                    "type": "ok",
                    "re": 9,
                    "more": False,
                    "rooms": [
                        {"room": 7, "name": "dev", "topic": "x", "members": 12, "joined": True}
                    ],
                },
            ),
            (
                e.MembersListed(7, "dev", (e.ListedMember(1, "a", "owner", True),), True, re=9),
                {
                    "type": "ok",
                    "re": 9,
                    "more": True,
                    "members": [{"uid": 1, "name": "a", "role": "owner", "online": True}],
                },
            ),
            (
                e.Refused(Problem.UNKNOWN_ROOM, room=7, re=3),
                {
                    "type": "error",
                    "re": 3,
                    "room": 7,
                    "code": "unknown-room",
                    "text": "There is no such room!",
                },
            ),
            (
                e.Refused(Problem.ROOM_NAME_TAKEN, room=7, re=3),
                {
                    "type": "error",
                    "re": 3,
                    "room": 7,
                    "code": "name-taken",
                    "text": "This room's name is taken, please choose another!",
                },
            ),
        ]
        for event, said in table:
            self.assertEqual(self.say(event), said)

    def test_entries(self) -> None:
        """A program would take an entry for another one, or for a message in its inbox."""
        message = {"type": "msg", "room": 7, "id": 121, "serial": 10 * AT, "from": 10001}
        message |= {"name": "a", "at": AT, "text": "hi"}
        self.assertEqual(self.entry(room_message(device="x" * 16)), message)
        event = {"type": "event", "room": 7, "id": 122, "serial": 10 * AT, "at": AT, "by": 10001}
        about = {**event, "user": 10002, "name": "b"}
        for one, said in {
            "joined": about,
            "left": about,
            "created": about,
        }.items():
            self.assertEqual(self.entry(room_event(one)), {**said, "event": one})
        removed = room_event("removed", ban=True)
        self.assertEqual(self.entry(removed), {**about, "event": "removed", "ban": True})
        role = room_event("role", role="owner")
        self.assertEqual(self.entry(role), {**about, "event": "role", "role": "owner"})
        closed = room_event("closed", 0, "a")
        self.assertEqual(self.entry(closed), {**event, "name": "a", "event": "closed"})

    def test_changes(self) -> None:
        """A program could not tell the room's new name from that of who has changed something else."""
        event = {"type": "event", "room": 7, "id": 122, "serial": 10 * AT, "at": AT, "by": 10001}
        changed = {**event, "event": "changed"}
        topic = room_event("changed", 0, "a", topic="x")
        self.assertEqual(self.entry(topic), {**changed, "topic": "x"})
        details = {"name": "neu", "kind": "private"}
        name = e.RoomEvent(7, 122, 10 * AT, 5, AT, "changed", 10001, 0, "a", details)
        self.assertEqual(self.entry(name), {**changed, "name": "neu", "kind": "private"})

    def test_encoded_once(self) -> None:
        """A message to a thousand readers would be encoded a thousand times."""
        other = StructuredDialect("zh")
        other.bring_rooms()
        for entry in (room_message(), room_event("joined")):
            frame = self.dialect.encode_entry(entry, "dev")
            self.assertIs(other.encode_entry(entry, "renamed"), frame)

    def test_invitation(self) -> None:
        """A program could not tell an invitation from a message, or one of before would read what it does not know."""
        invitation = e.Message(41, 10001, "a", AT, "join", 10 * AT, mark=e.Invitation(7, "dev"))
        said = {"type": "msg", "id": 41, "from": 10001, "name": "a", "at": AT, "text": "join"}
        said["serial"] = 10 * AT
        self.assertEqual(self.say(invitation), {**said, "invite": {"room": 7, "name": "dev"}})
        self.assertNotIn("invite", self.say(message()))
        plain = StructuredDialect("en")
        plain.bring_devices()
        (frame,) = plain.encode(invitation)
        self.assertEqual(orjson.loads(frame), said)

    def test_without_the_feature(self) -> None:
        """A program that has not asked for rooms would be told of them."""
        plain, with_devices = StructuredDialect("en"), StructuredDialect("en")
        with_devices.bring_devices()
        about_rooms = (e.RoomShown, e.RoomLeft, e.RoomMissed, e.Synced, e.RoomSent, e.RoomDone)
        for dialect in (plain, with_devices):
            self.assertFalse(dialect.rooms)
            for event in EVENTS:
                if isinstance(event, about_rooms):
                    self.assertEqual(dialect.encode(event), [], event)
            for entry in (room_message(), room_event("joined")):
                self.assertIsNone(dialect.encode_entry(entry, "dev"))

    def test_other_events(self) -> None:
        """What has nothing to do with rooms would change by the feature."""
        plain = StructuredDialect("en")
        plain.bring_devices()
        for event in EVENTS:
            if said := plain.encode(event):
                self.assertEqual(self.dialect.encode(event), said, event)

    @given(ANY, ANY)
    @PATIENT
    def test_largest_text_fits(self, text: str, name: str) -> None:
        """A message or a topic of the largest size would not fit its readers' frame, or not come as it was."""
        raw = text.encode() or b"\0"
        largest = (raw * (c.MAX_TEXT // len(raw) + 1))[: c.MAX_TEXT].decode(errors="ignore")
        top = 2**53 - 1
        entry = e.RoomMessage(top, top, top, 2**63 - 1, name[:32], AT, largest)
        frame = self.dialect.encode_entry(entry, "dev") or b""
        self.assertLessEqual(len(frame), c.MAX_FRAME)
        self.assertEqual(
            (json.loads(frame)["text"], json.loads(frame)["name"]), (largest, name[:32])
        )


class ListTests(SynchronousTestCase):
    """Lists that are too long for a frame."""

    def listed(self, event: e.Event) -> Any:
        dialect = StructuredDialect("en")
        dialect.bring_rooms()
        (frame,) = dialect.encode(event)
        self.assertLessEqual(len(frame), c.MAX_FRAME)
        return orjson.loads(frame)

    def rooms(self, count: int, topic: str) -> list[e.ListedRoom]:
        return [e.ListedRoom(n, "dev", topic, 1, False) for n in range(1, count + 1)]

    def test_as_many_as_fit(self) -> None:
        """A list would not come at all, with a gap, or with less than a frame holds."""
        for topic in ("", "x" * 512, "\0" * 512, "你" * 170):
            rooms = self.rooms(1000, topic)
            said = self.listed(e.RoomsListed(tuple(rooms), False, re=2**53 - 1))
            numbers = [one["room"] for one in said["rooms"]]
            self.assertEqual(numbers, list(range(1, len(numbers) + 1)))
            self.assertEqual(said["more"], len(numbers) < 1000)
            self.assertEqual(said["re"], 2**53 - 1)
            if said["more"]:
                another = orjson.dumps(said | {"rooms": [*said["rooms"], said["rooms"][-1]]})
                self.assertGreater(len(another), c.MAX_FRAME - 2, topic)

    def test_members(self) -> None:
        """A large room's members could not be listed."""
        members = tuple(e.ListedMember(n, "\0" * 32, "moderator", False) for n in range(1000))
        said = self.listed(e.MembersListed(7, "dev", members, False))
        self.assertTrue(said["more"])
        self.assertGreater(len(said["members"]), 200)

    def test_whole_list(self) -> None:
        """A list that fits would be said to be cut, or a page of a longer one to be the last."""
        for more in (True, False):
            said = self.listed(e.RoomsListed(tuple(self.rooms(3, "x")), more))
            self.assertEqual((len(said["rooms"]), said["more"]), (3, more))

    def test_at_least_one(self) -> None:
        """Whoever pages through a list would ask for the same page for ever."""
        thing = {"type": "ok", "rooms": [{"name": "x" * 50}, {"name": "y"}], "more": False}
        for most in (0, 50, 100):
            cut = {**thing, "rooms": [{"name": "x" * 50}], "more": True}
            self.assertEqual(fitting_list(thing, most), cut, most)
