"""Copies of a store's data, made while it runs, and put back in the place of what it has become since."""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.campaign.journal import message_of
from benchmarks.campaign.losses import Message
from benchmarks.campaign.process import Process
from benchmarks.campaign.redis import Redis

_TEXTS = """
local texts = {}
for _, inbox in ipairs(redis.call('KEYS', 'chat:{*}:inbox')) do
  for _, entry in ipairs(redis.call('XRANGE', inbox, '-', '+')) do
    texts[#texts + 1] = string.match(entry[2][8], '^%S+')
  end
end
return table.concat(texts, ' ')
"""
"""The first words of all texts that wait."""


@dataclass(frozen=True)
class Content:
    """How many ``batches`` with messages a store has taken, and what is ``waiting`` in it."""

    batches: int
    waiting: frozenset[Message]


class StoreCopy(Protocol):
    """A store's data of a moment before, beside the store."""

    def make(self) -> float:
        """Copy the data, while nothing changes them; the time just before, in seconds since 1970."""

    def content(self) -> Content:
        """What is in the copy."""

    def batches(self) -> int:
        """How many batches the store itself has taken."""

    def put_back(self) -> None:
        """Replace the store's data, of which nobody makes use now, by the copy."""


class RedisCopy:
    """A copy of a Redis's append-only files."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self._redis = redis
        self._folder = folder
        self._copy = folder / redis.data.name

    def make(self) -> float:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        return _copy_at_standstill(self._redis, [self._redis.data], self._folder)

    def content(self) -> Content:
        """As another Redis says that runs on it."""
        other = Redis(self._folder)
        other.start()
        try:
            texts = other.text("EVAL", _TEXTS, "0").split()
            return Content(_batches_of(other), _messages(texts))
        finally:
            other.end()
            other.socket.unlink(missing_ok=True)

    def batches(self) -> int:
        return _batches_of(self._redis)

    def put_back(self) -> None:
        shutil.rmtree(self._redis.data)
        shutil.copytree(self._copy, self._redis.data)


def _batches_of(redis: Redis) -> int:
    return int(redis.text("GET", "chat:life").rpartition(" ")[2] or 0)


class SQLiteCopy:
    """A copy of the file that ``server`` has, with its write-ahead log."""

    def __init__(self, file: Path, server: Process, folder: Path) -> None:
        self._file = file
        self._server = server
        self._folder = folder

    def make(self) -> float:
        shutil.rmtree(self._folder, ignore_errors=True)
        self._folder.mkdir()
        log = self._file.with_name(self._file.name + "-wal")
        return _copy_at_standstill(self._server, [self._file, log], self._folder)

    def content(self) -> Content:
        """As SQLite says, which tidies up when it closes a file: so a copy of the copy is looked at."""
        look = self._folder.with_name("look")
        shutil.rmtree(look, ignore_errors=True)
        shutil.copytree(self._folder, look)
        with closing(sqlite3.connect(look / self._file.name)) as database:
            texts = [text for (text,) in database.execute("SELECT text FROM chat_inbox")]
            return Content(_batches_in(database), _messages(texts))

    def batches(self) -> int:
        with closing(
            sqlite3.connect(f"file:{self._file}?mode=ro", timeout=10, uri=True)
        ) as database:
            return _batches_in(database)

    def put_back(self) -> None:
        for old in self._file.parent.glob(f"{self._file.name}*"):
            old.unlink()
        shutil.copytree(self._folder, self._file.parent, dirs_exist_ok=True)


def _batches_in(database: sqlite3.Connection) -> int:
    count = "SELECT value FROM chat_setting WHERE name = 'batches'"
    (batches,) = database.execute(count).fetchone()
    return int(batches)


def _messages(texts: Iterable[str]) -> frozenset[Message]:
    return frozenset(message_of(text) for text in texts)


def _copy_at_standstill(process: Process, data: list[Path], folder: Path) -> float:
    """Copy files and folders, while the process that writes to them stands still."""
    begin = time.time()
    process.freeze()
    try:
        for path in data:
            copy = shutil.copytree if path.is_dir() else shutil.copyfile
            copy(path, folder / path.name)
    finally:
        process.thaw()
    if not any(path.stat().st_size for path in folder.rglob("*") if path.is_file()):
        raise SystemExit(f"the copy of {', '.join(map(str, data))} is empty")
    return begin
