"""A search of Redis for all users who ever had a message in it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from typing import Any

_INBOXES = (("stream", "chat:{*}:inbox"), ("list", "list_usermessages_of_userid:userid:*"))
"""Type and pattern of the keys under which messages wait; the second is the older server's."""

_UID = re.compile(rb"(?:chat:\{|list_usermessages_of_userid:userid:)(-?[0-9]+)(?:\}:inbox)?")

_KEYS_AT_ONCE = 1000
"""Keys that Redis looks at in one call, so that it is not held up."""


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
