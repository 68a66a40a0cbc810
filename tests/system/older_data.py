"""
Data that a server of the version before registered devices left behind: accounts, keys and messages, as it wrote them.

WRITER has sent numbered messages as ``SENDING``, to BOT, which reads as ``READING`` and has acknowledged the first of
three, and to PERSON, who has never been here. The server was killed: it did not log them out. Nothing of the project
is imported here; what stands here is what version 0.1.0 wrote on 30 November 2026.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from itsdangerous import TimestampSigner

from tests.support.processes import ServerStores, SQLiteStores, phc
from tests.support.servers import mariadb, redis

WRITER, BOT, PERSON, LIST = 10001, 10002, 10003, 10004
_NAMES = {WRITER: "writer", BOT: "bot", PERSON: "person", LIST: "list"}

PASSWORD = "密码-1"
SENDING, READING = "a" * 16, "c" * 16
TO_BOT, TO_PERSON, IN_LIST = ("b1", "b2", "b3"), ("p1", "p2"), ("旧1", "旧2")

EPOCH = "8c5ec8a4751d2a1e"
BATCHES = 5

_NEWEST = 6
"""The newest file of the schema that it had."""

_SECRET = "107e4b962e88a62a3851648fa47db43aa8a758782759ec1724231e5aed52c40f"
_AT = 1_796_044_621_978
_SCHEMA = Path(__file__).parents[2] / "schema"


def token(uid: int) -> str:
    """A token of an account, issued just now."""
    secret = bytes.fromhex(_SECRET)
    stored = b"chatsvc.stored\0" + phc(PASSWORD).encode()
    mark = hmac.digest(secret, stored, "sha256")[:16].hex()
    signer = TimestampSigner(
        secret, salt="chatsvc.token", digest_method=hashlib.sha256, key_derivation="hmac"
    )
    return signer.sign(f"{uid}.{mark}").decode()


def write_keys(folder: Path, run: str = "", batches: int = BATCHES) -> None:
    """Write what the key folder had beside the certificate: the token secret, and how far the data was."""
    folder.mkdir(mode=0o700)
    mark = {"epoch": EPOCH, "run": run, "batches": batches}
    for name, content in (("token.secret", _SECRET + "\n"), ("inbox.watermark", json.dumps(mark))):
        (folder / name).write_text(content)
        (folder / name).chmod(0o600)


def _schema(backend: str) -> Iterator[tuple[int, str]]:
    """The files of the schema that it had, and their numbers."""
    for file in sorted((_SCHEMA / backend).glob("*.sql")):
        number = int(file.name.partition("_")[0])
        if number <= _NEWEST:
            yield number, file.read_text()


class OlderSQLite(SQLiteStores):
    """One file for accounts and messages."""

    run = ""

    def __init__(self) -> None:
        super().__init__()
        with closing(sqlite3.connect(self.path)) as there, there:
            for number, text in _schema("sqlite"):
                there.executescript(text)
                there.execute("INSERT INTO chat_schema (version) VALUES (?)", (number,))
            self._write_rows(there)

    def _write_rows(self, there: sqlite3.Connection) -> None:
        now = int(time.time() * 1000)
        rows: dict[str, list[tuple[object, ...]]] = {
            "user": [(uid, name, phc(PASSWORD)) for uid, name in _NAMES.items()],
            "chat_generation": [(WRITER, SENDING, 1, now), (BOT, READING, 1, now)],
            "chat_inbox": [
                *[(BOT, id, WRITER, "writer", _AT, TO_BOT[id - 1]) for id in (2, 3)],
                *[(PERSON, id, WRITER, "writer", _AT, TO_PERSON[id - 1]) for id in (1, 2)],
            ],
            "chat_reader": [(WRITER, 0, 0, 1, "0"), (BOT, 3, 1, 1, "0"), (PERSON, 2, 0, 0, "0")],
            "chat_sending": [
                (BOT, WRITER, SENDING, 3, 3, now, "7dc96f4814d976a827"),
                (PERSON, WRITER, SENDING, 2, 2, now, "f645513946ca"),
            ],
            "chat_share": [(BOT, WRITER, 3, 0), (PERSON, WRITER, 2, 0)],
            "chat_setting": [("epoch", EPOCH)],
        }
        for table, lines in rows.items():
            marks = ", ".join("?" * len(lines[0]))
            there.executemany(f"INSERT INTO {table} VALUES ({marks})", lines)  # noqa: S608
        there.execute("UPDATE chat_setting SET value = ? WHERE name = 'batches'", (BATCHES,))


class OlderServers(ServerStores):
    """A database in MariaDB, and one in Redis, with lists of the still older server for BOT and LIST."""

    NODE = "vm:5767:84f49d5a"

    def __init__(self) -> None:
        super().__init__()
        # A file's variables live as long as the connection.
        with closing(mariadb()._connect(self.database)) as there, there.cursor() as cursor:
            for number, text in _schema("mysql"):
                for statement in _statements(text):
                    cursor.execute(statement)
                cursor.execute("INSERT INTO chat_schema (version) VALUES (%s)", (number,))
        for uid, name in _NAMES.items():
            row = (uid, name, phc(PASSWORD))
            self.sql("INSERT INTO user (id, username, password) VALUES (?, ?, ?)", row)
        self.run = redis().execute("INFO", "server").decode().partition("run_id:")[2][:40]
        self._write_keys()

    def _write_keys(self) -> None:
        now = int(time.time())
        keys = {
            "epoch": EPOCH,
            "life": f"{self.run} {BATCHES}",
            f"order:{self.NODE}": "6",
            "waiting": "4",
            f"{{{WRITER}}}:generations": f"1 {SENDING}:{now}:1",
            f"{{{WRITER}}}:session": f"{self.NODE} 1",
            f"{{{BOT}}}:generations": f"1 {READING}:{now}:1",
            f"{{{BOT}}}:session": f"{self.NODE} 1",
        }
        for key, value in keys.items():
            self.redis("SET", f"chat:{key}", value)
        numbers = {
            BOT: f"3 0 {SENDING} 3 3 /,{SENDING}:{now}:3:7e83ca32f28e23a5fd",
            PERSON: f"2 0 {SENDING} 2 2 /,{SENDING}:{now}:2:b78f57c5fd96",
        }
        for uid, texts, first in ((BOT, TO_BOT, 2), (PERSON, TO_PERSON, 1)):
            self.redis("HSET", f"chat:{{{uid}}}:from", WRITER, numbers[uid])
            for id, text in enumerate(texts[first - 1 :], first):
                fields = ("f", WRITER, "u", "writer", "a", _AT, "t", text)
                self.redis("XADD", f"chat:{{{uid}}}:inbox", f"{id}-0", *fields)
        for text in IN_LIST:
            self.redis("RPUSH", f"list_usermessages_of_userid:userid:{LIST}", text)

    def revive(self, milliseconds: int) -> None:
        """Give its node a lease, as if it had been killed a moment ago, or ran still."""
        facts = json.dumps({"version": "0.1.0", "secret": "2eb9e5761d56c315"})
        self.redis("SET", f"chat:node:{self.NODE}", facts, "PX", milliseconds)
        self.redis("SADD", "chat:nodes", self.NODE)


def _statements(script: str) -> Iterator[str]:
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
