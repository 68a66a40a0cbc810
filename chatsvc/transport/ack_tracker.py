"""
Acknowledgements by the kernel, for clients of the text dialect, which cannot acknowledge.

Such a client has received a message when its kernel has acknowledged the last byte, and does not show by its window
that nobody reads. A :class:`ByteMeter` stands between the TCP connection and whatever is above it (mostly TLS) and
counts the bytes that are handed down. ``TCP_INFO`` says how many of them have been acknowledged. Without it, they are
those handed down, less those in Twisted's buffer, less those in the kernel's (``SIOCOUTQ``, tcp(7)). ``SIOCOUTQ`` alone
would not do: it is 0 while bytes wait above the socket, and rarely 0 under steady traffic.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IHalfCloseableProtocol, IReactorTime
from twisted.protocols.policies import WrappingFactory
from zope.interface import implementer

from chatsvc.tls.half_close import pass_up_the_end
from chatsvc.transport.sockets import EagerWriter
from chatsvc.transport.tcp_info import Window, how_far, unacknowledged
from chatsvc.transport.twisted_internals import waiting_bytes

_SOONEST, _LATEST = 0.02, 0.5
"""Seconds until the kernel is asked, first and at most: everything received by then is acknowledged in one go."""


@implementer(IHalfCloseableProtocol)
class ByteMeter(EagerWriter):
    """The lowest layer of a connection: counts what is written, and asks the kernel what has arrived."""

    handed = 0
    """Bytes handed down so far, without those written to a connection that is closing."""

    about_to_close: Callable[[], None] | None = None
    """Called just before the socket goes: the last chance to ask the kernel."""

    closing: Callable[[], None] | None = None
    """Called when a layer above has closed or aborted the connection: what is written after that is dropped."""

    _window: Window | None = None

    def write(self, data: bytes) -> None:
        if self.disconnecting or not self.transport.connected:
            return
        self.handed += len(data)
        super().write(data)

    def acknowledged(self) -> int:
        """Count the bytes that the peer's kernel has acknowledged."""
        return self._how_far()[0]

    def received(self, now: float) -> int:
        """Count the bytes that the peer has surely received: none while it does not read. ``now`` is in seconds."""
        acknowledged, window = self._how_far()
        if window is not None:
            if self._window is None:
                self._window = Window()
            if self._window.shows_unread(window, now):
                return 0
        return acknowledged

    def _how_far(self) -> tuple[int, int | None]:
        own = self.transport.socket
        known = how_far(own)
        if known is None:
            waiting = waiting_bytes(self.transport)
            return self.handed - waiting - unacknowledged(own.fileno()), None
        return known

    def loseConnection(self) -> None:
        self._last_poll()
        super().loseConnection()
        self._say_closing()

    def abortConnection(self) -> None:
        self.disconnecting = 1
        self.transport.abortConnection()
        self._say_closing()

    def readConnectionLost(self) -> None:
        # The peer sends no more. Without this method Twisted would close the socket before telling anybody.
        pass_up_the_end(self.wrappedProtocol, self)

    def writeConnectionLost(self) -> None:
        pass

    def connectionLost(self, reason: Any) -> None:  # type: ignore[override]
        self.about_to_close = self.closing = None
        self.connected = 0  # Twisted leaves it at 1, and the socket is gone
        super().connectionLost(reason)

    def _last_poll(self) -> None:
        if self.about_to_close is not None:
            self.about_to_close()

    def _say_closing(self) -> None:
        closing, self.closing = self.closing, None
        if closing is not None:
            closing()


def metered(factory: Any) -> WrappingFactory:
    """Put a :class:`ByteMeter` under the connections of a factory."""
    wrapping = WrappingFactory(factory)
    wrapping.protocol = ByteMeter
    wrapping.noisy = False
    return wrapping


def meter_of(transport: Any) -> ByteMeter | None:
    """Find the meter under all layers of a transport; None: there is none."""
    while transport is not None and not isinstance(transport, ByteMeter):
        transport = getattr(transport, "transport", None)
    return transport


def read_at_once(meter: ByteMeter | None, most: int) -> None:
    """Read at most so many bytes in one go; as many may wait to be sent before producers are paused."""
    if meter is not None:
        meter.transport.bufferSize = most


class AckTracker:
    """
    The messages of one session that were sent, and that the peer's kernel has not acknowledged yet.

    ``received(id)`` is called when the peer has received this message and all before it, ``received_in_room(room, id)``
    the same for the log of a room. ``unwritten`` is the id of the last message that was delivered and is not written
    yet, 0 if there is none.
    """

    def __init__(
        self,
        clock: IReactorTime,
        meter: ByteMeter | None,
        received: Callable[[int], object],
        received_in_room: Callable[[int, int], object] = lambda room, id: None,
    ) -> None:
        self._clock = clock
        self._meter = meter
        self._received = received
        self._received_in_room = received_in_room
        self.unwritten = 0
        # The same for rooms: the last id by room.
        self.unwritten_in_rooms: dict[int, int] = {}
        self._expected: deque[tuple[int, int, dict[int, int]]] = deque()
        self._delay = _SOONEST
        self._check: IDelayedCall | None = None
        if meter is not None:
            meter.about_to_close = self.poll
            meter.received(clock.seconds())  # how wide the window is before anything can lie unread

    def written(self) -> None:
        """Expect an acknowledgement of what was delivered, the last byte of which has just been written."""
        id, rooms = self.unwritten, self.unwritten_in_rooms
        self.unwritten = 0
        if rooms:
            self.unwritten_in_rooms = {}
        if self._meter is None:
            self._tell(id, rooms)
            return
        self._expected.append((self._meter.handed, id, rooms))
        if self._check is None:
            self._check = self._clock.callLater(self._delay, self._poll_later)

    def poll(self) -> None:
        """Ask the kernel now."""
        if self._meter is None or not self._expected:
            return
        arrived, received = self._meter.received(self._clock.seconds()), 0
        in_rooms: dict[int, int] = {}
        while self._expected and self._expected[0][0] <= arrived:
            _, id, rooms = self._expected.popleft()
            received = id or received
            in_rooms.update(rooms)
        if received or in_rooms:
            self._delay = _SOONEST
            self._tell(received, in_rooms)

    def _tell(self, received: int, in_rooms: dict[int, int]) -> None:
        if received:
            self._received(received)
        for room, id in in_rooms.items():
            self._received_in_room(room, id)

    def forget(self) -> None:
        """Expect no acknowledgement of what was written so far: its ids are no longer valid."""
        self.unwritten = 0
        self._expected.clear()

    def close(self) -> None:
        """Ask one last time, if the connection is still there, and then no more: the session is over."""
        if self._meter is not None:
            if self._meter.connected:
                self.poll()
            self._meter.about_to_close = None
        self._expected.clear()
        if self._check is not None:
            self._check.cancel()
            self._check = None

    def _poll_later(self) -> None:
        self._check = None
        self._delay = min(self._delay * 2, _LATEST)
        self.poll()
        if self._expected:
            self._check = self._clock.callLater(self._delay, self._poll_later)
