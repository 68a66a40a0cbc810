"""
What does the search of the archive cost, in time and on the disk?

    python benchmarks/archive_search.py --database sqlite
    python benchmarks/archive_search.py --database mariadb --messages 200000 --compare

One reader is in 200 of 2,000 conversations, the largest one among them, which has three messages of ten. A fifth of all
messages has a word that this reader finds, another fifth one that stands only where this reader is not. Each figure is
that of the first page of 50, in ms: the first time, and the median and the 95th percentile of those after it; then what
was found, and whether the page was all of it. ``--compare`` measures the full-text index of the database, with
the same words and one for the conversation in each row. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import accumulate
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import pymysql

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.compare import say
from chatsvc.archive.pages import page
from chatsvc.archive.scope import Scope
from chatsvc.archive.search import search_page
from chatsvc.archive.segmenter import query_of, tokens_of
from chatsvc.archive.word_index import index_some
from chatsvc.storage.sql import Transaction
from tests.support.servers import PrivateMariaDB

CONVERSATIONS = 2000
READABLE = [1, *range(11, CONVERSATIONS, 10)]
"""The reader's conversations; the first one is the largest."""

PAGE = 50
ROUNDS = 40
AT_ONCE = 1000
SECONDS = 0.25
"""After so long a search ends where it is."""

QUERIES = {
    "1 hit": "鼋鼍",
    "1,000 hits": "饕餮",
    "a fifth of all": "麒麟",
    "elsewhere only": "貔貅",
    "elsewhere, beside one that is here": "貔貅 麒麟",
    "two words": "麒麟 饕餮",
    "two frequent ones, seldom together": "麒麟 gateway",
    "never said": "魑魅",
    "one character, rare": "鼋",
    "one character, frequent": "麒",
    "an English word": "gateway",
}

_SOME = (
    "SELECT serial FROM chat_message WHERE conversation = 1 AND serial > 1000000"
    " ORDER BY serial % 7919, serial LIMIT ?"
)
"""Messages of the largest conversation, from anywhere in it."""

ENGLISH = ("ok", "server", "deploy", "meeting", "bug", "release", "gateway", "https", "com", "v2")

Row = tuple[int, int, int, str, int, str, int]
"""Serial, conversation, sender, name, time, text, change."""


