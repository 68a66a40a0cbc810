"""The comparison of readers with their inboxes, after a connection or a lease was lost."""

from __future__ import annotations

import secrets
from typing import Any

from chatsvc.inbox.claim import Cursor
from chatsvc.inbox.redis.script import evaluate
from chatsvc.inbox.rollback import RollbackDetector

_AT_ONCE = 500
"""Cursors compared in one call, so that Redis is not held up."""


async def check_cursors(
    protocol: Any, node: str, cursors: list[Cursor], rollback: RollbackDetector
) -> tuple[list[int], list[tuple[int, int]]]:
    """
    Compare the cursors of this node's readers with the inboxes, over a connection.

    :return: the uids whose inboxes have begun a new epoch, and the users whom other nodes have taken over, each with
        the generation of that claim; as ``StoreWatcher.store_returned`` takes them.
    :raise Exception: whatever is in the way of an answer.
    """
    rows = [[str(c.uid), c.id, c.generation, c.at, c.shown] for c in cursors]
    stale: list[int] = []
    taken: list[tuple[int, int]] = []
    for start in range(0, len(rows), _AT_ONCE):
        arguments = {
            "cursors": rows[start : start + _AT_ONCE],
            "node": node,
            "fresh": secrets.token_hex(8),
            **rollback.script_arguments(),
        }
        restarted, claimed = await evaluate(protocol, b"check", arguments)
        stale += map(int, restarted)
        taken += [(int(uid), int(generation)) for uid, generation in claimed]
    return stale, taken
