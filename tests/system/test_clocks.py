"""Commands whose machine's time is set back, or that are stopped for a while, as they wait."""

from __future__ import annotations

import signal
import socket
import subprocess
import time
from collections.abc import Sequence

from tests.client.programs import COMMAND
from tests.client.script.script_case import CHATSVC, ScriptCase
from tests.client.waiting import await_connected

BACKWARDS = """
import time

begun, forwards = time.time(), time.monotonic
start = forwards()
time.time = lambda: begun - (forwards() - start)
"""
"""Runs at the start of an interpreter (``site``): from then on the system's time goes backwards."""

ENOUGH = 30
"""Seconds in which each of the commands is over."""


class Clocks(ScriptCase):
    def setUp(self) -> None:
        super().setUp()
        (self.folder / "sitecustomize.py").write_text(BACKWARDS)
        self.listener = socket.create_server(
            ("127.0.0.1", 0), backlog=50
        )  # takes all, says nothing
        self.addCleanup(self.listener.close)

    def start_waiting(self, *words: str) -> subprocess.Popen[str]:
        """A command that waits for somebody who says nothing."""
        process = subprocess.Popen(
            words,
            cwd=self.folder,
            env=self.environment(
                PYTHONPATH=str(self.folder),
                CHATSVC_CONNECT=f"localhost:{self.listener.getsockname()[1]}",
            ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.addCleanup(process.kill)
        return process

    def test_set_back(self) -> None:
        """A command would wait for hours, because the time was set back as by NTP or a restored machine."""
        store = f"mysql://u:p@127.0.0.1:{self.listener.getsockname()[1]}/chat"
        commands: Sequence[Sequence[str]] = (
            (CHATSVC, "send", "--to", "1", "--timeout", "2", "x"),
            (CHATSVC, "listen", "--timeout", "2"),
            (CHATSVC, "--accounts", store, "account", "list"),
            tuple(COMMAND),
        )
        for words, process in [(words, self.start_waiting(*words)) for words in commands]:
            _, errors = process.communicate(timeout=ENOUGH)
            self.assertEqual((process.returncode, errors.count("\n")), (1, 1), (words, errors))

    def test_stopped(self) -> None:
        """A command that was stopped, as by Ctrl-Z, would take that time for the server's, and give up."""
        self.server.freeze()
        self.addCleanup(self.server.thaw)
        process = self.begin("send", "--to", str(self.other), "--timeout", "3", "x")
        await_connected(process.pid)
        process.send_signal(signal.SIGSTOP)
        self.server.thaw()
        time.sleep(4)
        process.send_signal(signal.SIGCONT)
        self.done(self.ended(process))
        self.assertEqual(self.waiting(self.other), ["x"])
