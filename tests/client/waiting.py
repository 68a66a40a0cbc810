"""Waiting for something that another process does, rather than for some time."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO

from tests.client.programs import PATIENCE

_BETWEEN_LOOKS = 0.02

_IDLE = 0.1
"""Seconds of sleep without using the processor after which a process waits for something to come."""


def await_that(condition: Callable[[], object], what: str) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError(f"it did not happen: {what}")
        time.sleep(_BETWEEN_LOOKS)


def await_signal_handlers(pid: int) -> None:
    """Wait until a process catches SIGTERM: before that, Python itself takes Ctrl-C."""

    def catches() -> bool:
        status = Path(f"/proc/{pid}/status").read_text()
        found = re.search(r"SigCgt:\s*(\w+)", status)
        return found is not None and bool(int(found[1], 16) & 1 << signal.SIGTERM - 1)

    await_that(catches, f"process {pid} catches SIGTERM")


def await_idle(pid: int) -> None:
    """Wait until a process has done what it can do, and waits."""
    since, before = time.monotonic(), ""

    def idle() -> bool:
        nonlocal since, before
        # After the name, which may have blanks in it: the state, and the 12th and 13th field from there, its ticks.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        now = f"{fields[0]} {fields[11]} {fields[12]}"
        if now != before or fields[0] != "S":
            since, before = time.monotonic(), now
        return time.monotonic() - since >= _IDLE

    await_that(idle, f"process {pid} is idle")


def await_read(pipe: IO[str]) -> None:
    """Wait until the other end of a pipe has read all that was written."""
    await_that(lambda: _held(pipe) == 0, "the pipe is read")


def await_full(pipe: IO[str]) -> None:
    """Wait until a pipe takes nothing more: less than a page or two of it is free, and nothing is added."""
    size = fcntl.fcntl(pipe, fcntl.F_GETPIPE_SZ)
    since, before = time.monotonic(), -1

    def full() -> bool:
        nonlocal since, before
        held = _held(pipe)
        if held != before or held <= size - 2 * 4096:
            since, before = time.monotonic(), held
        return time.monotonic() - since >= 3 * _IDLE

    await_that(full, f"the pipe of {size} bytes is full")


def await_connected(pid: int) -> None:
    """Wait until a process has a connection; the other end may be the kernel of one that hangs."""
    await_that(lambda: _connections() & _sockets(pid), f"process {pid} has a connection")


def await_disconnected(pid: int) -> None:
    """Wait until a process has closed all connections, also those that the other end has closed."""
    await_that(lambda: not _connections() & _sockets(pid), f"process {pid} has no connection")


def _connections() -> set[str]:
    """The inodes of all TCP connections of this machine that stand, or wait for a program to close them."""
    lines = [
        line.split()
        for name in ("tcp", "tcp6")
        for line in Path(f"/proc/net/{name}").read_text().splitlines()[1:]
    ]
    return {line[9] for line in lines if line[3] in (_ESTABLISHED, _CLOSE_WAIT)}


def _sockets(pid: int) -> set[str]:
    """The inodes of a process's sockets."""
    found = set()
    for path in Path(f"/proc/{pid}/fd").iterdir():
        with suppress(OSError):  # closed meanwhile
            target = os.readlink(path)
            if target.startswith("socket:["):
                found.add(target[len("socket:[") : -1])
    return found


_ESTABLISHED, _CLOSE_WAIT = "01", "08"
"""States of TCP in the kernel's ``tcp_states.h``."""


def _held(pipe: IO[str]) -> int:
    """How many bytes lie in a pipe; the same at both ends."""
    (held,) = struct.unpack("i", fcntl.ioctl(pipe, termios.FIONREAD, b"\0" * 4))
    return int(held)
