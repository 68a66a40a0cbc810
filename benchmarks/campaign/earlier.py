"""Earlier states of a store's data: noted while it runs, and put back in the place of what it has become since."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
import time
from collections.abc import Iterable, Mapping
from contextlib import closing
from pathlib import Path
from typing import Protocol

from benchmarks.campaign.journal import is_message, message_of
from benchmarks.campaign.losses import Content, Message
from benchmarks.campaign.process import Process
from benchmarks.campaign.redis import Redis

_CONTENT = """
local waiting, last = {}, {}
for _, inbox in ipairs(redis.call('KEYS', 'chat:{*}:inbox')) do
  local uid = string.match(inbox, '{(.*)}')
  for _, entry in ipairs(redis.call('XRANGE', inbox, '-', '+')) do
    local text = string.match(entry[2][8] or '', '^%S+') or ''
    if string.match(text, '>(%d+)#') == uid then  -- else it is a copy, in its sender's inbox
      waiting[#waiting + 1] = text
    end
  end
  local info = redis.call('XINFO', 'STREAM', inbox)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      last[uid] = tonumber(string.match(info[i + 1], '^%d+'))
    end
  end
end
local batches = tonumber(string.match(redis.call('GET', 'chat:life') or '0', '%d+$'))
local serial = string.match(redis.call('GET', 'chat:serial') or '0', '^%d+')
return cjson.encode({batches, table.concat(waiting, ' '), last, serial})
"""
"""The batches, the first words of all texts that wait, the last id of each inbox, and the last serial."""


class EarlierState(Protocol):
    """The data of a store as they were a moment before."""

    def note(self) -> float:
        """Keep what is needed to return to the data of now; the time just before, in seconds since 1970."""

    def batches(self) -> int:
        """How many batches with messages the running store has taken."""

    def put_back(self, batches: int) -> Content:
        """
        Replace the data, which nobody uses now and which had taken so many batches, by what they were when they were
        noted, or after that; what is in them now.
        """


class RedisCopy:
    """A copy of all append-only files of a Redis."""

    def __init__(self, redis: Redis, folder: Path) -> None:
        self._redis = redis
        self._folder = folder

    def note(self) -> float:
        _make_empty(self._folder)
        return _copy_at_standstill(self._redis, [self._redis.data], self._folder)

    def batches(self) -> int:
        return self._redis.batches()

    def put_back(self, batches: int) -> Content:
        shutil.rmtree(self._redis.data)
        shutil.copytree(self._folder / self._redis.data.name, self._redis.data)
        return _content(self._redis, self._folder)


class RedisTruncation:
    """
    Takes the last part of the newest append-only file away, and half a transaction that is then its end, as an admin
    does: Redis itself lets that stand, and applies it at a later start. Whatever was answered before a moment stands
    before the end that the file had at that moment, for it is written before anything is answered.
    """

    def __init__(self, redis: Redis, folder: Path) -> None:
        self._redis = redis
        self._folder = folder
        self._size = 0
        self._file = redis.data

    def note(self) -> float:
        self._redis.keep_file()
        begin = time.time()
        self._file = self._newest()
        self._size = self._file.stat().st_size
        return begin

    def batches(self) -> int:
        return self._redis.batches()

    def put_back(self, batches: int) -> Content:
        if self._newest() != self._file:
            raise SystemExit(f"{self._file} was to be truncated, and is not the newest any more")
        end = self._file.stat().st_size
        self._truncate(random.randint(self._size, max(self._size, end - 1)))
        content = _content(self._redis, self._folder)
        if content.batches >= batches:  # it was some other command that was cut off
            self._truncate(self._size)
            content = _content(self._redis, self._folder)
        return content

    def _truncate(self, size: int) -> None:
        with self._file.open("r+b") as file:
            file.truncate(size)
        self._redis.mend_file()

    def _newest(self) -> Path:
        files = self._redis.data.glob("*.incr.aof")
        return max(files, key=lambda path: int(path.name.split(".")[-3]))


class SQLiteCopy:
    """A copy of the file that ``server`` has, with its write-ahead log."""

    def __init__(self, file: Path, server: Process, folder: Path) -> None:
        self._file = file
        self._server = server
        self._folder = folder

    def note(self) -> float:
        _make_empty(self._folder)
        log = self._file.with_name(self._file.name + "-wal")
        return _copy_at_standstill(self._server, [self._file, log], self._folder)

    def batches(self) -> int:
        where = f"file:{self._file}?mode=ro"
        with closing(sqlite3.connect(where, timeout=10, uri=True)) as database:
            return _batches_in(database)

    def put_back(self, batches: int) -> Content:
        for old in self._file.parent.glob(f"{self._file.name}*"):
            old.unlink()
        shutil.copytree(self._folder, self._file.parent, dirs_exist_ok=True)
        return self._content()

    def _content(self) -> Content:
        """SQLite tidies up when it closes a file: so the copy is looked at, not what was put back."""
        with closing(sqlite3.connect(self._folder / self._file.name)) as database:
            texts = list(database.execute("SELECT uid, text FROM chat_inbox"))
            last = dict(database.execute("SELECT uid, last_id FROM chat_reader"))
            serial = _setting(database, "serial")
            messages = (
                message
                for uid, text in texts
                if is_message(text) and (message := message_of(text))[1] == uid
            )  # else it is a copy, in its sender's inbox, or of a room
            return Content(_batches_in(database), frozenset(messages), last, serial)


def _batches_in(database: sqlite3.Connection) -> int:
    return _setting(database, "batches")


def _setting(database: sqlite3.Connection, name: str) -> int:
    found = database.execute("SELECT value FROM chat_setting WHERE name = ?", (name,)).fetchone()
    return int(found[0]) if found else 0


def _content(redis: Redis, folder: Path) -> Content:
    """What is in the data of a Redis that does not run, as another one says that runs on a copy of them."""
    _make_empty(folder)
    shutil.copytree(redis.data, folder / redis.data.name)
    other = Redis(folder)
    other.start()
    try:
        batches, texts, last, serial = json.loads(other.text("EVAL", _CONTENT, "0"))
    finally:
        other.end()
    return Content(batches, _messages(texts.split()), _by_uid(last), int(serial))


def _by_uid(last: Mapping[str, int]) -> dict[int, int]:
    return {int(uid): id for uid, id in dict(last).items()}  # Lua makes a list of an empty table


def _messages(texts: Iterable[str]) -> frozenset[Message]:
    return frozenset(message_of(text) for text in texts)


def _make_empty(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()


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
