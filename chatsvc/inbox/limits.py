"""The bounds of an inbox, and what it remembers of those who send to it."""

from __future__ import annotations

from dataclasses import dataclass

DEVICES = 8
"""Devices of one sender whose last ``n`` an inbox remembers for ``MEMORY_OF_SENDERS``."""


RECENT = 86_400
"""Seconds after its last use in which a device is remembered beside any number of others, up to ``MOST_DEVICES``."""


MOST_DEVICES = 256
"""Devices of one sender that an inbox remembers at most: a bound on memory."""


MEMORY_OF_SENDERS = 30 * 86_400
"""Seconds after its last use that an inbox forgets a sender's device."""


DIGESTS = 64
"""Numbers of a device whose texts are told apart: as many as a client of this project has on their way."""


DIGEST_DIGITS = 6
"""Hexadecimal digits kept of a text's hash: one in 16 million other texts under the same number is not noticed."""


DEVICE_BYTES = 8 * 1024 * 1024
"""Bytes of texts and names that a registered device may be behind before it is forgotten."""


@dataclass(frozen=True)
class InboxLimits:
    """
    Bounds on one inbox.

    ``waiting`` is the most messages that no device has acknowledged, ``share`` the most of them from one sender since
    one did last. ``days`` is how long a message waits; 0: until it is read.

    A user has ``devices`` registered ones at most. One is forgotten when it was unused for ``device_days``, or is more
    than ``device_backlog`` ids or ``device_bytes`` behind the end; the unnamed one when it is so far behind what
    another has acknowledged.
    """

    waiting: int = 1000
    share: int = 200
    days: int = 0
    devices: int = 8
    device_days: int = 30
    device_backlog: int = 5000
    device_bytes: int = DEVICE_BYTES
