"""The archive after whatever two archivers have done, compared with a simple model of it (P6 of docs/protocol.md)."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import partial
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn

from chatsvc.archive.changes import write
from chatsvc.archive.entry import ArchiveEntry, Edited, Pair, Place, Retracted, Said
from chatsvc.archive.retention import expire_some
from chatsvc.archive.segmenter import tokens_of
from chatsvc.archive.word_index import index_some
from chatsvc.storage.schema import apply
from chatsvc.storage.sql import Transaction
from tests.support.archive_stores import Blocking, blocking_mariadb, blocking_sqlite
from tests.support.databases import OnDatabase, OnMariaDB, OnSQLite

TEXTS = ("", "你好", "你好世界", "deploy ok", "ok 😂")
PLACES: tuple[Place, ...] = (Pair(1, 2), Pair(2, 3), Pair(2, 2), Pair(-5, 1), 7, 8)

Doing = tuple[str, int, int]
"""A batch from one place of the queue to another; or so many messages that end, or are indexed, below a serial."""


@dataclass
class Row:
    """What the archive should have of a message."""

    said: Said
    text: str
    changed: int
    edited: int | None = None
    retracted: bool = False


@dataclass
class Model:
    """An archive to which each entry came once, and in order."""

    rows: dict[int, Row] = field(default_factory=dict)
    kept: int = 0
    serial: int = 0

    def write(self, entry: ArchiveEntry) -> None:
        """Take one entry of the queue."""
        self.serial = max(self.serial, entry.serial)
        if isinstance(entry, Said):
            if entry.serial > self.kept:
                self.rows.setdefault(entry.serial, Row(entry, entry.text, entry.serial))
            return
        row = self.rows.get(entry.target)
        if row is None or row.retracted or entry.serial <= row.changed:
            return
        row.changed = entry.serial
        if isinstance(entry, Edited):
            row.text, row.edited = entry.text, entry.at
        else:
            row.text, row.retracted = "", True

    def expire(self, before: int, limit: int) -> None:
        """Let go of the oldest ones."""
        for serial in sorted(serial for serial in self.rows if serial < before)[:limit]:
            del self.rows[serial]
            self.kept = serial

    def expected(self) -> tuple[Any, ...]:
        """What should stand in the tables."""
        messages = {
            (
                *(serial, row.said.place, row.said.sender, row.said.name, row.said.at),
                *(row.text, row.said.reply, row.edited, row.changed, int(row.retracted)),
            )
            for serial, row in self.rows.items()
        }
        words = {
            (row.said.place, token, serial)
            for serial, row in self.rows.items()
            for token in tokens_of(row.text)
        }
        marks = {"kept": self.kept, "serial": self.serial}
        return messages, words, {name: value for name, value in marks.items() if value}


def found(transaction: Transaction) -> tuple[Any, ...]:
    """What stands in the tables, once all is indexed."""
    index_some(transaction, 1000)
    places: dict[int, Place] = {-7: 7, -8: 8}
    for number, low, high in transaction.all(
        "SELECT conversation, low, high FROM chat_conversation"
    ):
        places[number] = Pair(low, high)
    query = (
        "SELECT serial, conversation, sender, name, at, text, reply, edited, changed, retracted"
        " FROM chat_message"
    )
    messages = {(row[0], places[row[1]], *row[2:]) for row in transaction.all(query)}
    query = "SELECT conversation, token, serial FROM chat_word"
    words = {(places[number], token, serial) for number, token, serial in transaction.all(query)}
    assert transaction.one("SELECT COUNT(*) FROM chat_unindexed") == (0,)
    return messages, words, dict(transaction.all("SELECT name, value FROM chat_archive"))


@st.composite
def queues(draw: DrawFn) -> list[ArchiveEntry]:
    """Entries in their order: messages, some under a serial that is taken, and changes of those before, some late."""
    entries: list[ArchiveEntry] = []
    serials: list[int] = []
    for place in range(draw(st.integers(1, 12))):
        kind = draw(st.sampled_from(("said", "said", "edited", "retracted")))
        serial = draw(st.integers(1, 40))
        if kind == "said" or not serials:
            sender, text = draw(st.integers(1, 3)), draw(st.sampled_from(TEXTS))
            where = draw(st.sampled_from(PLACES))
            reply = draw(st.none() | st.integers(1, 40))
            entries.append(Said(serial, where, sender, f"name{place}", place, text, reply))
            serials.append(serial)
            continue
        target = draw(st.sampled_from(serials))
        if kind == "edited":
            entries.append(Edited(serial, target, place, draw(st.sampled_from(TEXTS))))
        else:
            entries.append(Retracted(serial, target))
    return entries


@st.composite
def doings(draw: DrawFn) -> tuple[list[ArchiveEntry], list[Doing]]:
    """A queue, and what is done: batches that overlap and come again until its end is reached, and upkeep between."""
    queue = draw(queues())
    done, reached = [], 0
    while reached < len(queue):
        kind = draw(st.sampled_from(("write", "write", "expire", "index")))
        if kind != "write":
            done.append((kind, draw(st.integers(1, 45)), draw(st.integers(1, 3))))
            continue
        begin = draw(st.integers(0, reached))
        end = draw(st.integers(begin + 1, len(queue)))
        done.append((kind, begin, end))
        reached = max(reached, end)
    return queue, done


class BothKinds:
    """What holds on both kinds of database."""

    class Tests(OnDatabase):
        """The test, for each kind of database."""

        examples: int

        def blocking(self) -> Blocking:
            """The database, for Hypothesis."""
            raise NotImplementedError

        async def test_any_batches(self) -> None:
            """What two archivers repeat would be there twice, be as it was before, come back, or not be found."""
            await apply(await self.open())
            archive = self.blocking()
            self.addCleanup(archive.close)

            @settings(
                max_examples=self.examples,
                deadline=None,
                suppress_health_check=[HealthCheck.too_slow],
            )
            @given(doings())
            def check(given: tuple[list[ArchiveEntry], list[Doing]]) -> None:
                queue, done = given
                archive.clear()
                model, reached = Model(), 0
                for kind, first, second in done:
                    if kind == "write":
                        archive.run(partial(write, entries=queue[first:second]))
                        for entry in queue[reached:second]:
                            model.write(entry)
                        reached = max(reached, second)
                    elif kind == "expire":
                        archive.run(partial(expire_some, before=first, limit=second))
                        model.expire(first, second)
                    else:
                        archive.run(partial(index_some, limit=second))
                self.assertEqual(archive.run(found), model.expected())

            check()


class SQLiteTests(BothKinds.Tests, OnSQLite):
    """SQLite."""

    examples = 300

    def blocking(self) -> Blocking:
        return blocking_sqlite(self.path)


class MariaDBTests(BothKinds.Tests, OnMariaDB):
    """MariaDB."""

    examples = 60

    def blocking(self) -> Blocking:
        return blocking_mariadb(self.name)
