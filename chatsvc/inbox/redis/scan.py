"""
A search of Redis for all users who ever had a message in it: how much waits for each, and the upgrade of what does.

The first node that starts upgrades what waits since before there were registered devices.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from twisted.logger import Logger

from chatsvc.inbox.interface import Backlog

_INBOXES = (("stream", "chat:{*}:inbox"), ("list", "list_usermessages_of_userid:userid:*"))
"""Type and pattern of the keys under which messages wait; the second is the older server's."""

_UID = re.compile(rb"(?:chat:\{|list_usermessages_of_userid:userid:)(-?[0-9]+)(?:\}:inbox)?")

_KEYS_AT_ONCE = 1000
"""Keys that Redis looks at in one call, so that it is not held up."""

_COUNTED_AT_ONCE = 256
"""Inboxes that Redis counts, or upgrades, in one call, so that it is not held up."""

_log = Logger()


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


async def upgrade(
    call: Callable[[bytes, dict[str, Any]], Awaitable[Any]],
    execute: Callable[..., Awaitable[Any]],
    url: object,
) -> None:
    """
    Register the unnamed device of every user for whom something waits, and let the data have serials from now on.

    What is done twice, after a crash or by two nodes, does no harm. ``call`` reaches the script, ``execute`` takes the
    words of a command of Redis's own. The log says in one line what was upgraded, if anything was.
    """
    uids = sorted(await find_uids(execute))
    users = messages = 0
    for start in range(0, len(uids), _COUNTED_AT_ONCE):
        some = [str(uid) for uid in uids[start : start + _COUNTED_AT_ONCE]]
        found = await call(b"upgrade", {"uids": some})
        users, messages = users + found[0], messages + found[1]
    (is_first,) = await call(b"upgraded", {})
    if is_first and users:
        text = "{url} is upgraded: {messages} messages wait for {users} users since before this version"
        _log.info(text, event="store-upgraded", url=str(url), users=users, messages=messages)
