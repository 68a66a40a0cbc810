"""
Does a flood of log-ins slow messages? A real server, users who write to each other at a steady pace, and rounds of
quiet and of flood in turn.

A message's latency counts from the moment at which it was due to be sent, so that a writer who is held up hides
nothing, to its arrival at its reader. It holds if, in the median of the rounds, 99 of 100 messages take less than the
larger of 25 ms and twice what they take when all is quiet; then the exit status is 0. Nothing else should be running.

    python benchmarks/login_flood.py --store redis --seconds 20 --rounds 3 --rate 200

What follows ``--`` are options of the server, such as ``-- --argon2-threads 1``.
"""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.login_flooder import KINDS
from tests.support.clients import StructuredClient
from tests.support.processes import ChatServer, phc
from tests.support.servers import PrivateRedis

LEAST = 0.025
"""Seconds that 99 of 100 messages may take in any case."""

PASSWORD = "flood"
FIRST_UID = 20_001
_SETTLED = 2.0
"""Seconds from one phase to the next."""

_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass
class Latencies:
    """Seconds, of one phase."""

    seconds: list[float] = field(default_factory=list)

    def at(self, share: float) -> float:
        """What this share of all took at most."""
        ordered = sorted(self.seconds)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def p50(self) -> float:
        return self.at(0.5)

    @property
    def p99(self) -> float:
        return self.at(0.99)

    @property
    def worst(self) -> float:
        return self.at(1.0)

    def __str__(self) -> str:
        if not self.seconds:
            return "none"
        times = ", ".join(f"{1000 * time:.1f}" for time in (self.p50, self.p99, self.worst))
        return f"{len(self.seconds):6}   p50, p99, max {times} ms"


class Bystander:
    """A user who reads, on one connection, and writes to another one at a steady pace, on a second one."""

    def __init__(self, server: ChatServer, uid: int, pace: float) -> None:
        self.uid = uid
        self._pace = pace
        self._reading, self._writing = server.structured(), server.structured(device=f"{uid:032x}")
        self._reading.log_in(uid, PASSWORD)
        self._writing.log_in(uid, PASSWORD, receive=False)
        self._n = 0
        self._due: dict[str, float] = {}
        self._arrived: dict[str, float] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def write(self, other: Bystander, seconds: float) -> Latencies:
        """Write to another one for so long; how long each message took."""
        began = time.monotonic()
        texts = []
        for number in range(round(seconds * self._pace)):
            due = began + number / self._pace
            time.sleep(max(0.0, due - time.monotonic()))
            self._n += 1
            texts.append(f"{self.uid} {self._n}")
            self._due[texts[-1]] = due
            answer = self._writing.ask(type="msg", n=self._n, to=other.uid, text=texts[-1])
            assert answer["type"] == "sent", answer
        return Latencies([other.arrived(text) - self._due[text] for text in texts])

    def arrived(self, text: str) -> float:
        """When a message that was confirmed arrived."""
        deadline = time.monotonic() + 10
        while text not in self._arrived:
            assert time.monotonic() < deadline, f"{text} was confirmed and never arrived"
            time.sleep(0.01)
        return self._arrived[text]

    def _read(self) -> None:
        while True:
            self._read_one(self._reading)

    def _read_one(self, client: StructuredClient) -> None:
        try:
            message = client.next(3600)
        except (OSError, EOFError, ValueError):  # it is over
            sys.exit()
        if message["type"] == "msg":
            assert message["text"] not in self._arrived, f"{message['text']} came twice"
            self._arrived[message["text"]] = time.monotonic()
            client.say(type="ack", id=message["id"])


