"""
Draws the pictures of the README: a dialogue at a real terminal, before a real server.

    pip install rich && python docs/screenshot.py

It writes ``docs/screen.svg`` (English) and ``docs/screen.zh.svg``, and needs tmux.
"""

from __future__ import annotations

import io
import os
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.text import Text

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.client.screen.tmux import Tmux
from tests.support.clients import StructuredClient
from tests.support.processes import ChatServer

HERE = Path(__file__).parent
COLUMNS, ROWS = 90, 18
PASSWORD = "pw"
_LOOKING_AWAY = 6.0
"""Seconds without a key after which what comes is unread."""


@dataclass(frozen=True)
class Script:
    """Who is there, and what is said, in one language."""

    lang: str
    me: str
    away: str
    colleagues: tuple[str, str]
    questions: tuple[str, str]
    answers: tuple[str, str]
    later: str
    typing: str


SCRIPTS = {
    "screen.svg": Script(
        lang="en",
        me="Zhang San",
        away="Wang Wu",
        colleagues=("Li Si", "Zhao Liu"),
        questions=("Is the new build on the test machine?", "Lunch at twelve?"),
        answers=("Since ten o'clock, all green 🎉", "The build is up, please have a look tomorrow"),
        later="Thanks! I shall try it at once.",
        typing="You are wel",
    ),
    "screen.zh.svg": Script(
        lang="zh",
        me="张三",
        away="王五",
        colleagues=("李四", "赵六"),
        questions=("新版本装到测试机上了吗?", "十二点一起吃饭?"),
        answers=("十点就装好了, 测试全部通过 🎉", "新版本装好了, 明天请看一下"),
        later="谢谢! 我马上试试。",
        typing="不客",
    ),
}


class Stage:
    """One server, everybody who talks, and the terminal that is drawn."""

    def __init__(self, folder: Path, script: Script) -> None:
        self._script = script
        self._server = ChatServer(folder=folder).start()
        self._clients: list[StructuredClient] = []
        self.me, self.away, *self.others = map(
            self._register, (script.me, script.away, *script.colleagues)
        )
        self.terminal = Tmux(self._command(folder), folder, dict(os.environ), COLUMNS, ROWS)

    def close(self) -> None:
        """End all of it."""
        self.terminal.close()
        for client in self._clients:
            client.close()
        self._server.remove()

    def colleague(self, uid: int) -> StructuredClient:
        """Somebody else, logged in."""
        client = self._server.structured()
        self._clients.append(client)
        client.log_in(uid, PASSWORD)
        return client

    def _register(self, name: str) -> int:
        client = self._server.structured()
        self._clients.append(client)
        return int(client.ask(type="register", n=1, name=name, password=PASSWORD)["uid"])

    def _command(self, folder: Path) -> list[str]:
        program = str(Path(sys.executable).with_name("twistd"))
        server = ("--connect", f"localhost:{self._server.port}", "--ca", self._server.ca)
        own = ("--state", str(folder / "state"), "--lang", self._script.lang)
        return [program, "-n", "chatclient", *server, *own]


def play(stage: Stage, script: Script) -> None:
    """Have the dialogue, and stop in the middle of a line."""
    terminal = stage.terminal
    terminal.await_screen("●")
    terminal.enter(f"/login {stage.me}")
    terminal.await_screen(":", gone=[">>>"])
    terminal.enter(PASSWORD)
    terminal.await_screen(f"({stage.me})")
    first, second = map(stage.colleague, stage.others)
    _say(first, stage.me, script.questions[0])
    terminal.await_screen(script.questions[0])
    terminal.enter(f"/reply {script.answers[0]}")
    terminal.await_screen("✓")
    _say(second, stage.me, script.questions[1])
    terminal.await_screen(script.questions[1])
    terminal.enter(f"msg {stage.away} {script.answers[1]}")
    terminal.await_screen("✉")
    terminal.type(script.typing)
    terminal.await_screen(script.typing)
    time.sleep(_LOOKING_AWAY)
    _say(first, stage.me, script.later)
    terminal.await_screen(script.later)


def _say(client: StructuredClient, to: int, text: str) -> None:
    client.say(type="msg", n=1, to=to, text=text)


def draw(screen: str, path: Path, title: str) -> None:
    """Write a screen, with its escape sequences, as a picture."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), color_system="truecolor")
    console.print(Text.from_ansi(screen), end="")
    path.write_text(console.export_svg(title=title))


def main() -> None:
    """Draw them all."""
    for name, script in SCRIPTS.items():
        with tempfile.TemporaryDirectory(prefix="chatsvc-") as folder:
            stage = Stage(Path(folder), script)
            try:
                play(stage, script)
                draw(stage.terminal.colours(), HERE / name, "chatsvc client")
                print(stage.terminal.screen())
            finally:
                stage.close()


if __name__ == "__main__":
    main()
