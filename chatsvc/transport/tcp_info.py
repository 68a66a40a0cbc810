"""What the kernel knows of a TCP peer: bytes acknowledged, and whether its window shows that nobody reads there."""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from typing import Any

_SIOCOUTQ = 0x5411  # asm-generic/ioctls.h
_SIZE = 232
"""Bytes of struct tcp_info (linux/tcp.h) up to the end of ``tcpi_snd_wnd``, which Linux has since 5.4."""

_ACKNOWLEDGED = struct.Struct("=120xQ")  # tcpi_bytes_acked
_WINDOW = struct.Struct("=228xI")  # tcpi_snd_wnd
_INTERNET = (socket.AF_INET, socket.AF_INET6)

MOST_DOUBT = 300.0
"""Seconds for which a window that is small, but not closed, counts as a sign that nobody reads."""


def how_far(found: Any) -> tuple[int, int] | None:
    """
    Ask how many bytes the peer of a TCP socket has acknowledged in all, and for how many its window has room.

    None: this kernel does not say, or it is no TCP socket.
    """
    if sys.platform != "linux" or getattr(found, "family", None) not in _INTERNET:
        return None
    info = found.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _SIZE)
    if len(info) < _SIZE:
        return None
    return _ACKNOWLEDGED.unpack_from(info)[0], _WINDOW.unpack_from(info)[0]


def unacknowledged(descriptor: int) -> int:
    """Count the bytes that this kernel has and that the peer's has not acknowledged."""
    if sys.platform != "linux":
        return 0  # what was written counts as received, for want of anything better
    (count,) = struct.unpack("i", fcntl.ioctl(descriptor, _SIOCOUTQ, b"\0\0\0\0"))
    return int(count)


class Window:
    """
    The receive window of one peer, over time: half of its largest or less means that bytes lie there unread.

    A kernel whose program has read everything offers more than half of its largest window: below that, it sends an
    update as soon as there is room again (RFC 9293, section 3.8.6.2.2; ``tcp_cleanup_rbuf`` in Linux). If that gets
    lost, the answer to the next keepalive probe tells. A larger window proves nothing. A peer short of memory may offer
    less for good although it reads: after ``MOST_DOUBT`` seconds a window that is not zero counts as its largest.
    """

    def __init__(self) -> None:
        self._best = 0
        self._small_since: float | None = None

    def shows_unread(self, window: int, now: float) -> bool:
        """Say whether a window shows that bytes lie unread at the peer; ``now`` is in seconds."""
        if window * 2 > self._best:
            self._best = max(self._best, window)
            self._small_since = None
            return False
        if self._small_since is None:
            self._small_since = now
        if window and now - self._small_since >= MOST_DOUBT:
            self._best, self._small_since = window, None
            return False
        return True
