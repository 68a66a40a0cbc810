"""Files of the version before registered devices."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from importlib.resources import files

from tests.inbox.fixtures import READER, A

_NEWEST = 6
"""The newest file of the schema that the version before had."""


def leave_older(path: str, acknowledged: int, texts: Sequence[str]) -> None:
    """Make a file in which READER has acknowledged ids up to one, and texts of A wait after it."""
    with closing(sqlite3.connect(path)) as there, there:
        for name in sorted(
            file.name for file in files("chatsvc.schema").joinpath("sqlite").iterdir()
        ):
            number = name.partition("_")[0]
            if number.isdecimal() and int(number) <= _NEWEST:
                there.executescript(files("chatsvc.schema").joinpath("sqlite", name).read_text())
                there.execute("INSERT INTO chat_schema (version) VALUES (?)", (int(number),))
        there.execute(
            "INSERT INTO chat_reader (uid, last_id, acknowledged, generation) VALUES (?, ?, ?, 7)",
            (READER, acknowledged + len(texts), acknowledged),
        )
        there.execute("INSERT INTO chat_setting VALUES ('epoch', 'before')")
        there.executemany(
            "INSERT INTO chat_inbox (uid, id, sender, name, at, text) VALUES (?, ?, ?, '名', 1700000000000, ?)",
            [(READER, id, A, text) for id, text in enumerate(texts, acknowledged + 1)],
        )


def store_as_before(path: str, text: str, uid: int = READER) -> None:
    """Store a text of A for a user by the statements of the version before, whatever the file has by now."""
    with closing(sqlite3.connect(path)) as there, there:
        there.execute(
            "INSERT INTO chat_reader (uid, last_id) VALUES (?, 1)"
            " ON CONFLICT (uid) DO UPDATE SET last_id = last_id + 1",
            (uid,),
        )
        there.execute(
            "INSERT INTO chat_inbox (uid, id, sender, name, at, text)"
            " SELECT uid, last_id, ?, '名', 1700000000000, ? FROM chat_reader WHERE uid = ?",
            (A, text, uid),
        )
