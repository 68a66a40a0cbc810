"""Files that are written whole or not at all, and folders that one process holds at a time."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from itertools import count

_NUMBERS = count(1)


def write_atomically(path: str | os.PathLike[str], content: bytes, mode: int = 0o600) -> None:
    """
    Put a new file in the place of ``path``: readers find the old content or the new one, even after a crash.

    The file never has another mode than ``mode``, less the umask. Several threads and processes may write the same
    path at once; the last one wins.

    :raise OSError: it cannot be written; the old file stays.
    """
    folder, name = os.path.split(path)
    new = os.path.join(folder, f".{name}.{os.getpid()}.{next(_NUMBERS)}.new")
    with suppress(FileNotFoundError):
        os.unlink(new)  # left by a crash of an earlier process with this id
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError:
        with suppress(OSError):
            os.unlink(new)
        raise


@contextmanager
def locked_folder(path: str | os.PathLike[str]) -> Iterator[int]:
    """
    Hold a folder against other processes that do the same, waiting for them; give its descriptor.

    The lock is ``flock``'s (flock(2)): it ends with the process.

    :raise OSError: it is no folder, or cannot be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield descriptor
    finally:
        os.close(descriptor)
