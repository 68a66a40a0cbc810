"""Redis's protocol as txredisapi speaks it, with answers left as the bytes that came."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import txredisapi
from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory


class _Subscriber(txredisapi.SubscriberProtocol):  # type: ignore[misc]
    def messageReceived(self, pattern: bytes | None, channel: bytes, message: bytes) -> None:
        self.factory.on_message(message)


class RedisFactory(Factory):
    """Makes the protocol of a connection; one with ``on_message`` can subscribe, and calls it with each message."""

    noisy = False

    def __init__(self, on_message: Callable[[bytes], None] | None = None) -> None:
        self.on_message = on_message

    def buildProtocol(self, addr: IAddress | None) -> Any:
        """Make the protocol of one connection."""
        kind = _Subscriber if self.on_message else txredisapi.RedisProtocol
        protocol = kind(charset=None, convertNumbers=False)
        protocol.factory = self
        return protocol
