"""One server for one file."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.storage.file_lock import FileLock
from chatsvc.storage.url import StoreMisconfigured


class FileLockTests(SynchronousTestCase):
    """A lock within one process and between several."""

    def setUp(self) -> None:
        self.path = self.mktemp()

    def lock(self) -> FileLock:
        """Take the lock, and release it after the test."""
        lock = FileLock(self.path)
        self.addCleanup(self.release, lock)
        return lock

    def release(self, lock: FileLock) -> None:
        """Release a lock that is not released after the test."""
        with contextlib.suppress(OSError):  # where a test released it
            lock.release()

    def refusal(self, path: str = "") -> str:
        """Fail to take the lock; return why."""
        return str(self.assertRaises(StoreMisconfigured, FileLock, path or self.path))

    def test_makes_the_file(self) -> None:
        """Others on the machine could read the accounts and messages of a new server."""
        before = os.umask(0)
        self.addCleanup(os.umask, before)
        self.lock()
        self.assertEqual(stat.S_IMODE(os.stat(self.path).st_mode), 0o600)

    def test_keeps_the_file(self) -> None:
        """A start would empty the file."""
        Path(self.path).write_bytes(b"kept")
        self.lock()
        self.assertEqual(Path(self.path).read_bytes(), b"kept")

    def test_second(self) -> None:
        """Two servers would use one file and lose each other's messages."""
        self.lock()
        line = self.refusal()
        self.assertIn(self.path, line)
        self.assertIn("in use", line)
        self.assertEqual(len(line.splitlines()), 1)

    def test_release(self) -> None:
        """A server that stopped would keep the next from starting."""
        self.lock().release()
        self.lock()

    def test_refusal_keeps_the_lock(self) -> None:
        """The try of a second server would take the lock from the first."""
        self.lock()
        self.refusal()
        self.refusal()

    def test_another_process(self) -> None:
        """A lock would hold only within one process, or outlive its process."""
        program = (
            "import sys; from chatsvc.storage.file_lock import FileLock;"
            "lock = FileLock(sys.argv[1]); print('locked', flush=True); sys.stdin.read()"
        )
        other = subprocess.Popen(
            [sys.executable, "-c", program, self.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert other.stdout is not None
        self.addCleanup(other.communicate)
        self.addCleanup(other.kill)
        self.assertEqual(other.stdout.readline(), b"locked\n")
        self.refusal()
        other.kill()
        other.wait()
        self.lock()

    def test_beside_sqlite(self) -> None:
        """The lock would keep SQLite from its own file, or admins from looking into it."""
        self.lock()
        for _ in range(2):
            with closing(sqlite3.connect(self.path, timeout=0)) as connection, connection:
                connection.execute("CREATE TABLE IF NOT EXISTS t (a)")
                connection.execute("INSERT INTO t VALUES (1)")
        self.refusal()

    def test_not_inherited(self) -> None:
        """A program that the server starts would hold the lock after the server's end."""
        lock = self.lock()
        child = subprocess.Popen(["sleep", "30"], close_fds=False)
        self.addCleanup(child.wait)
        self.addCleanup(child.kill)
        lock.release()
        self.lock()

    def test_impossible(self) -> None:
        """What is wrong with a path would be a traceback instead of a line that names it."""
        folder = self.mktemp()
        os.mkdir(folder)
        for path in (folder, f"{folder}/no/such/folder/chat.db"):
            line = self.refusal(path)
            self.assertIn(path, line)
            self.assertEqual(len(line.splitlines()), 1)
