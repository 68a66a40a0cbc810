"""The inboxes that a URL names."""

from __future__ import annotations

import os
import platform
from typing import Any

from zope.interface import implementer

from chatsvc.database import Database
from chatsvc.inbox.interface import IInbox, IStoreWatcher, Limits
from chatsvc.inbox.redis import RedisInbox
from chatsvc.inbox.sqlite import SQLiteInbox
from chatsvc.store import StoreURL

INBOX_SCHEMES = ("sqlite", "redis", "redis+unix")


def make_inbox(url: StoreURL, reactor: Any, limits: Limits, database: Database | None) -> IInbox:
    """The inboxes at ``url``, not yet opened; ``database`` is that of an SQLite URL."""
    if database is not None:
        return SQLiteInbox(database, limits)
    return RedisInbox(reactor, url, limits, node=f"{platform.node()}:{os.getpid()}")


async def inbox_at(url: StoreURL, reactor: Any) -> tuple[IInbox, list[str]]:
    """
    The inboxes at ``url``, open, for administration, and warnings about settings that endanger messages.

    :raise BadStore: they cannot be used.
    """
    database = None
    if url.scheme == "sqlite":
        database = Database(url, reactor)
        await database.open()
    inbox = make_inbox(url, reactor, Limits(), database)
    return inbox, await inbox.open(_Nobody())


@implementer(IStoreWatcher)
class _Nobody:
    """Watches no store: an administrator reads nothing."""

    def cursors(self) -> list[tuple[int, int]]:
        return []

    def store_returned(self, stale: list[int]) -> None:
        pass
