"""
When has a peer received a message that it cannot acknowledge? When its kernel has acknowledged the last byte.

A :class:`Meter` stands between the TCP connection and whatever is above it (TLS, mostly) and counts the bytes that are
handed down. Less what still lies in Twisted's buffer, less what the kernel has not yet seen acknowledged (``SIOCOUTQ``,
tcp(7)), that is how far the peer's kernel has come. ``SIOCOUTQ`` alone would not do: it is 0 while bytes wait above the
socket, and rarely 0 under steady traffic.
"""

from __future__ import annotations

import fcntl
import struct
import sys
from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime
from twisted.protocols.policies import WrappingFactory
from zope.interface import implementer

from chatsvc.sockets import Prompt

_SIOCOUTQ = 0x5411  # asm-generic/ioctls.h
_SOONEST, _LATEST = 0.02, 0.5
"""Seconds until the kernel is asked: not sooner, for what has been received by then is acknowledged in one go."""


@implementer(IHalfCloseableProtocol)
class Meter(Prompt):
    """The lowest layer of a connection."""

    handed = 0
    """Bytes handed down so far."""

    about_to_close: Callable[[], None] | None = None
    """Called while the socket is still there, the last chance to ask the kernel."""

    def write(self, data: bytes) -> None:
        self.handed += len(data)
        super().write(data)

    def acknowledged(self) -> int:
        """How many bytes the peer's kernel has acknowledged."""
        descriptor = self.transport.socket.fileno()
        return self.handed - self.waiting() - _unacknowledged(descriptor)

    def loseConnection(self) -> None:
        self._last_look()
        super().loseConnection()

    def readConnectionLost(self) -> None:
        # The peer sends no more. Without this method Twisted would close the socket before telling anybody.
        self._last_look()
        self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        self.about_to_close = None
        self.connected = 0  # Twisted leaves it at 1, and the socket is gone
        super().connectionLost(reason)

    def _last_look(self) -> None:
        if self.about_to_close is not None:
            self.about_to_close()


def metered(factory: Any) -> WrappingFactory:
    """Put a :class:`Meter` under the connections of a factory."""
    wrapping = WrappingFactory(factory)
    wrapping.protocol = Meter
    wrapping.noisy = False
    return wrapping


def meter_of(transport: Any) -> Meter | None:
    """The meter under all layers of a transport, None where there is none."""
    while transport is not None and not isinstance(transport, Meter):
        transport = getattr(transport, "transport", None)
    return transport


def read_at_once(meter: Meter | None, most: int) -> None:
    """How many bytes a connection reads in one go; as many may wait to be sent before it asks for a pause."""
    if meter is not None:
        meter.transport.bufferSize = most


def _unacknowledged(descriptor: int) -> int:
    if sys.platform != "linux":
        return 0  # written is received, for want of anything better
    (count,) = struct.unpack("i", fcntl.ioctl(descriptor, _SIOCOUTQ, b"\0\0\0\0"))
    return int(count)


class Receipts:
    """
    What one log-in was handed and its peer's kernel has not acknowledged yet.

    ``received(id)`` is told of progress: this message and all before it.
    """

    def __init__(
        self, clock: IReactorTime, meter: Meter | None, received: Callable[[int], object]
    ) -> None:
        self._clock = clock
        self._meter = meter
        self._received = received
        self._expected: deque[tuple[int, int]] = deque()
        self._delay = _SOONEST
        self._check: IDelayedCall | None = None
        if meter is not None:
            meter.about_to_close = self.look

    def written(self, id: int) -> None:
        """The last byte of message ``id`` has just been handed to the connection."""
        if self._meter is None:
            self._received(id)
            return
        self._expected.append((self._meter.handed, id))
        if self._check is None:
            self._check = self._clock.callLater(self._delay, self._look_later)

    def look(self) -> None:
        """Ask the kernel now."""
        if self._meter is None or not self._expected:
            return
        acknowledged, received = self._meter.acknowledged(), 0
        while self._expected and self._expected[0][0] <= acknowledged:
            _, received = self._expected.popleft()
        if received:
            self._delay = _SOONEST
            self._received(received)

    def forget(self) -> None:
        """The ids that were handed so far no longer count."""
        self._expected.clear()

    def close(self) -> None:
        """The log-in is over; ask one last time while the connection is there."""
        if self._meter is not None:
            if self._meter.connected:
                self.look()
            self._meter.about_to_close = None
        self._expected.clear()
        if self._check is not None:
            self._check.cancel()
            self._check = None

    def _look_later(self) -> None:
        self._check = None
        self._delay = min(self._delay * 2, _LATEST)
        self.look()
        if self._expected:
            self._check = self._clock.callLater(self._delay, self._look_later)
