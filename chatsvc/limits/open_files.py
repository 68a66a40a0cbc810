"""Open files: each connection is one, so what the process may have of them bounds how many connections it can take."""

from __future__ import annotations

import resource
from dataclasses import replace

from twisted.logger import Logger

from chatsvc.limits.connections import MOST_REFUSED, ConnectionLimits

_log = Logger()

_OTHERS = 64
"""Files that are no user's connection. Measured: 15 at the start, 30 with stores and log; the rest is for metrics."""


def within_open_files(limits: ConnectionLimits) -> ConnectionLimits:
    """
    Limits under which no connection fails for want of a descriptor: the kernel's refusal (EMFILE, accept(2)) would let
    who came first keep everybody else out, where this server's own has the silent ones make room.
    """
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files == resource.RLIM_INFINITY:
        return limits
    # Some come in to be told that there are too many, and some make room while others come.
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
