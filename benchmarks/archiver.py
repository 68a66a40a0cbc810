"""
How fast does a node archive and index what waits, and what does that take?

    python benchmarks/archiver.py --messages 180000

A Redis is filled with messages that wait to be archived; then a server starts, with a MariaDB, and does nothing else.
The figures are messages a second until all are in the history, and until a search finds all of them, and the cores that
the server and the database used meanwhile. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import os
import socket
import sys
import time
from contextlib import closing
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.archive_search import LargerMariaDB, messages
from benchmarks.compare import say
from tests.support.processes import ChatServer
from tests.support.servers import PrivateMariaDB, PrivateRedis

_PATIENCE = 900
"""Seconds."""

_TICKS = os.sysconf("SC_CLK_TCK")


def fill(redis: PrivateRedis, many: int) -> None:
    """Put messages into the queue, as the script of Redis does."""
    with closing(socket.socket(socket.AF_UNIX)) as line:
        line.connect(redis.socket)
        answers = line.makefile("rb")
        serial, waiting = int(time.time() * 1_000_000), 0
        for place, (_, conversation, sender, name, _, text, _) in enumerate(messages(many)):
            number = serial + 10 * place
            note = f"{number} {100_000 + conversation}"
            said = ("f", str(sender), "u", name, "a", str(number // 1000), "t", text, "x", note)
            line.sendall(_command(("XADD", "chat:archive", "*", *said)))
            waiting += 1
            if waiting == 1000:
                _read(answers, waiting)
                waiting = 0
        _read(answers, waiting)
        line.sendall(_command(("SET", "chat:serial", str(serial + 10 * many))))
        answers.readline()


def _command(words: tuple[str, ...]) -> bytes:
    said = "".join(f"${len(word.encode())}\r\n{word}\r\n" for word in words)
    return f"*{len(words)}\r\n{said}".encode()


def _read(answers: object, many: int) -> None:
    for _ in range(many):
        head = answers.readline()  # type: ignore[attr-defined]
        if head[:1] != b"$":
            raise SystemExit(f"Redis answered {head!r}")
        answers.readline()  # type: ignore[attr-defined]


def cpu(pid: int) -> float:
    """Seconds of processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--messages", type=int, default=180_000)
    options = parser.parse_args()
    say(f"load before: {os.getloadavg()[0]:.2f} of {os.cpu_count()} cores")
    mariadb, redis = LargerMariaDB(), PrivateRedis("--appendfsync", "everysec")
    server = None
    try:
        mariadb.start()
        redis.start()
        mariadb.create_database("chat")
        fill(redis, options.messages)
        server = ChatServer("--accounts", mariadb.url("chat"), "--inbox", redis.url()).start()
        measure(server, mariadb, redis, options.messages)
    finally:
        if server is not None:
            server.remove()
        mariadb.remove()
        redis.remove()


def measure(server: ChatServer, mariadb: PrivateMariaDB, redis: PrivateRedis, many: int) -> None:
    """Wait for the end of either, and print the figures."""
    began, used = time.monotonic(), (cpu(server.pid), cpu(mariadb.pid))
    archived = indexed = 0.0
    while not (archived and indexed):
        time.sleep(0.2)
        seconds = time.monotonic() - began
        if seconds > _PATIENCE:
            raise SystemExit("not done in time")
        if not archived and redis.execute("XLEN", "chat:archive") == b":0\r\n":
            archived = seconds
        if archived and not mariadb.execute("chat", "SELECT 1 FROM chat_unindexed LIMIT 1"):
            indexed = seconds
    cores = [
        (cpu(pid) - before) / indexed
        for pid, before in zip((server.pid, mariadb.pid), used, strict=True)
    ]
    say(f"archived: {many / archived:,.0f} messages a second, {archived:.1f} s")
    say(f"with the index: {many / indexed:,.0f} messages a second, {indexed:.1f} s")
    say(f"cores used: server {cores[0]:.2f}, database {cores[1]:.2f}")
    (rows,) = mariadb.execute("chat", "SELECT COUNT(*) FROM chat_message")
    say(f"in the archive: {rows[0]} of {many}")


if __name__ == "__main__":
    main()
