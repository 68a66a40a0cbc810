"""What the archive has, asked of the database of a campaign."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Query = Callable[[str], Sequence[tuple[Any, ...]]]
"""Runs one statement, and gives all its rows."""

ARCHIVE = "archive"
"""The name of the file that is kept beside the journals."""

ROOM_LOGS = """
local found = {}
for _, log in ipairs(redis.call('KEYS', 'chat:{#*}:log')) do
  local room = string.match(log, '{#(%d+)}')
  for _, entry in ipairs(redis.call('XRANGE', log, '-', '+')) do
    local serial, reference = string.match(entry[2][10] or '', '^(%d+) %d+ %S+ ?(%S*)$')
    found[#found + 1] = room .. ':' .. (serial or '0') .. ':' .. (reference or '')
  end
end
return table.concat(found, ' ')
"""
"""Asks Redis for all entries of rooms' logs."""

WAITING = "SELECT COUNT(*) FROM chat_unindexed"

_MESSAGES = (
    "SELECT serial, conversation, sender, name, at, text, edited, changed, retracted"
    " FROM chat_message ORDER BY serial"
)


@dataclass(frozen=True)
class Row:
    """
    A message as the archive has it; ``at`` and ``edited``, when it was edited last, are in ms since 1970.

    ``changed`` is the serial of its last change, 0: nothing has changed it.
    """

    serial: int
    conversation: int
    sender: int
    name: str
    at: int
    text: str
    edited: int | None = None
    changed: int = 0
    is_retracted: bool = False


@dataclass(frozen=True)
class Logged:
    """An entry of a room's log; ``reference`` says what it has to do with an earlier one, or is empty."""

    room: int
    serial: int
    reference: str


@dataclass(frozen=True)
class Archive:
    """
    All that is archived: ``rows`` by ascending serial, the lower and the higher uid of each of the ``conversations``
    of two, the ``words`` of the index as (conversation, token, serial), and the serials that are ``unindexed``.

    ``queued`` entries are not in it yet, and so many were ``refused``. ``logged`` is what the rooms' logs had a moment
    later, after ``read_at``, in seconds since 1970.
    """

    rows: Sequence[Row]
    conversations: Mapping[int, tuple[int, int]]
    words: frozenset[tuple[int, int, int]] = frozenset()
    unindexed: frozenset[int] = frozenset()
    queued: int = 0
    refused: int = 0
    logged: Sequence[Logged] = ()
    read_at: float = math.inf


def logged_in_sql(query: Query) -> list[Logged]:
    """All entries of rooms' logs, where they are in the same database."""
    return [Logged(*row) for row in query("SELECT room, serial, reference FROM chat_room_log")]


def logged_in_redis(answer: str) -> list[Logged]:
    """The same from what `ROOM_LOGS` has answered: words of ROOM:SERIAL:REFERENCE."""
    words = (word.split(":") for word in answer.split())
    return [Logged(int(room), int(serial), reference) for room, serial, reference in words]


def read_archive(query: Query, queued: int = 0, refused: int = 0) -> Archive:
    """Read all of it, but for rooms' logs."""
    rows = [
        Row(
            serial,
            conversation,
            sender,
            name,
            at,
            text,
            edited,
            changed if changed != serial else 0,
            bool(off),
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
