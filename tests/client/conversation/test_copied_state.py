"""A folder of ``--state`` that was put back from a back-up, or copied to a second machine: real processes."""

from __future__ import annotations

import shutil
from pathlib import Path

from tests.client.programs import PASSWORD
from tests.client.script.script_case import ScriptCase
from tests.support.forked import ForkedProgram


class CopyCase(ScriptCase):
    def folder_of(self, name: str) -> Path:
        return self.folder / name

    def copy(self, source: str = "state", target: str = "copy") -> None:
        """Make a copy of a state folder, in the place of what is there."""
        shutil.rmtree(self.folder_of(target), ignore_errors=True)
        shutil.copytree(self.folder_of(source), self.folder_of(target))

    def send_in(self, name: str, *words: str, stdin: str = "") -> None:
        """Send with a certain state, and see it confirmed."""
        self.done(self.send(*words, stdin=stdin, CHATSVC_STATE=str(self.folder_of(name))))

    def lines_in(self, name: str) -> ForkedProgram:
        """A process that sends lines, with a certain state."""
        to = ("--to", str(self.other))
        state = str(self.folder_of(name))
        return self.begin("send", *to, "--lines", "--json", CHATSVC_STATE=state)

    def say_line(self, process: ForkedProgram, text: str) -> None:
        """One line, which is confirmed."""
        assert process.stdin and process.stdout
        process.stdin.write(f"{text}\n")
        process.stdin.flush()
        self.assertIn('"id":', process.stdout.readline(), process.stderr and text)


class PutBack(CopyCase):
    def test_each_message_arrives(self) -> None:
        """After a restore each message would be confirmed and none be stored, ever."""
        self.send_in("state", "1")
        self.copy()
        for text in ("2", "3"):
            self.send_in("state", text)
        self.copy("copy", "state")
        for text in ("4", "5"):
            self.send_in("state", text)
        self.copy("copy", "state")
        self.send_in("state", "6")
        self.assertEqual(self.waiting(self.other), [*"123456"])
        self.assertEqual(self.unconfirmed(), 0)

    def test_same_text(self) -> None:
        """A script that says each day the same would not be heard after a restore."""
        self.send_in("state", "x")
        self.copy()
        self.send_in("state", "x")
        self.copy("copy", "state")
        self.send_in("state", "x")
        self.assertEqual(self.waiting(self.other), ["x", "x", "x"])

    def test_lines_in_order(self) -> None:
        """Lines after those whose numbers were used would be stored before them."""
        self.send_in("state", "first")
        self.copy()
        before, after = [[f"{word} {i}" for i in range(40)] for word in ("before", "after")]
        self.send_in("state", "--lines", stdin="\n".join(before[:30]))
        self.copy("copy", "state")
        self.send_in("state", "--lines", stdin="\n".join(after))
        self.assertEqual(self.waiting(self.other), ["first", *before[:30], *after])

    def test_far_back(self) -> None:
        """Farther back than the server remembers texts, a message would be lost as a duplicate."""
        self.send_in("state", "first")
        self.copy()
        lines = [f"{i}" for i in range(80)]
        self.send_in("state", "--lines", stdin="\n".join(lines))
        self.copy("copy", "state")
        self.send_in("state", "--lines", stdin="a\nb\n")
        self.assertEqual(self.waiting(self.other), ["first", *lines, "a", "b"])

    def test_reader_waited_for(self) -> None:
        """After a restore ``--wait`` would not find the reader, or ask about another message."""
        self.send_in("state", "1")
        self.copy()
        self.send_in("state", "2")
        self.copy("copy", "state")
        reader = self.server.structured()
        self.addCleanup(reader.close)
        process = self.begin("send", "--to", str(self.other), "--wait=20", "--verbose", "3")
        assert process.stdout
        for line in process.stdout:
            if ":3" in line:
                break
        reader.log_in(self.other, PASSWORD)
        self.assertEqual([reader.await_type("msg")["text"] for _ in range(3)], ["1", "2", "3"])
        self.done(self.ended(process))

    def test_chat(self) -> None:
        """Who chats with a state that was put back would see messages sent that nobody gets."""
        lines = [f"auth {self.uid} {PASSWORD}", f"msg {self.other} 1"]
        self.assertEqual(self.run_client(*lines).status, 0)
        self.copy()
        self.assertEqual(self.run_client(lines[0], f"msg {self.other} 2").status, 0)
        self.copy("copy", "state")
        more = [f"msg {self.other} {n}" for n in (3, 4)]
        self.assertEqual(self.run_client(lines[0], *more).status, 0)
        self.assertEqual(self.waiting(self.other), [*"1234"])


class Clones(CopyCase):
    def test_in_turn(self) -> None:
        """Two containers of one image would drop each other's messages."""
        self.send_in("state", "0")
        self.copy()
        for number, name in enumerate(("state", "copy", "state", "copy", "copy", "state"), 1):
            self.send_in(name, f"{number}")
        self.assertEqual(self.waiting(self.other), [*"0123456"])

    def test_at_the_same_time(self) -> None:
        """Of two that follow a log with one device, one would end, or lose lines."""
        self.send_in("state", "0")
        self.copy()
        one, two = self.lines_in("state"), self.lines_in("copy")
        for number in range(4):
            self.say_line(one, f"one {number}")
            self.say_line(two, f"two {number}")
        self.done(self.ended(one, ""))
        self.done(self.ended(two, ""))
        lines = [f"{who} {number}" for number in range(4) for who in ("one", "two")]
        self.assertEqual(self.waiting(self.other), ["0", *lines])

    def test_both_in_flight(self) -> None:
        """Two that send without waiting would lose what was on its way when the other one logged in."""
        self.send_in("state", "0")
        names = [f"clone{i}" for i in range(3)]
        for name in names:
            self.copy("state", name)
        texts = {name: [f"{name} {i}" for i in range(50)] for name in names}
        processes = {name: self.lines_in(name) for name in names}
        for name, process in processes.items():
            assert process.stdin
            process.stdin.write("\n".join(texts[name]))
            process.stdin.flush()
        for process in processes.values():
            output = self.done(self.ended(process))
            self.assertEqual(output.count('"id":'), 50)
        came = self.waiting(self.other)
        self.assertEqual(len(came), 151)
        for name in names:
            self.assertEqual([text for text in came if text.startswith(name)], texts[name])

    def test_one_waits_for_the_reader(self) -> None:
        """Whoever waits for a reader would fail when a clone sends something."""
        self.send_in("state", "0")
        self.copy()
        process = self.begin("send", "--to", str(self.other), "--wait=20", "--verbose", "1")
        assert process.stdout
        for line in process.stdout:
            if ":1" in line:
                break
        for text in ("2", "3"):
            self.send_in("copy", text)
        reader = self.server.structured()
        self.addCleanup(reader.close)
        reader.log_in(self.other, PASSWORD)
        came = [reader.await_type("msg")["text"] for _ in range(4)]
        self.assertEqual(came, [*"0123"])
        self.done(self.ended(process))
