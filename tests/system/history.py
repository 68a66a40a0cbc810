"""What holds of the history at every store, at one server as at two nodes."""

from __future__ import annotations

from typing import Any

from tests.support.clients import StructuredClient
from tests.support.processes import PASSWORD, ChatServer
from tests.system.devices import DESK, PHONE
from tests.system.rooms import RoomsCase, undated


class HistoryCase(RoomsCase):
    """Users who read again what was said."""

    def history(self, client: StructuredClient, n: int = 800, **more: Any) -> dict[str, Any]:
        """A page; it must be one."""
        page = client.ask(type="history", n=n, **more)
        self.assertEqual(page["type"], "history", page)
        return page

    def texts(self, client: StructuredClient, **more: Any) -> list[str]:
        """The texts of a page."""
        return [message["text"] for message in self.history(client, **more)["messages"]]


class EveryStore(HistoryCase):
    """Tests of the history that hold at every store."""

    def test_both_read_it(self) -> None:
        """What two users have written to each other could not be read again, by both and in one order."""
        sent = self.write("one", "two")
        mine = self.room_device(self.a, DESK)
        answer = mine.ask(type="msg", n=1, to=self.other, text="three")
        self.assertEqual(answer["type"], "sent")
        theirs = self.room_device(self.b, DESK, self.other)
        pages = [
            self.history(mine, **{"with": self.other}),
            self.history(theirs, **{"with": self.me}),
        ]
        for page in pages:
            self.assertEqual([one["text"] for one in page["messages"]], ["one", "two", "three"])
            self.assertEqual(
                [one["from"] for one in page["messages"]], [self.other, self.other, self.me]
            )
            self.assertTrue(page["complete"])
            self.assertEqual(page["messages"][2]["serial"], answer["serial"])
            self.assertEqual(page["messages"][0]["at"], sent[0]["at"])
        self.assertEqual([pages[0]["with"], pages[1]["with"]], [self.other, self.me])

    def test_pages(self) -> None:
        """Paging back or forth would leave messages out, show them twice, or not know its end."""
        texts = [str(number) for number in range(25)]
        self.write(*texts)
        client = self.room_device(self.a, DESK)
        found: list[str] = []
        before: dict[str, Any] = {}
        while True:
            page = self.history(client, limit=10, **{"with": self.other}, **before)
            found[:0] = [one["text"] for one in page["messages"]]
            if page["complete"]:
                break
            before = {"before": page["messages"][0]["serial"]}
        self.assertEqual(found, texts)
        found, after = [], 0
        while True:
            page = self.history(client, limit=7, **{"with": self.other}, after=after)
            found += [one["text"] for one in page["messages"]]
            if page["complete"]:
                break
            after = page["messages"][-1]["serial"]
        self.assertEqual(found, texts)

    def test_long_messages(self) -> None:
        """A page that does not fit a frame would break the connection, or leave messages out unsaid."""
        texts = [letter * 8192 for letter in "abcdefghij"]
        self.write(*texts)
        client = self.room_device(self.a, DESK)
        page = self.history(client, **{"with": self.other})
        self.assertFalse(page["complete"])
        newest = [one["text"] for one in page["messages"]]
        self.assertEqual(newest, texts[-len(newest) :])
        oldest = self.history(client, after=0, **{"with": self.other})
        self.assertFalse(oldest["complete"])
        self.assertEqual([one["text"] for one in oldest["messages"]], texts[: len(newest)])

    def test_others(self) -> None:
        """A stranger would read what two others have written."""
        self.write("for your eyes only")
        stranger = self.room_device(self.a, DESK, self.world.stores.add_user("stranger"))
        for uid in (self.me, self.other):
            page = self.history(stranger, **{"with": uid})
            self.assertEqual((page["messages"], page["complete"]), ([], True))

    def test_nobody(self) -> None:
        """Asking for what was said with nobody, or with a uid out of range, would be an error, or tell who exists."""
        client = self.room_device(self.a, DESK)
        for uid in (1, -5, 2**63 - 1, 2**63):
            page = self.history(client, **{"with": uid})
            self.assertEqual((page["messages"], page["complete"]), ([], True))

    def test_room(self) -> None:
        """Members would not read what was said before they joined, or others would read it."""
        owner = self.room_device(self.a, DESK)
        room = self.create(owner)
        self.say(owner, room, 1, "early")
        member = self.room_device(self.b, DESK, self.other)
        refused = member.ask(type="history", n=1, room=room)
        self.assertEqual(refused["code"], "not-a-member")
        self.join(member, room)
        self.assertEqual(self.texts(member, room=room), ["early"])
        member.ask(type="leave", n=2, room=room)
        self.assertEqual(member.ask(type="history", n=3, room=room)["code"], "not-a-member")

    def test_room_with_a_veil(self) -> None:
        """Under the rule `joined` a member would read what was said before, or while away between two memberships."""
        owner = self.room_device(self.a, DESK)
        room = self.create(owner, kind="private")
        member = self.room_device(self.b, DESK, self.other)
        self.assertEqual(member.ask(type="history", n=1, room=room)["code"], "unknown-room")
        self.say(owner, room, 1, "before")
        owner.ask(type="invite", n=2, room=room, user=self.other)
        self.join(member, room)
        self.say(owner, room, 2, "first time")
        self.assertEqual(self.texts(member, room=room), ["first time"])
        member.ask(type="leave", n=3, room=room)
        self.say(owner, room, 3, "meanwhile")
        owner.ask(type="invite", n=4, room=room, user=self.other)
        self.join(member, room)
        self.say(owner, room, 4, "second time")
        self.assertEqual(self.texts(member, room=room), ["second time"])
        self.assertEqual(len(self.texts(owner, room=room)), 4)
        owner.ask(type="change", n=5, room=room, history="all")
        self.assertEqual(len(self.texts(member, room=room)), 4)

    def test_bad_requests(self) -> None:
        """A request that says too little or too much would be answered with something else."""
        client = self.room_device(self.a, DESK)
        for wrong in (
            {},
            {"with": self.other, "room": 1},
            {"with": "x"},
            {"with": self.other, "before": 5, "after": 3},
            {"with": self.other, "limit": 0},
            {"with": self.other, "before": -1},
        ):
            answer = client.ask(type="history", n=1, **wrong)
            self.assertEqual(answer["code"], "bad-request", wrong)
        client.say(type="history", **{"with": self.other})
        self.assertEqual(client.await_type("error")["code"], "bad-request")

    def test_needs_a_login(self) -> None:
        """Somebody who is not logged in would be answered."""
        client = self.a.structured()
        self.addCleanup(client.close)
        answer = client.ask(type="history", n=1, **{"with": self.other})
        self.assertEqual(answer["code"], "not-logged-in")

    def test_without_rooms(self) -> None:
        """A session without the feature could not read what was said with users, or be told of rooms."""
        self.write("hello")
        client = self.device(self.a, PHONE)
        self.assertEqual(self.texts(client, **{"with": self.other}), ["hello"])
        self.assertEqual(client.ask(type="history", n=2, room=1)["code"], "bad-request")

    def test_oneself(self) -> None:
        """A message to oneself would stand in the history twice, or not at all."""
        client = self.room_device(self.a, DESK)
        client.ask(type="msg", n=1, to=self.me, text="note")
        self.assertEqual(self.texts(client, **{"with": self.me}), ["note"])

    def search(self, client: StructuredClient, text: str, **more: Any) -> list[str]:
        """The texts of what is found, the newest first."""
        answer = client.ask(type="search", n=801, text=text, **more)
        self.assertEqual(answer["type"], "history", answer)
        return [message["text"] for message in answer["messages"]]

    def test_search(self) -> None:
        """Words of two Chinese characters, or whole other words, would not be found, or what has only some of them."""
        self.write(
            "我们明天讨论预算", "会议在三点", "预算和会议都推迟", "The Budget meeting", "budgets"
        )
        client = self.room_device(self.a, DESK)
        self.assertEqual(self.search(client, "预算"), ["预算和会议都推迟", "我们明天讨论预算"])
        self.assertEqual(self.search(client, "预算 会议"), ["预算和会议都推迟"])
        self.assertEqual(self.search(client, "BUDGET"), ["The Budget meeting"])
        self.assertEqual(self.search(client, "三"), ["会议在三点"])
        self.assertEqual(self.search(client, "没有这个词"), [])
        self.assertEqual(client.ask(type="search", n=1, text=" !")["code"], "bad-request")

    def test_search_says_where(self) -> None:
        """A hit would not say with whom, or in which room, it was said; or one could not look there alone."""
        self.write("暗号 one")
        client = self.room_device(self.a, DESK)
        room = self.create(client)
        self.say(client, room, 1, "暗号 two")
        client.ask(type="msg", n=1, to=self.other, text="暗号 three")
        answer = client.ask(type="search", n=2, text="暗号")
        places = [(one.get("with"), one.get("room")) for one in answer["messages"]]
        self.assertEqual(places, [(self.other, None), (None, room), (self.other, None)])
        self.assertTrue(answer["complete"])
        self.assertEqual(self.search(client, "暗号", room=room), ["暗号 two"])
        self.assertEqual(
            self.search(client, "暗号", **{"with": self.other}), ["暗号 three", "暗号 one"]
        )
        self.assertEqual(
            self.search(client, "暗号", **{"from": self.me}), ["暗号 three", "暗号 two"]
        )
        self.assertEqual(answer["messages"][0]["found"], [[0, 2]])

    def test_search_in_pages(self) -> None:
        """Whoever asks for more would be shown hits twice, or none of some."""
        self.write(*[f"第{number}个目标" for number in range(12)])
        client = self.room_device(self.a, DESK)
        found: list[str] = []
        more: dict[str, Any] = {}
        for _ in range(20):
            answer = client.ask(type="search", n=1, text="目标", limit=5, **more)
            found += [one["text"] for one in answer["messages"]]
            if answer["complete"]:
                break
            more = {"before": answer["until"]}
        self.assertEqual(found, [f"第{number}个目标" for number in reversed(range(12))])

    def test_search_of_others(self) -> None:
        """A search would find what others have said to each other."""
        self.write("绝密计划")
        owner = self.room_device(self.a, DESK)
        room = self.create(owner, kind="private")
        self.say(owner, room, 1, "绝密房间")
        stranger = self.room_device(self.a, DESK, self.world.stores.add_user("stranger"))
        self.assertEqual(self.search(stranger, "绝密"), [])
        refused = stranger.ask(type="search", n=1, text="绝密", room=room)
        self.assertEqual(refused["code"], "unknown-room")

    def test_conversations(self) -> None:
        """One would not see with whom one talks, what was said last, and what one has not read."""
        self.write("one", "two", "three")
        client = self.room_device(self.a, DESK)
        room = self.create(client)
        said = self.say(client, room, 1, "in the room")
        answer = client.ask(type="conversations", n=1)
        in_room, direct = answer["conversations"]
        self.assertTrue(answer["complete"])
        self.assertEqual((in_room["room"], in_room["unread"]), (room, 0))
        self.assertEqual(in_room["last"]["serial"], said["serial"])
        self.assertEqual((direct["with"], direct["unread"], direct["read"]), (self.other, 3, 0))
        self.assertEqual((direct["last"]["text"], direct["seen"]), ("three", 0))
        self.assertEqual((direct["muted"], direct["mentioned"]), (False, False))
        first = client.ask(type="conversations", n=2, limit=1)
        self.assertFalse(first["complete"])
        before = first["conversations"][0]["last"]["serial"]
        second = client.ask(type="conversations", n=3, before=before)
        self.assertEqual([one.get("with") for one in second["conversations"]], [self.other])

    def test_read(self) -> None:
        """What was read would count as unread, at once or for the other devices, or a marker would fall."""
        sent = self.write("one", "two", "three")
        client = self.room_device(self.a, DESK)
        with_other = {"with": self.other}
        serials = [one["serial"] for one in self.history(client, **with_other)["messages"]]
        self.assertEqual(serials[2], sent[2].get("serial", serials[2]))
        self.assertEqual(
            client.ask(type="read", n=1, serial=serials[1], **with_other)["type"], "ok"
        )
        self.assertEqual(self.unread(client), (serials[1], 1))
        self.assertEqual(
            client.ask(type="read", n=2, serial=serials[0], **with_other)["type"], "ok"
        )
        self.assertEqual(self.unread(client), (serials[1], 1))
        self.assertEqual(client.ask(type="read", n=3, serial=2**53 - 1, **with_other)["type"], "ok")
        self.assertEqual(self.unread(client), (serials[2], 0))
        writer = self.room_device(self.b, DESK, self.other)
        listed = writer.ask(type="conversations", n=4)["conversations"]
        self.assertEqual(listed[0]["seen"], serials[2])

    def test_read_on_other_devices(self) -> None:
        """What was read at one device would count as unread at the others, or the one that read it be told, too."""
        sent = self.write("one", "two")
        desk, phone = self.room_device(self.a, DESK), self.room_device(self.b, PHONE)
        serials = [one["serial"] for one in self.history(desk, **{"with": self.other})["messages"]]
        desk.ask(type="read", n=1, serial=serials[1], **{"with": self.other})
        told = phone.await_type("read")
        self.assertEqual((told["with"], told["serial"]), (self.other, serials[1]))
        self.assertTrue(desk.silent())
        room = self.create(desk)
        phone.await_type("room")
        said = self.say(desk, room, 1, "hello")
        phone.ask(type="read", n=2, serial=said["serial"], room=room)
        told = desk.await_type("read")
        self.assertEqual((told["room"], told["serial"]), (room, said["serial"]))
        self.assertEqual(len(sent), 2)

    def test_receipts(self) -> None:
        """A sender would not be told that a message was seen, or would be although one of the two does not want it."""
        sender = self.room_device(self.a, DESK, self.other)
        reader = self.room_device(self.b, DESK)
        serials = [
            sender.ask(type="msg", n=n, to=self.me, text=str(n))["serial"] for n in range(1, 5)
        ]
        with_sender = {"with": self.other}
        reader.ask(type="read", n=1, serial=serials[0], **with_sender)
        receipt = sender.await_type("receipt")
        self.assertEqual((receipt["with"], receipt["seen"]), (self.me, serials[0]))
        answer = reader.ask(type="settings", n=2, receipts=False)
        self.assertEqual((answer["type"], answer["receipts"]), ("ok", False))
        reader.ask(type="read", n=3, serial=serials[1], **with_sender)
        self.assertNotIn("seen", sender.ask(type="conversations", n=4)["conversations"][0])
        sender.ask(type="msg", n=5, to=self.me, text="5")
        self.assertNotIn("seen", reader.ask(type="conversations", n=5)["conversations"][0])
        reader.ask(type="settings", n=6, receipts=True)
        self.assertEqual(
            sender.ask(type="conversations", n=7)["conversations"][0]["seen"], serials[1]
        )
        sender.ask(type="settings", n=8, receipts=False)
        reader.ask(type="read", n=9, serial=serials[2], **with_sender)
        self.assertTrue(sender.silent())

    def test_members_have_read(self) -> None:
        """Members of a room would not see how far the others have read it."""
        owner, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(owner)
        self.join(member, room)
        said = self.say(owner, room, 1, "read this")
        member.ask(type="read", n=1, serial=said["serial"], room=room)
        members = owner.ask(type="members", n=2, room=room)["members"]
        self.assertEqual(
            {one["uid"]: one["read"] for one in members}, {self.me: 0, self.other: said["serial"]}
        )
        member.ask(type="settings", n=3, receipts=False)
        for one in member.ask(type="members", n=4, room=room)["members"]:
            self.assertNotIn("read", one)  # both ways
        members = owner.ask(type="members", n=4, room=room)["members"]
        self.assertEqual(
            {one["uid"]: one.get("read") for one in members}, {self.me: 0, self.other: None}
        )

    def test_mention(self) -> None:
        """Whoever is called by name would not see where, or somebody who is not."""
        owner, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        third = self.world.stores.add_user("Ann Lee")
        room = self.create(owner)
        self.join(member, room)
        joined = self.room_device(self.a, DESK, third)
        self.join(joined, room)
        name = self.world.stores.sql("SELECT username FROM user WHERE id = ?", (self.other,))[0][0]
        first = self.say(owner, room, 1, f"喂＠{name.upper()}你好, @somebody")
        self.say(owner, room, 2, "x@ann")
        for client, expected in ((member, True), (joined, False), (owner, False)):
            self.search(client, "喂")  # waits for the index
            (listed,) = client.ask(type="conversations", n=3)["conversations"]
            self.assertEqual(listed["mentioned"], expected)
        said = self.say(owner, room, 3, "(@Ann Lee) hi")
        self.search(joined, "hi")
        (listed,) = joined.ask(type="conversations", n=4)["conversations"]
        self.assertTrue(listed["mentioned"])
        joined.ask(type="read", n=5, serial=said["serial"], room=room)
        (listed,) = joined.ask(type="conversations", n=6)["conversations"]
        self.assertFalse(listed["mentioned"])
        said = self.say(owner, room, 4, f"@{name}")
        self.search(member, name)
        owner.ask(type="retract", n=7, serial=said["serial"])
        (listed,) = member.ask(type="conversations", n=8)["conversations"]
        self.assertTrue(listed["mentioned"])  # by the first one
        owner.ask(type="edit", n=9, serial=first["serial"], text="nobody's")
        self.search(member, "nobody's")
        (listed,) = member.ask(type="conversations", n=10)["conversations"]
        self.assertFalse(listed["mentioned"])

    def test_mute(self) -> None:
        """A conversation that somebody has muted would ring all the same."""
        self.write("one")
        client = self.room_device(self.a, DESK)
        room = self.create(client)
        self.say(client, room, 1, "hello")
        for where in ({"room": room}, {"with": self.other}):
            answer = client.ask(type="settings", n=1, muted=True, **where)
            self.assertEqual(
                {**answer, "re": 0},
                {"type": "ok", "re": 0, "receipts": True, "muted": True, **where},
            )
        listed = client.ask(type="conversations", n=2)["conversations"]
        self.assertEqual([one["muted"] for one in listed], [True, True])
        client.ask(type="settings", n=3, muted=False, room=room)
        listed = client.ask(type="conversations", n=4)["conversations"]
        self.assertEqual([one["muted"] for one in listed], [False, True])
        self.assertEqual(client.ask(type="settings", n=5, muted=True)["code"], "bad-request")
        for nobody in (1, 2**63 - 1, 2**64 - 1):
            answer = client.ask(type="settings", n=6, muted=True, **{"with": nobody})
            self.assertEqual(answer["code"], "unknown-user")
            answer = client.ask(type="settings", n=7, **{"with": nobody})
            self.assertFalse(answer["muted"])

    def test_without_the_feature(self) -> None:
        """A device without rooms would be told of rooms by the history."""
        owner = self.room_device(self.a, DESK)
        phone = self.device(self.b, PHONE)
        room = self.create(owner)
        said = self.say(owner, room, 1, "房间里的话")
        owner.ask(type="read", n=1, serial=said["serial"], room=room)
        self.assertEqual(self.search(phone, "房间"), [])
        self.assertEqual(phone.ask(type="conversations", n=2)["conversations"], [])
        self.assertTrue(phone.silent())

    def unread(self, client: StructuredClient) -> tuple[int, int]:
        """How far the first conversation was read, and how much of it was not."""
        first = client.ask(type="conversations", n=802)["conversations"][0]
        return first["read"], first["unread"]

    def test_nothing_waits(self) -> None:
        """What is sent behind a search would wait for it."""
        self.write(*["慢慢找"] * 40)
        client = self.room_device(self.a, DESK)
        things = [{"type": "search", "n": n, "text": "慢慢"} for n in range(1, 6)]
        client.say_many([*things, {"type": "msg", "n": 1, "to": self.other, "text": "quick"}])
        kinds = [client.await_type("sent", "history")["type"] for _ in range(6)]
        self.assertEqual(sorted(kinds), ["history"] * 5 + ["sent"])

    def test_reply(self) -> None:
        """A reader would not be told which message another one answers, at once or later."""
        mine = self.room_device(self.a, DESK)
        phone = self.room_device(self.b, PHONE)
        theirs = self.room_device(self.b, DESK, self.other)
        first = mine.ask(type="msg", n=1, to=self.other, text="question")
        theirs.await_type("msg")
        second = theirs.ask(type="msg", n=1, to=self.me, text="answer", reply=first["serial"])
        for client in (mine, phone):
            told = [client.await_type("msg") for _ in range(1 if client is mine else 2)][-1]
            self.assertEqual((told["text"], told["reply"]), ("answer", first["serial"]))
        page = self.history(mine, **{"with": self.other})["messages"]
        self.assertEqual([one.get("reply") for one in page], [None, first["serial"]])
        room = self.create(mine)
        asked = self.say(mine, room, 1, "question")
        mine.ask(type="msg", n=2, room=room, text="answer", reply=asked["serial"])
        phone.await_type("msg")
        self.assertEqual(phone.await_type("msg")["reply"], asked["serial"])
        page = self.history(mine, room=room)["messages"]
        self.assertEqual([one.get("reply") for one in page], [None, asked["serial"]])
        self.assertGreater(second["serial"], first["serial"])

    def test_reply_waits(self) -> None:
        """What waits for a reader who is away would no longer say which message it answers."""
        theirs = self.room_device(self.b, DESK, self.other)
        for n, reply in enumerate((5, 6), 1):
            theirs.ask(type="msg", n=n, to=self.me, text="answer", reply=reply)
        self.room_device(self.a, DESK)
        self.assertEqual([one["reply"] for one in self.before], [5, 6])

    def test_edit(self) -> None:
        """What somebody has corrected would read as before, for those who were shown it or who read the history."""
        mine, phone = self.room_device(self.a, DESK), self.room_device(self.b, PHONE)
        theirs = self.room_device(self.b, DESK, self.other)
        sent = mine.ask(type="msg", n=1, to=self.other, text="tomorow 明天")
        theirs.await_type("msg")
        phone.await_type("msg")
        serial = sent["serial"]
        answer = mine.ask(type="edit", n=2, serial=serial, text="tomorrow 后天")
        self.assertEqual(answer["type"], "ok")
        for client, other in ((theirs, self.me), (phone, self.other)):
            event = client.await_type("event")
            self.assertEqual((event["event"], event["target"]), ("edited", serial))
            self.assertEqual((event["text"], event["by"]), ("tomorrow 后天", self.me))
            self.assertEqual(event["with"], other)
            self.assertGreater(event["serial"], serial)
        (message,) = self.history(theirs, **{"with": self.me})["messages"]
        self.assertEqual((message["text"], message["serial"]), ("tomorrow 后天", serial))
        self.assertGreaterEqual(message["edited"], message["at"])
        self.assertEqual(self.search(theirs, "明天"), [])
        self.assertEqual(self.search(theirs, "后天"), ["tomorrow 后天"])
        self.assertEqual(
            mine.ask(type="edit", n=3, serial=serial, text="tomorrow 后天")["type"], "ok"
        )
        self.assertTrue(theirs.silent())

    def test_edit_waits(self) -> None:
        """A device that was away would show what was corrected as it read before, or miss the correction."""
        phone = self.room_device(self.b, PHONE)
        phone.close()
        theirs = self.room_device(self.b, DESK, self.other)
        sent = theirs.ask(type="msg", n=1, to=self.me, text="before")
        theirs.ask(type="edit", n=2, serial=sent["serial"], text="after")
        phone = self.room_device(self.b, PHONE)
        kinds = [(one["type"], one["text"]) for one in self.before]
        self.assertEqual(kinds, [("msg", "before"), ("event", "after")])

    def test_retract(self) -> None:
        """What somebody has retracted would still be read, found or shown as the last message."""
        mine = self.room_device(self.a, DESK)
        theirs = self.room_device(self.b, DESK, self.other)
        mine.ask(type="msg", n=1, to=self.other, text="good")
        sent = mine.ask(type="msg", n=2, to=self.other, text="evil 邪恶")
        answer = mine.ask(type="retract", n=3, serial=sent["serial"])
        self.assertEqual(answer["type"], "ok")
        event = theirs.await_type("event")
        self.assertEqual((event["event"], event["target"]), ("retracted", sent["serial"]))
        self.assertNotIn("text", event)
        self.assertEqual(self.texts(theirs, **{"with": self.me}), ["good"])
        self.assertEqual(self.search(theirs, "邪恶"), [])
        (listed,) = theirs.ask(type="conversations", n=4)["conversations"]
        self.assertEqual((listed["last"]["text"], listed["unread"]), ("good", 1))
        self.assertEqual(mine.ask(type="retract", n=5, serial=sent["serial"])["type"], "ok")
        refused = mine.ask(type="edit", n=6, serial=sent["serial"], text="again")
        self.assertEqual(refused["code"], "forbidden")
        self.assertTrue(theirs.silent())

    def test_both_at_once(self) -> None:
        """A message that is edited and retracted at the same time would come back at those who were shown it (P6)."""
        mine = self.room_device(self.a, DESK)
        theirs = self.room_device(self.b, DESK, self.other)
        room = self.create(mine)
        self.join(theirs, room)
        direct = [mine.ask(type="msg", n=n, to=self.other, text=str(n)) for n in range(1, 16)]
        spoken = [self.say(mine, room, n, str(n)) for n in range(1, 16)]
        serials = [one["serial"] for one in (*direct, *spoken)]
        self.history(mine, room=room)
        both = [
            thing
            for n, serial in enumerate(serials)
            for thing in (
                {"type": "retract", "n": 2 * n + 1, "serial": serial},
                {"type": "edit", "n": 2 * n + 2, "serial": serial, "text": "late"},
            )
        ]
        mine.say_many(both)
        for _ in both:
            mine.await_type("ok", "error")
        self.assertEqual(self.texts(theirs, room=room), [])
        self.assertEqual(self.texts(theirs, **{"with": self.me}), [])
        last: dict[int, str] = {}
        while set(last.values()) != {"retracted"} or len(last) < len(serials):
            event = theirs.await_type("event")
            if "target" in event:
                last[event["target"]] = event["event"]
        self.assertTrue(theirs.silent())

    def test_in_rooms(self) -> None:
        """An edit or a retraction in a room would not be told, or what was retracted stay in the room's log."""
        mine, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        room = self.create(mine)
        self.join(member, room)
        mine.await_type("event")
        first, second = (self.say(mine, room, n, text) for n, text in ((1, "one"), (2, "two")))
        member.await_type("msg")
        member.await_type("msg")
        mine.ask(type="edit", n=3, serial=first["serial"], text="uno")
        for client in (mine, member):
            event = client.await_type("event")
            self.assertEqual((event["event"], event["text"]), ("edited", "uno"))
            self.assertEqual((event["room"], event["target"]), (room, first["serial"]))
        mine.ask(type="retract", n=4, serial=first["serial"])
        self.assertEqual(member.await_type("event")["event"], "retracted")
        self.assertEqual(self.texts(member, room=room), ["two"])
        late = self.room_device(self.a, PHONE, self.other, rooms={str(room): [0, 1]})
        told = [(one["type"], one.get("text"), one.get("event")) for one in self.before[1:]]
        self.assertEqual(
            told, [("event", None, "joined"), ("msg", "two", None), ("event", None, "retracted")]
        )
        self.say(mine, room, 3, "three")
        self.assertEqual(late.await_type("msg")["text"], "three")
        self.assertEqual(member.await_type("msg")["text"], "three")
        self.assertGreater(second["serial"], first["serial"])

    def test_who_may_change(self) -> None:
        """Somebody could change or take away what others have said, or learn by guessing which serials there are."""
        mine, member = self.room_device(self.a, DESK), self.room_device(self.b, DESK, self.other)
        stranger = self.room_device(self.a, DESK, self.world.stores.add_user("stranger"))
        room = self.create(mine)
        self.join(member, room)
        said = [
            mine.ask(type="msg", n=1, to=self.other, text="direct")["serial"],
            self.say(mine, room, 1, "in the room")["serial"],
        ]
        for client in (member, stranger):
            for serial in (*said, 5, 2**53 - 1):
                for what in ({"type": "edit", "text": "x"}, {"type": "retract"}):
                    answer = client.ask(n=9, serial=serial, **what)
                    self.assertEqual(answer["code"], "forbidden", what)
        theirs = self.say(member, room, 1, "rude")["serial"]
        self.assertEqual(mine.ask(type="edit", n=2, serial=theirs, text="x")["code"], "forbidden")
        self.assertEqual(mine.ask(type="retract", n=3, serial=theirs)["type"], "ok")
        self.assertEqual(self.texts(member, room=room), ["in the room"])
        mine.ask(type="msg", n=2, to=self.other, text="later")
        member.ask(type="leave", n=4, room=room)
        left = self.room_device(self.b, DESK, self.other)
        self.assertEqual(left.ask(type="retract", n=5, serial=theirs)["code"], "forbidden")

    def test_changes_without_rooms(self) -> None:
        """A program that knows nothing of rooms would change what was said in one."""
        mine = self.room_device(self.a, DESK)
        room = self.create(mine)
        serial = self.say(mine, room, 1, "in the room")["serial"]
        phone = self.device(self.b, PHONE)
        for n, change in enumerate(({"type": "edit", "text": "x"}, {"type": "retract"}), 1):
            self.assertEqual(phone.ask(n=n, serial=serial, **change)["code"], "forbidden")
        self.assertEqual(self.texts(mine, room=room), ["in the room"])

    def test_retracted_at_once(self) -> None:
        """What two devices retract at the same moment would be told twice, or one of them be refused."""
        mine, phone = self.room_device(self.a, DESK), self.room_device(self.b, PHONE)
        theirs = self.room_device(self.b, DESK, self.other)
        room = self.create(mine)
        self.join(theirs, room)
        said = [mine.ask(type="msg", n=n, to=self.other, text="x")["serial"] for n in range(1, 6)]
        said += [self.say(mine, room, n, "x")["serial"] for n in range(1, 6)]
        for _ in said:
            theirs.await_type("msg")
        for serial in said:
            for client in (mine, phone):
                client.say(type="retract", n=1000, serial=serial)
            for client in (mine, phone):
                self.assertEqual(client.await_type("ok", "error")["type"], "ok")
            self.assertEqual(theirs.await_type("event")["target"], serial)
        self.assertTrue(theirs.silent())

    def test_changes_for_people(self) -> None:
        """People at the text dialect would not be told what was corrected."""
        self.room_device(self.a, PHONE).close()
        person = self.person(self.a)
        theirs = self.room_device(self.b, DESK, self.other)
        sent = theirs.ask(type="msg", n=1, to=self.me, text="before")
        person.read()
        theirs.ask(type="edit", n=2, serial=sent["serial"], text="after")
        self.assertRegex(undated(person.read()), rf"^\* user\d+\|UID:{self.other} 改为: after$")
        theirs.ask(type="retract", n=3, serial=sent["serial"])
        said = undated(person.read())
        self.assertRegex(said, rf"^\* user\d+\|UID:{self.other} 撤回了一条消息$")

    def test_changes_for_older_programs(self) -> None:
        """A program of before there were devices would be sent frames that it does not know, or its inbox fill up."""
        self.room_device(self.a, PHONE).close()
        older = self.a.structured()
        self.addCleanup(older.close)
        older.log_in(self.me, PASSWORD)
        theirs = self.room_device(self.b, DESK, self.other)
        sent = theirs.ask(type="msg", n=1, to=self.me, text="before")
        message = older.await_type("msg")
        theirs.ask(type="edit", n=2, serial=sent["serial"], text="after")
        older.say(type="ack", id=message["id"])
        self.assertTrue(older.silent())

    def test_text_dialect(self) -> None:
        """People could not read again what was said."""
        self.write("one", "two")
        person = self.person(self.b)
        for _ in range(2):
            person.read()
        person.send(f"history {self.other} 1")
        self.assertEqual(person.read(), "* 还有更早的消息, 未显示")
        self.assertRegex(undated(person.read()), rf"^\[ user\d+\|UID:{self.other} \]:two$")
        person.send(f"history {self.other}")
        self.assertEqual([undated(person.read())[-3:] for _ in range(2)], ["one", "two"])
        self.assertEqual(person.ask("history 1"), "没有历史消息!")
        self.assertEqual(
            person.ask("history"),
            "提示:历史消息格式: [ history userid 条数 ] [ history #name 条数 ]",
        )
        self.assertEqual(person.ask("history x"), "userid为整数!")
        usage = person.ask("search")
        self.assertEqual(person.ask("search " + "word " * 1640), usage)
        self.assertNotEqual(person.ask("search " + "word " * 1630), usage)
        self.assertEqual(person.ask("history #nowhere"), "没有这个聊天室!")
        name = self.name()
        person.send(f"create #{name}")
        for _ in range(2):
            person.read()
        person.ask(f"msg #{name} 大家好")
        said = undated(person.ask(f"history #{name} 5"))
        self.assertRegex(said, rf"^\[ #{name}\|user\d+\|UID:{self.me} \]:大家好$")


