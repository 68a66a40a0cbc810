"""A log whose file others cut off, and a log that nobody takes."""

from __future__ import annotations

import fcntl
import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from urllib.request import urlopen

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import FrameClient
from tests.support.processes import ChatServer
from tests.support.servers import free_port

_F_SETPIPE_SZ = 1031
_MANY = 100
"""Connections whose lines, two each, are more than a pipe of one page takes."""


class _Filing(ChatServer):
    """A server whose log is a file of twistd's."""

    twistd: Sequence[str] = ("-n", "--logfile", "own.log")

    def log(self) -> str:
        path = self.folder / "own.log"
        return path.read_text() if path.exists() else ""


class CopyTruncateTests(SynchronousTestCase):
    """The file of the log is copied and cut off, as logrotate(8) does with ``copytruncate``."""

    def test_own_file(self) -> None:
        """The log would go on where it was, behind a hole of NULs."""
        server = _Filing().start()
        self.addCleanup(server.remove)
        self.assertTrue(server.wait_for("Next, "))
        os.truncate(server.folder / "own.log", 0)
        server.reload()
        self.assertTrue(server.wait_for("Reloaded: certificate"))
        self.assertRegex(server.log(), r"^\d{4}-")
        self.assertNotIn("\0", server.log())

    def test_standard_output(self) -> None:
        """The same where a shell has opened the file, with ``>``."""
        server = ChatServer()
        self.addCleanup(server.remove)
        path = server.folder / "shell.log"
        with open(path, "wb") as log:
            process = subprocess.Popen(server.command(), cwd=server.folder, stdout=log)
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        self.until(lambda: b"Next, " in path.read_bytes())
        os.truncate(path, 0)
        process.send_signal(signal.SIGHUP)
        self.until(lambda: b"Reloaded: certificate" in path.read_bytes())
        self.assertNotIn(b"\0", path.read_bytes())

    def until(self, happened: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 30
        while not happened():
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.02)


class PipeTests(SynchronousTestCase):
    """The log is a pipe, and its reader stands still."""

    def begin(self) -> None:
        """Start a server, and read its log until it serves, and no further."""
        self.http = free_port()
        metrics = f"tcp:{self.http}:interface=127.0.0.1"
        self.server = ChatServer("--log-level", "debug", "--metrics", metrics)
        self.addCleanup(self.server.remove)
        self.reading, writing = os.pipe()
        self.addCleanup(os.close, self.reading)
        fcntl.fcntl(writing, _F_SETPIPE_SZ, 4096)
        self.process = subprocess.Popen(
            self.server.command(), cwd=self.server.folder, stdout=writing
        )
        os.close(writing)
        self.addCleanup(self.process.wait)
        self.addCleanup(self.process.kill)
        self.read_until(b"chatclient --connect")

    def read_until(self, words: bytes) -> bytes:
        """What the log says up to these words."""
        said = b""
        while words not in said:
            self.assertTrue(select.select([self.reading], [], [], 30)[0], said)
            said += os.read(self.reading, 65_536)
        return said

    def connect(self) -> None:
        """Come and go, often enough to fill the pipe."""
        for _ in range(_MANY):
            client = FrameClient(self.server.port, self.server.ca)
            client.read()
            client.close()

    def dropped(self) -> float:
        """What the metrics say of lines that were lost."""
        page = urlopen(f"http://127.0.0.1:{self.http}/metrics", timeout=10).read().decode()
        (line,) = [one for one in page.splitlines() if one.startswith("chatsvc_log_lines_dropped")]
        return float(line.split()[1])

    def test_stands_still(self) -> None:
        """Everybody would wait until somebody reads the log; and the server could not be stopped."""
        self.begin()
        self.connect()
        self.assertEqual(self.dropped(), 0)
        self.process.terminate()
        self.assertEqual(self.process.wait(12), -signal.SIGTERM)

    def test_goes_on(self) -> None:
        """What was said meanwhile, and fits, would be lost."""
        self.begin()
        self.connect()
        said = self.read_until(b"connection %d: disconnected" % _MANY)
        self.assertEqual(said.count(b": disconnected"), _MANY)
        self.process.terminate()
        self.assertIn(b"Stopped, after", self.read_until(b"Stopped, after"))

    def test_gone(self) -> None:
        """When the reader has ended, nobody would learn that the log is lost."""
        self.begin()
        os.close(self.reading)
        self.reading = os.open(os.devnull, os.O_RDONLY)
        self.connect()
        self.assertGreater(self.dropped(), _MANY)
