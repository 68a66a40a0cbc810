"""
The password column: read, replaced unless another program was quicker, locked and unlocked.

The table ``chat_lock`` counts how often an account was locked and unlocked. The column is the same afterwards, and
tokens that a lock has ended must not become valid again.
"""

from __future__ import annotations

from chatsvc.storage.sql import Transaction

_REPLACE = {
    # Compared as bytes: as text the comparison would ignore case, accents or spaces at the end.
    "mysql": "UPDATE user SET password = ? WHERE id = ?"
    " AND CAST(CONVERT(password USING utf8mb4) AS BINARY) = ?",
    "sqlite": "UPDATE user SET password = ? WHERE id = ? AND CAST(password AS BLOB) = ?",
}


def replace(transaction: Transaction, uid: int, old: str, new: str) -> bool:
    """Store another password if the row still holds the old one, byte for byte; return whether it did."""
    was = old.encode(errors="surrogatepass")
    return transaction.execute(_REPLACE[transaction.backend], (new, uid, was)) > 0


def change_lock(transaction: Transaction, uid: int, old: str, new: str) -> bool:
    """Store ``new``, which is ``old`` locked or unlocked, as ``replace`` does; count the change."""
    if not replace(transaction, uid, old, new):
        return False
    if old != new:
        count_lock(transaction, uid)
    return True


_COUNT = {
    "mysql": "INSERT INTO chat_lock (uid, times) VALUES (?, 1) ON DUPLICATE KEY UPDATE times = times + 1",
    "sqlite": "INSERT INTO chat_lock (uid, times) VALUES (?, 1) ON CONFLICT (uid) DO UPDATE SET times = times + 1",
}


def count_lock(transaction: Transaction, uid: int) -> None:
    """Make all tokens of an account void, as a lock does."""
    transaction.execute(_COUNT[transaction.backend], (uid,))
