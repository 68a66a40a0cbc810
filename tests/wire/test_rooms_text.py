"""Rooms in the text dialect: what is typed and what is shown, to the letter."""

from __future__ import annotations

import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.phrases import EN, LANGUAGES, PHRASES, ZH
from chatsvc.wire.problems import Problem
from chatsvc.wire.text.dialect import TextDialect
from chatsvc.wire.text.rooms import PARSERS
from tests.support.time_zone import in_shanghai
from tests.wire.samples import ANY, AT, PATIENT, message, room_event, room_message

EVENTS = ("created", "joined", "left", "removed", "role", "changed", "closed")
NAMES = st.text(min_size=1, max_size=32)


class ParseTests(SynchronousTestCase):
    """Frames to commands."""

    def parse(self, frame: str) -> c.Command:
        return TextDialect("zh").parse(frame.encode())

    def assertMalformed(self, frame: str, problem: Problem, kind: type[c.Command]) -> None:
        """Fail unless a frame is refused for this reason."""
        self.assertEqual(self.parse(frame), c.Malformed(problem, kind), frame)

    def test_commands(self) -> None:
        """A documented command would not be understood."""
        for frame, command in {
            "rooms": c.ListRooms(limit=1000, mine=True),
            "rooms dev": c.ListRooms("dev", limit=1000),
            "rooms #dev": c.ListRooms("dev", limit=1000),
            "create #dev": c.CreateRoom("dev", "public"),
            "create #dev private": c.CreateRoom("dev", "private"),
            "join #dev": c.JoinRoom("dev"),
            "leave #dev": c.LeaveRoom("dev"),
            "members #dev": c.ListMembers("dev", None, 1000),
            "invite #dev 10002": c.Invite("dev", 10002),
            "remove #dev 10002": c.RemoveMember("dev", 10002),
            "topic #dev a new one": c.ChangeRoom("dev", topic="a new one"),
            "msg #dev hello": c.SendToRoom("dev", "hello"),
            "msg #7 hello": c.SendToRoom("7", "hello"),
            "msg #dev  two  spaces \n": c.SendToRoom("dev", " two  spaces \n"),
            "help rooms": c.HelpOnRooms(),
            "help": c.Help(),
            "help me": c.Help(),
        }.items():
            self.assertEqual(self.parse(frame), command)
            self.assertEqual(self.parse(frame.replace("#", "＃")), command, "of full width")

    def test_mine(self) -> None:
        """Blanks would be searched for, and a list of everybody's rooms come."""
        for frame in ("rooms ", "rooms  "):
            self.assertEqual(self.parse(frame), c.ListRooms(limit=1000, mine=True), frame)

    def test_all(self) -> None:
        """Nobody could find out which rooms there are, without knowing a letter of their names."""
        for frame in ("rooms #", "rooms ＃ "):
            self.assertEqual(self.parse(frame), c.ListRooms(limit=1000), frame)

    def test_asks_for_help(self) -> None:
        """Somebody who asks for help on rooms would not be told how to ask for it."""
        for frame in ("help room", "help rooms ", "help  rooms", "help rooms x"):
            self.assertEqual(self.parse(frame), c.HelpOnRooms(), frame)
        for frame in ("help roomy", "help x rooms", "help ", "help msg"):
            self.assertEqual(self.parse(frame), c.Help(), frame)

    def test_usage(self) -> None:
        """A command in a wrong form would be taken, or answered with another's form."""
        for word, problem, kind in (
            ("join", Problem.JOIN_USAGE, c.JoinRoom),
            ("leave", Problem.LEAVE_USAGE, c.LeaveRoom),
            ("members", Problem.MEMBERS_USAGE, c.ListMembers),
        ):
            for rest in ("", " ", " dev", " #", " #dev x", " #dev ", "  #dev", " 7"):
                self.assertMalformed(word + rest, problem, kind)
        for rest in ("", " dev", " #", " #dev public", " #dev private x", " #dev ", " # private"):
            self.assertMalformed("create" + rest, Problem.CREATE_USAGE, c.CreateRoom)
        for rest in ("", " #dev", " #dev ", " dev 5", " # 5", " #dev 5 6", " #dev  5"):
            self.assertMalformed("invite" + rest, Problem.INVITE_USAGE, c.Invite)
            self.assertMalformed("remove" + rest, Problem.REMOVE_USAGE, c.RemoveMember)
        for rest in ("", " #dev", " #dev ", " dev x", " # x"):
            self.assertMalformed("topic" + rest, Problem.TOPIC_USAGE, c.ChangeRoom)
        for rest in (" #dev", " #dev ", " #", " # x", " ＃ x"):
            self.assertMalformed("msg" + rest, Problem.ROOM_SEND_USAGE, c.SendToRoom)

    def test_uids(self) -> None:
        """What is no uid would be looked for in the database."""
        for word in ("x", "1.0", "１", "张三"):
            self.assertMalformed(f"invite #dev {word}", Problem.UID_NOT_INTEGER, c.Invite)
            self.assertMalformed(f"remove #dev {word}", Problem.UID_NOT_INTEGER, c.RemoveMember)

    def test_messages_to_users(self) -> None:
        """A message to a user would have become one to a room, or the other way round."""
        self.assertEqual(self.parse("msg 10002 #dev hi"), c.Send(10002, "#dev hi"))
        self.assertMalformed("msg dev hi", Problem.UID_NOT_INTEGER, c.Send)
        self.assertMalformed("msg", Problem.SEND_USAGE, c.Send)

    def test_sizes(self) -> None:
        """A text or topic of the largest size would be refused, or a larger one taken."""
        for text in ("x" * 8192, "你" * 2730 + "xx", "😀" * 2048):
            self.assertEqual(self.parse(f"msg #dev {text}"), c.SendToRoom("dev", text))
            self.assertMalformed(f"msg #dev {text}x", Problem.TOO_LONG, c.SendToRoom)
        for topic in ("x" * 512, "你" * 170 + "xx"):
            self.assertEqual(self.parse(f"topic #dev {topic}"), c.ChangeRoom("dev", topic=topic))
            self.assertMalformed(f"topic #dev {topic}x", Problem.LONG_TOPIC, c.ChangeRoom)

    def test_without_rooms(self) -> None:
        """Our own client would send what it cannot say, when its user types it."""
        dialect = TextDialect("en", rooms=False)
        for word in {*PARSERS} - {"help"}:
            unknown = c.Malformed(Problem.UNKNOWN_COMMAND)
            self.assertEqual(dialect.parse(f"{word} #dev".encode()), unknown)
        self.assertEqual(dialect.parse(b"help rooms"), c.Help())
        no_uid = c.Malformed(Problem.UID_NOT_INTEGER, c.Send)
        self.assertEqual(dialect.parse(b"msg #dev x"), no_uid)

    @given(ANY)
    @PATIENT
    def test_anything(self, text: str) -> None:
        """Some frame would raise an exception."""
        for word in (*PARSERS, "msg"):
            for begin in ("", "#", "#dev ", "＃dev 5"):
                self.assertIsInstance(self.parse(f"{word} {begin}{text}"), c.Command)


