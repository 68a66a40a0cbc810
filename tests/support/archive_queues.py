"""An archive's queue and a database in memory, for tests that decide when and how they answer."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from chatsvc.archive.entry import ArchiveEntry
from chatsvc.archive.queue import Done, Ends, Queued
from chatsvc.storage.sql import Transaction
from chatsvc.storage.url import StoreUnavailable
from tests.inbox.blocking import BlockingDatabase
from tests.support.fakes import Turns

T = TypeVar("T")


class SharedQueue:
    """What a store has: entries, whose lease it is, and the ids of what was put aside."""

    def __init__(self, *entries: ArchiveEntry | None) -> None:
        self.entries: list[Queued] = []
        self.last = 0
        self.holder = ""
        self.refused: list[str] = []
        self.put(*entries)

    def put(self, *entries: ArchiveEntry | None) -> None:
        """Put entries in; None: one that nobody can read."""
        for entry in entries:
            self.last += 1
            note = f"{entry.serial}" if entry else "?"
            self.entries.append(Queued(f"1-{self.last}", note, entry))

    @property
    def ids(self) -> list[int]:
        """The ids that wait."""
        return [int(one.id.removeprefix("1-")) for one in self.entries]


class MemoryQueue(Turns):
    """The queue as one node knows it, an :class:`~chatsvc.archive.queue.ArchiveQueue`; ``done`` is all it was told."""

    def __init__(self, shared: SharedQueue, node: str = "node") -> None:
        super().__init__()
        self.shared = shared
        self.node = node
        self.done: list[Done | None] = []

    async def take(self, done: Done | None, limit: int) -> list[Queued] | None:
        await self.turn("take")
        shared = self.shared
        self.done.append(done)
        if shared.holder not in ("", self.node):
            return None
        if done is not None and shared.holder == self.node:
            self._let_go(done)
        shared.holder = self.node
        return shared.entries[:limit]

    def _let_go(self, done: Done) -> None:
        known = [(one.id, one.note) for one in self.shared.entries]
        if (done.last.id, done.last.note) in known:
            place = known.index((done.last.id, done.last.note))
            ids = [id for id, _ in known[: place + 1]]
            assert set(done.refused) <= set(ids)
            self.shared.refused += done.refused
            del self.shared.entries[: place + 1]

    async def leave(self) -> None:
        await self.turn("leave")
        if self.shared.holder == self.node:
            self.shared.holder = ""

    async def ends(self) -> Ends:
        await self.turn("ends")
        entries = self.shared.entries
        if not entries:
            return Ends("", "", 0, 0)
        return Ends(entries[0].id, entries[-1].id, len(entries), 100 * len(entries))


class MemoryDatabase(Turns):
    """
    A database in memory, whose transactions are held or fail as a test says.

    ``commits`` has how many rows each transaction has written that was committed; after the ``lost`` next ones the
    answer is lost.
    """

    def __init__(self) -> None:
        super().__init__()
        self._database = BlockingDatabase(":memory:")
        self.commits: list[int] = []
        self.lost = 0

    async def run(
        self, interaction: Callable[[Transaction], T], *, write: bool = True, lock: str = ""
    ) -> T:
        await self.turn("run")
        before = self._database._connection.total_changes
        result = await self._database.run(interaction)
        self.commits.append(self._database._connection.total_changes - before)
        if self.lost:
            self.lost -= 1
            raise StoreUnavailable("no answer")
        return result

    def sql(self, statement: str, args: Sequence[object] = ()) -> list[tuple[object, ...]]:
        """Run a statement, as another program would."""
        return self._database._connection.execute(statement, args).fetchall()

    def close(self) -> None:
        """Forget all."""
        self._database.close()
