"""What ``docs/protocol.md`` says of rooms is what the code does."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import fields
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.handlers.rooms import _MOST_WITH_MARKERS
from chatsvc.inbox.mark import change_event
from chatsvc.rooms.room import INVITATION_DAYS, RoomLimits
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.phrases import EN, ZH
from chatsvc.wire.room_phrases import RoomPhrases
from chatsvc.wire.structured.dialect import StructuredDialect
from chatsvc.wire.text.dialect import TextDialect
from tests.documents.protocol_page import examples, page, quoted

_DIALECT = StructuredDialect("en")
_DIALECT.bring_rooms()

SENT = "about rooms, you send", "you get"


def said_by_programs() -> dict[str, dict[str, Any]]:
    """The example of each frame that a program sends, by its type."""
    return examples(*SENT)


def parsed(thing: dict[str, Any]) -> c.Command:
    """What the server understands."""
    return _DIALECT.parse(json.dumps(thing).encode())


def sentences(words: RoomPhrases) -> list[str]:
    """All that the text dialect says of rooms, but the help."""
    said: list[str] = []
    for field in fields(words):
        value = getattr(words, field.name)
        if field.name != "help":
            said += [value] if isinstance(value, str) else value.values()
    return said


class PhrasesTests(SynchronousTestCase):
    def test_sentences(self) -> None:
        """A client that compares a sentence of the page would wait for one that is never said."""
        rows = page().table("when about rooms", "`zh`", "`en`")
        said = [(quoted(zh), quoted(en)) for _, zh, en in rows]
        self.assertEqual(said, list(zip(sentences(ZH.rooms), sentences(EN.rooms), strict=True)))

    def test_help(self) -> None:
        """The page would explain other commands than ``help rooms`` does."""
        for words in (ZH, EN):
            self.assertIn(words.rooms.help + "\n", page().fences("text"))

    def test_commands(self) -> None:
        """A command would be on the page and not understood, or understood and not on the page."""
        typed = [quoted(does) for does, _ in page().table("typed about rooms", "does")]
        for line in typed:
            command = TextDialect("zh").parse(line.replace("UID", "10001").encode())
            self.assertFalse(isinstance(command, c.Malformed), line)
        shown = re.findall(r"^  (\S+(?: \S+)*)  ", EN.rooms.help, re.MULTILINE)
        self.assertEqual(typed, shown)

    def test_examples(self) -> None:
        """A message or an event would look otherwise than the page shows."""
        at = 1_763_888_424_000
        shown = page().fences("text")
        entries: list[e.RoomEntry] = [
            e.RoomMessage(7, 1, 10, 10001, "张三", at, "你好"),
            e.RoomEvent(7, 2, 20, 2, at, "joined", 10002, 10002, "李四", {}),
            change_event((7, 3, 30), at, 10001, "张三", "", e.Reference("retracted", 10)),
        ]
        for entry in entries:
            frame = TextDialect("zh").encode_entry(entry, "dev")
            assert frame is not None
            line = frame.decode().split("\n")[1]
            self.assertIn(f"2026-11-23 17:00:24\n{line}\n", shown)


class FramesTests(SynchronousTestCase):
    def test_what_programs_send(self) -> None:
        """An example of the page would be refused, or a command be missing there."""
        kinds = {type(parsed(example)).__name__ for example in said_by_programs().values()}
        declared = [*c.Command.__subclasses__(), *c.RoomCommand.__subclasses__()]
        of_rooms = {
            kind.__name__
            for kind in declared
            if "Room" in kind.__name__ or kind in c.RoomCommand.__subclasses__()
        }
        self.assertEqual(kinds, of_rooms - {"RoomCommand", "HelpOnRooms"})

    def test_fields_of_requests(self) -> None:
        """A field would be missing from the page, or be needed where the page says that it is not."""
        said = defaultdict(set)
        for frame, field, _, without in page().table(
            "frame about rooms", "field", "is", "without it"
        ):
            kind, name = quoted(frame), quoted(field)
            said[kind].add(name)
            example = dict(said_by_programs()[kind])
            del example[name]
            # Without a room, these are about users and inboxes.
            others = (c.Send, c.Ack) if name == "room" else ()
            needed = isinstance(parsed(example), (c.Malformed, *others))
            self.assertEqual(needed, without == "**refused**", (kind, name))
        for kind, example in said_by_programs().items():
            real = {field.name for field in fields(parsed(example))} - {"n", "mine"}
            self.assertEqual(said[kind], real, kind)

    def test_fields_of_answers(self) -> None:
        """A field would come that the page does not explain, or the page explain one that never comes."""
        message = e.RoomMessage(7, 121, 10, 10001, "name", 5, "text", reply=9)
        changed = {"name": "x", "topic": "x", "kind": "public", "history": "all"}
        happened = e.RoomEvent(7, 122, 10, 1, 5, "removed", 1, 2, "name", {"ban": True, "role": ""})
        changes = e.RoomEvent(7, 123, 10, 1, 5, "changed", 1, 0, "name", changed)
        edit = change_event((7, 124, 10), 5, 1, "name", "text", e.Reference("edited", 9))
        listed = e.ListedRoom(7, "dev", "", 1, True)
        answers: dict[str, e.Event] = {
            "ok to `create`": e.RoomDone("created", 7, "dev"),
            "ok to `join`": e.RoomDone("joined", 7, "dev"),
            "ok to `rooms`": e.RoomsListed((listed,), False),
            "ok to `members`": e.MembersListed(7, "dev", (), False),
            "sent": e.RoomSent(7, "dev", 121, message, True),
            "room": e.RoomShown(7, "dev", "public", "", "all", "member", 12, 120, 118),
            "left": e.RoomLeft(7, "dev", "left"),
            "missed": e.RoomMissed(7, 12, 3400, 10),
            "synced": e.Synced(),
        }
        real = {kind: set(json.loads(*_DIALECT.encode(event))) for kind, event in answers.items()}
        logs: dict[str, list[e.RoomEntry]] = {"msg": [message], "event": [happened, changes, edit]}
        for kind, entries in logs.items():
            frames = [_DIALECT.encode_entry(entry, "dev") or b"" for entry in entries]
            real[kind] = {field for frame in frames for field in json.loads(frame)}
        said: dict[str, set[str]] = defaultdict(set)
        for frame, field, *_ in page().table("frame about rooms", "field", "is", "there"):
            kind = "ok to " + frame.partition("to ")[2] if " to " in frame else quoted(frame)
            said[kind] |= {quoted(field)} - {""}
        self.assertEqual(dict(said), {kind: names - {"type"} for kind, names in real.items()})

    def test_examples_of_answers(self) -> None:
        """An example of the page would have other fields than the page explains."""
        explained: dict[str, set[str]] = defaultdict(set)
        for frame, field, *_ in page().table("frame about rooms", "field", "is", "there"):
            explained[quoted(frame.partition(" ")[0])].add(quoted(field))
        frames = [quoted(answer) for _, answer in page().table(*SENT) if answer.startswith("`")]
        frames += [
            quoted(frame) for frame, _ in page().table("of its own accord, about rooms", "when")
        ]
        for frame in frames:
            thing = json.loads(frame)
            known = explained[thing["type"]] if thing["type"] != "ok" else set(thing)
            self.assertLessEqual(set(thing) - {"type", "re"}, known, frame)
        kinds = {json.loads(frame)["type"] for frame in frames} - {"ok"}
        self.assertLessEqual(kinds, set(explained))

    def test_members(self) -> None:
        """A member in a list would have other fields than the page says."""
        rows = page().table("frame about rooms", "field", "is", "there")
        (said,) = (
            is_
            for frame, field, is_, _ in rows
            if (frame, field) == ("`ok` to `members`", "`members`")
        )
        member = e.ListedMember(10002, "李四", "member", True, read=5)
        (frame,) = _DIALECT.encode(e.MembersListed(7, "dev", (member,), False))
        (real,) = json.loads(frame)["members"]
        self.assertEqual(re.findall("`(.*?)`", said), [*real])
        self.assertIn(f"in a room of up to {_MOST_WITH_MARKERS} members", said)
        limits = {row[0]: row[1] for row in page().table("what", "at most", "past it")}
        (most,) = (most for what, most in limits.items() if "how far each has read it" in what)
        self.assertEqual(most, str(_MOST_WITH_MARKERS))

    def test_events(self) -> None:
        """An event would come that the page does not explain, or the page explain one that never comes."""
        explained = [quoted(event) for event, _ in page().table("`event`", "has happened")]
        self.assertEqual(explained, [event for event in ZH.rooms.events if event != "banned"])

    def test_limits(self) -> None:
        """The page would promise other limits than the server has."""
        limits = RoomLimits()
        rows = {row[0]: row[1] for row in page().table("what", "at most", "past it")}
        self.assertEqual(rows["members of a room"], f"{limits.members:,} (`--room-members`)")
        self.assertEqual(
            rows["rooms that a user is in"], f"{limits.per_user:,} (`--rooms-per-user`)"
        )
        self.assertEqual(rows["… and owns"], f"{limits.owned} (`--rooms-owned`)")
        self.assertEqual(rows["a room's topic"], f"{c.MAX_TOPIC} bytes of UTF-8")
        self.assertIn(f"It admits for {INVITATION_DAYS} days", page().text)
