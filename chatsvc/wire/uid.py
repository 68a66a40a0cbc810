"""Uids as people type them."""

from __future__ import annotations

import re

from chatsvc.wire.commands import NO_UID

UID_RANGE = f"a whole number from {-NO_UID} to {NO_UID - 1}"
"""What a uid is, for people."""

_MOST_TYPED = 100

_UID = re.compile(r"-?[0-9]+", re.ASCII)
_MAX_UID_DIGITS = 19


def possible_uid(word: str) -> int | None:
    """A uid as an admin types it, None if it is none that could be somebody's: stores hold 64 bits."""
    uid = int(word) if len(word) <= _MOST_TYPED and _UID.fullmatch(word) else NO_UID
    return uid if -NO_UID <= uid < NO_UID else None


def parse_uid(word: str) -> int | None:
    """A uid as typed, None if it is no whole number in ASCII; one out of range becomes ``NO_UID``."""
    if not (word.isdigit() and word.isascii()) and not _UID.fullmatch(word):
        return None
    return int(word) if len(word) <= _MAX_UID_DIGITS else NO_UID
