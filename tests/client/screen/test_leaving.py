"""The terminal after the client has ended, in whatever way."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from tests.client.screen.scenes import SceneCase
from tests.client.screen.tmux import Tmux, await_that


def runs(pid: int) -> bool:
    """Whether a process runs; one that has ended and that nobody has asked about has no command line."""
    path = Path(f"/proc/{pid}/cmdline")
    try:
        return path.read_bytes() != b""
    except (FileNotFoundError, ProcessLookupError):
        return False


class Leaving(SceneCase):
    def test_ctrl_d(self) -> None:
        """Ctrl-D would not end it, not say goodbye, or leave a terminal that shows nothing of what is typed."""
        terminal = self.from_shell()
        terminal.type("half")
        terminal.press("C-d", "C-u", "C-d")
        self.assert_left("ctrl-d", terminal, 0)

    def test_ctrl_c(self) -> None:
        """Ctrl-C would throw the line away and everything with it, or look to a script like a good end."""
        terminal = self.from_shell()
        terminal.type("一半")
        terminal.await_screen("一半")
        terminal.press("C-c")
        self.assert_screen("cleared", terminal)
        terminal.press("C-c")
        self.assert_left("ctrl-c", terminal, 130)

    def test_ctrl_c_while_away(self) -> None:
        """Who breaks off would not learn that something was not sent yet."""
        terminal = self.logged_in()
        self.server.kill()
        terminal.enter(f"msg {self.other} 晚安")
        terminal.await_screen("⋯ 等待确认")
        terminal.press("C-c")
        self.assertEqual(terminal.status(), 130)
        terminal.await_screen("1 条消息尚未确认", "已中断", gone=["⋯"])

    def test_sigterm(self) -> None:
        """A client that is told to end would leave the terminal unusable."""
        terminal = self.from_shell()
        terminal.type("一半")
        terminal.await_screen("一半")
        os.kill(self.pid(), signal.SIGTERM)
        self.assert_left("sigterm", terminal, 128 + signal.SIGTERM)

    def test_hang_up(self) -> None:
        """A client whose window was closed would run on for ever."""
        terminal = self.from_shell()
        pid = self.pid()
        self.assertTrue(runs(pid))
        terminal.hang_up()
        await_that(lambda: not runs(pid), lambda: "it did not end")

    def test_ctrl_z(self) -> None:
        """A client put aside would leave the terminal unusable, or not come back."""
        terminal = self.from_shell()
        terminal.type("一半")
        terminal.await_screen("一半")
        terminal.press("C-z")
        terminal.await_screen("Stopped", "./chat\n$")
        terminal.enter("stty -a >aside; clear; echo aside")
        terminal.await_screen("aside\n$", gone=["echo"])
        modes = (self.folder / "aside").read_text().split()
        self.assertLessEqual({"echo", "icanon", "isig", "icrnl"}, set(modes))
        self.assert_screen("aside", terminal)
        terminal.enter("fg")
        self.assert_screen("no-longer-aside", terminal)
        terminal.press("C-c", "C-d")
        terminal.await_screen("再见!")

    def pid(self) -> int:
        return int((self.folder / "pid").read_text())

    def assert_left(self, name: str, terminal: Tmux, status: int) -> None:
        """The client has ended, and a shell can be used as before."""
        terminal.await_screen(f"status {status}")
        self.assert_usable(terminal)
        self.assert_screen(name, terminal)

    def assert_usable(self, terminal: Tmux) -> None:
        terminal.paste("stty -a >after; ")
        terminal.enter("echo $((6 * 7))")
        terminal.await_screen("$ stty -a >after; echo $((6 * 7))", "\n42\n")
        before, after = ((self.folder / name).read_text() for name in ("before", "after"))
        self.assertEqual(after, before)
        flags = "#{cursor_flag}#{wrap_flag} #{alternate_on}#{keypad_flag}#{mouse_any_flag}"
        self.assertEqual(terminal.value(flags), "11 000")
