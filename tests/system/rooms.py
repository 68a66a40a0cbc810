"""What holds of rooms at every store, at one server as at two nodes."""

from __future__ import annotations

import re
import time
from itertools import count
from typing import Any

from tests.support.clients import StructuredClient, TextClient
from tests.support.processes import PASSWORD, ChatServer, ServerStores
from tests.system.devices import DESK, PHONE, DevicesCase

_NUMBERS = count(1)
_LINE = re.compile(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n")


def undated(frame: str) -> str:
    """A frame of the text dialect without its date."""
    return _LINE.sub("", frame)


class RoomsCase(DevicesCase):
    """Users of one server or two, and a room of theirs."""

    def room_device(
        self, server: ChatServer, device: str, uid: int | None = None, **more: Any
    ) -> StructuredClient:
        """A device that reads rooms; it was handed all that waited, ``self.before`` what came before ``synced``."""
        client = server.structured(device=device, features=["devices", "rooms"])
        self.addCleanup(client.close)
        self.assertEqual(client.welcome["features"], ["devices", "rooms"])
        self.ok = client.log_in(uid or self.me, PASSWORD, **{"rooms": {}, **more})
        client.await_type("synced")
        self.before, client.unread = client.unread, []
        return client

    def name(self) -> str:
        """A name that no other room has."""
        return f"room{next(_NUMBERS)}"

    def create(self, client: StructuredClient, **more: Any) -> int:
        """A room that a client has made, and reads."""
        name = more.pop("name", "") or self.name()
        room: int = client.ask(type="create", n=900, name=name, **more)["room"]
        client.await_type("room")
        client.await_type("event")
        return room

    def join(self, client: StructuredClient, room: int) -> dict[str, Any]:
        """Have a client join a room; what it is told of it."""
        self.assertEqual(client.ask(type="join", n=901, room=room)["type"], "ok")
        shown = client.await_type("room")
        client.await_type("event")
        return shown

    def say(self, client: StructuredClient, room: int, n: int, text: str) -> dict[str, Any]:
        """A message into a room; the answer."""
        return client.ask(type="msg", n=n, room=room, text=text)


class EveryStore(RoomsCase):
    """Tests of rooms that hold at every store."""

    def test_conversation(self) -> None:
        """Members would not see what is said, in one order and once, or not who comes and goes."""
        owner, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(owner)
        shown = self.join(member, room)
        self.assertEqual((shown["members"], shown["role"]), (2, "member"))
        joined = owner.await_type("event")
        self.assertEqual((joined["event"], joined["user"]), ("joined", self.other))
        sent = [self.say(member, room, n, str(n)) for n in range(1, 6)]
        came = [owner.await_type("msg") for _ in sent]
        self.assertEqual([one["text"] for one in came], ["1", "2", "3", "4", "5"])
        for answer, message in zip(sent, came, strict=True):
            self.assertEqual([answer["id"], answer["serial"]], [message["id"], message["serial"]])
        self.assertTrue(member.silent())  # not to the device that sent it

    def test_devices(self) -> None:
        """One's other devices would not see what one says in a room, or what one is told."""
        desk, phone = self.room_device(self.a, DESK), self.room_device(self.b, PHONE)
        room = self.create(desk)
        phone.await_type("room")
        phone.await_type("event")
        self.say(desk, room, 1, "hello")
        self.assertEqual(phone.await_type("msg")["text"], "hello")

    def test_away(self) -> None:
        """A member who was away would not be shown what was said, or would be shown it twice."""
        desk, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(desk)
        self.join(member, room)
        last = self.say(desk, room, 1, "before")
        self.assertEqual(member.await_type("msg")["text"], "before")
        member.close()
        self.say(desk, room, 2, "meanwhile")
        position = {str(room): [last["id"], last["serial"]]}
        back = self.room_device(self.a, DESK, self.other, rooms=position)
        self.assertEqual([one.get("text") for one in self.before[1:]], ["meanwhile"])
        self.assertEqual(self.before[0]["acked"], last["id"])
        self.assertTrue(back.silent())

    def test_duplicate(self) -> None:
        """A message that is sent again would be said twice, or another text under its number be swallowed."""
        desk = self.room_device(self.a, DESK)
        room = self.create(desk)
        first, again = self.say(desk, room, 1, "x"), self.say(desk, room, 1, "x")
        self.assertTrue(again["duplicate"])
        self.assertEqual([again["id"], again["serial"]], [first["id"], first["serial"]])
        other = self.say(desk, room, 1, "y")
        self.assertEqual((other["code"], other["expected"], other["room"]), ("gap", 2, room))

    def test_removed(self) -> None:
        """Somebody who was removed would go on to read or to write, at this node or at another."""
        desk, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(desk)
        self.join(member, room)
        answer = desk.ask(type="remove", n=5, room=room, user=self.other, ban=True)
        self.assertEqual(answer["type"], "ok")
        refused = self.say(member, room, 1, "still here")
        self.assertEqual((refused["code"], refused["room"]), ("not-a-member", room))
        self.say(desk, room, 1, "alone")
        left = member.await_type("left")
        self.assertEqual((left["room"], left["why"]), (room, "removed"))
        self.assertEqual(member.unread[-1]["event"], "removed")
        self.assertTrue(member.silent())
        self.assertEqual(member.ask(type="join", n=6, room=room)["code"], "banned")

    def test_removed_while_away(self) -> None:
        """Who was removed while away would miss what was said before, or read what came after."""
        desk, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(desk)
        shown = self.join(member, room)
        member.close()
        self.say(desk, room, 1, "before")
        desk.ask(type="remove", n=5, room=room, user=self.other)
        self.say(desk, room, 2, "after")
        position = {str(room): [shown["last"], self.serial_of(desk, shown["last"])]}
        self.room_device(self.a, DESK, self.other, rooms=position)
        kinds = [one.get("text") or one.get("event") or one["type"] for one in self.before]
        self.assertEqual(kinds, ["before", "removed", "left"])

    def serial_of(self, client: StructuredClient, id: int) -> int:
        """The serial of an event that a client was told."""
        serials = [one["serial"] for one in client.unread if one.get("id") == id]
        return int(serials[0])

    def test_private(self) -> None:
        """A private room would be found out by who is not invited, or be closed to who is."""
        desk, other = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        name = self.name()
        room = self.create(desk, name=name, kind="private")
        nothing = {"type": "error", "code": "unknown-room"}
        commands: tuple[dict[str, Any], ...] = (
            {"type": "join", "room": room},
            {"type": "join", "name": name},
            {"type": "members", "room": room},
            {"type": "leave", "room": room},
            {"type": "msg", "room": room, "text": "x"},
            {"type": "invite", "room": room, "user": self.other},
            {"type": "change", "room": room, "topic": "x"},
        )
        for n, asked in enumerate(commands, 1):
            answer = other.ask(n=n, **asked)
            self.assertEqual({**answer, **nothing}, answer, asked)
            hidden = {key: value for key, value in answer.items() if key not in ("re", "room")}
            asked = {key: 999_999 if key == "room" else value for key, value in asked.items()}
            asked = {key: "nowhere" if key == "name" else value for key, value in asked.items()}
            unknown = other.ask(n=n + 100, **asked)
            self.assertEqual(
                {key: value for key, value in unknown.items() if key not in ("re", "room")}, hidden
            )
        self.assertEqual(other.ask(type="rooms", n=50, name=name)["rooms"], [])
        self.assertEqual(other.ask(type="create", n=51, name=name)["code"], "name-taken")
        self.assertEqual(desk.ask(type="invite", n=7, room=room, user=self.other)["type"], "ok")
        invited = other.await_type("msg")
        self.assertEqual(invited["invite"], {"room": room, "name": name})
        self.join(other, room)

    def test_becomes_private(self) -> None:
        """A room that became private would be found by who tries to write into it, where nobody reads it."""
        desk, other = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(desk)
        self.assertEqual(self.say(other, room, 1, "x")["code"], "not-a-member")
        self.assertEqual(desk.ask(type="change", n=2, room=room, kind="private")["type"], "ok")
        self.assertEqual(self.say(other, room, 1, "x")["code"], "unknown-room")
        self.assertEqual(desk.ask(type="change", n=3, room=room, kind="public")["type"], "ok")
        self.assertEqual(self.say(other, room, 1, "x")["code"], "not-a-member")

    def test_joined_at_all_devices(self) -> None:
        """A device would not read a room that another device of the account has joined, there or at another node."""
        owner = self.room_device(self.a, DESK, self.other)
        desk, phone = self.room_device(self.a, DESK), self.room_device(self.b, PHONE)
        room = self.create(owner)
        self.join(desk, room)
        self.assertEqual(phone.await_type("room")["room"], room)
        self.assertEqual(phone.await_type("event")["event"], "joined")
        self.say(owner, room, 1, "hello")
        self.assertEqual(phone.await_type("msg")["text"], "hello")

    def test_people(self) -> None:
        """People at the text dialect could not talk in rooms, or not with programs."""
        ann, bob = self.person(self.a), self.person(self.b, self.other)
        name = self.name()
        self.told(ann, f"create #{name}", f"聊天室 #{name} 已创建!", "创建了")
        self.told(bob, f"join #{name}", f"您已加入 #{name}!", "加入了")
        self.assertIn(f"加入了 #{name}", ann.read())
        said = undated(bob.ask(f"msg #{name} 你好"))
        self.assertRegex(said, rf"^\[ #{name}\|user\d+\|UID:{self.other} \]:你好$")
        self.assertEqual(undated(ann.read()), said)
        self.assertTrue(bob.silent())

    def told(self, person: TextClient, line: str, *parts: str) -> None:
        """Send a line, and see in the frames that follow what it should bring."""
        person.send(line)
        frames = [person.read() for _ in parts]
        for part in parts:
            self.assertTrue(any(part in frame for frame in frames), (part, frames))

    def test_people_away(self) -> None:
        """A person who was away would not be shown what was said, or again what was shown."""
        ann, bob = self.person(self.a), self.person(self.b, self.other)
        name = self.name()
        self.told(ann, f"create #{name}", "已创建", "创建了")
        self.told(bob, f"join #{name}", "您已加入", "加入了")
        bob.ask("quit")
        ann.read()
        ann.ask(f"msg #{name} 一")
        bob = self.person(self.a, self.other)
        self.assertIn("一", bob.read())
        bob.ask("quit")
        bob = self.person(self.b, self.other)
        self.assertTrue(bob.silent())

    def test_person_logs_in_again(self) -> None:
        """A person who logs in elsewhere would be shown again what was shown just before."""
        desk, bob = self.room_device(self.a, DESK), self.person(self.b, self.other)
        name = self.name()
        room = self.create(desk, name=name)
        self.told(bob, f"join #{name}", "您已加入", "加入了")
        self.say(desk, room, 1, "一")
        self.assertIn("一", bob.read())
        time.sleep(0.1)  # its kernel says so by then
        again = self.person(self.b, self.other)
        self.assertTrue(again.silent())

    def test_missed(self) -> None:
        """Somebody who was away for long would not know that messages are missing."""
        desk, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(desk)
        shown = self.join(member, room)
        member.close()
        for n in range(1, 16):
            self.say(desk, room, n, str(n))
        position = {str(room): [shown["last"], self.serial_of(desk, shown["last"])]}
        self.room_device(self.a, DESK, self.other, rooms=position)
        missed = self.before[1]
        texts = [one["text"] for one in self.before[2:]]
        self.assertEqual(texts, [str(n) for n in range(6, 16)])
        self.assertEqual(
            (missed["type"], missed["after"], missed["until"]),
            ("missed", 2, self.before[2]["id"] - 1),
        )
        self.assertEqual(missed["serial"], self.before[2]["serial"])

    def test_killed(self) -> None:
        """What was confirmed would be lost when a server dies, or be shown twice."""
        desk, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(desk)
        shown = self.join(member, room)
        self.say(desk, room, 1, "one")
        position = {str(room): [shown["last"], self.serial_of(desk, shown["last"])]}
        self.b.kill()
        self.b.start()
        self.a.start()
        back = self.room_device(self.b, DESK, self.other, rooms=position)
        self.assertEqual([one["text"] for one in self.before[1:]], ["one"])
        desk = self.room_device(self.a, DESK)
        self.assertTrue(self.say(desk, room, 1, "one")["duplicate"])
        self.say(desk, room, 2, "two")
        self.assertEqual(back.await_type("msg")["text"], "two")

    def test_closed(self) -> None:
        """A room that its owner has closed would go on, or its name not be free again."""
        desk, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        name = self.name()
        room = self.create(desk, name=name)
        self.join(member, room)
        self.assertEqual(desk.ask(type="close", n=9, room=room)["type"], "ok")
        self.assertEqual(member.await_type("left")["why"], "closed")
        self.assertEqual(desk.ask(type="close", n=10, room=room)["type"], "ok")
        self.assertNotEqual(self.create(member, name=name), room)

    def test_closed_while_away(self) -> None:
        """Who was away when a room was closed would not be shown what was said before, nor that it is closed."""
        desk, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(desk)
        shown = self.join(member, room)
        member.close()
        self.say(desk, room, 1, "before")
        desk.ask(type="close", n=5, room=room)
        position = {str(room): [shown["last"], self.serial_of(desk, shown["last"])]}
        self.room_device(self.a, DESK, self.other, rooms=position)
        kinds = [one.get("text") or one.get("event") or one["type"] for one in self.before]
        self.assertEqual(kinds, ["before", "closed", "left"])

    def test_without_the_feature(self) -> None:
        """A program that knows nothing of rooms would be sent frames that it does not know."""
        desk = self.room_device(self.a, DESK)
        plain = self.b.structured()
        self.addCleanup(plain.close)
        plain.log_in(self.other, PASSWORD)
        room = self.create(desk)
        self.assertEqual(plain.ask(type="join", n=2, room=room)["code"], "bad-request")
        person = self.person(self.b, self.other)
        self.assertEqual(plain.await_type("kicked")["type"], "kicked")
        person.send("rooms")
        self.assertNotIn("{", person.read())


class TwoNodes(RoomsCase):
    """Tests of rooms at two nodes."""

    nodes = 2

    def test_lost_news(self) -> None:
        """What one node stores would not be shown by another whose news got lost, before the next message comes."""
        stores = self.world.stores
        assert isinstance(stores, ServerStores)
        desk, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(desk)
        self.join(member, room)
        for n in range(1, 11):
            stores.redis("CLIENT", "KILL", "TYPE", "pubsub")
            self.say(desk, room, n, str(n))
        texts = [member.await_type("msg")["text"] for _ in range(10)]
        self.assertEqual(texts, [str(n) for n in range(1, 11)])

    def test_one_publish_a_node(self) -> None:
        """A message would cost a publish for each member, or reach nodes at which nobody reads the room."""
        stores = self.world.stores
        assert isinstance(stores, ServerStores)
        desk = self.room_device(self.a, DESK)
        room = self.create(desk)
        members = [self.room_device(self.b, f"{n:016x}", self.other) for n in range(3)]
        self.join(members[0], room)
        for one in members[1:]:
            one.await_type("room")
        self.assertEqual(stores.redis("SCARD", f"chat:{{#{room}}}:nodes"), b":2\r\n")
        before = self.published(stores)
        self.say(desk, room, 1, "x")
        for one in members:
            one.await_type("msg")
        self.assertEqual(self.published(stores) - before, 1)

    def published(self, stores: ServerStores) -> int:
        """How often something was published."""
        stats = stores.redis("INFO", "commandstats").decode()
        found = re.search(r"cmdstat_publish:calls=(\d+)", stats)
        return int(found[1]) if found else 0
