"""A lock that keeps a second server away from an SQLite file."""

from __future__ import annotations

import fcntl
import os

from chatsvc.storage.url import StoreMisconfigured


class FileLock:
    """
    Holds a file for this process; creates it (mode 0600) if it is not there.

    The lock is one of flock(2), which does not conflict with SQLite's own. Release it only after SQLite has closed the
    file: closing any descriptor of a file drops all POSIX locks that the process has on it (fcntl(2)).

    :raise StoreMisconfigured: when another server holds it, or it cannot be opened; the text names the file.
    """

    def __init__(self, path: str) -> None:
        try:
            self._descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as problem:
            raise StoreMisconfigured(f"{path}: {problem.strerror}") from None
        try:
            fcntl.flock(self._descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._descriptor)
            raise StoreMisconfigured(
                f"{path} is in use by another server; SQLite serves one, several need MySQL and Redis"
            ) from None

    def release(self) -> None:
        """Release the lock."""
        os.close(self._descriptor)
