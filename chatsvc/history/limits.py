"""How much history there is, and where."""

from __future__ import annotations

import os
from dataclasses import dataclass

from chatsvc.storage.url import StoreURL


@dataclass(frozen=True)
class HistoryLimits:
    """What was said can be read for so many ``days``; 0: there is no history."""

    days: int = 365

    def keeps(self, accounts: StoreURL, inbox: StoreURL) -> bool:
        """Whether there is a history with these stores: an SQLite file of inboxes must be that of the accounts, too."""
        if not self.days or inbox.scheme != "sqlite":
            return self.days > 0
        same = os.path.realpath(inbox.path) == os.path.realpath(accounts.path)
        return accounts.scheme == "sqlite" and same
