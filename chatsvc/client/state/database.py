"""The SQLite file of one account on one server: its tables, and what older clients left in it."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

_BUSY = 10.0
"""Seconds to wait for another process of the same user that holds the file."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS device (
    slot INTEGER PRIMARY KEY,  -- whose lock file is UID.SLOT.lock
    id TEXT NOT NULL           -- 32 hex digits
);
CREATE TABLE IF NOT EXISTS recipient (
    slot INTEGER NOT NULL,
    uid INTEGER NOT NULL,
    next INTEGER NOT NULL,     -- the number of the next message to them
    PRIMARY KEY (slot, uid)
);
CREATE TABLE IF NOT EXISTS unconfirmed (
    key INTEGER PRIMARY KEY AUTOINCREMENT,
    slot INTEGER NOT NULL,
    recipient INTEGER NOT NULL,
    n INTEGER NOT NULL,
    text TEXT NOT NULL,
    device TEXT                -- of which n is a number; NULL, as older clients have it: of the slot's device
);
CREATE TABLE IF NOT EXISTS shown (
    slot INTEGER PRIMARY KEY,  -- of a terminal, whose device is registered
    id INTEGER NOT NULL,       -- of the last message shown, 0 before the first
    serial INTEGER NOT NULL    -- of the same; 0: it has none
);
CREATE TABLE IF NOT EXISTS reading (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    epoch TEXT NOT NULL,       -- of the inbox's ids, without a registered device
    last INTEGER NOT NULL      -- the last id shown, 0 before the first
);
INSERT OR IGNORE INTO reading (one, epoch, last) VALUES (1, '', 0);
"""


def open_database(path: Path) -> sqlite3.Connection:
    """
    Open the file, made if need be, for its owner alone.

    :raise OSError, sqlite3.Error: it cannot be used
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    database = sqlite3.connect(path, timeout=_BUSY, isolation_level=None)
    try:
        _prepare(database)
    except sqlite3.Error:
        database.close()
        raise
    return database


def one(database: sqlite3.Connection, sql: str, *arguments: object) -> Any:
    """The first row of an answer; None: there is none."""
    with closing(database.execute(sql, arguments)) as cursor:
        return cursor.fetchone()


def _prepare(database: sqlite3.Connection) -> None:
    database.execute("PRAGMA journal_mode = WAL")
    database.execute("PRAGMA synchronous = FULL")
    database.executescript(_SCHEMA)
    if "token" in _columns(database, "reading"):  # older clients kept one unasked
        database.execute("PRAGMA secure_delete = ON")
        database.execute("ALTER TABLE reading DROP COLUMN token")
    with database:  # another process may be about to do the same
        database.execute("BEGIN IMMEDIATE")
        if "device" not in _columns(database, "unconfirmed"):
            database.execute("ALTER TABLE unconfirmed ADD COLUMN device TEXT")
        if "before" not in _columns(database, "reading"):
            database.execute("ALTER TABLE reading ADD COLUMN before INTEGER NOT NULL DEFAULT 0")
            database.execute("UPDATE reading SET before = last")


def _columns(database: sqlite3.Connection, table: str) -> list[str]:
    columns = database.execute(f"PRAGMA table_info({table})").fetchall()
    return [name for _, name, *_ in columns]
