"""What ``docs/protocol.md`` says of the history is what the code does."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from dataclasses import fields
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.accounts.names import fold
from chatsvc.archive.reading import UNREAD
from chatsvc.archive.segmenter import query_of, tokens_of
from chatsvc.history.history import MOST, SEARCHED
from chatsvc.history.limits import HistoryLimits
from chatsvc.history.mentions import names_in
from chatsvc.history.progress import PATIENCE
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire import history_events as h
from chatsvc.wire.entries import ArchivedMessage
from chatsvc.wire.history_phrases import HistoryPhrases
from chatsvc.wire.phrases import EN, ZH
from chatsvc.wire.structured import history
from chatsvc.wire.structured.dialect import StructuredDialect
from chatsvc.wire.text.dialect import TextDialect
from tests.documents.protocol_page import HISTORY_COMMANDS, examples, explained, page, quoted

_DIALECT = StructuredDialect("en")
_DIALECT.bring_rooms()

SENT = "about the history, you send", "you get"

_MESSAGE = ArchivedMessage(3, 10, 10001, "张三", 1_763_888_424_000, "你好", reply=5, edited=7)


def said_by_programs() -> dict[str, dict[str, Any]]:
    """The example of each frame that a program sends, by its type."""
    return examples(*SENT)


def parsed(thing: dict[str, Any]) -> c.Command:
    """What the server understands."""
    return _DIALECT.parse(json.dumps(thing).encode())


def encoded(event: e.Event) -> dict[str, Any]:
    """What the server says."""
    (frame,) = _DIALECT.encode(event)
    found: dict[str, Any] = json.loads(frame)
    return found


def sentences(words: HistoryPhrases) -> list[str]:
    """All that the text dialect says of the history, but the help."""
    said: list[str] = []
    for field in fields(words):
        value = getattr(words, field.name)
        if field.name != "help":
            said += [value] if isinstance(value, str) else value.values()
    return said


class PhrasesTests(SynchronousTestCase):
    def test_sentences(self) -> None:
        """A client that compares a sentence of the page would wait for one that is never said."""
        rows = page().table("when about the history", "`zh`", "`en`")
        said = [(quoted(zh), quoted(en)) for _, zh, en in rows]
        real = zip(sentences(ZH.history), sentences(EN.history), strict=True)
        self.assertEqual(said, list(real))

    def test_help(self) -> None:
        """The page would explain other commands than ``help history`` does."""
        for words in (ZH, EN):
            self.assertIn(words.history.help + "\n", page().fences("text"))

    def test_commands(self) -> None:
        """A command would be on the page and not understood, or understood and not on the page."""
        typed = [quoted(does) for does, _ in page().table("typed about the history", "does")]
        for line in typed:
            words = re.sub(r"\bN\b", "20", line.replace("UID", "10001"))
            command = TextDialect("zh").parse(words.encode())
            self.assertIn(type(command).__name__, HISTORY_COMMANDS, line)
        shown = re.findall(r"^  (\S+(?: \S+)*)  ", EN.history.help, re.MULTILINE)
        self.assertEqual(typed, shown)

    def test_numbers(self) -> None:
        """As many messages would be shown to somebody who says no number, or does, as the page does not say."""
        rows = dict(page().table("typed about the history", "does"))
        for line, number in (("history 10001", r"(\d+) without N"), ("search x", r"newest (\d+)")):
            command = TextDialect("zh").parse(line.encode())
            assert isinstance(command, c.ReadHistory | c.Search)
            found = re.search(number, "\n".join(rows.values()))
            assert found is not None
            self.assertEqual(int(found[1]), command.limit)
        self.assertIn(f"{MOST} at most", rows["`history UID N`"])

    def test_examples(self) -> None:
        """A message that was found would look otherwise than the page shows, and what stands before it, too."""
        message = ArchivedMessage(3, 10, 10001, "张三", _MESSAGE.at, "你好")
        found = h.Searched((h.Hit(message, other=10002),), until=10, complete=False)
        read = h.HistoryShown((message,), complete=False, other=10002)
        shown = page().fences("text")
        for event in (found, read):
            more, frame = (one.decode() for one in TextDialect("zh").encode(event))
            self.assertIn(f"`{more}`", page().text)
            self.assertIn(f"2026-11-23 17:00:24{frame[19:]}\n", shown)
        edit = e.Message(2, 10001, "张三", _MESSAGE.at, "你好", 20, mark=e.Reference("edited", 10))
        (line,) = (one.decode() for one in TextDialect("zh").encode(edit))
        self.assertIn(f"2026-11-23 17:00:24{line[19:]}\n", shown)
        edited = h.HistoryShown((_MESSAGE,), complete=True, other=10002)
        (frame,) = (one.decode() for one in TextDialect("zh").encode(edited))
        behind = frame.partition("\n")[0][20:]
        self.assertIn(f"with `{behind}` behind the date", page().text)


class FramesTests(SynchronousTestCase):
    def test_what_programs_send(self) -> None:
        """An example of the page would be refused, or a command be missing there."""
        kinds = {type(parsed(example)).__name__ for example in said_by_programs().values()}
        self.assertEqual(kinds, HISTORY_COMMANDS - {"HelpOnHistory"})
        self.assertEqual(set(said_by_programs()), set(history.PARSERS))

    def test_fields_of_requests(self) -> None:
        """A field would be missing from the page, or be needed where the page says that it is not."""
        said = defaultdict(set)
        head = "frame about the history", "field", "is", "without it"
        for frame, field, _, without in page().table(*head):
            kind, name = quoted(frame), quoted(field)
            said[kind].add(name)
            example = dict(said_by_programs()[kind])
            if name in ("room", "after"):  # beside none that excludes it
                del example["with" if name == "room" else "before"]
                example[name] = 7
            self.assertFalse(isinstance(parsed(example), c.Malformed), (kind, name))
            del example[name]
            needed = isinstance(parsed(example), c.Malformed)
            refused = without == "**refused**" or "is needed" in without
            self.assertEqual(needed, refused, (kind, name))
        for kind, example in said_by_programs().items():
            names = {"other": "with", "sender": "from"}
            real = {field.name for field in fields(parsed(example))} - {"n"}
            self.assertEqual(said[kind], {names.get(name, name) for name in real}, kind)

    def test_what_excludes_each_other(self) -> None:
        """A request of which the page says that it is refused would be carried out, or the other way round."""
        some = {"type": "history", "n": 1, "with": 2, "before": 3}
        for other in ({"room": 7}, {"after": 5}):
            self.assertIsInstance(parsed({**some, **other}), c.Malformed)
        for kind, example in said_by_programs().items():
            unnumbered = {field: value for field, value in example.items() if field != "n"}
            self.assertIsInstance(parsed(unnumbered), c.Malformed, kind)

    def test_fields_of_answers(self) -> None:
        """A field would come that the page does not explain, or the page explain one that never comes."""
        hits = (h.Hit(_MESSAGE, other=2), h.Hit(_MESSAGE, room=7, name="dev"))
        listed = [h.ListedConversation(_MESSAGE, 2, None, "name", 1, 2, seen=3)]
        listed.append(h.ListedConversation(_MESSAGE, None, 7, "dev", 1, 2))
        answers: dict[str, list[e.Event]] = {
            "`history` to `history`": [
                h.HistoryShown((_MESSAGE,), True, other=2),
                h.HistoryShown((_MESSAGE,), True, room=7),
            ],
            "`history` to `search`": [h.Searched(hits, 5, True)],
            "`ok` to `conversations`": [h.ConversationsListed(tuple(listed), True)],
            "`ok` to `read`": [h.ReadNoted()],
            "`ok` to `settings`": [
                h.SettingsShown(True, other=2, muted=False),
                h.SettingsShown(True, room=7, muted=False),
            ],
            "`ok` to `edit`": [h.Changed()],
            "`ok` to `retract`": [h.Changed()],
            "`read`": [h.ReadElsewhere(5, other=2), h.ReadElsewhere(5, room=7)],
            "`receipt`": [h.Receipt(2, 5)],
        }
        told = {type(event) for events in answers.values() for event in events}
        self.assertEqual(told, set(history.ENCODERS))
        real: dict[str, set[str]] = defaultdict(set)
        for kind, events in answers.items():
            for event in events:
                thing = encoded(event)
                real[kind] |= set(thing) - {"type"}
                for message in thing.get("messages", ()):
                    real["a message"] |= set(message)
                for conversation in thing.get("conversations", ()):
                    real["a conversation"] |= set(conversation)
                    real["its `last`"] |= set(conversation["last"])
        self.assertEqual(explained("frame about the history"), dict(real))

    def test_examples_of_answers(self) -> None:
        """An example of the page would have other fields than the page explains."""
        known = explained("frame about the history")
        for sent, answer in page().table(*SENT):
            kind = json.loads(quoted(sent.partition("`, or")[0]))["type"]
            thing = json.loads(quoted(answer))
            self.assertEqual(
                set(thing) - {"type", "re"} - known[f"`{thing['type']}` to `{kind}`"], set()
            )
            for message in thing.get("messages", ()):
                self.assertLessEqual(set(message), known["a message"])
            for conversation in thing.get("conversations", ()):
                self.assertLessEqual(set(conversation), known["a conversation"])
                self.assertEqual(set(conversation["last"]), known["its `last`"])
        for frame, _ in page().table("of its own accord, about the history", "when"):
            thing = json.loads(quoted(frame))
            self.assertLessEqual(set(thing) - {"type"}, known[f"`{thing['type']}`"])

    def test_limits(self) -> None:
        """The page would promise other limits than the server has."""
        rows = {row[0]: row[1] for row in page().table("what", "at most", "past it")}
        about = next(most for what, most in rows.items() if "about the [history]" in what)
        self.assertEqual(about, f"{MOST}, and as many as fit a frame")
        self.assertEqual(rows["what a search looks for"], f"{c.MAX_TEXT:,} bytes of UTF-8")
        self.assertEqual(rows["a search"], f"{SEARCHED:.0f} second")
        waits = next(most for what, most in rows.items() if "history waits for" in what)
        self.assertEqual(waits, f"{PATIENCE:.0f} seconds")
        head = "frame about the history", "field", "is", "without it"
        for kind, field, is_, without in page().table(*head):
            if field == "`limit`":
                example = dict(said_by_programs()[quoted(kind)])
                del example["limit"]
                command: Any = parsed(example)
                self.assertEqual(without, str(command.limit))
                self.assertIn(f"never more than {MOST}", is_)
        minutes = f"{HistoryLimits().edit_minutes} minutes (`--edit-minutes`)"
        self.assertEqual(
            rows["time in which a message can be edited or retracted by its sender"], minutes
        )
        self.assertIn(f"for {minutes} from its `at` on", page().text)
        self.assertIn(f"above your marker that you may read, {UNREAD} at most", page().text)
        long = ArchivedMessage(3, 10, 10001, "张三", 5, "字" * 1000)
        listed = h.ListedConversation(long, 2, None, "name", 1, 2)
        (one,) = encoded(h.ConversationsListed((listed,), True))["conversations"]
        self.assertIn(f"the first {len(one['last']['text'])} characters of the text", page().text)


class MentionTests(SynchronousTestCase):
    def test_examples(self) -> None:
        """Somebody would be mentioned by a text that does not say so, or not be by one that does."""
        said = re.findall(r"`(\w*@[^`]+)`\s+mentions\s+(no )?(\w+)", page().text)
        self.assertEqual(len(said), 3)
        for text, nobody, name in said:
            found = {fold(one) for names in names_in(text) for one in names}
            self.assertEqual(fold(name) in found, not nobody, text)
        self.assertEqual(len(names_in("@a " * 20)), 10)
        self.assertIn("of one message the first ten `@` count", page().text)


class SearchTests(SynchronousTestCase):
    def test_words(self) -> None:
        """Somebody who looks for what the page says would not find it, or find something else."""
        rows = page().table("looked for", "finds", "does not find")
        for row in rows:
            words, text, other = map(quoted, row)
            query = query_of(words)
            self.assertTrue(query.matches(text), row)
            self.assertLessEqual(query.tokens, tokens_of(text), row)
            self.assertFalse(query.matches(other), row)
        self.assertGreater(len(rows), 5)
