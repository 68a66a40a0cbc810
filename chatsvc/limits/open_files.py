"""Open files: each connection is one, so the process's limit of open files bounds its connections."""

from __future__ import annotations

import os
import resource
from dataclasses import replace

from twisted.logger import Logger

from chatsvc.limits.connections import MOST_REFUSED, ConnectionLimits

_log = Logger()

_OTHERS = 64
"""Files that are no user's connection. Measured: 15 at the start, 30 with stores and log; the rest serves metrics."""

_KEPT_BACK = 32
"""Of them, those that no user's connection may take: for ``/metrics`` and ``/health``, stores that come back, files."""


class FileReserve:
    """What is kept back of the process's open files when connections have taken all others."""

    def __init__(self) -> None:
        files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        self._unlimited = files == resource.RLIM_INFINITY
        self._most = files - min(_KEPT_BACK, files // 4)

    def allows_one_more(self) -> bool:
        """
        Whether a connection that was accepted just now may stay.

        The system gives out the lowest descriptor that is free, so that one tells how many are taken.
        """
        if self._unlimited:
            return True
        try:
            lowest = os.eventfd(0, os.EFD_CLOEXEC)
        except OSError:
            return False
        os.close(lowest)
        return lowest <= self._most


def most_connections(files: int) -> int:
    """Return how many connections there can be at most with so many open files."""
    return max(1, files - files_for(0))


def files_for(connections: int) -> int:
    """Return how many open files so many connections need."""
    # Rejected connections are open while they get their error, and as many may be closing to make room.
    return connections + 2 * MOST_REFUSED + _OTHERS


def within_open_files(limits: ConnectionLimits) -> ConnectionLimits:
    """
    Return limits that the process's open files allow, with a warning in the log if they are lower.

    If the kernel had to refuse connections (EMFILE, accept(2)), whoever came first would keep everybody else out. Our
    own limit closes silent connections to make room.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits
    most = most_connections(files)
    if limits.total <= most:
        return limits
    _log.warn(
        "At most {files} files may be open: there can be {most} connections, not {wanted} (--max-connections)",
        event="few-open-files",
        files=files,
        most=most,
        wanted=limits.total,
    )
    return replace(limits, total=most)
