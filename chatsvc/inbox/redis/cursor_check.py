"""The comparison of readers with their inboxes, after a connection or a lease was lost."""

from __future__ import annotations

import secrets
from typing import Any

from chatsvc.inbox.claim import Comparison, Cursor, SteppedBack
from chatsvc.inbox.redis.batch_codec import decode_forgotten
from chatsvc.inbox.redis.script import evaluate
from chatsvc.inbox.rollback import RollbackDetector

_AT_ONCE = 500
"""Cursors compared in one call, so that Redis is not held up."""


async def check_cursors(
    protocol: Any, node: str, cursors: list[Cursor], rollback: RollbackDetector
) -> Comparison:
    """
    Compare the cursors of this node's readers with the inboxes, over a connection.

    :raise Exception: whatever is in the way of an answer.
    """
    rows = [_row(cursor) for cursor in cursors]
    found = Comparison()
    for start in range(0, len(rows), _AT_ONCE):
        arguments = {
            "cursors": rows[start : start + _AT_ONCE],
            "node": node,
            "fresh": secrets.token_hex(8),
            **rollback.script_arguments(),
        }
        stale, taken, back, forgotten = await evaluate(protocol, b"check", arguments)
        found.stale.extend(map(int, stale))
        found.taken.extend((int(uid), device, int(generation)) for uid, device, generation in taken)
        found.stepped_back.extend(
            SteppedBack(int(uid), device, id, int(generation))
            for uid, device, id, generation in back
        )
        found.forgotten.extend(decode_forgotten(forgotten))
    return found


def _row(cursor: Cursor) -> list[Any]:
    row = [str(cursor.uid), cursor.id, cursor.generation, cursor.at, cursor.shown]
    return [*row, cursor.device, str(cursor.serial)] if cursor.device else row
