"""What one sees and hears of messages that came while one was away from the terminal."""

from __future__ import annotations

import os
import signal
import sys
from typing import ClassVar

from tests.client.screen.scenes import SceneCase

_CLIENT = """
import signal, sys
from chatsvc.client.screen import screen
from twisted.scripts.twistd import run

signal.signal(signal.SIGUSR1, lambda *_: setattr(screen, "AWAY", 0.0))
sys.argv[0] = "twistd"
run()
"""
"""The client, to which SIGUSR1 means that its user has been away for a while."""


class Unread(SceneCase):
    client: ClassVar[list[str]] = [sys.executable, "-c", _CLIENT, "-n", "chatclient"]

    def test_unread(self) -> None:
        """Who comes back to the terminal would not see what is new, or be told so still after having seen it."""
        li = self.person(self.other)
        terminal = self.logged_in()
        li.say(type="msg", n=1, to=self.uid, text="刚才")
        terminal.await_screen("刚才")
        terminal.press("Right")
        terminal.await_screen("●", gone=["未读"])
        os.kill(int(terminal.value("#{pane_pid}")), signal.SIGUSR1)
        for n, text in ((2, "一"), (3, "二")):
            li.say(type="msg", n=n, to=self.uid, text=text)
        terminal.await_screen("]:二")
        self.assert_screen("unread", terminal)
        server = f"localhost:{self.server.port}"
        terminal.await_value("#{pane_title}", f"(2) 张三({self.uid}) @ {server}")
        terminal.press("Right")
        self.assert_screen("read", terminal)
        terminal.await_value("#{pane_title}", f"张三({self.uid}) @ {server}")

    def test_bell(self) -> None:
        """Who asked for the bell would not hear it, or others would."""
        li = self.person(self.other)
        for n, options, rung in ((1, ("--bell",), "1"), (2, (), "0")):
            terminal = self.logged_in(*options)
            terminal.watch_bell()
            li.say(type="msg", n=n, to=self.uid, text="喂")
            terminal.await_screen("喂")
            terminal.await_value("#{window_bell_flag}", rung)
            terminal.press("C-d")
            terminal.status()
