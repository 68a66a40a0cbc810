"""Sockets below Twisted's transports: finding them, writing at once, noticing a dead peer early."""

from __future__ import annotations

import socket
from collections.abc import Iterable
from typing import Any

from twisted.protocols.policies import ProtocolWrapper

from chatsvc.transport.twisted_internals import waiting_bytes

TCP_PEER_PATIENCE = 60
"""Seconds for which a peer may leave bytes unacknowledged, or keepalive probes unanswered."""

_PROBES = 3


def socket_of(transport: Any) -> socket.socket | None:
    """Find the socket under all layers (TLS, PROXY, metering) of a transport; None: there is none, as in tests."""
    while transport is not None:
        found = getattr(transport, "socket", None)
        if isinstance(found, socket.socket):
            return found
        transport = getattr(transport, "transport", None)
    return None


def set_keepalive(transport: Any, patience: int = TCP_PEER_PATIENCE) -> None:
    """
    Let the kernel end a TCP connection whose peer is gone for ``patience`` seconds, and send small frames at once.

    Keepalive probes find that out when the connection is idle, ``TCP_USER_TIMEOUT`` (tcp(7), in milliseconds) when
    bytes are on their way.
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


class EagerWriter(ProtocolWrapper):
    """
    The lowest layer of a TCP or Unix connection: writes to the socket at once as much as the kernel takes.

    Twisted's own ``write`` first lets the reactor ask whether the socket is writable, which it mostly is: two more
    system calls, and a turn of the reactor later.
    """

    transport: Any

    def write(self, data: bytes) -> None:
        tcp = self.transport
        if tcp.connected and not tcp.disconnecting and not waiting_bytes(tcp):
            sent = tcp.writeSomeData(data)
            if isinstance(sent, int):  # else it is lost, which Twisted's write finds out
                data = data[sent:]
        if data:
            tcp.write(data)

    def writeSequence(self, data: Iterable[bytes]) -> None:
        self.write(b"".join(data))
