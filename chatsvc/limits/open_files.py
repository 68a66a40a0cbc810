"""Open files: each connection is one, so the process's limit of open files bounds its connections."""

from __future__ import annotations

import resource
from dataclasses import replace

from twisted.logger import Logger

from chatsvc.limits.connections import MOST_REFUSED, ConnectionLimits

_log = Logger()

_OTHERS = 64
"""Files that are no user's connection. Measured: 15 at the start, 30 with stores and log; the rest serves metrics."""


def within_open_files(limits: ConnectionLimits) -> ConnectionLimits:
    """
    Return limits that the process's open files allow, with a warning in the log if they are lower.

    If the kernel had to refuse connections (EMFILE, accept(2)), whoever came first would keep everybody else out. Our
    own limit closes silent connections to make room.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits
    # Rejected connections are open while they get their error, and as many may be closing to make room.
    most = max(1, files - 2 * MOST_REFUSED - _OTHERS)
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
