"""
What do more processes bring? The same load on 1, 2 and 4 workers, and a message between nodes beside one within a node.

    python benchmarks/scaling.py
    python benchmarks/scaling.py --workers 1 --workers 2 --rounds 5 --shape 400x2
    python benchmarks/scaling.py --measure latency

MariaDB, and Redis with ``appendfsync everysec``. The generator and Redis share the cores with the workers. All sizes
take turns in each round, each with users of its own. The ratio that counts where the cores do not suffice is that of
the processor's time: what a delivery costs all workers together. A generator that is niced while they do not suffice
is starved: it feeds the workers in crumbs, and what is measured is that. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.compare import allow_many_files, say
from benchmarks.comparing.load import Load, words
from benchmarks.comparing.shapes import QUICK, Shape, parse_shape
from benchmarks.comparing.subjects import FIRST_UID, NO_LIMITS, PASSWORD, process_of
from chatsvc.accounts.tokens import Tokens
from chatsvc.tls.key_folder import KeyFolder
from tests.support.clients import StructuredClient
from tests.support.processes import ChatServer, phc
from tests.support.servers import PrivateMariaDB, PrivateRedis

_APART = 5_000
"""From the first user of one size to that of the next."""

_ACCOUNTS = 3 * _APART
_WARM = 1.0
_MESSAGES = 2_000
"""Of each latency, one after the other."""

SIZES = (1, 2, 4)


@dataclass(frozen=True)
class Effort:
    """So many rounds, seconds of each turn, and the generator's niceness, as nice(1) has it."""

    rounds: int
    seconds: float
    niceness: int


class Stores:
    """A MariaDB with accounts, a Redis, a key folder, and tokens for everybody."""

    def __init__(self, folder: Path) -> None:
        self._database = PrivateMariaDB()
        self.redis = PrivateRedis("--appendfsync", "everysec")
        self._folder = folder
        self.keys = KeyFolder(str(folder / "keys"))
        self.tokens = str(folder / "tokens")

    def start(self) -> None:
        self._database.start()
        self._database.create_database("chat")
        self.redis.start()
        self.keys.ensure([])
        self.options = (
            *("--accounts", self._database.url("chat"), "--inbox", self.redis.url()),
            *("--keys", self.keys.path, *NO_LIMITS),
        )

    def add_accounts(self) -> None:
        """Once the tables are there."""
        stored, uids = phc(PASSWORD), range(FIRST_UID, FIRST_UID + _ACCOUNTS)
        rows = ", ".join(f"({uid}, 'user {uid}', '{stored}')" for uid in uids)
        self._database.execute("chat", f"INSERT INTO user (id, username, password) VALUES {rows}")  # noqa: S608
        tokens = Tokens(self.keys.token_secret())
        Path(self.tokens).write_text("".join(f"{tokens.issue(uid, stored)}\n" for uid in uids))

    def remove(self) -> None:
        self.redis.remove()
        self._database.remove()


@contextmanager
def stores() -> Iterator[Stores]:
    """Stores with accounts, for a while."""
    with tempfile.TemporaryDirectory(prefix="chatsvc-scaling-") as name:
        made = Stores(Path(name))
        try:
            made.start()
            with serving(made, 1):
                made.add_accounts()
            yield made
        finally:
            made.remove()


@contextmanager
def serving(made: Stores, size: int, options: Sequence[str] = ()) -> Iterator[ChatServer]:
    """A server of ``size`` workers, with more ``options``."""
    server = ChatServer(*made.options, *options, "--workers", str(size))
    try:
        server.start()
        if size > 1 and not server.wait_for(f"{size} workers serve"):
            raise RuntimeError(server.log())
        yield server
    finally:
        server.terminate()
        server.wait()
        server.remove()


def processes_of(server: ChatServer, size: int) -> list[int]:
    """The processes that serve."""
    assert server._process is not None
    parent = server._process.pid
    if size == 1:
        return [parent]
    return list(map(int, Path(f"/proc/{parent}/task/{parent}/children").read_text().split()))


def throughput(made: Stores, sizes: list[int], shape: Shape, effort: Effort) -> None:
    """Deliveries a second and their cost, for each size."""
    found: dict[int, list[dict[str, float]]] = {size: [] for size in sizes}
    with ExitStack() as stack:
        loads: list[tuple[int, Load, int]] = []
        for size in sizes:
            server = stack.enter_context(serving(made, size))
            pids = processes_of(server, size)
            uid = FIRST_UID + _APART * len(loads)
            load = stack.enter_context(_load(made, server, pids, shape, uid, effort.niceness))
            loads.append((size, load, len(pids)))
        for _ in range(effort.rounds):
            for size, load, many in loads:
                said = load.run(seconds=effort.seconds, warm=_WARM, **shape.run)
                found[size].append(_figures(said, many))
    _show(shape, found)


