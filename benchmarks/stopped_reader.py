"""
A reader stops reading under load: what does it cost the server, and does the reader get everything afterwards?

    python benchmarks/stopped_reader.py --seconds 60
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import threading
import time
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.clients import StructuredClient
from tests.support.processes import ChatServer

READER, SENDERS = 10_001, range(10_002, 10_006)
_TEXT = "聊" * 300


@dataclass
class Outcome:
    """Memory in MiB; ``in_order``: the reader got each sender's messages once and in order."""

    before: float
    highest: float
    sent: int
    got: int
    in_order: bool


def measure(seconds: float, inbox: str = "sqlite:chat.db") -> Outcome:
    """Stop a reader for so long, while four senders write to it."""
    with tempfile.TemporaryDirectory(prefix="chatsvc-") as folder:
        limits = ("--rate", "0", "--inbox-limit", "1000000", "--inbox-share", "1000000")
        server = ChatServer("--inbox", inbox, *limits, folder=folder).start()
        try:
            return _measure(server, seconds)
        finally:
            server.kill()


def _measure(server: ChatServer, seconds: float) -> Outcome:
    accounts = server.structured()
    for uid in (READER, *SENDERS):
        accounts.ask(type="register", n=uid, name=f"user {uid}", password="pw")
    reader = server.structured()
    reader.log_in(READER, "pw")
    clients = [server.structured() for _ in SENDERS]
    for uid, client in zip(SENDERS, clients, strict=True):
        client.log_in(uid, "pw")
    counts = [0] * len(clients)
    # Warm up, so that what any traffic costs is not taken for what the stopped reader costs.
    _send(clients, counts, time.monotonic() + min(3.0, seconds))
    shown: list[str] = []
    _read(reader, shown, sum(counts))
    before = highest = server.resident()
    sending = threading.Thread(target=_send, args=(clients, counts, time.monotonic() + seconds))
    sending.start()
    while sending.is_alive():
        highest = max(highest, server.resident())
        time.sleep(0.2)
    reader = _read_on(server, reader, shown, sum(counts))
    return Outcome(before, highest, sum(counts), len(shown), _in_order(shown))


def _send(clients: list[StructuredClient], counts: list[int], until: float) -> None:
    while time.monotonic() < until:
        for i, client in enumerate(clients):
            counts[i] += 1
            answer = client.ask(type="msg", n=counts[i], to=READER, text=f"{i} {counts[i]} {_TEXT}")
            assert answer["type"] == "sent", answer


def _read_on(
    server: ChatServer, reader: StructuredClient, shown: list[str], total: int
) -> StructuredClient:
    """Read to the end; who was taken offline meanwhile logs in again."""
    try:
        _read(reader, shown, total)
    except (OSError, EOFError):
        reader = server.structured()
        reader.log_in(READER, "pw")
        _read(reader, shown, total)
    return reader


def _read(reader: StructuredClient, shown: list[str], total: int) -> None:
    while len(shown) < total:
        message = reader.await_type("msg")
        if message["id"] > len(shown):  # else it was shown before the connection was lost
            shown.append(message["text"])
        if message["id"] % 50 == 0 or len(shown) == total:
            reader.say(type="ack", id=message["id"])


def _in_order(shown: list[str]) -> bool:
    newest: dict[str, int] = {}
    for text in shown:
        sender, count, _ = text.split(" ")
        if int(count) != newest.get(sender, 0) + 1:
            return False
        newest[sender] = int(count)
    return True


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=60.0, help="how long the reader stops")
    parser.add_argument("--inbox", default="sqlite:chat.db", help="where messages wait, a URL")
    options = parser.parse_args()
    outcome = measure(options.seconds, options.inbox)
    print(f"server's memory before {outcome.before:.1f} MiB, at most {outcome.highest:.1f} MiB")
    print(f"sent {outcome.sent}, got {outcome.got}, in order: {outcome.in_order}")


if __name__ == "__main__":
    main()
