"""What the text dialect's lines are made of: times, senders, and frames that they fit into."""

from __future__ import annotations

import time
from functools import lru_cache

from chatsvc.wire.commands import MAX_FRAME
from chatsvc.wire.sanitize import sanitized


def frames(*lines: str) -> list[bytes]:
    """Return a frame for each text."""
    return [fitting(line) for line in lines]


def fitting(line: str) -> bytes:
    """Return one frame; a message of the older server, or a name searched for, is cut off if it is too long for one."""
    frame = line.encode()
    if len(frame) > MAX_FRAME:
        frame = frame[: MAX_FRAME - 3].decode(errors="ignore").encode() + "…".encode()
    return frame


@lru_cache(maxsize=64)
def stamp(second: int) -> str:
    """Return a time, in seconds since 1970, as the server's local one."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(second))


def user(uid: int, name: str) -> str:
    """Return whom a line is about."""
    return f"{sanitized(name)}|UID:{uid}"
