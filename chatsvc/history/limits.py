"""How much history there is, and where."""

from __future__ import annotations

import os
from dataclasses import dataclass

from chatsvc.storage.url import StoreURL

NO_HISTORY = "No history: messages wait in an SQLite file that is not that of the accounts"
"""What an admin is told who has asked for one."""


@dataclass(frozen=True)
class HistoryLimits:
    """
    What was said can be read for so many ``days``; 0: there is no history.

    At most ``backlog`` messages, and ``backlog_bytes``, should wait to be archived: past that senders are read more
    slowly. A message can be edited or retracted by its sender for ``edit_minutes``.
    """

    days: int = 365
    backlog: int = 200_000
    backlog_bytes: int = 256 * 1024 * 1024
    edit_minutes: int = 60

    def __str__(self) -> str:
        if not self.days:
            return "none is kept (--history-days 0)"
        return f"kept for {self.days} days, edited for {self.edit_minutes} minutes"

    def keeps(self, accounts: StoreURL, inbox: StoreURL) -> bool:
        """Whether there is a history with these stores: an SQLite file of inboxes must be that of the accounts, too."""
        if not self.days or inbox.scheme != "sqlite":
            return self.days > 0
        same = os.path.realpath(inbox.path) == os.path.realpath(accounts.path)
        return accounts.scheme == "sqlite" and same