class SayTests(SynchronousTestCase):
    """Entries and events to frames."""

    def setUp(self) -> None:
        in_shanghai(self)

    def entry(self, entry: e.RoomEntry, lang: str = "zh", room: str = "dev") -> str:
        frame = TextDialect(lang).encode_entry(entry, room)
        assert frame is not None
        self.assertLessEqual(len(frame), c.MAX_FRAME)
        return frame.decode()

    def say(self, event: e.Event, lang: str = "zh") -> list[str]:
        return [frame.decode() for frame in TextDialect(lang).encode(event)]

    def test_message(self) -> None:
        """A message of a room would not look as the contract says, for its readers or as its confirmation."""
        shown = "2025-11-23 17:00:24\n[ #dev|张三|UID:10001 ]:你好"
        sent = room_message("你好", name="张三")
        for lang in LANGUAGES:
            self.assertEqual(self.entry(sent, lang), shown)
            self.assertEqual(self.say(e.RoomSent(7, "dev", 121, sent), lang), [shown])

    def test_events(self) -> None:
        """A person would read another sentence than the contract says."""
        who = "李四|UID:10002"
        table: list[tuple[str, dict[str, Any], str, str]] = [
            ("created", {}, f"{who} 创建了 #dev", f"{who} made #dev"),
            ("joined", {}, f"{who} 加入了 #dev", f"{who} joined #dev"),
            ("left", {}, f"{who} 离开了 #dev", f"{who} left #dev"),
            (
                "removed",
                {},
                f"{who} 被 UID:10001 移出了 #dev",
                f"{who} was removed from #dev by UID:10001",
            ),
            (
                "removed",
                {"ban": True},
                f"{who} 被 UID:10001 移出了 #dev, 不能再加入",
                f"{who} was removed from #dev by UID:10001 and may not come back",
            ),
            (
                "role",
                {"role": "moderator"},
                f"{who} 被 UID:10001 设为 #dev 的管理员",
                f"{who} was made moderator of #dev by UID:10001",
            ),
            ("closed", {}, f"{who} 关闭了 #dev", f"{who} closed #dev"),
        ]
        for event, details, zh, en in table:
            for lang, said in (("zh", zh), ("en", en)):
                entry = room_event(event, 10002, "李四", **details)
                self.assertEqual(self.entry(entry, lang), f"2025-11-23 17:00:24\n* {said}")

    def test_changes(self) -> None:
        """Somebody would not learn what has become of the room."""
        for details, zh, en in (
            ({"topic": "发布 明天"}, "主题为 发布 明天", "its topic is 发布 明天"),
            ({"topic": ""}, "没有主题", "no topic"),
            ({"name": "public"}, "名称为 #public", "its name is #public"),
            (
                {"topic": "x", "kind": "private", "history": "joined"},
                "类型为私密, 历史为成员可读加入之后的, 主题为 x",
                "it is private, members read what was said since they joined, its topic is x",
            ),
        ):
            entry = e.RoomEvent(7, 1, 10, 1, AT, "changed", 10001, 0, "张三", details)
            line = f"* 张三|UID:10001 更改了 #dev: {zh}"
            self.assertEqual(self.entry(entry).split("\n")[1:], [line])
            line = f"* 张三|UID:10001 changed #dev: {en}"
            self.assertEqual(self.entry(entry, "en").split("\n")[1:], [line])

    def test_by_the_admin(self) -> None:
        """What the admin did would seem to be done by a user with the number 0."""
        closed = e.RoomEvent(7, 1, 10, 1, AT, "closed", 0, 0, "", {})
        self.assertEqual(self.entry(closed).split("\n")[1], "* 服务器管理员 关闭了 #dev")
        removed = e.RoomEvent(7, 1, 10, 1, AT, "removed", 0, 5, "a", {})
        self.assertEqual(
            self.entry(removed, "en").split("\n")[1],
            "* a|UID:5 was removed from #dev by the server's admin",
        )

    def test_unknown_event(self) -> None:
        """An event that a newer node has stored would end people's connections."""
        self.assertIsNone(TextDialect("en").encode_entry(room_event("burnt"), "dev"))

    def test_encoded_once(self) -> None:
        """A message to a thousand readers would be encoded a thousand times, or be shown under an older name."""
        one, other, english = TextDialect("zh"), TextDialect("zh"), TextDialect("en")
        message, event = room_message(), room_event("joined")
        frame = one.encode_entry(message, "dev")
        self.assertIs(other.encode_entry(message, "dev"), frame)
        self.assertIs(english.encode_entry(message, "dev"), frame)
        self.assertIn("#neu|", self.entry(message, room="neu"))
        frame = one.encode_entry(event, "dev")
        self.assertIs(other.encode_entry(event, "dev"), frame)
        self.assertIn("joined #dev", self.entry(event, "en"))
        self.assertIn("加入了 #neu", self.entry(event, room="neu"))

    def test_answers(self) -> None:
        """Somebody would not learn that a command was carried out."""
        self.assertEqual(self.say(e.RoomDone("created", 7, "dev")), ["聊天室 #dev 已创建!"])
        self.assertEqual(self.say(e.RoomDone("joined", 7, "dev"), "en"), ["You are in #dev!"])
        for words in (ZH, EN):
            whats = {
                "created",
                "joined",
                "left",
                "invited",
                "removed",
                "unbanned",
                "role",
                "member",
            }
            self.assertEqual(set(words.rooms.done), whats | {"changed", "closed"})

    def test_lists(self) -> None:
        """Somebody would not see which rooms there are, or who is in one."""
        rooms = (
            e.ListedRoom(7, "dev", "发布\n明天", 12, True),
            e.ListedRoom(8, "ops", "", 1, False),
        )
        self.assertEqual(
            self.say(e.RoomsListed(rooms, False)), ["#dev (12人, 已加入) 发布 明天\n#ops (1人)"]
        )
        self.assertEqual(
            self.say(e.RoomsListed(rooms[1:], True), "en"),
            ["#ops (1 member)\nThere are more"],
        )
        mine = (e.ListedRoom(8, "me", "", 1, True),)
        self.assertEqual(self.say(e.RoomsListed(mine, False), "en"), ["#me (1 member, joined)"])
        nothing = e.RoomsListed((), False)
        self.assertEqual(self.say(nothing), ["没有聊天室, 请使用 help rooms 查看帮助!"])
        self.assertEqual(self.say(nothing, "en"), ["No rooms, please see help rooms!"])
        members = (
            e.ListedMember(10001, "张三", "owner", True),
            e.ListedMember(10002, "b", "member", False),
        )
        self.assertEqual(
            self.say(e.MembersListed(7, "dev", members, False)),
            ["#dev 的成员:\n张三|UID:10001 房主 (在线)\nb|UID:10002 普通成员 (离线)"],
        )

    def test_left_out(self) -> None:
        """Somebody would take the newest 50 entries for all that was said."""
        event = e.RoomMissed(7, 10, 30, 5, "dev")
        self.assertEqual(self.say(event), ["* #dev: 较早的 20 条未显示!"])
        self.assertEqual(self.say(event, "en"), ["* #dev: 20 earlier ones are not shown!"])
        self.assertEqual(
            self.say(e.RoomMissed(7, 10, 11, 5, "d\x01"), "en"),
            ["* #d\u2401: 1 earlier one is not shown!"],
        )

    def test_long_lists(self) -> None:
        """A long list would not fit a frame, or look whole although it was cut."""
        for topic in ("\x01" * 512, "x" * 512, "你" * 170):
            rooms = tuple(e.ListedRoom(n, "x" * 32, topic, 1, True) for n in range(1000))
            for lang in LANGUAGES:
                (frame,) = TextDialect(lang).encode(e.RoomsListed(rooms, False))
                self.assertLessEqual(len(frame), c.MAX_FRAME)
                lines = frame.decode().split("\n")
                self.assertEqual(lines[-1], PHRASES[lang].rooms.more)
                self.assertGreater(len(frame), c.MAX_FRAME - 4096)
                self.assertEqual(len({*lines[:-1]}), 1, "none was cut")

    def test_help(self) -> None:
        """Somebody who asks for help would not learn of a command, or ``help`` have changed."""
        for lang in LANGUAGES:
            (text,) = self.say(e.HelpOnRoomsShown(), lang)
            words = set(re.findall(r"^  ([a-z]+)", text, re.MULTILINE))
            self.assertEqual(words, {*PARSERS, "msg"})

    def test_invitation_that_does_not_fit(self) -> None:
        """A refusal would say that None messages wait, where nobody has counted them."""
        refused = e.Refused(Problem.INBOX_FULL)
        self.assertEqual(
            self.say(refused, "en"), ["Not sent: the inbox is full, many messages wait in it!"]
        )


