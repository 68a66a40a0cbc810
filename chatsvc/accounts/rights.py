"""
The rights in the database without which accounts and rooms cannot be used: each is tried, and nothing is changed.

A right that is missing would show at somebody's log-in, or, where it is for something rare, much later.
"""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Mapping, Sequence

import pymysql
from pymysql.constants import ER

from chatsvc.storage.sql import SQL_ERRORS, Transaction
from chatsvc.storage.url import StoreMisconfigured

Rights = Mapping[str, Sequence[str]]
"""The privileges that are needed, by table; those of reading first."""

READING: Rights = {"chat_lock": ("SELECT",)}
"""What is needed to look at accounts."""

_BASE: Rights = {
    "user": ("SELECT", "INSERT", "UPDATE"),
    "chat_name": ("SELECT", "INSERT", "DELETE"),
    "chat_lock": ("SELECT", "INSERT", "UPDATE"),
    "chat_session_device": ("SELECT", "INSERT", "UPDATE"),
    "chat_room": ("SELECT", "INSERT", "UPDATE"),
    "chat_member": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "chat_ban": ("SELECT", "INSERT", "DELETE"),
    "chat_invitation": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "chat_room_event": ("SELECT", "INSERT", "UPDATE"),
}

_HISTORY: Rights = {
    "chat_conversation": ("SELECT", "INSERT", "UPDATE"),
    "chat_message": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "chat_word": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "chat_unindexed": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "chat_reading": ("SELECT", "INSERT", "UPDATE"),
    "chat_mention": ("SELECT", "INSERT", "UPDATE", "DELETE"),
    "chat_archive": ("SELECT", "INSERT", "UPDATE"),
    "chat_user_setting": ("SELECT", "INSERT", "UPDATE"),
}

_ALL: Rights = {**_BASE, **_HISTORY}
"""What stands in ``docs/operation.md`` for the server's user."""

_COLUMNS = {
    "user": ("username", "password"),
    "chat_name": ("folded", "uid"),
    "chat_lock": ("uid", "times"),
    "chat_session_device": ("uid", "device", "times"),
    "chat_room": (
        *("room", "name", "folded", "topic", "kind", "history", "members", "created", "closed"),
        "version",
    ),
    "chat_member": ("room", "uid", "version", "since", "role"),
    "chat_ban": ("room", "uid", "actor", "at"),
    "chat_invitation": ("room", "uid", "actor", "at", "version"),
    "chat_room_event": (
        *("room", "version", "at", "event", "actor", "uid", "name", "details", "id", "serial"),
    ),
    "chat_conversation": ("high", "low"),
    "chat_message": (
        *("serial", "conversation", "sender", "name", "at", "text", "reply", "edited", "changed"),
        "retracted",
    ),
    "chat_word": ("conversation", "token", "serial"),
    "chat_unindexed": ("serial",),
    "chat_reading": ("uid", "conversation", "muted", "seen"),
    "chat_mention": ("conversation", "serial", "uid"),
    "chat_user_setting": ("uid", "name", "value"),
    "chat_archive": ("name", "value"),
}
"""The columns that are written, for a user of MySQL who may write some of a table's columns only."""

_KEYS = {
    "user": "id",
    "chat_room": "room",
    "chat_conversation": "conversation",
    "chat_message": "serial",
    "chat_word": "conversation",
    "chat_unindexed": "serial",
    "chat_archive": "name",
}
"""Columns with an index, where that is not ``uid``."""

_DENIED = frozenset({ER.TABLEACCESS_DENIED_ERROR, ER.COLUMNACCESS_DENIED_ERROR})

_NON_INSERTABLE_TABLE = 1471  # of MySQL's error reference; PyMySQL does not name it

_ITS_OWN_WAY = frozenset({ER.NO_DEFAULT_FOR_FIELD, _NON_INSERTABLE_TABLE, ER.NON_UPDATABLE_TABLE})
"""MySQL's errors for a user table that other programs write, and we cannot: a column of their own, a view."""


def of_server(registers: bool, archives: bool = False) -> Rights:
    """Return the rights that a server needs; ``registers``: it also makes accounts, ``archives``: has a history."""
    rights = _ALL if archives else _BASE
    return rights if registers else {**rights, "user": ("SELECT", "UPDATE")}


def require(transaction: Transaction, rights: Rights) -> None:
    """
    Try rights, all of them.

    :raise StoreMisconfigured: when this account of MySQL lacks some, or tables are missing; the text names them all.
    """
    lacking: dict[str, str] = {}
    missing: list[str] = []
    for table, privileges in rights.items():
        for privilege in privileges:
            try:
                transaction.execute(_harmless(privilege, table))
            except SQL_ERRORS as problem:
                if _is_missing(problem):
                    missing.append(table)
                    break
                if problem.args[0] in _DENIED:
                    lacking.setdefault(table, "read" if privilege == "SELECT" else "write")
                elif problem.args[0] not in _ITS_OWN_WAY:
                    raise
    if missing:
        raise StoreMisconfigured(
            f"tables are missing that chat_schema says were made: {', '.join(missing)}"
        )
    if lacking:
        what = ", ".join(f"{verb} {table}" for table, verb in lacking.items())
        grants = "; ".join(
            f"GRANT {', '.join(_ALL[table])} ON the database's {table} TO it" for table in lacking
        )
        raise StoreMisconfigured(f"this account of MySQL may not {what}: {grants}")


def _harmless(privilege: str, table: str) -> str:
    """Return a statement that needs the privilege, and finds nothing that it could change."""
    columns = _COLUMNS[table]
    # The key is for the planner: who listens must not hear of a statement that reads a whole table.
    listed, never = ", ".join(columns), f"WHERE {_KEYS.get(table, 'uid')} = 0 AND 1 = 0"
    zeros = ", ".join(["0"] * len(columns))
    statements = {
        "SELECT": f"SELECT {listed} FROM {table} {never}",  # noqa: S608
        "INSERT": f"INSERT INTO {table} ({listed}) SELECT {zeros} FROM (SELECT 1 AS one) AS single WHERE one = 0",  # noqa: S608
        "UPDATE": f"UPDATE {table} SET {columns[-1]} = {columns[-1]} {never}",  # noqa: S608
        "DELETE": f"DELETE FROM {table} {never}",  # noqa: S608
    }
    return statements[privilege]


def _is_missing(problem: Exception) -> bool:
    if isinstance(problem, sqlite3.Error):
        return re.match("no such table", str(problem)) is not None
    return isinstance(problem, pymysql.MySQLError) and problem.args[0] == ER.NO_SUCH_TABLE
