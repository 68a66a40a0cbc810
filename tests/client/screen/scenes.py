"""
Scenes at a terminal: the real client in tmux, before a real server, and what its screen must look like.

The screens are kept in ``tests/client/screens``, one file each, with the place of the cursor in its last line; what
differs from run to run stands there as fixed words of the same width. After a change that is meant, write them anew
and read them:

    REWRITE_SCREENS=1 python -m twisted.trial tests.client
"""

from __future__ import annotations

import os
import re
import shlex
import sqlite3
import time
from contextlib import closing
from pathlib import Path
from typing import ClassVar

from tests.client.programs import COMMAND, PASSWORD, ProgramCase
from tests.client.screen.tmux import Tmux
from tests.support.clients import StructuredClient
from tests.support.processes import phc

SCREENS = Path(__file__).parents[1] / "screens"
REWRITE = bool(os.environ.get("REWRITE_SCREENS"))

NAMES = ("张三", "李四", "王五", "赵六", "钱七")

_SETTLED = 1.0
"""Seconds without a change after which a screen is written anew."""

_VARYING = re.compile(
    r"(?P<stamp>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)|(?P<time>\d\d:\d\d:\d\d)|(?P<number>\d{5})"
    r"|(?P<delay>\d\.\d)(?= 秒)|(?<=localhost:)(?P<port>\d{1,4})(?=…)"
)

_FIXED = {"stamp": "2026-11-23 17:00:24", "time": "17:00:24", "delay": "1.0"}


class SceneCase(ProgramCase):
    """Two accounts, 张三 (``uid``) and 李四 (``other``); the first of them sits at the terminal."""

    def setUp(self) -> None:
        self._names = iter(NAMES)
        super().setUp()

    def register(self) -> int:
        """A new account, as another program makes it: names may stand for many."""
        with closing(sqlite3.connect(self.server.folder / "chat.db", timeout=30)) as database:
            insert = "INSERT INTO user (username, password) VALUES (?, ?) RETURNING id"
            with database:
                ((uid,),) = database.execute(insert, (next(self._names), phc(PASSWORD))).fetchall()
        return int(uid)

    client: ClassVar[list[str]] = COMMAND
    """The command that starts the client."""

    def sit_down(
        self, *options: str, columns: int = 80, rows: int = 24, shell: bool = False, **env: str
    ) -> Tmux:
        """A terminal with a client in it, or a shell that is to start one."""
        command = ["/bin/sh"] if shell else [*self.client, *self.options(), *options]
        environment = self.environment(PS1="$ ", **env)
        terminal = Tmux(command, self.folder, environment, columns, rows)
        self.addCleanup(terminal.close)
        terminal.await_screen(*(["$"] if shell else ["●", ">>>"]))
        return terminal

    def logged_in(self, *options: str, columns: int = 80, rows: int = 24, **env: str) -> Tmux:
        """A terminal with a client at which 张三 is logged in."""
        terminal = self.sit_down(*options, columns=columns, rows=rows, shell=False, **env)
        terminal.enter(f"auth {self.uid} {PASSWORD}")
        terminal.await_screen(f"({self.uid})")
        return terminal

    def from_shell(self, *options: str) -> Tmux:
        """A terminal with a shell that has started a client, and says how it ended; its process id is in ``pid``."""
        script = self.folder / "chat"
        client = shlex.join([*COMMAND, *self.options(), *options])
        script.write_text(f"#!/bin/sh\necho $$ >pid\nexec {client}\n")
        script.chmod(0o700)
        terminal = self.sit_down(shell=True)
        terminal.enter("stty -a >before; ./chat; echo status $?")
        terminal.await_screen("●", ">>>")
        return terminal

    def person(self, uid: int, device: str = "ab") -> StructuredClient:
        """Somebody else, elsewhere, logged in."""
        client = self.server.structured(device=device * 16)
        self.addCleanup(client.close)
        client.log_in(uid, PASSWORD)
        return client

    def assert_screen(self, name: str, terminal: Tmux) -> None:
        """Fail unless the screen comes to look like the kept one."""
        path = SCREENS / f"{name}.txt"
        if REWRITE:
            path.write_text(self._settled(terminal))
        self.assertTrue(path.exists(), f"{path.name} is not kept: see the docstring of scenes.py")
        kept = path.read_text()
        deadline = time.monotonic() + 10
        while (seen := self._seen(terminal)) != kept and time.monotonic() < deadline:
            time.sleep(0.02)
        self.assertEqual(seen, kept)

    def _settled(self, terminal: Tmux) -> str:
        since, seen = time.monotonic(), self._seen(terminal)
        while time.monotonic() - since < _SETTLED:
            now = self._seen(terminal)
            if now != seen:
                since, seen = time.monotonic(), now
        return seen

    def _seen(self, terminal: Tmux) -> str:
        screen, cursor = terminal.screen(), terminal.cursor()
        return f"{_VARYING.sub(self._fixed, screen)}-- cursor: {cursor.x}, {cursor.y}\n"

    def _fixed(self, found: re.Match[str]) -> str:
        numbers = {self.uid: "10001", self.other: "10002", self.server.port: "10000"}
        if found["number"]:
            return numbers.get(int(found["number"]), found["number"])
        if found["port"]:
            return str(numbers[self.server.port])[: len(found["port"])]
        return _FIXED[str(found.lastgroup)]