class ForgeryTests(SynchronousTestCase):
    """No text can pass for what the server says."""

    def lines(self, entry: e.RoomEntry, lang: str, room: str) -> list[str]:
        frame = TextDialect(lang).encode_entry(entry, room)
        assert frame is not None
        self.assertLessEqual(len(frame), c.MAX_FRAME)
        return frame.decode().split("\n")

    @given(ANY, NAMES, st.sampled_from(LANGUAGES))
    @PATIENT
    def test_messages(self, text: str, name: str, lang: str) -> None:
        """A text would look like another message, or like an event."""
        forged = f"{text}\n2026-11-23 17:00:24\n* 李四|UID:10002 加入了 #dev\n[ #dev|x|UID:1 ]:x"
        _, head, *more = self.lines(room_message(forged, name=name), lang, "dev")
        self.assertTrue(head.startswith("[ #dev|"))
        self.assertEqual([line for line in more if not line.startswith("    ")], [])

    @given(ANY, NAMES, st.sampled_from(EVENTS), st.sampled_from(LANGUAGES))
    @PATIENT
    def test_events(self, text: str, name: str, event: str, lang: str) -> None:
        """A topic would look like a message, or like another event."""
        details = {"topic": text, "role": "owner"}
        entry = room_event(event, 10002, name, **details)
        _, line, *more = self.lines(entry, lang, "dev")
        self.assertTrue(line.startswith("* "))
        self.assertEqual([line for line in more if not line.startswith("    ")], [])

    @given(ANY)
    @PATIENT
    def test_lists(self, topic: str) -> None:
        """A topic in a list would look like a message, an event or another room."""
        rooms = (e.ListedRoom(7, "dev", topic, 1, False),)
        (frame,) = TextDialect("zh").encode(e.RoomsListed(rooms, False))
        self.assertEqual(len(frame.decode().split("\n")), 1)

    def test_what_the_older_server_left(self) -> None:
        """A text from before there were rooms would look like an event of one."""
        event = "2026-11-23 17:00:24\n* 服务器管理员 关闭了 #dev"
        old = e.Message(1, 0, "", 0, f"[ 李四|UID:7 ]:a\n{event}")
        (frame,) = TextDialect("zh").encode(old)
        more = frame.decode().split("\n")[1:]
        self.assertEqual([line for line in more if not line.startswith("    ")], [])
        (frame,) = TextDialect("zh").encode(message(f"a\n{event}"))
        more = frame.decode().split("\n")[2:]
        self.assertEqual([line for line in more if not line.startswith("    ")], [])

    @given(ANY)
    @PATIENT
    def test_largest_text_fits(self, text: str) -> None:
        """A text of the largest size would not fit its readers' frame."""
        raw = text.encode() or b"\n"
        largest = (raw * (c.MAX_TEXT // len(raw) + 1))[: c.MAX_TEXT].decode(errors="ignore")
        self.lines(room_message(largest, 2**63 - 1, "😀" * 32), "zh", "😀" * 32)
