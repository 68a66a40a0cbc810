"""
Whom the campaign has had forgotten, one line each: ``f NAME``, written before the store can know of it.

A device of which this is said may be told that something is no longer kept for it; nobody else may, but for who is too
far behind.
"""

from __future__ import annotations

import os
from collections import defaultdict
from pathlib import Path

from benchmarks.campaign.journal import entries, line_of

FORGETTINGS = "forgettings"
"""The file's name. It is no journal of a user."""


def record_forgetting(folder: Path, name: str) -> None:
    """The device of the session ``name`` will be forgotten, by whatever way."""
    file = os.open(folder / FORGETTINGS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(file, line_of("f", name))
    finally:
        os.close(file)


def read_forgettings(folder: Path) -> dict[str, list[float]]:
    """The times, in seconds since 1970, by the session's name."""
    found: dict[str, list[float]] = defaultdict(list)
    for entry in entries(folder / FORGETTINGS):
        found[entry.words[0]].append(entry.time)
    return found