def messages(many: int) -> Iterator[Row]:
    """Give messages of about 20 characters; words and conversations are as unequal as they are in life."""
    rng = random.Random(1)
    letters = [chr(0x4E00 + 6 * n) for n in range(2500)]
    words = ["".join(rng.choices(letters, k=rng.choice((1, 2, 2, 2, 3)))) for _ in range(20_000)]
    weights = [*accumulate(1 / (n + 3) for n in range(len(words)))]
    crowds = [*accumulate([0.43 * 8.2, *(1 / (n + 2) for n in range(1, CONVERSATIONS))])]
    conversations = rng.choices(range(1, CONVERSATIONS + 1), cum_weights=crowds, k=many)
    here = [n for n, where in enumerate(conversations) if where in _MINE]
    elsewhere = [n for n, where in enumerate(conversations) if where not in _MINE]
    placed: dict[str, set[int]] = {
        "鼋鼍": {here[len(here) // 3]},
        "饕餮": {*rng.sample(here, min(1000, len(here)))},
        "麒麟": {*rng.sample(here, min(many // 5, len(here)))},
        "貔貅": {*rng.sample(elsewhere, min(many // 5, len(elsewhere)))},
    }
    for n, where in enumerate(conversations):
        said = rng.choices(words, cum_weights=weights, k=rng.randint(2, 18))
        if rng.random() < 0.3:
            said.append(f" {rng.choice(ENGLISH)} ")
        said += [word for word, those in placed.items() if n in those]
        rng.shuffle(said)
        at = 1_800_000_000_000 + 100 * n
        yield 1000 * at, where, 10001 + n % 50, "张三", at, "".join(said), 1000 * at


_MINE = frozenset(READABLE)


class OnSQLite:
    """A file in a folder."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / "archive.db"
        self._connection = sqlite3.connect(self._path, isolation_level=None)
        self._connection.execute("PRAGMA journal_mode = WAL")
        self.transaction = Transaction(self._connection, "sqlite")
        self.kind = "sqlite"

    def commit(self) -> None:
        self._connection.commit()

    def sizes(self) -> dict[str, int]:
        """The bytes of each table, with its indexes."""
        rows = self.transaction.all(
            "SELECT m.tbl_name, SUM(s.pgsize) FROM dbstat AS s JOIN sqlite_master AS m ON m.name = s.name GROUP BY 1"
        )
        return dict(rows)

    def make_full_text(self) -> None:
        self.transaction.execute(
            "CREATE VIRTUAL TABLE full_text USING fts5(words, content = '', detail = none, columnsize = 0)"
        )

    def add_full_text(self, rows: Sequence[tuple[int, str]]) -> None:
        self._connection.executemany("INSERT INTO full_text (rowid, words) VALUES (?, ?)", rows)

    def find_full_text(self, tokens: Sequence[str], places: Sequence[str]) -> int:
        match = f"{' AND '.join(tokens)} AND ({' OR '.join(places)})"
        query = "SELECT rowid FROM full_text WHERE full_text MATCH ? ORDER BY rowid DESC LIMIT ?"
        return len(self.transaction.all(query, (match, PAGE)))

    def full_text_bytes(self) -> int:
        return sum(size for name, size in self.sizes().items() if name.startswith("full_text"))

    def close(self) -> None:
        self._connection.close()


class LargerMariaDB(PrivateMariaDB):
    """MariaDB with the memory that it has where nothing is set."""

    def _command(self) -> list[str]:
        larger = ("--innodb-buffer-pool-size=128M", "--innodb-log-file-size=96M")
        return [*super()._command(), *larger]


class OnMariaDB:
    """A server of its own, in its own folder."""

    def __init__(self, folder: Path) -> None:
        self._server = LargerMariaDB()
        shutil.rmtree(self._server.folder)
        self._server.folder = folder / "mariadb"
        self._server.folder.mkdir()
        self._server.socket = str(self._server.folder / "server.sock")
        self._server.start()
        self._server.create_database("archive")
        self._connection = pymysql.connect(
            unix_socket=self._server.socket,
            user=self._server.user,
            password=self._server.password,
            database="archive",
            charset="utf8mb4",
        )
        self.transaction = Transaction(self._connection, "mysql")
        self.kind = "mysql"

    def commit(self) -> None:
        self._connection.commit()

    def sizes(self) -> dict[str, int]:
        """The bytes of each table's file."""
        files = (self._server.folder / "data" / "archive").glob("*.ibd")
        return {path.stem: path.stat().st_size for path in files}

    def make_full_text(self) -> None:
        self.transaction.execute(
            "CREATE TABLE full_text (FTS_DOC_ID BIGINT UNSIGNED NOT NULL PRIMARY KEY,"
            " words TEXT CHARACTER SET ascii NOT NULL, FULLTEXT KEY words (words)) ENGINE = InnoDB"
        )

    def add_full_text(self, rows: Sequence[tuple[int, str]]) -> None:
        self.transaction.insert_many("INSERT INTO full_text", rows)

    def find_full_text(self, tokens: Sequence[str], places: Sequence[str]) -> int:
        match = f"{' '.join(f'+{token}' for token in tokens)} +({' '.join(places)})"
        query = (
            "SELECT FTS_DOC_ID FROM full_text WHERE MATCH (words) AGAINST (? IN BOOLEAN MODE)"
            " ORDER BY FTS_DOC_ID DESC LIMIT ?"
        )
        return len(self.transaction.all(query, (match, PAGE)))

    def full_text_bytes(self) -> int:
        """Those of the table, and of the hidden ones of its index."""
        sizes = self.sizes().items()
        return sum(size for name, size in sizes if name == "full_text" or name.startswith("FTS_"))

    def close(self) -> None:
        self._connection.close()
        self._server.remove()


Stage = OnSQLite | OnMariaDB


def make_tables(stage: Stage) -> None:
    """Make the tables of the archive."""
    path = Path(__file__).parents[1] / "schema" / stage.kind / "011_archive.sql"
    lines = [line for line in path.read_text().splitlines() if not line.strip().startswith("--")]
    for statement in filter(str.strip, "\n".join(lines).split(";")):
        if "chat_room_log" not in statement:  # a table of another file
            stage.transaction.execute(statement)


def fill(stage: Stage, many: int) -> None:
    """Insert messages, and that they are not in the index yet."""
    columns = "serial, conversation, sender, name, at, text, changed"
    for some in groups(messages(many)):
        if stage.kind == "sqlite":
            stage.transaction.execute("BEGIN")
        stage.transaction.insert_many(f"INSERT INTO chat_message ({columns})", some)
        stage.transaction.insert_many("INSERT INTO chat_unindexed", [row[:1] for row in some])
        stage.commit()


def index(stage: Stage) -> None:
    """Index all messages, as a server does."""
    taken = AT_ONCE
    while taken == AT_ONCE:
        if stage.kind == "sqlite":
            stage.transaction.execute("BEGIN")
        taken = index_some(stage.transaction, AT_ONCE)
        stage.commit()


def groups(rows: Iterator[Row]) -> Iterator[list[Row]]:
    """Cut rows into groups of a transaction each."""
    some: list[Row] = []
    for row in rows:
        some.append(row)
        if len(some) == AT_ONCE:
            yield some
            some = []
    if some:
        yield some


def search(stage: Stage, text: str, scopes: Sequence[Scope]) -> str:
    """Read one first page, as a transaction of its own; say what it was."""
    until = time.monotonic() + SECONDS
    found = search_page(
        stage.transaction,
        *(scopes, query_of(text), None, None, PAGE),
        lambda: time.monotonic() > until,
    )
    stage.commit()
    return f"{len(found.messages):>4}{' all' if found.complete else ''}"


def read_page(stage: Stage, serials: list[int]) -> str:
    """Read the page of the largest conversation that ends at one of the serials, as a transaction of its own."""
    found, complete = page(stage.transaction, Scope(1), serials.pop(), None, PAGE)
    stage.commit()
    return f"{len(found):>4}{' all' if complete else ''}"


def timed(ask: Callable[[], Any]) -> str:
    """Ask again and again; give the figures, and the last answer."""
    took, answer = [], None
    for _ in range(ROUNDS + 1):
        began = time.perf_counter()
        answer = ask()
        took.append(1000 * (time.perf_counter() - began))
    rest = took[1:]
    p95 = quantiles(rest, n=20)[-1]
    return f"{took[0]:>9.2f}{median(rest):>9.2f}{p95:>9.2f}   {answer}"


def rate(what: str, many: int, work: Callable[[], Any]) -> None:
    """Do something to many messages and say how fast that was."""
    began = time.perf_counter()
    work()
    took = time.perf_counter() - began
    say(f"{what:<40}{many / took:>9,.0f} messages/s")


def measure(stage: Stage, many: int) -> None:
    """Fill, index, search."""
    make_tables(stage)
    rate("inserted", many, lambda: fill(stage, many))
    rate("indexed", many, lambda: index(stage))
    if stage.kind == "mysql":
        stage.transaction.all("ANALYZE TABLE chat_message, chat_word")
    sizes = stage.sizes()
    (rows,) = stage.transaction.one("SELECT COUNT(*) FROM chat_word") or (0,)
    say(f"{'bytes/message, the messages':<40}{sizes['chat_message'] / many:>9,.0f}")
    say(f"{'bytes/message, the index':<40}{sizes['chat_word'] / many:>9,.0f}")
    say(f"{'rows/message, the index':<40}{rows / many:>9,.1f}")
    say(f"\n{'a page of 50, at any depth':<40}{'first':>9}{'p50':>9}{'p95':>9}   read")
    serials = [serial for (serial,) in stage.transaction.all(_SOME, (ROUNDS + 1,))]
    say(f"{'the largest conversation':<40}{timed(partial(read_page, stage, serials))}")
    for who, conversations in {"200 conversations": READABLE, "the largest one": [1]}.items():
        say(f"\n{who:<40}{'first':>9}{'p50':>9}{'p95':>9}   found")
        scopes = [Scope(conversation) for conversation in conversations]
        for name, text in QUERIES.items():
            say(f"{name:<40}{timed(partial(search, stage, text, scopes))}")


def compare(stage: Stage, many: int) -> None:
    """Measure the database's own full-text index on the same messages."""
    stage.make_full_text()
    rate("\nfull-text index, filled", many, lambda: fill_full_text(stage, many))
    say(f"{'bytes/message':<40}{stage.full_text_bytes() / many:>9,.0f}")
    say(f"{'200 conversations':<40}{'first':>9}{'p50':>9}{'p95':>9}   found")
    places = [conversation_word(conversation) for conversation in READABLE]
    for name, text in QUERIES.items():
        tokens = [f"t{token:x}" for token in query_of(text).tokens]
        if tokens:
            find = partial(stage.find_full_text, tokens, places)
            say(f"{name:<40}{timed(find)}")


def conversation_word(conversation: int) -> str:
    """The word of a conversation; InnoDB leaves out what is shorter than three letters."""
    return f"c{conversation:05}"


def fill_full_text(stage: Stage, many: int) -> None:
    """Put each message's words and its conversation into the full-text index."""
    for some in groups(messages(many)):
        if stage.kind == "sqlite":
            stage.transaction.execute("BEGIN")
        stage.add_full_text(
            [
                (
                    row[0],
                    " ".join(
                        [conversation_word(row[1]), *(f"t{token:x}" for token in tokens_of(row[5]))]
                    ),
                )
                for row in some
            ]
        )
        stage.commit()


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=1_000_000)
    parser.add_argument("--database", choices=("sqlite", "mariadb"), default="sqlite")
    parser.add_argument("--folder", help="where the data is meanwhile; default: a temporary one")
    parser.add_argument("--compare", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        stage: Stage = (OnSQLite if options.database == "sqlite" else OnMariaDB)(Path(folder))
        try:
            say(f"{options.database}, {options.messages:,} messages\n")
            measure(stage, options.messages)
            if options.compare:
                compare(stage, options.messages)
        finally:
            stage.close()


if __name__ == "__main__":
    main()
