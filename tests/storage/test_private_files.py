"""Files that are written whole or not at all, and folders that one process holds."""

from __future__ import annotations

import fcntl
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.storage.private_files import locked_folder, write_atomically


class PrivateFilesTests(SynchronousTestCase):
    """A folder of the test's own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "file"

    def refuse_to_sync(self) -> None:
        """Let the disk be full."""

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        self.patch(os, "fsync", full)

    def test_written(self) -> None:
        """A file would hold something else than what was written last, or leave another one beside it."""
        for content in (b"long content", b"short", b""):
            write_atomically(self.path, content)
            self.assertEqual(self.path.read_bytes(), content)
        self.assertEqual(os.listdir(self.folder), ["file"])

    def test_mode(self) -> None:
        """A secret would be readable for others, or keep the mode of a file that was there."""
        self.addCleanup(os.umask, os.umask(0))
        self.path.touch(0o666)
        for mode in (0o600, 0o644):
            write_atomically(self.path, b"x", mode)
            self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), mode)
        write_atomically(self.path, b"x")
        self.assertEqual(stat.S_IMODE(self.path.stat().st_mode), 0o600)

    def test_full_disk(self) -> None:
        """A full disk would leave half of a file, or take the old one away."""
        write_atomically(self.path, b"old")
        self.refuse_to_sync()
        with self.assertRaises(OSError):
            write_atomically(self.path, b"new")
        self.assertEqual(self.path.read_bytes(), b"old")
        self.assertEqual(os.listdir(self.folder), ["file"])

    def test_link(self) -> None:
        """A file that somebody has put in the new one's place would be written through."""
        other = self.folder / "other"
        other.write_bytes(b"other")
        self.path.symlink_to(other)
        write_atomically(self.path, b"new")
        self.assertEqual((other.read_bytes(), self.path.is_symlink()), (b"other", False))

    def test_many_writers(self) -> None:
        """Of several writers at once one would fail, or leave a mixture."""
        contents = [bytes([65 + n]) * 10_000 for n in range(16)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda content: write_atomically(self.path, content), contents))
        self.assertIn(self.path.read_bytes(), contents)
        self.assertEqual(os.listdir(self.folder), ["file"])

    def test_lock(self) -> None:
        """Two processes would write at once, and what one of them wrote be lost."""
        with locked_folder(self.folder) as descriptor:
            os.fsync(descriptor)
            other = os.open(self.folder, os.O_RDONLY)
            self.addCleanup(os.close, other)
            with self.assertRaises(BlockingIOError):
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
        fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def test_no_folder(self) -> None:
        """A file in the folder's place would be taken for one."""
        self.path.touch()
        with self.assertRaises(NotADirectoryError), locked_folder(self.path):
            pass
