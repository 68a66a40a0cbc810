"""URLs that name a Redis."""

from __future__ import annotations

from twisted.internet import reactor

from chatsvc.inbox.limits import InboxLimits
from chatsvc.inbox.redis.inbox import RedisInbox
from chatsvc.storage.url import StoreMisconfigured, parse_store_url
from tests.inbox.redis.stores import OnRedis


class RedisLocatorTests(OnRedis):
    """URLs of hosts and sockets."""

    def test_bad_urls(self) -> None:
        """A slip in the URL would end in a traceback, or in another database."""
        for url in (
            "redis://host/x",
            "redis://host/1/2",
            "redis+unix://?db=0",
            "redis+unix:///s?db=x",
        ):
            with self.assertRaises(StoreMisconfigured):
                RedisInbox(
                    reactor, parse_store_url(url, ("redis", "redis+unix")), InboxLimits(), "node"
                )
