"""What ``docs/protocol.md`` says of the protocol is what the code does, and its client is one."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from contextlib import closing
from dataclasses import fields
from pathlib import Path
from typing import Any

from twisted.trial.unittest import TestCase

from chatsvc.wire import client_codec
from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire.phrases import EN, ZH
from chatsvc.wire.problems import Problem, code_of
from chatsvc.wire.structured.dialect import StructuredDialect
from chatsvc.wire.text.dialect import TextDialect
from tests.documents.protocol_page import HISTORY_COMMANDS, examples, page, quoted
from tests.support.clients import PATIENCE
from tests.support.processes import ChatServer

_DIALECT = StructuredDialect("en")
_DIALECT.bring_rooms()


def said_by_programs() -> dict[str, dict[str, Any]]:
    """The example of each frame that a program sends, by its type."""
    return examples("you send", "you get")


def parsed(thing: dict[str, Any]) -> c.Command:
    """What the server understands."""
    return _DIALECT.parse(json.dumps(thing).encode())


def encoded(event: e.Event | e.Message) -> dict[str, Any]:
    """What the server says."""
    (frame,) = _DIALECT.encode(event)
    found: dict[str, Any] = json.loads(frame)
    return found


class PhrasesTests(TestCase):
    def test_sentences(self) -> None:
        """A client that compares a sentence of the page would wait for one that is never said."""
        rows = page().table("when", "`zh`", "`en`")
        said = {(quoted(zh), quoted(en)) for _, zh, en in rows}
        names = {field.name for field in fields(ZH)} - {"help", "problems", "rooms", "history"}
        self.assertEqual(said, {(getattr(ZH, name), getattr(EN, name)) for name in names})
        self.assertEqual(len(rows), len(names))

    def test_refusals(self) -> None:
        """A refusal would have other words, or another code, than the page says."""
        rows = page().table("when refused", "`zh`", "`en`", "code for a program")
        said = [tuple(map(quoted, row[1:])) for row in rows]
        real = [(ZH.problems[one], EN.problems[one], code_of(one)) for one in Problem]
        self.assertEqual(sorted(said), sorted(real))

    def test_help(self) -> None:
        """The page would explain other commands than ``help`` does."""
        for words in (ZH, EN):
            self.assertIn(words.help + "\n", page().fences("text"))

    def test_commands(self) -> None:
        """A command would be on the page and not understood, or understood and not on the page."""
        typed = [quoted(row[0].partition(",")[0]) for row in page().table("typed", "does")]
        for line in typed:
            words = line.replace("UID", "10001").replace("zh|en", "en")
            command = TextDialect("zh").parse(words.encode())
            self.assertFalse(isinstance(command, c.Malformed), words)
        shown = re.findall(r"^  ([a-z]+)", ZH.help, re.MULTILINE)
        self.assertEqual({line.split(" ")[0] for line in typed}, set(shown))


class FramesTests(TestCase):
    def test_what_programs_send(self) -> None:
        """An example of the page would be refused."""
        examples = said_by_programs()
        for example in examples.values():
            self.assertFalse(isinstance(parsed(example), c.Malformed), example)
        kinds = {kind.__name__ for kind in map(type, map(parsed, examples.values()))}
        text_only = {"Help", "HelpOnRooms", "SetLang", "Quit", "Malformed"}
        declared = {kind.__name__ for kind in c.Command.__subclasses__()} - text_only
        of_rooms = {name for name in declared if "Room" in name}
        self.assertEqual(kinds, declared - of_rooms - HISTORY_COMMANDS)

    def test_fields_of_requests(self) -> None:
        """A field would be missing from the page, or be needed where the page says that it is not."""
        said = defaultdict(set)
        for frame, field, _, without in page().table("frame", "field", "is", "without it"):
            kind, name = quoted(frame), quoted(field)
            said[kind].add(name)
            example = dict(said_by_programs()[kind])
            if kind == "auth" and name == "token":
                example["token"] = example.pop("password")
            if kind == "auth" and name == "name":
                del example["uid"]
                example["name"] = "张三"
            self.assertIn(name, example)
            del example[name]
            needed = isinstance(parsed(example), c.Malformed)
            refused = without.startswith("**refused") or "is needed" in without
            self.assertEqual(needed, refused, (kind, name))
        for kind, example in said_by_programs().items():
            real = {field.name for field in fields(parsed(example))} - {"n"}
            self.assertEqual(said[kind], real, kind)

    def test_fields_of_answers(self) -> None:
        """A field would come that the page does not explain, or the page explain one that never comes."""
        invitation = e.Invitation(7, "dev")
        message = e.Message(1, 10001, "name", 5, "text", 10, to=2, mark=invitation)
        some = (1, 10001, "name", 5, "text", 10)
        answer, edit = (e.Message(*some, mark=e.Reference(kind, 7)) for kind in ("reply", "edited"))
        events: dict[str, e.Event | e.Message] = {
            "welcome": e.Welcome(True, ("devices",)),
            "ok to `auth`": e.LoggedIn(1, "name", "token", "epoch", 0, 1),
            "ok to `register`": e.Registered(1),
            "ok to `passwd`": e.PasswordChanged("token"),
            "ok to `renew`": e.Renewed("token"),
            "ok to `find`": e.Found("name", ()),
            "ok to `devices`": e.DevicesListed(()),
            "missed": e.Missed(1, 2, 3),
            "sent": e.Sent(1, 1, message, False, 1, True),
            "msg": message,
            "event": edit,
            "pong": e.Pong(),
            "kicked": e.Kicked(),
            "bye": e.Bye(1.5, forgotten=True),
            "error": e.Refused(Problem.GAP, to=1, waiting=1, expected=1, retry_after=1.5, room=1),
        }
        said: dict[str, set[str]] = defaultdict(set)
        for frame, field, *_ in page().table("frame", "field", "is", "there"):
            kind = "ok to " + frame.partition("to ")[2] if " to " in frame else quoted(frame)
            said[kind] |= {quoted(field)} - {""}
        for kind, event in events.items():
            real = set(encoded(event))
            if kind == "msg":
                real |= set(encoded(answer))
            self.assertEqual(said.pop(kind), real - {"type"}, kind)
        self.assertEqual(said, {})

    def test_changes(self) -> None:
        """An event of the inbox would be called or filled otherwise than the page says."""
        rows = page().table("frame", "field", "is", "there")
        (said,) = (is_ for frame, field, is_, _ in rows if (frame, field) == ("`event`", "`event`"))
        kinds = re.findall("`(.*?)`", said)
        self.assertEqual(kinds, [*ZH.history.changes])
        shown = page().table("of its own accord", "when")
        (example,) = (
            one for one in (json.loads(quoted(row[0])) for row in shown) if one["type"] == "event"
        )
        for kind in kinds:
            mark = e.Reference(kind, example["target"])
            text = "…" if kind == "edited" else ""
            words = (example["by"], "name", example["at"], text, example["serial"])
            real = encoded(e.Message(example["id"], *words, mark=mark))
            if kind == "edited":
                self.assertEqual(real, example)
            self.assertEqual("text" in real, kind == "edited")
            self.assertEqual(real["event"], kind)

    def test_answers(self) -> None:
        """An answer on the page would not be understood by a client that understands the server."""
        rows = page().table("you send", "you get")
        frames = [quoted(answer) for _, answer in rows if answer.startswith("`")]
        frames += [quoted(frame) for frame, _ in page().table("of its own accord", "when")]
        for frame in frames:
            self.assertIsNotNone(client_codec.parse(frame.encode()), frame)

    def test_codes(self) -> None:
        """A program would meet a code that the page does not explain."""
        codes = [quoted(code) for code, _ in page().table("code", "what to do")]
        self.assertEqual(sorted(codes), sorted({code_of(problem) for problem in Problem}))

    def test_limits(self) -> None:
        """The page would promise another size of texts and frames than the server takes."""
        self.assertIn(f"{c.MAX_TEXT:,} bytes of UTF-8", page().text)
        self.assertIn(f"{c.MAX_FRAME:,} at most", page().text)


class ClientTests(TestCase):
    """The clients of the page, as programs in a folder of their own."""

    def setUp(self) -> None:
        self.server = ChatServer("--lang", "en").start()
        self.addCleanup(self.server.remove)
        anybody = self.server.structured()
        for n, name in enumerate(("张三", "李四"), start=1):
            anybody.ask(type="register", n=n, name=name, password="secret")
        anybody.close()
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.addCleanup(shutil.rmtree, self.folder)
        for name in ("talk.py", "client.py"):
            (program,) = page().fences(f"python {name}")
            (self.folder / name).write_text(program)

    def begin(self, *words: str, program: str = "client.py") -> subprocess.Popen[str]:
        """Start a client, with the password on its standard input."""
        place = ("localhost", str(self.server.port), self.server.ca)
        client = subprocess.Popen(
            [sys.executable, program, *place, *words],
            cwd=self.folder,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUTF8": "1"},
        )
        self.addCleanup(self.end, client)
        assert client.stdin is not None
        client.stdin.write("secret\n")
        client.stdin.flush()
        return client

    def end(self, client: subprocess.Popen[str]) -> str:
        """End a client; what it said on standard error."""
        client.kill()
        return client.communicate()[1]

    def send(self, text: str) -> None:
        """Send a message, and see it confirmed."""
        client = self.begin("10001", "one.json", "10002", text)
        self.assertEqual(client.wait(30), 0, client.stderr)

    def written_down(self, name: str) -> bool:
        """Whether a reader's file says, now or soon, that something was shown."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            path = self.folder / name
            if path.exists() and json.loads(path.read_text())["shown"]:
                return True
            time.sleep(0.01)
        return False

    def acknowledged(self, uid: int) -> bool:
        """Whether nothing waits for a reader, now or soon."""
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            with closing(self.server.structured()) as program:
                if not program.log_in(uid, "secret", receive=False)["waiting"]:
                    return True
        return False

    def test_thirty_lines(self) -> None:
        """The page's first client would be a long one, or lose, hide or not acknowledge what it is told."""
        (program,) = page().fences("python talk.py")
        self.assertLessEqual(len([line for line in program.splitlines() if line]), 30)
        reader = self.begin("10002", program="talk.py")
        assert reader.stdout is not None
        while reader.stdout.readline() != "ok \n":
            pass
        typed = "10002 你好\n77 nobody\n10002 在吗?\n10002 \n10002 再见\n"
        said, problem = self.begin("10001", program="talk.py").communicate(typed, timeout=30)
        answers = ["sent ", "error There is no such userid!", "sent "]
        answers += ["error A field is missing or has a wrong value!", "sent "]
        self.assertEqual((said.splitlines()[3:], problem), (answers, ""))
        messages = [reader.stdout.readline() for _ in range(3)]
        self.assertEqual(messages, ["10001 你好\n", "10001 在吗?\n", "10001 再见\n"])
        self.assertTrue(self.acknowledged(10002))
        self.server.stop()
        self.assertEqual(reader.stdout.readline(), "bye \n")
        self.assertEqual(reader.wait(30), 1)

    def test_a_message(self) -> None:
        """Somebody who begins with the page's client would not get a message across, or get one twice."""
        reader = self.begin("10002", "two.json")
        self.send("你好")
        assert reader.stdout is not None
        self.assertEqual(reader.stdout.readline(), "张三 (10001): 你好\n")
        self.assertTrue(self.written_down("two.json"))  # just after it was shown
        self.end(reader)
        # As after a crash before the confirmation was written down, and before the acknowledgement was sent.
        state = json.loads((self.folder / "one.json").read_text())
        state["unconfirmed"] = [{"type": "msg", "n": 1, "to": 10002, "text": "你好"}]
        (self.folder / "one.json").write_text(json.dumps(state))
        self.send("在吗?")
        reader = self.begin("10002", "two.json")
        assert reader.stdout is not None
        self.assertEqual(reader.stdout.readline(), "张三 (10001): 在吗?\n")
        self.assertTrue(self.acknowledged(10002))
        self.assertEqual(self.server.tracebacks(), [])

    def test_a_change(self) -> None:
        """What was edited or retracted would not be shown, come at each log-in, or keep what follows from coming."""
        reader = self.begin("10002", "two.json")
        assert reader.stdout is not None
        with closing(self.server.structured()) as writer:
            hello = {"type": "hello", "version": 1, "device": "d" * 16, "features": ["devices"]}
            writer.say(**hello)
            writer.log_in(10001, "secret")
            said = writer.ask(type="msg", n=1, to=10002, text="早")
            self.assertEqual(reader.stdout.readline(), "张三 (10001): 早\n")
            changed = {"n": 2, "serial": said["serial"]}
            self.assertEqual(writer.ask(type="edit", text="早上好", **changed)["type"], "ok")
            self.assertEqual(reader.stdout.readline(), "* edited by 10001: 早上好\n")
            self.assertTrue(self.acknowledged(10002))
            self.end(reader)
            self.assertEqual(writer.ask(type="retract", **changed)["type"], "ok")
        self.send("在吗?")
        reader = self.begin("10002", "two.json")
        assert reader.stdout is not None
        self.assertEqual(reader.stdout.readline(), "* retracted by 10001: \n")
        self.assertEqual(reader.stdout.readline(), "张三 (10001): 在吗?\n")
        self.assertTrue(self.acknowledged(10002))
        self.assertEqual(self.server.tracebacks(), [])

    def test_older_state(self) -> None:
        """Somebody who writes a client by the page would lose every message after a restore, or have some twice."""
        kept = self.folder / "one.json"
        self.send("1")
        older = kept.read_text()
        self.send("2")
        self.send("3")
        # As after a crash: the one of these that was stored since, and one that was never sent.
        state = json.loads(older)
        for n, text in ((2, "2"), (3, "4")):
            state["unconfirmed"].append({"type": "msg", "n": n, "to": 10002, "text": text})
            state["last"]["10002"] = n
        kept.write_text(json.dumps(state))
        self.send("5")
        self.send("6")
        self.assertNotEqual(json.loads(kept.read_text())["device"], state["device"])
        kept.write_text(older)
        self.send("6")  # the text that the number had
        with closing(self.server.structured()) as reader:
            count = reader.log_in(10002, "secret")["waiting"]
            came = [reader.await_type("msg")["text"] for _ in range(count)]
        self.assertEqual(came, [*"1234566"])
        self.assertEqual(self.server.tracebacks(), [])

    def test_refused(self) -> None:
        """A refusal would be kept from the user, or the client go on as if nothing were."""
        client = self.begin("10001", "one.json", "77", "hello")
        self.assertIn("unknown-user", client.communicate(timeout=30)[1])
        self.assertEqual(client.returncode, 1)
