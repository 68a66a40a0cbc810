"""What Twisted's transports do not offer of a socket: finding it, and noticing a dead peer early."""

from __future__ import annotations

import socket
from typing import Any

TCP_PEER_PATIENCE = 60
"""Seconds for which a peer may leave bytes unacknowledged, or a probe unanswered (design section 6)."""

_PROBES = 3


def socket_of(transport: Any) -> socket.socket | None:
    """The socket under all layers (TLS, PROXY, metering) of a transport; None where there is none, as in tests."""
    while transport is not None:
        found = getattr(transport, "socket", None)
        if isinstance(found, socket.socket):
            return found
        transport = getattr(transport, "transport", None)
    return None


def watch_peer(transport: Any, patience: int = TCP_PEER_PATIENCE) -> None:
    """
    Let the kernel end a TCP connection whose peer is gone: keepalive probes when it is idle, ``TCP_USER_TIMEOUT``
    (tcp(7), milliseconds) when bytes are on their way. Small frames leave at once.
    """
    found = socket_of(transport)
    if found is None or found.family not in (socket.AF_INET, socket.AF_INET6):
        return
    found.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    found.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, max(1, patience // 2))
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, max(1, patience // 2 // _PROBES))
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, _PROBES)
        found.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, patience * 1000)
