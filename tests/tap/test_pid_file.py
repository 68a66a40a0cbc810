"""A pid file in the way of a server that goes to the background."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tap.pid_file import obstacle
from tests.support.processes import run, run_chat

_TWISTD = str(Path(sys.executable).with_name("twistd"))


class ObstacleTests(SynchronousTestCase):
    """What a file says, and what a start says of it."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "chat.pid"

    def said(self, content: bytes) -> str:
        """The line for a file with this content, which names the file."""
        self.path.write_bytes(content)
        line = obstacle(str(self.path))
        if line:
            self.assertIn(str(self.path.resolve()), line)
            self.assertNotIn("\n", line)
        return line

    def running(self, *words: str) -> int:
        """The process id of a program that runs until the test's end."""
        program = "import sys; print(flush=True); sys.stdin.read()"
        process = subprocess.Popen(
            [sys.executable, "-c", program, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        self.addCleanup(process.communicate)
        assert process.stdout is not None
        process.stdout.readline()
        return process.pid

    def test_none(self) -> None:
        """The first start would be refused."""
        self.assertEqual(obstacle(str(self.path)), "")

    def test_after_a_power_failure(self) -> None:
        """Somebody would look for a server that does not run, without knowing which file to remove."""
        for content in (b"", b"\0\0\0\0\0", b"\n"):
            self.assertIn("is empty, as after a power failure", self.said(content))

    def test_no_process_id(self) -> None:
        """A traceback would be the answer, or process 0, which is everybody of the group, be taken for a server."""
        for content in (
            b"abc",
            b"0",
            b"-1",
            b"9" * 30,
            b"1 2",
            "１".encode(),
            b"\xff",
            b"1" * 4096,
        ):
            self.assertIn("holds no process id", self.said(content))

    def test_process_has_ended(self) -> None:
        """After a crash the server could not be started."""
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        self.assertEqual(self.said(b"%d" % process.pid), "")

    def test_another_program(self) -> None:
        """After a restart of the machine another program with that number would be taken for a server."""
        self.assertIn("another program (python", self.said(b"%d\n" % self.running()))

    def test_server(self) -> None:
        """A second server would be started beside the first."""
        self.assertIn("says that a server runs", self.said(b"%d" % self.running("twistd")))

    def test_not_readable(self) -> None:
        """A folder in the file's place would be a traceback."""
        self.path.mkdir()
        self.assertIn("Is a directory", obstacle(str(self.path)))

    def test_cannot_be_made(self) -> None:
        """The server would end in the background, with a traceback in its log."""
        self.assertIn("no folder to write to", obstacle(str(self.folder / "none" / "chat.pid")))
        self.path.symlink_to("nowhere/chat.pid")
        self.assertIn("no folder to write to", obstacle(str(self.path)))


class StartTests(SynchronousTestCase):
    """``twistd chat`` in a folder with a pid file."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp()).resolve()
        self.folder.mkdir()
        self.path = self.folder / "twistd.pid"

    def start(self) -> tuple[int, str]:
        """Start a server in the background: status and errors."""
        port = "ssl:0:interface=127.0.0.1"
        done = run(_TWISTD, "chat", "--port", port, folder=self.folder, forked=False)
        return done.status, done.stderr

    def test_refused(self) -> None:
        """Several lines, none of which names the file, or a traceback, would be the answer."""
        for content in (b"", b"9" * 30, b"1"):
            self.path.write_bytes(content)
            status, line = self.start()
            self.assertEqual(status, 1)
            self.assertRegex(line, r"^chat: the pid file \S+/twistd\.pid [^\n]*\n$")
            self.assertEqual(self.path.read_bytes(), content)

    def test_lock_of_a_socket(self) -> None:
        """The lock beside a Unix socket would be in the way, and nobody know of it."""
        lock = self.folder / "chat:1.sock.lock"
        lock.symlink_to("1")
        for port in (r"unix:chat\:1.sock:mode=600", r"unix:mode=600:address=chat\:1.sock"):
            done = run_chat("--port", port, folder=self.folder)
            self.assertEqual(done.status, 1)
            self.assertIn("remove chat:1.sock.lock", done.stderr)
        lock.unlink()

    def test_left_over(self) -> None:
        """After a crash the server would not come up again."""
        process = subprocess.Popen([sys.executable, "-c", ""])
        process.wait()
        self.path.write_text(str(process.pid))
        status, _ = self.start()
        self.addCleanup(self.end)
        self.assertEqual(status, 0)
        self.assertNotEqual(self.path.read_text(), str(process.pid))

    def end(self) -> None:
        pid = int(self.path.read_text())
        os.kill(pid, signal.SIGKILL)
        for _ in range(500):
            with contextlib.suppress(OSError):
                os.kill(pid, 0)
                time.sleep(0.01)
