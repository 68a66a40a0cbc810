"""The pid file of a server in the background: what is in the way of a start, said in a line."""

from __future__ import annotations

import os
from pathlib import Path

_MOST_READ = 64
"""Bytes; a process id has ten digits at most."""


def obstacle(path: str) -> str:
    """
    Say what in a pid file is in the way of a start, and what to do about it; empty: nothing is.

    ``twistd`` itself removes a file whose process is gone. What else it finds it reports without the file's name, or
    with a traceback.
    """
    path = os.path.abspath(path)
    try:
        with open(path, "rb") as file:
            content = file.read(_MOST_READ)
    except FileNotFoundError:
        return _unwritable(path)
    except OSError as problem:
        return f"the pid file {path} cannot be read: {problem.strerror}; name another --pidfile"
    pid = _process_id(content)
    if pid is None:
        what = "is empty" if not content.strip(b"\0 \r\n\t") else "holds no process id"
        return f"the pid file {path} {what}, as after a power failure: if no server runs here, remove it"
    if not _runs(pid):
        return _unwritable(path)
    command = _read(f"/proc/{pid}/cmdline")
    if "twistd" in command:
        return f"the pid file {path} says that a server runs, process {pid}: stop it, or name another --pidfile"
    name = _read(f"/proc/{pid}/comm").strip() or "its name cannot be read"
    return (
        f"the pid file {path} is left over from a server that has ended: process {pid} is another program ({name})"
        " now; remove the file"
    )


def _unwritable(path: str) -> str:
    folder = os.path.dirname(os.path.realpath(path))
    if os.path.isdir(folder) and os.access(folder, os.W_OK | os.X_OK):
        return ""
    return f"the pid file {path} cannot be made: {folder} is no folder to write to; name another --pidfile"


def _process_id(content: bytes) -> int | None:
    try:
        pid = int(content.decode("ascii"))
    except ValueError:
        return None
    return pid if 0 < pid < 2**31 else None


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass  # it is somebody else's
    return True


def _read(path: str) -> str:
    """Read what Linux says of a process (proc(5)); empty: it does not."""
    try:
        return Path(path).read_bytes().decode(errors="replace")
    except OSError:
        return ""
