"""
The password column: read, replaced unless another program was quicker, locked and unlocked.

The table ``chat_lock`` counts how often an account was locked and unlocked. The column is the same afterwards, and
tokens that a lock has ended must not become valid again.
"""

from __future__ import annotations

import pymysql
from pymysql.constants import ER

from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreMisconfigured

ACCOUNT = (
    "SELECT user.id, user.username, user.password, chat_lock.times"
    " FROM user LEFT JOIN chat_lock ON chat_lock.uid = user.id WHERE user.id = ?"
)
"""One account, and how often it was locked and unlocked (NULL: never)."""


def require_readable(transaction: Transaction) -> None:
    """
    Check that ``chat_lock`` may be read: no log-in works without it.

    :raise StoreMisconfigured: when this account of MySQL may not.
    """
    try:
        transaction.one("SELECT uid FROM chat_lock LIMIT 1")
    except pymysql.OperationalError as problem:
        if problem.args[0] != ER.TABLEACCESS_DENIED_ERROR:
            raise
        raise StoreMisconfigured(
            "this account of MySQL may not read chat_lock:"
            " GRANT SELECT, INSERT, UPDATE ON the database's chat_lock TO it"
        ) from problem


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
        change = "UPDATE chat_lock SET times = times + 1 WHERE uid = ?"
        if not transaction.execute(change, (uid,)):
            transaction.execute("INSERT INTO chat_lock (uid, times) VALUES (?, 1)", (uid,))
    return True
