"""How far archive and index are behind; past a limit, senders are read more slowly, and nothing is dropped."""

from __future__ import annotations

from chatsvc.archive.queue import ArchiveQueue
from chatsvc.history.limits import HistoryLimits
from chatsvc.storage.database import Database
from chatsvc.storage.sql import Transaction

SENDER_DELAY = 0.05
"""Seconds for which a sender is not read after a message, while too much waits to be archived."""

_COUNTED = 10
"""Of so many looks one counts what is not indexed: a table that is long when the index is behind."""

_UNINDEXED = "SELECT COUNT(*) FROM chat_unindexed"


class Backlog:
    """
    What waits to be archived and indexed, as it was when it was looked at last.

    ``queue`` None: messages go into the archive where they are stored, and none waits.
    """

    def __init__(
        self, queue: ArchiveQueue | None, database: Database, limits: HistoryLimits
    ) -> None:
        self._queue = queue
        self._database = database
        self._limits = limits
        self.messages = 0
        self.bytes = 0
        self.unindexed = 0
        self._looks = 0
        self.is_over = False
        """Whether more waits to be archived than should."""

    async def look(self) -> None:
        """
        Look again.

        :raise StoreUnavailable: a store is away.
        """
        if self._queue is not None:
            ends = await self._queue.ends()
            self.messages, self.bytes = ends.length, ends.bytes
            limits = self._limits
            self.is_over = ends.length > limits.backlog or ends.bytes > limits.backlog_bytes
        if not self._looks % _COUNTED:
            self.unindexed = await self._database.run(_count_unindexed, write=False)
        self._looks += 1


def _count_unindexed(transaction: Transaction) -> int:
    row = transaction.one(_UNINDEXED)
    return int(row[0]) if row else 0
