"""Terminals as registered devices, in pipes: real programs, and a real server."""

from __future__ import annotations

import shutil
import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from chatsvc.client.state.outbox import Outbox
from tests.client.programs import PASSWORD, PATIENCE
from tests.client.script.script_case import ScriptCase
from tests.support.forked import ForkedProgram

OLD_STATE = """
CREATE TABLE device (slot INTEGER PRIMARY KEY, id TEXT NOT NULL);
CREATE TABLE recipient (slot INTEGER NOT NULL, uid INTEGER NOT NULL, next INTEGER NOT NULL, PRIMARY KEY (slot, uid));
CREATE TABLE unconfirmed (
    key INTEGER PRIMARY KEY AUTOINCREMENT, slot INTEGER NOT NULL, recipient INTEGER NOT NULL, n INTEGER NOT NULL,
    text TEXT NOT NULL, device TEXT
);
CREATE TABLE reading (one INTEGER PRIMARY KEY CHECK (one = 1), epoch TEXT NOT NULL, last INTEGER NOT NULL);
"""
"""The tables of a client from before there were registered devices."""


class DevicesCase(ScriptCase):
    def environment(self, **more: str) -> dict[str, str]:
        return super().environment(**{"LANG": "zh_CN.UTF-8", **more})

    def seated(self, state: str = "state") -> ForkedProgram:
        """A client at which the user has logged in."""
        options = ["--connect", f"localhost:{self.server.port}", "--ca", self.server.ca]
        process = self.start(*options, "--state", str(self.folder / state))
        self.enter(process, f"auth {self.uid} {PASSWORD}")
        self.await_line(process, "认证成功!")
        return process

    def enter(self, process: ForkedProgram, line: str) -> None:
        """Type a line."""
        assert process.stdin
        process.stdin.write(f"{line}\n")
        process.stdin.flush()

    def await_line(self, process: ForkedProgram, end: str) -> list[str]:
        """What a client prints up to a line that ends so."""
        assert process.stdout
        lines: list[str] = []
        late = threading.Timer(PATIENCE, process.kill)
        late.start()
        try:
            while not lines or not lines[-1].endswith(end):
                line = process.stdout.readline()
                self.assertTrue(line, f"{end} did not come: {lines}")
                lines.append(line.rstrip("\n"))
        finally:
            late.cancel()
        return lines

    def texts(self, lines: list[str]) -> list[str]:
        """The texts of the messages among them."""
        return [line.partition("]:")[2] for line in lines if "]:" in line]

    def await_records(self, terminals: int) -> None:
        """Wait until so many terminals have recorded what they printed: one killed before would print it again."""
        deadline = time.monotonic() + PATIENCE
        (path,) = (self.folder / "state").rglob(f"{self.uid}.db")
        with closing(sqlite3.connect(path)) as database:
            recorded = "SELECT count(*) FROM shown WHERE id > 0"
            while database.execute(recorded).fetchone()[0] < terminals:
                self.assertLess(time.monotonic(), deadline)
                time.sleep(0.02)

    def say_to_me(self, *texts: str) -> None:
        """Somebody writes to the user."""
        client = self.server.structured()
        self.addCleanup(client.close)
        client.log_in(self.other, PASSWORD, receive=False)
        for n, text in enumerate(texts, 1):
            self.assertEqual(client.ask(type="msg", n=n, to=self.uid, text=text)["type"], "sent")


