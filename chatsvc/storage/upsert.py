"""One column of one row, set whether the row is there or not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from chatsvc.storage.sql import Transaction


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
