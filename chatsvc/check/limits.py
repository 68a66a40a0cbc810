"""Whether the system allows as many open files as the options ask for connections."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import suppress
from math import ceil

from chatsvc.check.finding import Finding, fail, ok, warn
from chatsvc.limits.connections import ConnectionLimits
from chatsvc.limits.open_files import files_for, most_connections

_WHERE = "`LimitNOFILE` of a unit, `ulimit -Hn` here"

_OF_ALL = "/proc/sys/fs/file-max"
"""How many files all processes may open (proc_sys_fs(5))."""


def compare_limits(limits: ConnectionLimits, workers: int) -> Iterator[Finding]:
    """Compare limits of connections with each other and with those of open files that this process has."""
    if limits.per_address >= limits.total:
        text = f"--max-per-ip {limits.per_address}: one address can take all places of --max-connections"
        yield warn("limits", f"{text} {limits.total}")
    wanted = ceil(limits.total / workers)
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)  # a server takes all that it may have
    if files == resource.RLIM_INFINITY:
        yield ok("limits", "any number of files may be open")
    else:
        yield _compare(files, wanted)
    needed = workers * files_for(wanted)
    if 0 < _files_of_all() < needed:
        text = f"all programs together may open {_files_of_all()} files ({_OF_ALL}), and {needed} may be needed"
        yield warn("limits", text)


def _compare(files: int, wanted: int) -> Finding:
    needed = (
        f"{files_for(wanted)} are needed for {wanted} connections of a process (--max-connections)"
    )
    if files < files_for(1):
        return fail("limits", f"only {files} files may be open ({_WHERE}): {needed}")
    if files < files_for(wanted):
        most = most_connections(files)
        return warn(
            "limits", f"{files} files may be open ({_WHERE}), so {most} connections: {needed}"
        )
    return ok("limits", f"{files} files may be open ({_WHERE}): enough for {wanted} connections")


def _files_of_all() -> int:
    with suppress(OSError, ValueError), open(_OF_ALL) as file:
        return int(file.read())
    return 0
