"""Limits of connections: how many there may be, and what each may take."""

from __future__ import annotations

from dataclasses import dataclass

MOST_REFUSED = 100
"""Rejected connections that still get an error frame at the same time; beyond these the server just closes."""


@dataclass(frozen=True)
class ConnectionLimits:
    """
    Limits of all connections and of each.

    ``total`` and ``per_address`` are how many connections there may be. Within ``login_timeout`` seconds somebody must
    have logged in, and within ``frame_timeout`` seconds a frame must have come whole. ``unanswered`` commands of one
    connection may wait for their answers, with ``unanswered_bytes`` bytes of frames.
    """

    total: int = 20_000
    per_address: int = 200
    login_timeout: float = 60.0
    frame_timeout: float = 30.0
    unanswered: int = 64
    unanswered_bytes: int = 256 * 1024
