"""A search of Redis for all users who ever had a message in it, and how much waits for each."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from chatsvc.inbox.interface import Backlog

_INBOXES = (("stream", "chat:{*}:inbox"), ("list", "list_usermessages_of_userid:userid:*"))
"""Type and pattern of the keys under which messages wait; the second is the older server's."""

_UID = re.compile(rb"(?:chat:\{|list_usermessages_of_userid:userid:)(-?[0-9]+)(?:\}:inbox)?")

_KEYS_AT_ONCE = 1000
"""Keys that Redis looks at in one call, so that it is not held up."""


_COUNTED_AT_ONCE = 256
"""Inboxes that Redis counts in one call, so that it is not held up."""


async def count_backlogs(
    call: Callable[[bytes, dict[str, Any]], Awaitable[Any]], uids: Sequence[int]
) -> list[Backlog]:
    """
    Count what waits for these users, those for whom nothing does left out.

    ``call`` carries out a command of the script.
    """
    found: list[Backlog] = []
    for start in range(0, len(uids), _COUNTED_AT_ONCE):
        some = [str(one) for one in uids[start : start + _COUNTED_AT_ONCE]]
        for name, waiting, last_id, at in await call(b"backlogs", {"uids": some}):
            found.append(Backlog(int(name), waiting, last_id, _time(at)))
    return found


def _time(at: str) -> int:
    """The time of an entry; another program may have put anything there."""
    try:
        return int(float(at))
    except (ValueError, OverflowError):
        return 0


async def find_uids(execute: Callable[..., Awaitable[Any]]) -> set[int]:
    """
    Find the uids of all inboxes, empty ones too.

    ``execute`` takes the words of one command and gives its answer.
    """
    uids: set[int] = set()
    for kind, pattern in _INBOXES:
        cursor = b"0"
        while True:
            words = ("SCAN", cursor, "MATCH", pattern, "COUNT", _KEYS_AT_ONCE, "TYPE", kind)
            cursor, keys = await execute(*words)
            uids |= {int(match[1]) for key in keys if (match := _UID.fullmatch(key))}
            if int(cursor) == 0:
                break
    return uids
