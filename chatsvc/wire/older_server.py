"""Messages that the older server left: one text each, with its header in it."""

from __future__ import annotations

import re
import time

from chatsvc.wire.events import Message
from chatsvc.wire.sanitize import sanitized

_HEADER_START = re.compile(r"(?:(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)\n)?\[ ", re.ASCII)
_HEADER_UID = re.compile(r"\|UID:(-?\d{1,18})( \]:| --> )", re.ASCII)
_HEADER_END = " ]:"

_TIME_LINES = re.compile(r"(?:\[离线消息\]\n)?(?:\d{4}-\d\d-\d\d \d\d:\d\d:\d\d\n)?")
_LIKE_A_HEADER = re.compile(r"\s*(?:\[|\d{4}-\d\d|\*.*#)")
"""How a message's header begins, and an event of a room."""


def parse_old(message: Message) -> Message:
    """Return a message of the older server with the fields of its header; without a header it is unchanged."""
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
    Return time (empty if there is none), name and uid of a text's header, and where the header ends.

    Each search begins where the one before ended: a single expression would try every uid with every end.
    """
    start = _HEADER_START.match(text)
    uid = _HEADER_UID.search(text, start.end()) if start else None
    if start is None or uid is None:
        return None
    end = uid.end()
    if uid[2] != _HEADER_END:
        # The recipient stands behind the arrow. If no end follows, none follows a later uid either.
        found = text.find(_HEADER_END, end)
        if found < 0:
            return None
        end = found + len(_HEADER_END)
    return start[1] or "", text[start.end() : uid.start()], int(uid[1]), end


def rendered_old(text: str) -> str:
    """Return a text of the older server, line breaks kept, without controls of a terminal or a second header."""
    start = _TIME_LINES.match(text)
    end = start.end() if start else 0
    first, *more = map(sanitized, text[end:].replace("\r\n", "\n").split("\n"))
    lines = ("    " + line if _LIKE_A_HEADER.match(line) else line for line in more)
    return text[:end] + "\n".join([first, *lines])
