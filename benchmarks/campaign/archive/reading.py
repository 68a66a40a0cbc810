"""What the archive has, asked of the database of a campaign."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Query = Callable[[str], Sequence[tuple[Any, ...]]]
"""Runs one statement, and gives all its rows."""

ARCHIVE = "archive"
"""The name of the file that is kept beside the journals."""

WAITING = "SELECT COUNT(*) FROM chat_unindexed"

_MESSAGES = (
    "SELECT serial, conversation, sender, name, at, text, edited, changed, retracted"
    " FROM chat_message ORDER BY serial"
)


@dataclass(frozen=True)
class Row:
    """A message as the archive has it; ``at`` is in ms since 1970. ``is_plain``: nobody has changed it."""

    serial: int
    conversation: int
    sender: int
    name: str
    at: int
    text: str
    is_plain: bool = True


@dataclass(frozen=True)
class Archive:
    """
    All that is archived: ``rows`` by ascending serial, the lower and the higher uid of each of the ``conversations``
    of two, the ``words`` of the index as (conversation, token, serial), and the serials that are ``unindexed``.

    ``queued`` entries are not in it yet, and so many were ``refused``.
    """

    rows: Sequence[Row]
    conversations: Mapping[int, tuple[int, int]]
    words: frozenset[tuple[int, int, int]] = frozenset()
    unindexed: frozenset[int] = frozenset()
    queued: int = 0
    refused: int = 0


def read_archive(query: Query, queued: int = 0, refused: int = 0) -> Archive:
    """Read all of it."""
    rows = [
        Row(
            serial,
            conversation,
            sender,
            name,
            at,
            text,
            (edited, changed, off) == (None, serial, 0),
        )
        for serial, conversation, sender, name, at, text, edited, changed, off in query(_MESSAGES)
    ]
    pairs = query("SELECT conversation, low, high FROM chat_conversation")
    conversations = {number: (low, high) for number, low, high in pairs}
    # First what is not indexed yet, so that all others are.
    unindexed = frozenset(serial for (serial,) in query("SELECT serial FROM chat_unindexed"))
    words = frozenset(query("SELECT conversation, token, serial FROM chat_word"))
    return Archive(rows, conversations, words, unindexed, queued, refused)


def keep_archive(folder: Path, archive: Archive) -> None:
    """Write the messages down, for who looks at a complaint: each in a line, with the text without its tail."""
    lines = [
        f"{row.serial} {row.conversation} {row.sender} {row.at} {row.text.split(' ')[0]}\n"
        for row in archive.rows
    ]
    (folder / ARCHIVE).write_text("".join(lines))
