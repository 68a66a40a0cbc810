"""The inboxes that a URL names."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Callable
from typing import Any

from zope.interface import implementer

from chatsvc.inbox.interface import Cursor, IInbox, InboxLimits, IStoreWatcher
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.inbox.watermark import Watermark
from chatsvc.storage.database import Database
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.url import StoreURL
from chatsvc.wire.events import Message

INBOX_SCHEMES = ("sqlite", "redis", "redis+unix", "redis+sentinel")


def make_inbox(
    url: StoreURL,
    reactor: Any,
    limits: InboxLimits,
    database: Database | None,
    about: Callable[[], str] | None,
    pulse: StoreMonitor | None = None,
    watermark: Watermark | None = None,
) -> IInbox:
    """
    The inboxes at ``url``, not yet opened; ``database`` is that of an SQLite URL, which has a pulse.

    ``about`` says what other nodes may know of this one; None: it is none. ``watermark`` keeps how far the data was.
    """
    if database is not None:
        return SQLiteInbox(database, limits, watermark=watermark)
    # Unlike any other, also of the process that had this number before.
    node = f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"
    if about is None:
        return RedisInbox(reactor, url, limits, node, lease=0)
    return RedisInbox(reactor, url, limits, node, about=about, pulse=pulse, watermark=watermark)


async def inbox_at(url: StoreURL, reactor: Any) -> tuple[IInbox, list[str]]:
    """
    The inboxes at ``url``, open, for administration, and warnings about settings that endanger messages.

    :raise BadStore: they cannot be used.
    """
    database = None
    if url.scheme == "sqlite":
        database = Database(url, reactor)
        await database.open()
    inbox = make_inbox(url, reactor, InboxLimits(), database, None)
    return inbox, await inbox.open(_Nobody())


@implementer(IStoreWatcher)
class _Nobody:
    """Watches no store: an administrator reads nothing."""

    def cursors(self) -> list[Cursor]:
        return []

    def store_returned(self, stale: list[int], taken: list[tuple[int, int]]) -> None:
        pass

    def stored_elsewhere(self, news: list[tuple[int, Message]]) -> list[int]:
        return []

    def taken_over(self, uid: int, generation: int) -> None:
        pass
