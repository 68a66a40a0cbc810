"""Findings of an inspection, each with its severity."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Severity(StrEnum):
    """How bad it is. ``WARN``: it works, and something endangers that; ``FAIL``: it does not, or soon will not."""

    OK = "ok"
    WARN = "warn"
    FAIL = "FAIL"


@dataclass(frozen=True)
class Finding:
    """One thing that was inspected: what it is about, and one line that says how it is and what to do."""

    verdict: Severity
    about: str
    text: str


def ok(about: str, text: str) -> Finding:
    """Make a finding that all is well."""
    return Finding(Severity.OK, about, text)


def warn(about: str, text: str) -> Finding:
    """Make a finding that something endangers what works."""
    return Finding(Severity.WARN, about, text)


def fail(about: str, text: str) -> Finding:
    """Make a finding that something does not work, or soon will not."""
    return Finding(Severity.FAIL, about, text)
