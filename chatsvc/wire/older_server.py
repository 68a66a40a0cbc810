"""Messages that the older server left: one text each, with its header in it."""

from __future__ import annotations

import re
import time

from chatsvc.wire.events import Message
from chatsvc.wire.sanitize import sanitized

_HEADER_START = re.compile(r"(?:(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\n)?\[ ", re.ASCII)
_HEADER_UID = re.compile(r"\|UID:(-?\d{1,18})( \]:| --> )", re.ASCII)
_HEADER_END = " ]:"

_BEGINNING = re.compile(r"(?:\[离线消息\]\n)?(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n)?")
_LIKE_A_HEADER = re.compile(r"\s*(?:\[|\d{4}-\d\d)")


def parse_old(message: Message) -> Message:
    """A message that the older server left, taken apart by its header; without one ``sender`` stays 0."""
    header = _old_header(message.text)
    if header is None:
        return message
    when, name, uid, end = header
    try:
        at = int(time.mktime(time.strptime(when, "%Y-%m-%d %H:%M:%S"))) * 1000
    except (ValueError, OverflowError):
        at = 0
    return Message(message.id, uid, name, at, message.text[end:])


def _old_header(text: str) -> tuple[str, str, int, int] | None:
    """
    Time (empty: none), name and uid in the header of a text, and where the header ends. Each search goes on where the
    one before ended: one expression for all would try every uid with every end.
    """
    start = _HEADER_START.match(text)
    uid = _HEADER_UID.search(text, start.end()) if start else None
    if start is None or uid is None:
        return None
    end = uid.end()
    if uid[2] != _HEADER_END:
        # Behind the arrow stands to whom it went. Without an end there, no later uid has one either.
        found = text.find(_HEADER_END, end)
        if found < 0:
            return None
        end = found + len(_HEADER_END)
    return start[1] or "", text[start.end() : uid.start()], int(uid[1]), end


def rendered_old(text: str) -> str:
    """What the older server left, line breaks and all, but for what drives a terminal or fakes another header."""
    start = _BEGINNING.match(text)
    end = start.end() if start else 0
    first, *more = map(sanitized, text[end:].replace("\r\n", "\n").split("\n"))
    lines = ("    " + line if _LIKE_A_HEADER.match(line) else line for line in more)
    return text[:end] + "\n".join([first, *lines])
