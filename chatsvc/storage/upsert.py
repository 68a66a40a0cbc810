"""Rows that may be there already: inserted where they are not, or one column set either way."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

from chatsvc.storage.sql import Transaction
from chatsvc.storage.value_lists import rows_of_places


def insert_absent(
    transaction: Transaction, table: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]
) -> None:
    """Insert one row or more, but for those whose key is there: they stay as they are."""
    values = rows_of_places(len(columns), len(rows))
    verb, rest = "INSERT OR IGNORE", ""
    if transaction.backend == "mysql":  # whose IGNORE would hide other errors, too
        verb, rest = "INSERT", f" ON DUPLICATE KEY UPDATE {columns[0]} = {columns[0]}"
    sql = f"{verb} INTO {table} ({', '.join(columns)}) VALUES {values}{rest}"
    transaction.execute(sql, [*chain.from_iterable(rows)])


def set_value(
    transaction: Transaction, table: str, key: Mapping[str, Any], column: str, value: int
) -> None:
    """Set ``column`` of the row of ``table`` with this primary key; other columns of a new row have their defaults."""
    _write(transaction, table, key, column, value, "?")


def raise_value(
    transaction: Transaction, table: str, key: Mapping[str, Any], column: str, value: int
) -> None:
    """Do as ``set_value`` does, but never set the column to less than it is."""
    greatest = "GREATEST" if transaction.backend == "mysql" else "max"
    _write(transaction, table, key, column, value, f"{greatest}({column}, ?)")


def _write(
    transaction: Transaction,
    table: str,
    key: Mapping[str, Any],
    column: str,
    value: int,
    change: str,
) -> None:
    names, places = ", ".join([*key, column]), ", ".join("?" * (len(key) + 1))
    conflict = (
        "ON DUPLICATE KEY UPDATE"
        if transaction.backend == "mysql"
        else f"ON CONFLICT ({', '.join(key)}) DO UPDATE SET"
    )
    sql = f"INSERT INTO {table} ({names}) VALUES ({places}) {conflict} {column} = {change}"  # noqa: S608
    transaction.execute(sql, (*key.values(), value, value))
