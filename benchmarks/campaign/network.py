"""Two network namespaces, one of the servers and one of the users, and a cable between them."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

SERVERS, USERS = "198.18.0.1", "198.18.0.2"
"""Addresses for benchmarks (RFC 2544), in namespaces of our own."""

_NAMESPACES = Path("/run/netns")


class Network:
    """``servers`` and ``users`` are the names of the namespaces. Needs root."""

    def __init__(self) -> None:
        self.servers, self.users = f"chat-s{os.getpid()}", f"chat-u{os.getpid()}"
        self._cable = f"cs{os.getpid()}", f"cu{os.getpid()}"

    def open(self) -> None:
        for name in (self.servers, self.users):
            _ip("netns", "add", name)
        ends = list(zip((self.servers, self.users), self._cable, (SERVERS, USERS), strict=True))
        (near, near_end, _), (far, far_end, _) = ends
        other_end = ("peer", "name", far_end, "netns", far)
        _ip("link", "add", near_end, "netns", near, "type", "veth", *other_end)
        for name, end, address in ends:
            _ip("-n", name, "addr", "add", f"{address}/30", "dev", end)
            _ip("-n", name, "link", "set", end, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Meanwhile nothing passes, as when a link is dead; nobody is told."""
        name, end = self.users, self._cable[1]
        _ip("-n", name, "link", "set", end, "down")
        try:
            yield
        finally:
            _ip("-n", name, "link", "set", end, "up")

    def run(self, program: Sequence[str], folder: Path) -> subprocess.CompletedProcess[str]:
        """Run something where the servers are, in a folder, to its end."""
        within = ["ip", "netns", "exec", self.servers, *program]
        return subprocess.run(within, cwd=folder, capture_output=True, text=True, check=False)

    def close(self) -> None:
        for name in (self.servers, self.users):
            if (_NAMESPACES / name).exists():
                _ip("netns", "del", name)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)
