"""The history in the text dialect: messages as they were shown, a frame each."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from chatsvc.wire import commands as c
from chatsvc.wire import events as e
from chatsvc.wire import history_events as h
from chatsvc.wire.entries import ArchivedMessage
from chatsvc.wire.phrases import Phrases
from chatsvc.wire.problems import Problem
from chatsvc.wire.sanitize import sanitized
from chatsvc.wire.text.lines import fitting, frames, stamp, user
from chatsvc.wire.text.rooms import HASHES
from chatsvc.wire.uid import parse_uid

_SHOWN = 20
"""Messages that are shown if nobody says how many."""

_MOST_DIGITS = 6
"""Of a number of messages."""


# Commands


def _parse_history(rest: str) -> c.Command:
    word, space, count = rest.partition(" ")
    if space and not (
        count.isascii() and count.isdigit() and len(count) <= _MOST_DIGITS and int(count)
    ):
        return c.Malformed(Problem.HISTORY_USAGE, c.ReadHistory)
    limit = int(count) if space else _SHOWN
    if word[:1] in HASHES and len(word) > 1:
        return c.ReadHistory(room=word[1:], limit=limit)
    if not word or word in HASHES:
        return c.Malformed(Problem.HISTORY_USAGE, c.ReadHistory)
    other = parse_uid(word)
    if other is None:
        return c.Malformed(Problem.UID_NOT_INTEGER, c.ReadHistory)
    return c.ReadHistory(other=other, limit=limit)


def _parse_search(rest: str) -> c.Command:
    if not rest.strip() or len(rest.encode()) > c.MAX_TEXT:
        return c.Malformed(Problem.SEARCH_USAGE, c.Search)
    return c.Search(rest, limit=_SHOWN)


PARSERS: dict[str, Callable[[str], c.Command]] = {
    "history": _parse_history,
    "search": _parse_search,
}
"""By the first word."""


# Answers


def _line(message: ArchivedMessage, words: Phrases, room: str = "", to: int | None = None) -> str:
    """Return a message as it was shown; ``room`` is the name of its room, ``to`` whom the reader has sent it to."""
    place = f"#{sanitized(room)}|" if room else ""
    when = stamp(message.at // 1000) + ("" if to is None else f" -> UID:{to}")
    if message.edited is not None:
        when += f" {words.history.edited}"
    return f"{when}\n[ {place}{user(message.sender, message.name)} ]:{sanitized(message.text)}"


def change_line(message: e.Message, reference: e.Reference, words: Phrases) -> str:
    """Return the line that tells people what became of an earlier message to them."""
    sentence = words.history.changes[reference.kind]
    who = user(message.sender, message.name) if message.name else f"UID:{message.sender}"
    return (
        f"{stamp(message.at // 1000)}\n* {sentence.format(who=who, text=sanitized(message.text))}"
    )


def _encode_history(event: h.HistoryShown, words: Phrases) -> list[bytes]:
    if not event.messages:
        return frames(words.history.nothing)
    shown = [fitting(_line(message, words, event.name)) for message in event.messages]
    return shown if event.complete else [*frames("* " + words.history.older), *shown]


def _encode_searched(event: h.Searched, words: Phrases) -> list[bytes]:
    if not event.hits:
        return frames(words.history.nothing_found if event.complete else words.history.more_found)
    shown = [
        fitting(_line(hit.message, words, hit.name, _recipient(hit))) for hit in event.hits[::-1]
    ]
    return shown if event.complete else [*frames("* " + words.history.more_found), *shown]


def _recipient(hit: h.Hit) -> int | None:
    """Return whom a message of one's own was sent to; None: it is somebody else's, or was said in a room."""
    is_own = hit.other is not None and hit.message.sender != hit.other
    return hit.other if is_own else None


ENCODERS: dict[type, Callable[[Any, Phrases], list[bytes]]] = {
    h.HistoryShown: _encode_history,
    h.Searched: _encode_searched,
    h.ConversationsListed: lambda event, words: [],
    h.ReadNoted: lambda event, words: [],
    h.ReadElsewhere: lambda event, words: [],
    h.Changed: lambda event, words: [],
    h.Receipt: lambda event, words: [],
    h.SettingsShown: lambda event, words: [],
    h.HelpOnHistoryShown: lambda event, words: frames(words.history.help),
}
