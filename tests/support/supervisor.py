"""A supervisor as sd_notify(3) has it: a datagram socket that a service tells how it is."""

from __future__ import annotations

import os
import socket
import tempfile
import time


class Supervising:
    """One that listens at ``address``; an abstract name is none that a file system knows."""

    def __init__(self, *, abstract: bool = False) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="chatsvc-")
        path = os.path.join(self._folder.name, "notify")
        self.address = "@" + path if abstract else path
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + path if abstract else path)

    def heard(self, patience: float = 20.0) -> dict[str, str]:
        """The next message: names to values; empty: none came in time."""
        self._socket.settimeout(patience)
        try:
            message = self._socket.recv(65_536).decode()
        except (TimeoutError, BlockingIOError):
            return {}
        return dict(line.split("=", 1) for line in message.split("\n"))

    def await_word(self, word: str) -> dict[str, str]:
        """The next message with this word in it, before long."""
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            message = self.heard()
            if word in message:
                return message
        raise AssertionError(f"{word} was not said")

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()
        self._folder.cleanup()
