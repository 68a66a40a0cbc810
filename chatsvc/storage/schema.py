"""
Migrations bring a database's tables up to date: the numbered files of ``schema/``, each once and in order.

MySQL commits at each DDL statement, so a file may be interrupted half-way, and its statements must bear being run
again. In SQLite a file is applied whole or not at all.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files

import pymysql
from pymysql.constants import ER

from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreMisconfigured

_BEGUN = {
    "mysql": "SELECT 1 FROM information_schema.tables"
    " WHERE table_schema = DATABASE() AND table_name = 'chat_schema'",
    "sqlite": "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'chat_schema'",
}
_OTHERS = (
    "SELECT 1 FROM information_schema.tables WHERE table_schema = DATABASE()"
    " AND table_name IN ('chat_name', 'chat_lock', 'chat_session_device') LIMIT 1"
)
_DENIED = frozenset({ER.TABLEACCESS_DENIED_ERROR, ER.DBACCESS_DENIED_ERROR})
_UNREADABLE = _DENIED | {ER.COLUMNACCESS_DENIED_ERROR}


async def pending(database: Database) -> list[str]:
    """
    Return the names of the files that are not applied yet, in order.

    :raise StoreMisconfigured: when this account of MySQL may not see which were.
    """
    return await database.run(_pending, write=False)


@dataclass(frozen=True, slots=True)
class Step:
    """A file ``name``, and when it was ``applied`` by the database's clock (None: it is pending)."""

    name: str
    applied: str | None


async def steps(database: Database) -> list[Step]:
    """Return all files in order; one that only a newer release has is called ``NNN (of a newer release)``."""
    return await database.run(_steps, write=False)


async def script(database: Database) -> str:
    """Return the SQL that ``apply`` would run, empty if nothing is pending."""
    names = await pending(database)
    return "\n".join(f"-- {name}\n{_text(database.url.scheme, name)}" for name in names)


async def apply(database: Database) -> list[str]:
    """
    Apply what is pending and return the names of the files. Servers that start at the same time do it once.

    :raise StoreMisconfigured: when this account of MySQL may not create tables, or see which there are.
    """
    if not await pending(database):
        return []

    def applied(transaction: Transaction) -> list[str]:
        try:
            return _apply(transaction)
        except pymysql.OperationalError as problem:
            if problem.args[0] not in _DENIED:
                raise
            raise StoreMisconfigured(
                f"{database.url}: tables are missing and this account may not make them: "
                "run `chatsvc schema` once with an account that may"
            ) from problem

    return await database.run(applied, lock="schema")


def _pending(transaction: Transaction) -> list[str]:
    return [step.name for step in _steps(transaction) if step.applied is None]


def _steps(transaction: Transaction) -> list[Step]:
    seen = _seen(transaction)
    names = {_version(name): name for name in _names(transaction.backend)}
    return [
        Step(names.get(version, f"{version:03} (of a newer release)"), seen.get(version))
        for version in sorted(names.keys() | seen.keys())
    ]


def _names(backend: str) -> list[str]:
    found = files("chatsvc.schema").joinpath(backend).iterdir()
    return [file.name for file in found if file.name.endswith(".sql")]


def _text(backend: str, name: str) -> str:
    return files("chatsvc.schema").joinpath(backend, name).read_text("utf-8")


def _seen(transaction: Transaction) -> dict[int, str]:
    """Return when each version was applied."""
    begun = transaction.one(_BEGUN[transaction.backend]) is not None
    # MySQL hides a table from an account that has no right to it. Whoever may use the others is not in a new database.
    if not (begun or (transaction.backend == "mysql" and transaction.one(_OTHERS))):
        return {}
    try:
        rows = transaction.all("SELECT version, applied_at FROM chat_schema")
    except pymysql.MySQLError as problem:
        if problem.args[0] == ER.NO_SUCH_TABLE and not begun:
            return {}
        if problem.args[0] not in _UNREADABLE:
            raise
        raise StoreMisconfigured(
            "this account of MySQL may not read chat_schema:"
            " GRANT SELECT ON the database's chat_schema TO it"
        ) from None
    return {version: str(applied) for version, applied in rows}


def _apply(transaction: Transaction) -> list[str]:
    names = _pending(transaction)
    for name in names:
        for statement in _statements(_text(transaction.backend, name)):
            _carry_out(transaction, statement)
        transaction.execute("INSERT INTO chat_schema (version) VALUES (?)", (_version(name),))
    return names


def _carry_out(transaction: Transaction, statement: str) -> None:
    """Run a statement; SQLite has no ``ADD COLUMN IF NOT EXISTS``, so a column that is there already is no error."""
    try:
        transaction.execute(statement)
    except sqlite3.OperationalError as problem:
        if not str(problem).startswith("duplicate column name"):
            raise


def _version(name: str) -> int:
    return int(name.partition("_")[0])


def _statements(script: str) -> Iterator[str]:
    """Split a script into statements by SQLite's rule, which holds for our files for MySQL too."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
    if statement.strip():
        raise ValueError(f"a statement without an end: {statement.strip()[:60]!r}")
