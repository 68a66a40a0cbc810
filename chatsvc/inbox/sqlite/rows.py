"""Many rows by one statement: one by itself costs a fight for the interpreter's lock with the reactor's thread."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from itertools import chain
from typing import Any

from chatsvc.storage.sql import Transaction

_MOST_VALUES = 30_000
"""Values in one statement: SQLite takes 32,766 (https://www.sqlite.org/limits.html, SQLITE_MAX_VARIABLE_NUMBER)."""


def read_rows(transaction: Transaction, sql: str, keys: Iterable[Any]) -> list[list[Any]]:
    """Run a query that takes its ``keys`` as one JSON text and gives its rows as one; without keys, none is run."""
    wanted = list(keys)
    if not wanted:
        return []
    (found,) = transaction.one(sql, (json.dumps(wanted),)) or ("[]",)
    rows: list[list[Any]] = json.loads(found)
    return rows


def write_rows(
    transaction: Transaction, sql: str, rows: Sequence[Sequence[Any]], rest: str = ""
) -> None:
    """Run an ``INSERT`` or ``REPLACE`` that ends with ``VALUES``, followed by ``rest``; without rows, none is run."""
    if not rows:
        return
    at_once = _MOST_VALUES // len(rows[0])
    places = f"({', '.join('?' * len(rows[0]))})"
    for start in range(0, len(rows), at_once):
        some = rows[start : start + at_once]
        values = ", ".join([places] * len(some))
        transaction.execute(f"{sql} {values}{rest}", [*chain.from_iterable(some)])
