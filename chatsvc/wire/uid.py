"""Parsing uids as people type them."""

from __future__ import annotations

import re

from chatsvc.wire.commands import NO_UID

UID_RANGE = f"a whole number from {-NO_UID} to {NO_UID - 1}"
"""The range of uids, in words for error messages."""

_MAX_TYPED = 100
"""Characters that are parsed at all: more would be slow, and none is a uid."""

_UID = re.compile(r"-?[0-9]+", re.ASCII)
_MAX_UID_DIGITS = 19
"""Of -2^63 and 2^63 - 1. More would be slow to turn into a number, and are zeros in front or no uid."""


def possible_uid(word: str) -> int | None:
    """Return a uid as an admin types it, or None if it is no whole number of 64 bits, which is what stores hold."""
    uid = int(word) if len(word) <= _MAX_TYPED and _UID.fullmatch(word) else NO_UID
    return uid if -NO_UID <= uid < NO_UID else None


def parse_uid(word: str) -> int | None:
    """Return a uid as typed, or None if it is no whole number in ASCII; one beyond 64 bits is ``NO_UID``."""
    if not (word.isdigit() and word.isascii()) and not _UID.fullmatch(word):
        return None
    if len(word) < _MAX_UID_DIGITS:
        return int(word)
    digits = word.lstrip("-").lstrip("0") or "0"
    if len(digits) > _MAX_UID_DIGITS:
        return NO_UID
    uid = -int(digits) if word.startswith("-") else int(digits)
    return uid if -NO_UID <= uid < NO_UID else NO_UID