class SideBySide(DevicesCase):
    def test_terminals_and_scripts(self) -> None:
        """Whoever opens a terminal would end a program that listens or another terminal, or these would show less."""
        listener = self.begin("listen", "--count=2")
        terminals = [self.seated(), self.seated(), self.seated("elsewhere")]
        self.say_to_me("a")
        for terminal in terminals:
            self.assertEqual(self.texts(self.await_line(terminal, ":a")), ["a"])
        self.enter(terminals[0], f"msg {self.other} hi")
        self.await_line(terminals[0], ":hi")
        for terminal in terminals[1:]:
            self.assertEqual(
                self.texts(self.await_line(terminal, f"→ {self.other}")), [f"hi  → {self.other}"]
            )
        self.done(self.send("from a script"))
        self.say_to_me("b")
        for terminal in terminals:
            self.assertEqual(self.texts(self.await_line(terminal, ":b")), ["b"])
        self.assertEqual(self.texts(self.done(self.ended(listener)).splitlines()), ["a", "b"])

    def test_copied_state(self) -> None:
        """Two machines with one state would throw each other out, or one of them not show everything."""
        one = self.seated()
        self.say_to_me("a")
        self.await_line(one, ":a")
        self.await_records(1)
        shutil.copytree(self.folder / "state", self.folder / "copy")
        two = self.seated("copy")
        self.await_line(one, "另一台设备")
        self.enter(one, f"auth {self.uid} {PASSWORD}")
        self.await_line(one, "认证成功!")
        self.say_to_me("b")
        for terminal in (one, two):
            self.assertEqual(self.texts(self.await_line(terminal, ":b")), ["b"])

    def test_forgotten(self) -> None:
        """A terminal that its user has forgotten would come back by itself, or show again what it has shown."""
        one, two = self.seated(), self.seated("elsewhere")
        self.say_to_me("a")
        for terminal in (one, two):
            self.await_line(terminal, ":a")
        self.enter(one, "devices")
        listed = self.await_line(one, "在线")
        self.assertIn("本设备", listed[0])
        self.enter(one, "forget 2")
        self.await_line(one, "失效!")
        self.assertIn("此设备已被移除, 请重新登录!", self.await_line(two, "请登陆!"))
        self.enter(one, "devices")
        self.await_line(one, "本设备")
        self.enter(two, f"auth {self.uid} {PASSWORD}")
        self.await_line(two, "认证成功!")
        self.say_to_me("b")
        for terminal in (one, two):
            self.assertEqual(self.texts(self.await_line(terminal, ":b")), ["b"])

    def test_what_another_left(self) -> None:
        """What a terminal left would stand twice at the one that settles it, and be missing at the others."""
        here, gone, elsewhere = self.seated(), self.seated(), self.seated("elsewhere")
        self.enter(gone, f"msg {self.other} said")
        self.await_line(gone, ":said")
        for terminal in (here, elsewhere):
            self.await_line(terminal, f"said  → {self.other}")
        for terminal in (gone, here):
            self.end(terminal)
        server = f"localhost:{self.server.port}"
        outbox = Outbox(self.folder / "state", server, self.uid, slot=2)
        with closing(outbox), closing(sqlite3.connect(outbox.path)) as database, database:
            outbox.add(self.other, "left")
            row = (2, self.other, 1, "said", outbox.present_device)
            sql = "INSERT INTO unconfirmed (key, slot, recipient, n, text, device)"
            database.execute(f"{sql} VALUES (1, ?, ?, ?, ?, ?)", row)  # not confirmed after all
        here = self.seated()
        self.say_to_me("z")
        for terminal in (here, elsewhere):
            self.assertEqual(
                self.texts(self.await_line(terminal, ":z")), [f"left  → {self.other}", "z"]
            )
        client = self.server.structured()
        self.addCleanup(client.close)
        client.log_in(self.other, PASSWORD)
        got = [client.await_type("msg")["text"] for _ in range(2)]
        self.assertEqual((got, client.ask(type="ping", n=9)["type"]), (["said", "left"], "pong"))

    def test_killed(self) -> None:
        """A terminal that is killed would show a message again, or leave one out, or its unsent ones be forgotten."""
        one, two = self.seated(), self.seated()
        self.say_to_me("a")
        for terminal in (one, two):
            self.await_line(terminal, ":a")
        self.await_records(2)
        for terminal in (one, two):
            self.end(terminal)
        self.say_to_me("b")
        self.assertEqual(self.texts(self.await_line(self.seated(), ":b")), ["b"])


class OlderState(DevicesCase):
    """The first log-in as a registered device, with what a client of the version before has left."""

    def older_state(self, epoch: str, last: int) -> None:
        path = (
            self.folder
            / "state"
            / quote(f"localhost:{self.server.port}", safe="")
            / f"{self.uid}.db"
        )
        path.parent.mkdir(mode=0o700, parents=True)
        with closing(sqlite3.connect(path)) as database, database:
            database.executescript(OLD_STATE)
            database.execute("INSERT INTO reading VALUES (1, ?, ?)", (epoch, last))
        Path(path).chmod(0o600)

    def epoch(self) -> str:
        client = self.server.structured()
        self.addCleanup(client.close)
        epoch = client.log_in(self.uid, PASSWORD)["epoch"]
        client.close()
        return str(epoch)

    def test_shown_and_not_acknowledged(self) -> None:
        """What was shown before the new version came would be shown again."""
        self.say_to_me("a", "b", "c")
        self.older_state(self.epoch(), 2)
        terminal = self.seated()
        self.assertEqual(self.texts(self.await_line(terminal, ":c")), ["c"])
        self.say_to_me("d")
        self.assertEqual(self.texts(self.await_line(terminal, ":d")), ["d"])
        self.end(terminal)
        self.say_to_me("e")
        self.assertEqual(self.texts(self.await_line(self.seated(), ":e")), ["e"])

    def test_another_epoch(self) -> None:
        """Messages under ids that were shown in another epoch would be lost."""
        self.say_to_me("a", "b", "c")
        self.older_state("another", 2)
        self.assertEqual(self.texts(self.await_line(self.seated(), ":c")), ["a", "b", "c"])