def _load(
    made: Stores, server: ChatServer, pids: list[int], shape: Shape, uid: int, niceness: int
) -> Load:
    watch = ",".join(map(str, (*pids, process_of(made.redis))))
    common = {"port": server.port, "ca": str(Path(made.keys.path) / "server.crt")}
    common |= {"uid": uid, "password": PASSWORD, "dialect": "structured"}
    common |= {"tokens": made.tokens, "tokens_uid": FIRST_UID, "watch": watch}
    return Load("talk", words(**common, **shape.crowd, gather=0, patience=300), niceness=niceness)


def _figures(said: dict[str, Any], workers: int) -> dict[str, float]:
    deliveries = max(1, said["deliveries"])
    return {
        "deliveries/s": said["deliveries"] / said["seconds"],
        "workers' CPU µs/delivery": 1e6 * sum(said["cpu"][:workers]) / deliveries,
        "Redis CPU µs/delivery": 1e6 * said["cpu"][workers] / deliveries,
        "workers' cores": sum(said["cpu"][:workers]) / said["seconds"],
        "generator's cores": said["load_cpu"] / said["seconds"],
        "p50 ms": 1000 * said["p50"],
        "p99 ms": 1000 * said["p99"],
    }


def _show(shape: Shape, found: dict[int, list[dict[str, float]]]) -> None:
    medians = {
        size: {name: statistics.median(run[name] for run in runs) for name in runs[0]}
        for size, runs in found.items()
    }
    first = next(iter(medians.values()))
    say(f"\n{shape.name}, structured\n")
    say(f"{'workers':>28}" + "".join(f"{size:>16}" for size in medians))
    for name in first:
        row = "".join(f"{figures[name]:>16,.4g}" for figures in medians.values())
        say(f"{name:>28}{row}")
    for name in ("deliveries/s", "workers' CPU µs/delivery"):
        row = "".join(f"{figures[name] / first[name]:>16.2f}" for figures in medians.values())
        say(f"{'ratio: ' + name:>28}{row}")


def latency(made: Stores, rounds: int) -> None:
    """A message from its sender to its reader: both at one node, and at two."""
    with serving(made, 1) as here, serving(made, 1) as there:
        same, cross = [], []
        for index in range(rounds):
            uid = FIRST_UID + 10 * index
            same += _trips(made, (uid, here), (uid + 1, here))
            cross += _trips(made, (uid + 2, here), (uid + 3, there))
    say(f"\none message at a time, {rounds} x {_MESSAGES}\n")
    for name, trips in (("same node", same), ("two nodes", cross)):
        ordered = sorted(trips)
        p50, p99 = (1000 * ordered[int(len(ordered) * share)] for share in (0.5, 0.99))
        say(f"{name:>28}: p50 {p50:.3f} ms, p99 {p99:.3f} ms")
    ratio = statistics.median(cross) / statistics.median(same)
    say(f"{'ratio of p50':>28}: {ratio:.2f}")


def _trips(
    made: Stores, sender: tuple[int, ChatServer], reader: tuple[int, ChatServer]
) -> list[float]:
    """Seconds from a message's leaving to its coming."""
    ca = str(Path(made.keys.path) / "server.crt")
    clients = []
    for uid, server in (sender, reader):
        client = StructuredClient(server.port, ca)
        token = Path(made.tokens).read_text().splitlines()[uid - FIRST_UID]
        assert client.ask(type="auth", n=1, uid=uid, token=token)["type"] == "ok"
        clients.append(client)
    writer, listener = clients
    trips = []
    for _ in range(_MESSAGES):
        began = time.monotonic()
        writer.say(type="msg", to=reader[0], text="x" * 50)
        came = listener.await_type("msg")
        trips.append(time.monotonic() - began)
        listener.say(type="ack", id=came["id"])
        writer.await_type("sent")
    for client in clients:
        client.close()
    return trips


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--workers", type=int, action="append", help="default: 1, 2, 4")
    parser.add_argument("--shape", type=parse_shape, action="append", help="default: 40x8, 400x2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0, help="of each turn of a round")
    parser.add_argument("--niceness", type=int, default=0, help="of the generator")
    parser.add_argument(
        "--measure", choices=("throughput", "latency"), action="append", help="default: both"
    )
    options = parser.parse_args()
    allow_many_files()
    say(f"load before: {os.getloadavg()[0]:.2f} of {os.cpu_count()} cores")
    effort = Effort(options.rounds, options.seconds, options.niceness)
    measures = options.measure or ["throughput", "latency"]
    with stores() as made:
        for shape in options.shape or QUICK if "throughput" in measures else ():
            sizes = options.workers or list(SIZES)
            throughput(made, sizes, shape, effort)
        if "latency" in measures:
            latency(made, options.rounds)


if __name__ == "__main__":
    main()
