"""
Which test modules need no server: ``python -m tests.support.fast_part`` prints their names.

They are what CI runs a second time on the newest Python. A module needs one if it, or what it imports of the tests,
imports what starts them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.support.imports import graph_of, python_files

_ROOT = Path(__file__).parents[2]
_STARTERS = {"tests.support.servers", "tests.support.processes"}
_ALSO_SLOW = {"tests.test_packaging", "tests.campaign.test_faults"}
"""Those that start something else: builds of the package, and campaigns."""


def fast_part() -> list[str]:
    """Give the names of the modules, sorted."""
    files = python_files(_ROOT, "tests", "benchmarks")
    users: dict[str, set[str]] = {file: set() for file in files}
    for one in graph_of(files):
        users[one.module].add(one.file)
    slow = set(_ALSO_SLOW)
    for starter in _STARTERS:
        slow |= set(_reach(users, starter))
    return sorted(
        file for file in files if file.rpartition(".")[2].startswith("test_") and file not in slow
    )


def _reach(users: dict[str, set[str]], start: str) -> Iterator[str]:
    seen, left = {start}, [start]
    while left:
        file = left.pop()
        yield file
        left += users[file] - seen
        seen |= users[file]


if __name__ == "__main__":
    print("\n".join(fast_part()))
