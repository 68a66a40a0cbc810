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
from chatsvc.pulse import Pulse
from chatsvc.store import StoreURL

INBOX_SCHEMES = ("sqlite", "redis", "redis+unix")


def make_inbox(
    url: StoreURL,
    reactor: Any,
    limits: Limits,
    database: Database | None,
    pulse: Pulse | None = None,
) -> IInbox:
    """The inboxes at ``url``, not yet opened; ``database`` is that of an SQLite URL, which has a pulse."""
    if database is not None:
        return SQLiteInbox(database, limits)
    return RedisInbox(reactor, url, limits, node=f"{platform.node()}:{os.getpid()}", pulse=pulse)


async def inbox_at(url: StoreURL, reactor: Any) -> IInbox:
    """
    The inboxes at ``url``, open, for administration.

    :raise BadStore: they cannot be used.
    """
    database = None
    if url.scheme == "sqlite":
        database = Database(url, reactor)
        await database.open()
    inbox = make_inbox(url, reactor, Limits(), database)
    await inbox.open(_Nobody())
    return inbox


@implementer(IStoreWatcher)
class _Nobody:
    """Watches no store: an administrator reads nothing."""

    def cursors(self) -> list[tuple[int, int]]:
        return []

    def store_returned(self, stale: list[int]) -> None:
        pass