def talk(bystanders: Sequence[Bystander], seconds: float) -> Latencies:
    """Have each write to the next one for so long."""
    taken: list[Latencies] = []
    pairs = zip(bystanders, [*bystanders[1:], bystanders[0]], strict=True)
    threads = [
        threading.Thread(target=lambda a, b: taken.append(a.write(b, seconds)), args=pair)
        for pair in pairs
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(taken) == len(bystanders), "messages were lost"
    return Latencies([second for one in taken for second in one.seconds])


@dataclass
class Flood:
    """What came of one flood; ``seconds`` by outcome."""

    attempted: int = 0
    rate: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: dict[str, list[float]] = field(default_factory=dict)
    cpu: float = 0.0
    late: float = 0.0

    def add(self, said: dict[str, Any]) -> None:
        """What one process says of its part."""
        self.attempted += said["attempted"]
        self.rate += said["attempted"] / said["lasted"]
        self.outcomes.update(said["outcomes"])
        for outcome, seconds in said["seconds"].items():
            self.seconds.setdefault(outcome, []).extend(seconds)
        self.cpu += said["cpu"] / said["lasted"]
        self.late = max(self.late, said["late"])


class Flooders:
    """The processes that log in."""

    def __init__(self, options: argparse.Namespace, server: ChatServer) -> None:
        program = Path(__file__).with_name("login_flooder.py")
        shared = {
            "--port": server.port,
            "--ca": server.ca,
            "--rate": options.rate / options.processes,
            "--uid": FIRST_UID,
            "--accounts": options.accounts,
            "--password": PASSWORD,
            "--addresses": options.addresses,
            "--nice": options.nice,
        }
        words = [str(word) for pair in shared.items() for word in pair]
        words += ["--mix", *map(str, options.mix), *(["--keep"] if options.keep else [])]
        self._processes = [
            subprocess.Popen(
                [sys.executable, str(program), *words, "--index", str(index)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                text=True,
            )
            for index in range(options.processes)
        ]

    def begin(self, seconds: float) -> None:
        """Flood for so long."""
        for process in self._processes:
            assert process.stdin is not None
            process.stdin.write(f"flood {seconds}\n")
            process.stdin.flush()

    def end(self) -> Flood:
        """Wait until the last log-in has ended; what came of all."""
        flood = Flood()
        for process in self._processes:
            assert process.stdout is not None
            flood.add(json.loads(process.stdout.readline()))
        return flood

    def close(self) -> None:
        """End the processes."""
        for process in self._processes:
            process.kill()
            process.wait()


class Watched(ChatServer):
    """A server that says what it costs."""

    def cpu(self) -> tuple[float, float]:
        """Seconds of CPU that its reactor has used, and all its threads together (proc(5))."""
        assert self._process is not None
        pid = self._process.pid
        return _cpu(Path(f"/proc/{pid}/task/{pid}/stat")), _cpu(Path(f"/proc/{pid}/stat"))


def _cpu(stat: Path) -> float:
    words = stat.read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / _TICKS


@contextmanager
def running(options: argparse.Namespace) -> Iterator[Watched]:
    """A server with the accounts."""
    redis = PrivateRedis() if options.store == "redis" else None
    with tempfile.TemporaryDirectory(prefix="chatsvc-flood-") as folder:
        if redis is not None:
            redis.start()
        stores = ("--inbox", redis.url()) if redis else ()
        # Budgets would spare the server the work that the flood is to be.
        unlimited = ("--rate", "0", "--login-tries", "999999/999999")
        server = Watched(*stores, *unlimited, *options.server, folder=folder)
        try:
            server.start()
            add_accounts(Path(folder, "chat.db"), options.accounts + options.bystanders)
            yield server
        finally:
            server.kill()
            if redis is not None:
                redis.remove()


def add_accounts(path: Path, number: int) -> None:
    """Accounts with the same password: those of the flood, then the bystanders'."""
    rows = [(FIRST_UID + i, f"user {i}", phc(PASSWORD)) for i in range(number)]
    with closing(sqlite3.connect(path, timeout=30)) as database, database:
        database.executemany("INSERT INTO user (id, username, password) VALUES (?, ?, ?)", rows)


def measure(options: argparse.Namespace) -> bool:
    """Make the rounds and say what they show; True: it holds."""
    quiets, floods = [], []
    with running(options) as server:
        first = FIRST_UID + options.accounts
        bystanders = [Bystander(server, first + i, options.pace) for i in range(options.bystanders)]
        flooders = Flooders(options, server)
        try:
            talk(bystanders, 2.0)  # until all caches are warm
            for number in range(1, options.rounds + 1):
                quiets.append(talk(bystanders, options.seconds))
                say(f"round {number} quiet  {quiets[-1]}")
                before = server.cpu()
                flooders.begin(options.seconds + _SETTLED)
                time.sleep(_SETTLED)
                floods.append(talk(bystanders, options.seconds))
                spent = [now - then for now, then in zip(server.cpu(), before, strict=True)]
                say(f"round {number} flood  {floods[-1]}")
                shares = [one / (options.seconds + _SETTLED) for one in spent]
                report(flooders.end(), *shares)
                time.sleep(_SETTLED)
        finally:
            flooders.close()
    return judge(quiets, floods)


def report(flood: Flood, reactor: float, server: float) -> None:
    """Say what became of the log-ins."""
    total = sum(flood.outcomes.values())
    answered = flood.outcomes["ok"] + flood.outcomes["bad-credentials"]
    share = flood.rate / total
    say(
        f"  log-ins a second: {flood.rate:.0f} attempted, {answered * share:.0f} answered,"
        f" {(total - answered) * share:.0f} refused"
    )
    say(
        f"  cores used: {flood.cpu:.2f} by the flood (at most {1000 * flood.late:.0f} ms late),"
        f" {server:.2f} by the server, {reactor:.2f} of it by its reactor"
    )
    for outcome, seconds in sorted(flood.seconds.items()):
        say(f"  {outcome:18}{Latencies(seconds)}")


def judge(quiets: list[Latencies], floods: list[Latencies]) -> bool:
    """Say the medians of the rounds; True: it holds."""
    quiet, flood = median(q.p99 for q in quiets), median(f.p99 for f in floods)
    for name, phases in (("quiet", quiets), ("flood", floods)):
        values = [median(v) for v in zip(*((p.p50, p.p99, p.worst) for p in phases), strict=True)]
        say(f"{name}: p50, p99, max {', '.join(f'{1000 * value:.1f}' for value in values)} ms")
    limit = max(LEAST, 2 * quiet)
    holds = flood < limit
    say(f"ratio of p99, flood to quiet: {flood / quiet:.2f}")
    verdict = "holds" if holds else "is broken"
    say(
        f"p99 under the larger of 25 ms and twice its quiet value, {1000 * limit:.1f} ms: {verdict}"
    )
    return holds


def say(line: str) -> None:
    """Print a line."""
    print(line, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", choices=["redis", "sqlite"], default="redis")
    parser.add_argument("--seconds", type=float, default=20.0, help="of each phase of a round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--rate", type=float, default=200.0, help="log-ins a second")
    parser.add_argument(
        "--mix",
        type=float,
        nargs=3,
        default=[1.0, 1.0, 1.0],
        metavar=KINDS,
        help="weights of log-ins with the right password, with a wrong one, as nobody",
    )
    parser.add_argument("--accounts", type=int, default=2000)
    parser.add_argument("--addresses", type=int, default=60_000, help="of each process")
    parser.add_argument("--bystanders", type=int, default=2)
    parser.add_argument("--pace", type=float, default=50.0, help="messages a second of each")
    parser.add_argument("--processes", type=int, default=2, help="that make the flood")
    parser.add_argument("--nice", type=int, default=10, help="their nice value")
    parser.add_argument("--keep", action="store_true", help="log in again on the same connection")
    parser.add_argument("server", nargs="*", help="options of the server, after --")
    options = parser.parse_args()
    say(f"load before: {os.getloadavg()[0]:.2f} of {os.cpu_count()} cores; {vars(options)}")
    sys.exit(0 if measure(options) else 1)


if __name__ == "__main__":
    main()
