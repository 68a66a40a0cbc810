"""
The index of names: the table ``chat_name`` finds accounts by the key that ``fold`` makes of their name.

The ``user`` table belongs to other programs too, so its rows come and change at any time. The index is brought up to
the highest uid before each search. Rows that it still misses are found by their exact name, on which the ``user`` table
has an index. A hit counts only if the user's row agrees. No statement here reads the whole table at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from operator import itemgetter
from typing import Any

import pymysql
from pymysql.constants import ER

from chatsvc.accounts.names import fold
from chatsvc.storage.sql import Row, Transaction
from chatsvc.storage.value_lists import parts, places

LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""The range of uids: 64 bits."""

PAGE = 200
"""Rows that one statement indexes, or names that it searches for."""

_WALKED = 5000
"""Rows that one statement examines when the whole table is gone through."""

_KEY_BYTES = 255
"""Width of the column ``chat_name.folded``; longer keys are hashed."""

_OTHER_CHARACTERS = frozenset(
    {
        ER.CANT_AGGREGATE_2COLLATIONS,
        ER.CANT_AGGREGATE_3COLLATIONS,
        ER.CANT_AGGREGATE_NCOLLATIONS,
    }
)
"""MySQL's errors for a search with characters that the table's character set lacks."""


def find(transaction: Transaction, name: str, most: int) -> list[int]:
    """Return the uids of the accounts with this name, ascending, ``most`` at most."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return []
    indexed = (
        "SELECT user.id, user.username FROM chat_name JOIN user ON user.id = chat_name.uid"
        " WHERE chat_name.folded = ? ORDER BY chat_name.uid LIMIT ?"
    )
    wanted = fold(name)
    rows = transaction.all(indexed, (_key(wanted), most))
    rows += _exact(transaction, name, most)
    # The database compares by its own rules, and a row may have changed since it was indexed.
    return sorted({uid for uid, found in rows if fold(as_text(found)) == wanted})[:most]


def taken(transaction: Transaction, names: Mapping[str, str]) -> set[str]:
    """Return the folded names that are taken, out of a mapping of folded name to name."""
    found = in_pages(
        transaction,
        "SELECT user.username FROM chat_name JOIN user ON user.id = chat_name.uid"
        " WHERE chat_name.folded IN",
        [_key(folded) for folded in names],
    )
    found += _all_exact(transaction, list(names.values()))
    return {fold(as_text(name)) for (name,) in found}


def in_pages(transaction: Transaction, query: str, values: Sequence[Any]) -> list[Row]:
    """Run a query that ends with ``IN`` for pages of values; return all rows."""
    rows: list[Row] = []
    for some in parts(values, PAGE):
        rows += transaction.all(f"{query} {places(some)}", some)
    return rows


def new_rows(transaction: Transaction) -> list[Row]:
    """Return a page of rows (uid, name) above the highest uid that is indexed; empty when there are none."""
    indexed = "SELECT MAX(uid) FROM chat_name WHERE uid <= (SELECT MAX(id) FROM user)"
    (highest,) = transaction.one(indexed) or (None,)
    query = "SELECT id, username FROM user WHERE id > ? ORDER BY id LIMIT ?"
    return transaction.all(query, (LOWEST if highest is None else highest, PAGE))


def unindexed(transaction: Transaction, after: int) -> tuple[list[Row], int | None]:
    """
    Return the rows (uid, name) of one page that are not indexed, and the page's last uid.

    The page begins above the uid ``after``. The last uid is None when the page is empty.
    """
    page = "SELECT id, username FROM user WHERE id > ? ORDER BY id LIMIT ?"
    (last,) = transaction.one(f"SELECT MAX(id) FROM ({page}) AS page", (after, _WALKED)) or (None,)  # noqa: S608
    query = (
        f"SELECT page.id, page.username FROM ({page}) AS page LEFT JOIN chat_name"  # noqa: S608
        " ON chat_name.uid = page.id WHERE chat_name.uid IS NULL"
    )
    return transaction.all(query, (after, _WALKED)), last


def index(transaction: Transaction, rows: Sequence[Row]) -> None:
    """Index rows (uid, name)."""
    index_folded(transaction, [(uid, fold(as_text(name))) for uid, name in rows])


def index_folded(transaction: Transaction, rows: Iterable[tuple[int, str]]) -> None:
    """Index rows (uid, folded name), for callers that have folded already: folding takes longer than all else."""
    rows = sorted(rows, key=itemgetter(1))  # inserting in order takes half as long
    for start in range(0, len(rows), PAGE):
        page = rows[start : start + PAGE]
        entries = [entry for uid, folded in page for entry in (_key(folded), uid)]
        places = ", ".join(["(?, ?)"] * len(page))
        transaction.execute(f"REPLACE INTO chat_name (folded, uid) VALUES {places}", entries)  # noqa: S608


def as_text(value: Any) -> str:
    """Return a column as text: SQLite keeps whatever type a program put in."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None else str(value)


def as_bytes(text: str) -> bytes:
    """Return any text as bytes, lone surrogates too."""
    return text.encode(errors="surrogatepass")


def _exact(transaction: Transaction, name: str, most: int) -> list[Row]:
    exact = "SELECT id, username FROM user WHERE username = ? ORDER BY id LIMIT ?"
    try:
        return transaction.all(exact, (name, most))
    except pymysql.OperationalError as problem:
        if problem.args[0] not in _OTHER_CHARACTERS:
            raise
        return []


def _all_exact(transaction: Transaction, names: Sequence[str]) -> list[Row]:
    try:
        return in_pages(transaction, "SELECT username FROM user WHERE username IN", names)
    except pymysql.OperationalError as problem:
        if problem.args[0] not in _OTHER_CHARACTERS:
            raise
        return [(name,) for one in names for _, name in _exact(transaction, one, 1)]


def _key(folded: str) -> bytes:
    key = as_bytes(folded)
    return key if len(key) <= _KEY_BYTES else hashlib.sha256(key).digest()
