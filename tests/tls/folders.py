"""Key folders of the test's own."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.tls.key_files import BadKeys
from chatsvc.tls.key_folder import KeyFolder


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def write(path: str, content: bytes) -> str:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    return path


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


class FolderTestCase(SynchronousTestCase):
    """A key folder that does not exist yet."""

    def setUp(self) -> None:
        self.base = os.path.abspath(self.mktemp())
        os.mkdir(self.base)
        self.folder = KeyFolder(os.path.join(self.base, "keys"))

    def refused(self, path: str, check: Callable[[], object] | None = None) -> str:
        """The one line that a bad folder or file is refused with."""
        problem = str(self.assertRaises(BadKeys, check or (lambda: self.folder.ensure([]))))
        self.assertIn(path, problem)
        self.assertEqual(len(problem.splitlines()), 1)
        return problem
