"""A database of accounts: its version, and settings and tables that endanger accounts."""

from __future__ import annotations

import re
from collections.abc import Iterator

from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction

_OLDEST = {"MariaDB": (10, 4), "MySQL": (5, 7), "SQLite": (3, 24)}
"""The oldest versions that will do; SQLite's is the first with ``ON CONFLICT … DO UPDATE``."""

_LONGEST_HASH = 110
"""Characters of an argon2id PHC string with the largest costs that the options allow, and the mark of a lock."""

_SETTINGS = (
    "SHOW GLOBAL VARIABLES WHERE Variable_name IN"
    " ('innodb_flush_log_at_trx_commit', 'sync_binlog', 'log_bin')"
)
_ENGINES = (
    "SELECT table_name, engine FROM information_schema.tables WHERE table_schema = DATABASE()"
    " AND table_name IN ('user', 'chat_name', 'chat_lock', 'chat_schema', 'chat_session_device',"
    " 'chat_room', 'chat_member', 'chat_ban', 'chat_invitation', 'chat_room_event',"
    " 'chat_conversation', 'chat_message', 'chat_word', 'chat_unindexed', 'chat_reading',"
    " 'chat_mention',"
    " 'chat_user_setting', 'chat_archive')"
    " AND engine <> 'InnoDB'"
)
_COLUMNS = (
    "SELECT column_name, character_set_name, character_maximum_length"
    " FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name = 'user'"
    " AND column_name IN ('username', 'password')"
)


async def version(database: Database) -> tuple[str, str]:
    """
    Ask a database for its kind and version, as in ``MariaDB 10.11.6``.

    With it comes the oldest version that will do, if this one is older; else an empty text.
    """
    if database.url.scheme == "sqlite":
        row = await database.run(lambda t: t.one("SELECT sqlite_version()"), write=False)
        kind = "SQLite"
    else:
        row = await database.run(lambda t: t.one("SELECT VERSION()"), write=False)
        kind = "MariaDB" if "mariadb" in str(row).lower() else "MySQL"
    assert row is not None
    version = re.match(r"[\d.]*\d", str(row[0]))
    numbers = tuple(map(int, version[0].split("."))) if version else ()
    oldest = "" if numbers >= _OLDEST[kind] else ".".join(map(str, _OLDEST[kind]))
    return f"{kind} {version[0] if version else row[0]}", oldest


async def risks(database: Database) -> list[str]:
    """List what endangers accounts, a line each that says what to do."""
    if database.url.scheme == "sqlite":
        return []  # it is opened with all that it needs
    return await database.run(lambda t: list(_risks(t)), write=False)


def _risks(transaction: Transaction) -> Iterator[str]:
    settings = {name: str(value) for name, value in transaction.all(_SETTINGS)}
    if settings.get("innodb_flush_log_at_trx_commit", "1") != "1":
        yield "a crash can lose the last second: set innodb_flush_log_at_trx_commit = 1"
    if settings.get("log_bin") == "ON" and settings.get("sync_binlog", "1") != "1":
        yield "a crash can lose what replicas and back-ups should get: set sync_binlog = 1"
    for name, engine in transaction.all(_ENGINES):
        yield f"the table {name} is {engine}'s: ALTER TABLE {name} ENGINE = InnoDB"
    for name, characters, length in transaction.all(_COLUMNS):
        if name == "username" and characters != "utf8mb4":
            yield (
                f"the user table holds names in {characters}, which lacks many characters:"
                " ALTER TABLE user CONVERT TO CHARACTER SET utf8mb4"
            )
        if name == "password" and int(length or 0) < _LONGEST_HASH:
            yield f"user.password has room for {length} characters: make it VARCHAR(255)"