class EveryStoreAtLength(HistoryCase):
    """A long conversation: of as many messages as are written at once, for as long as nobody reads them."""

    options = ("--rate", "0", "--inbox-limit", "20000", "--inbox-share", "20000")

    def test_back_to_the_first(self) -> None:
        """Who pages back while others write would miss a message, see one twice, or never come to the first one."""
        texts = [f"第 {n} 条" for n in range(1, 10_506)]
        reader, writer = self._silent(self.a, self.me), self._silent(self.b, self.other)
        told, serials = 0, list[int]()
        for told in range(200, 10_001, 200):
            self._say(writer, texts, told - 200, told)
            serials += self._confirmed(writer, 200)
        found: list[tuple[int, str]] = []
        before: dict[str, Any] = {}
        for _ in range(101):
            self._say(writer, texts, told, told + 5)
            page = self.history(reader, limit=100, **{"with": self.other}, **before)
            serials += self._confirmed(writer, 5)
            told += 5
            found[:0] = [(one["serial"], one["text"]) for one in page["messages"]]
            if page["complete"]:
                break
            before = {"before": page["messages"][0]["serial"]}
        said = list(zip(serials, texts[:told], strict=True))
        self.assertGreaterEqual(len(found), 10_000)
        self.assertEqual(found, said[: len(found)])
        newer = self.history(reader, limit=200, after=found[-1][0], **{"with": self.other})
        rest = [(one["serial"], one["text"]) for one in newer["messages"]]
        self.assertEqual(rest, said[len(found) :][:200])

    def _silent(self, server: ChatServer, uid: int) -> StructuredClient:
        """A client that is handed nothing, so that only its history shows it anything."""
        client = server.structured(features=["devices", "rooms"], device=DESK)
        self.addCleanup(client.close)
        client.log_in(uid, PASSWORD, receive=False)
        return client

    def _say(self, writer: StructuredClient, texts: list[str], first: int, end: int) -> None:
        """Send some of the texts at once, without waiting for answers."""
        writer.say_many(
            {"type": "msg", "n": n + 1, "to": self.me, "text": texts[n]} for n in range(first, end)
        )

    def _confirmed(self, writer: StructuredClient, count: int) -> list[int]:
        """The serials of what was sent last; all of it must be confirmed."""
        answers = [writer.await_type("sent", "error") for _ in range(count)]
        self.assertEqual({one["type"] for one in answers}, {"sent"}, answers[-1])
        return [one["serial"] for one in answers]
