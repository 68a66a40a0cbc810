"""
How often devices were forgotten: what makes tokens that were issued to them void, in the table ``chat_session_device``.

The inbox store has the registered devices themselves. A device that it forgets for its age, or for a newer one, is not
counted here: its tokens go on working.
"""

from __future__ import annotations

import re

from chatsvc.accounts.stored_password import count_lock
from chatsvc.storage.sql import Transaction

MOST = 256
"""
Devices of one account whose forgetting is counted.

A bound on what one user can put into the database. Forgetting one more makes all tokens of the account void.
"""

TIMES = (
    "(SELECT times FROM chat_session_device WHERE chat_session_device.uid = user.id AND device = ?)"
)
"""A column of a query of ``user``: how often the device was forgotten (NULL: never)."""

_NAME = re.compile(r"[0-9a-f]{16,32}")

_COUNT = {
    "mysql": "INSERT INTO chat_session_device (uid, device, times) VALUES (?, ?, 1)"
    " ON DUPLICATE KEY UPDATE times = times + 1",
    "sqlite": "INSERT INTO chat_session_device (uid, device, times) VALUES (?, ?, 1)"
    " ON CONFLICT (uid, device) DO UPDATE SET times = times + 1",
}


def forget(transaction: Transaction, uid: int, device: str) -> None:
    """
    Make all tokens void that were issued to a device of an account so far.

    Of a text that no device can have as its name nothing is written down.
    """
    if not _NAME.fullmatch(device):
        return
    others = "SELECT COUNT(*) FROM chat_session_device WHERE uid = ? AND device <> ?"
    (known,) = transaction.one(others, (uid, device)) or (0,)
    if known < MOST:
        transaction.execute(_COUNT[transaction.backend], (uid, device))
    else:
        count_lock(transaction, uid)
