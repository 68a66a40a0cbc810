"""
Somebody types while thousands of messages come in at once: how long until each key is shown?

    python benchmarks/keystrokes.py --messages 10000 --rounds 3

Each round is a new client at a terminal of its own. Keys are pressed every 50 ms, as by somebody who types fast: first
while nothing comes, then while all the messages that waited for the log-in do. A key counts as shown when the client
has written it to the terminal.
"""

from __future__ import annotations

import argparse
import os
import re
import select
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pexpect

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.clients import StructuredClient
from tests.support.processes import ChatServer

PASSWORD = "pw"
BETWEEN_KEYS = 0.05
PATIENCE = 60.0
_AT_ONCE = 500
_ON_A_LINE = 30
_NEW_LINE = b"\x15"  # Ctrl-U
_LIMITS = ("--rate", "0", "--inbox-limit", "1000000", "--inbox-share", "1000000")
_NUMBER = re.compile(rb"no\. (\d+)\x1b|no\. (\d+)\r")


class Typist:
    """A client at a terminal, and somebody who types into it."""

    def __init__(self, server: ChatServer, folder: str) -> None:
        self._child: Any = pexpect.spawn(
            str(Path(sys.executable).with_name("twistd")),
            [
                *("-n", "chatclient", "--connect", f"localhost:{server.port}"),
                *("--ca", server.ca, "--state", folder, "--lang", "en"),
            ],
            cwd=folder,
            env={**os.environ, "TERM": "xterm-256color"},
            dimensions=(24, 120),
        )
        self._child.delaybeforesend = None
        self._keys = (chr(code).encode() for code in count(0x4E00))
        self.shown = bytearray()

    def close(self) -> None:
        """Leave the terminal."""
        self._child.close(force=True)

    def await_text(self, text: str, start: int = 0) -> None:
        """Wait until something is shown."""
        deadline = time.monotonic() + PATIENCE
        while self.shown.find(text.encode(), start) < 0:
            if time.monotonic() > deadline:
                raise TimeoutError(f"{text!r} did not come: {bytes(self.shown[-500:])!r}")
            self._read(0.1)

    def enter(self, line: str) -> None:
        """Type a line and send it off."""
        self._child.send(line + "\r")

    def type(self) -> Iterator[float]:
        """The seconds that each key took to be shown."""
        for number in count(1):
            if number % _ON_A_LINE == 0:
                self._child.send(_NEW_LINE)
            key, looked, pressed = next(self._keys), len(self.shown), time.monotonic()
            self._child.send(key)
            self.await_text(key.decode(), max(0, looked - len(key)))
            yield time.monotonic() - pressed
            while (left := pressed + BETWEEN_KEYS - time.monotonic()) > 0:
                self._read(left)

    def _read(self, seconds: float) -> None:
        if select.select([self._child.child_fd], [], [], seconds)[0]:
            self.shown += os.read(self._child.child_fd, 65_536)


def measure(messages: int, keys: int, rounds: int) -> tuple[list[float], list[float], list[float]]:
    """The seconds that keys took in quiet and in the rush, and those that each rush took."""
    quiet: list[float] = []
    rush: list[float] = []
    rushes: list[float] = []
    with tempfile.TemporaryDirectory(prefix="chatsvc-") as folder:
        server = ChatServer(*_LIMITS, folder=folder).start()
        try:
            for number in range(rounds):
                home = Path(folder) / f"state-{number}"
                home.mkdir()
                _measure(server, number, home, messages, keys, quiet, rush, rushes)
        finally:
            server.kill()
    return quiet, rush, rushes


def _measure(
    server: ChatServer,
    number: int,
    home: Path,
    messages: int,
    keys: int,
    quiet: list[float],
    rush: list[float],
    rushes: list[float],
) -> None:
    reader = _fill_an_inbox(server, number, messages)
    typist = Typist(server, str(home))
    try:
        typist.await_text("● connected")
        quiet.extend(seconds for seconds, _ in zip(typist.type(), range(keys), strict=False))
        typist.enter(f"\x15auth {reader} {PASSWORD}")
        typist.await_text("no. 1")
        began = time.monotonic()
        last = f"no. {messages}".encode()
        for seconds in typist.type():
            rush.append(seconds)
            if last in typist.shown:
                break
        typist.await_text(">>>", typist.shown.find(last))
        rushes.append(time.monotonic() - began)
        seen = [int(one or other) for one, other in _NUMBER.findall(bytes(typist.shown))]
        assert seen == list(range(1, messages + 1)), "messages are missing, doubled or out of order"
    finally:
        typist.close()


def _fill_an_inbox(server: ChatServer, number: int, messages: int) -> int:
    sender = server.structured(device=f"{number:032x}")
    reader, writer = (_register(sender, f"{who} {number}") for who in ("reader", "writer"))
    sender.log_in(writer, PASSWORD)
    for first in range(1, messages + 1, _AT_ONCE):
        numbers = range(first, min(first + _AT_ONCE, messages + 1))
        sender.say_many({"type": "msg", "n": n, "to": reader, "text": f"no. {n}"} for n in numbers)
        for _ in numbers:
            sender.await_type("sent")
    sender.close()
    return reader


def _register(client: StructuredClient, name: str) -> int:
    return int(client.ask(type="register", n=1, name=name, password=PASSWORD)["uid"])


def _print(what: str, seconds: list[float]) -> None:
    ordered = sorted(1000 * one for one in seconds)
    p99 = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
    print(
        f"{what:<6}{len(ordered):>5} keys   median {statistics.median(ordered):6.1f} ms"
        f"   p99 {p99:6.1f} ms   max {ordered[-1]:6.1f} ms"
    )


def main() -> None:
    """Measure, and print what came of it."""
    options = argparse.ArgumentParser(description=__doc__)
    options.formatter_class = argparse.RawDescriptionHelpFormatter
    options.add_argument("--messages", type=int, default=10_000, help="that come at once")
    options.add_argument("--keys", type=int, default=100, help="pressed in quiet, each round")
    options.add_argument("--rounds", type=int, default=3)
    chosen = options.parse_args()
    quiet, rush, rushes = measure(chosen.messages, chosen.keys, chosen.rounds)
    _print("quiet", quiet)
    _print("rush", rush)
    speed = chosen.messages / statistics.mean(rushes)
    print(f"a rush takes {statistics.mean(rushes):.1f} s: {speed:.0f} messages a second")


if __name__ == "__main__":
    main()
