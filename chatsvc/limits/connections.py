"""How many connections there may be, and what each of them may take."""

from __future__ import annotations

from dataclasses import dataclass

MOST_REFUSED = 100
"""Connections past the limit that are told so at the same time; any more are just closed."""


@dataclass(frozen=True)
class ConnectionLimits:
    """
    What connections may take: how many there may be, in all (``total``) and from one address; seconds until a log-in
    must have come (``login_timeout``) and in which a frame must have come whole (``frame_timeout``); commands of one
    connection that may wait for their answers, and the bytes of their frames.
    """

    total: int = 20_000
    per_address: int = 200
    login_timeout: float = 60.0
    frame_timeout: float = 30.0
    unanswered: int = 64
    unanswered_bytes: int = 256 * 1024
