"""A store that archives into its own file, and what is in there."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.outcome import (
    Draft,
    Outcome,
    RoomDraft,
)
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.storage.database import Database
from tests.inbox.blocking import BlockingDatabase, at_once
from tests.inbox.contract.room_case import ROOM, created
from tests.inbox.fixtures import RecordingWatcher

ARCHIVE = ("chat_message", "chat_unindexed", "chat_conversation", "chat_archive", "chat_word")


class ArchiveCase(SynchronousTestCase):
    """A test with a store in a file, and a room that A has made."""

    def setUp(self) -> None:
        self.database = BlockingDatabase(self.mktemp())
        self.addCleanup(self.database.close)

    def open(self, archives: bool = True, **limits: int) -> None:
        """(Re)open the store."""
        database = cast(Database, self.database)
        self.inbox = SQLiteInbox(database, InboxLimits(**limits), archives=archives)
        at_once(self.inbox.open(RecordingWatcher()))
        at_once(self.inbox.rooms.apply(ROOM, [created()]))

    def commit(self, *drafts: Draft | RoomDraft) -> list[Outcome]:
        """Have messages stored; what becomes of them."""
        return at_once(self.inbox.commit(drafts, [])).outcomes

    def sql(self, statement: str, args: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a statement as another program would."""
        return self.database._connection.execute(statement, tuple(args)).fetchall()

    def count(self, table: str) -> int:
        """How many rows a table has."""
        ((count,),) = self.sql(f"SELECT COUNT(*) FROM {table}")  # noqa: S608
        return int(count)

    def counts(self) -> dict[str, int]:
        """How many rows the tables of messages and of the archive have."""
        return {table: self.count(table) for table in ("chat_inbox", "chat_room_log", *ARCHIVE)}

    def archived(self) -> list[tuple[Any, ...]]:
        """What the archive has, by serial: serial, users or room, sender, name, time, text."""
        return self.sql(
            "SELECT m.serial, c.low, c.high, iif(m.conversation < 0, -m.conversation, NULL),"
            " m.sender, m.name, m.at, m.text FROM chat_message AS m"
            " LEFT JOIN chat_conversation AS c ON c.conversation = m.conversation ORDER BY m.serial"
        )

    def texts(self) -> list[str]:
        """The texts that the archive has."""
        return [row[-1] for row in self.archived()]
