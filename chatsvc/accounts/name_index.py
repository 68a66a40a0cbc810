"""
The index of names: ``chat_name``, by what two names are compared by, for the names of the ``user`` table.

The table belongs to other programs too, so that rows come and change at any time. The index is brought up to the
highest uid before it is asked; what it missed is found by the exact name, which the table itself has an index on. No
hit counts without its user's row. Nothing here reads the whole table at once.
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

LOWEST, HIGHEST = -(2**63), 2**63 - 1
"""What a uid can be."""

PAGE = 200
"""Rows that are indexed, or names that are asked for, at once."""

_WALKED = 5000
"""Rows that are looked at in one go, when all are."""

_KEY_BYTES = 255

_OTHER_CHARACTERS = frozenset(
    {
        ER.CANT_AGGREGATE_2COLLATIONS,
        ER.CANT_AGGREGATE_3COLLATIONS,
        ER.CANT_AGGREGATE_NCOLLATIONS,
    }
)
"""What MySQL says when the table's character set does not have the characters asked for."""


def find(transaction: Transaction, name: str, most: int) -> list[int]:
    """Give the uids that have this name, ascending, at most so many."""
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
    """Give the folded names, of these with the names as they are, that somebody has."""
    found = in_pages(
        transaction,
        "SELECT user.username FROM chat_name JOIN user ON user.id = chat_name.uid"
        " WHERE chat_name.folded IN",
        [_key(folded) for folded in names],
    )
    found += _all_exact(transaction, list(names.values()))
    return {fold(as_text(name)) for (name,) in found}


def in_pages(transaction: Transaction, question: str, values: Sequence[Any]) -> list[Row]:
    """The answers to a question that ends with ``IN``."""
    rows: list[Row] = []
    for start in range(0, len(values), PAGE):
        some = values[start : start + PAGE]
        places = ", ".join("?" * len(some))
        rows += transaction.all(f"{question} ({places})", some)
    return rows


def new_rows(transaction: Transaction) -> list[Row]:
    """Give rows (uid, name) above the highest that is indexed; of those to come, some may be indexed already."""
    indexed = "SELECT MAX(uid) FROM chat_name WHERE uid <= (SELECT MAX(id) FROM user)"
    (highest,) = transaction.one(indexed) or (None,)
    question = "SELECT id, username FROM user WHERE id > ? ORDER BY id LIMIT ?"
    return transaction.all(question, (LOWEST if highest is None else highest, PAGE))


def unindexed(transaction: Transaction, after: int) -> tuple[list[Row], int | None]:
    """
    Of a page of rows with uids above ``after``, those (uid, name) that are not indexed, and the page's last uid; None:
    there are no more.
    """
    page = "SELECT id, username FROM user WHERE id > ? ORDER BY id LIMIT ?"
    (last,) = transaction.one(f"SELECT MAX(id) FROM ({page}) AS page", (after, _WALKED)) or (None,)  # noqa: S608
    question = (
        f"SELECT page.id, page.username FROM ({page}) AS page LEFT JOIN chat_name"  # noqa: S608
        " ON chat_name.uid = page.id WHERE chat_name.uid IS NULL"
    )
    return transaction.all(question, (after, _WALKED)), last


def index(transaction: Transaction, rows: Sequence[Row]) -> None:
    """Index rows (uid, name)."""
    index_folded(transaction, [(uid, fold(as_text(name))) for uid, name in rows])


def index_folded(transaction: Transaction, rows: Iterable[tuple[int, str]]) -> None:
    """The same for rows (uid, folded name): folding takes longer than all else."""
    rows = sorted(rows, key=itemgetter(1))  # which takes half as long as in any order
    for start in range(0, len(rows), PAGE):
        page = rows[start : start + PAGE]
        entries = [entry for uid, folded in page for entry in (_key(folded), uid)]
        places = ", ".join(["(?, ?)"] * len(page))
        transaction.execute(f"REPLACE INTO chat_name (folded, uid) VALUES {places}", entries)  # noqa: S608


def as_text(value: Any) -> str:
    """Take a column as text: SQLite keeps whatever type a program put in."""
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return "" if value is None else str(value)


def as_bytes(text: str) -> bytes:
    """Any text as bytes, also what is no UTF-8."""
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
