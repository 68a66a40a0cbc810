"""What an inspection finds."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """``WARN``: it works, and something about it endangers that; ``FAIL``: it does not, or soon will not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One thing looked at: what it was, and in one line how it is and, if not well, what to do."""

    verdict: Severity
    about: str
    text: str


def ok(about: str, text: str) -> Finding:
    return Finding(Severity.OK, about, text)


def warn(about: str, text: str) -> Finding:
    return Finding(Severity.WARN, about, text)


def fail(about: str, text: str) -> Finding:
    return Finding(Severity.FAIL, about, text)
