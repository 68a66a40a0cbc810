"""``HOST:PORT`` as people write it."""

from __future__ import annotations

import re

_HOST_PORT = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?", re.ASCII)


def split_host_port(text: str, default_port: int) -> tuple[str, int]:
    """
    Split ``HOST``, ``HOST:PORT``, ``[IPv6]`` or ``[IPv6]:PORT``; the port has at most five digits, and any value.

    :raise ValueError: it is nothing of these.
    """
    found = _HOST_PORT.fullmatch(text)
    if found is None:
        raise ValueError("HOST:PORT is expected, an IPv6 address in brackets")
    return found[1] or found[2], int(found[3] or default_port)
