"""The upgrade of what waits since before there were registered devices, by the first node that starts."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from twisted.logger import Logger

from chatsvc.inbox.redis.scan import find_uids

_AT_ONCE = 256
"""Inboxes looked at in one call, so that Redis is not held up."""

_log = Logger()


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
    for start in range(0, len(uids), _AT_ONCE):
        some = [str(uid) for uid in uids[start : start + _AT_ONCE]]
        found = await call(b"upgrade", {"uids": some})
        users, messages = users + found[0], messages + found[1]
    (is_first,) = await call(b"upgraded", {})
    if is_first and users:
        text = "{url} is upgraded: {messages} messages wait for {users} users since before this version"
        _log.info(text, event="store-upgraded", url=str(url), users=users, messages=messages)
