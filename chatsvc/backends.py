"""The inbox store that a URL names."""

from __future__ import annotations

import os
import platform
import secrets
from collections.abc import Callable
from typing import Any

from chatsvc.inbox.interface import Inbox, NullWatcher
from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.inbox.redis.permissions import require_permissions_at
from chatsvc.inbox.room_log import RoomLogLimits
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.inbox.watermark import Watermark
from chatsvc.storage.database import Database
from chatsvc.storage.monitor import StoreMonitor
from chatsvc.storage.url import StoreURL

INBOX_SCHEMES = ("sqlite", "redis", "redis+unix", "redis+sentinel")
"""The schemes of URLs that name an inbox store."""

_KEEPS_ALL = RoomLogLimits(10**9, 10**12)
"""Limits of rooms' logs for administration, which takes nothing away: servers may keep more than the default."""


def make_inbox(
    url: StoreURL,
    reactor: Any,
    limits: InboxLimits,
    database: Database | None,
    about: Callable[[], str] | None,
    monitor: StoreMonitor | None = None,
    watermark: Watermark | None = None,
    room_limits: RoomLogLimits | None = None,
    archives: bool = False,
) -> Inbox:
    """
    Make the inbox store at ``url``; it is not open yet.

    ``database`` is that of an SQLite URL and has a monitor of its own. ``about`` gives what this node publishes about
    itself; None: this process is no node. ``watermark`` keeps how far the store's data was. ``room_limits`` says how
    much rooms' logs keep. ``archives``: what is stored goes into the archive, too.

    :raise StoreMisconfigured: the URL names no Redis.
    """
    if database is not None:
        return SQLiteInbox(
            database,
            limits,
            watermark=watermark,
            clock=reactor,
            room_limits=room_limits,
            archives=archives,
        )
    # The random part tells it from an earlier process with the same number.
    node = f"{platform.node()}:{os.getpid()}:{secrets.token_hex(4)}"
    if about is None:
        return RedisInbox(
            reactor, url, limits, node, lease=0, room_limits=room_limits, archives=archives
        )
    return RedisInbox(
        *(reactor, url, limits, node),
        about=about,
        monitor=monitor,
        watermark=watermark,
        room_limits=room_limits,
        archives=archives,
    )


async def inbox_at(url: StoreURL, reactor: Any) -> tuple[Inbox, list[str]]:
    """
    Open the inbox store at ``url`` for administration.

    :return: the store, and warnings about settings that endanger messages.
    :raise StoreMisconfigured: it cannot be used.
    """
    database = None
    if url.scheme == "sqlite":
        database = Database(url, reactor)
        await database.open()
    inbox = make_inbox(
        *(url, reactor, InboxLimits(), database, None), room_limits=_KEEPS_ALL, archives=True
    )
    return inbox, await inbox.open(NullWatcher())


async def require_permissions(url: StoreURL, reactor: Any) -> None:
    """
    Find out whether a server may do all that it needs in the inbox store at ``url``; nothing is changed.

    :raise StoreMisconfigured: it may not.
    :raise StoreUnavailable: the store is away.
    """
    if url.scheme != "sqlite":
        await require_permissions_at(url, reactor)
