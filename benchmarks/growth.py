"""
How does the cost grow with connections, with what waits in inboxes, and with accounts?

    python benchmarks/growth.py --of connections --of waiting --of accounts
    python benchmarks/growth.py --of waiting --store sqlite --up-to 100000

Each step is a fresh service. Beside what grows, 40 connections send each other 5,000 messages a second in all, so that
a figure is what a message costs at that size. Absolute figures drift on a shared machine: read down a column, and only
within one run. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.compare import STORES, allow_many_files, say
from benchmarks.comparing.shapes import parse_shape
from benchmarks.comparing.subjects import FIRST_UID, Pair, Service, running
from tests.support.clients import StructuredClient

_BESIDE = parse_shape("40x8")
_PACE = 5_000
_SECONDS = 4.0
_BURIED = FIRST_UID + 300
"""Whose inbox grows."""

_TICKS = os.sysconf("SC_CLK_TCK")

STEPS = {
    "connections": (1_000, 5_000, 10_000, 15_000),
    "waiting": (10, 1_000, 100_000, 1_000_000),
    "accounts": (10, 1_000, 100_000, 1_000_000),
}

Figures = dict[str, float]


def connections(store: str, many: int) -> Figures:
    """Connections that are logged in and silent."""
    with running(store, accounts=many + 100) as pair:
        service = pair.service
        before = service.resident()
        with service.load("talk", "text", idle=many, patience=300, **_BESIDE.crowd) as load:
            each = (service.resident() - before) / load.arrival["lines"]
            silent = _cpu_share(service)
            return {
                "KiB/connection": each,
                "CPU of the silence %": 100 * silent,
                **_said_of(load.run(seconds=_SECONDS, warm=1, rate=_PACE)),
            }


def waiting(store: str, many: int) -> Figures:
    """Messages that wait in one inbox; the first page of it, and the memory or disk that they take."""
    with running(store) as pair:
        service = pair.service
        before = _kept(pair)
        writers = {"uid": FIRST_UID + 100, "to": _BURIED, "lines": min(many, _BESIDE.writers)}
        with service.load("talk", "text", **writers) as load:
            load.run(seconds=300, warm=0, messages=many, **_BESIDE.run)
        figures = {
            "bytes/message": (_kept(pair) - before) / many,
            "log-in ms": _first_page(service),
        }
        with service.load("talk", "text", **_BESIDE.crowd) as load:
            return figures | _said_of(load.run(seconds=_SECONDS, warm=1, rate=_PACE))


def accounts(store: str, many: int) -> Figures:
    """Accounts in the table; at the first start after they were put there, their names are indexed."""
    with running(store, accounts=max(many, _BESIDE.writers)) as pair:
        service = pair.service
        service.stop()
        first = service.start()
        service.stop()
        figures = {
            "first start s": first,
            "start s": service.start(),
            "MiB": service.resident() / 1024,
        }
        some = min(many, 2_000)
        with service.load("login", "structured", lines=16, accounts=some) as load:
            said = load.run(seconds=_SECONDS, warm=0.5)
        figures["log-ins/s"] = said["logins"] / said["seconds"]
        figures["CPU µs/log-in"] = 1e6 * said["cpu"][0] / max(1, said["logins"])
        return figures


MEASURES: dict[str, Callable[[str, int], Figures]] = {
    "connections": connections,
    "waiting": waiting,
    "accounts": accounts,
}


def _said_of(said: dict[str, Any]) -> Figures:
    deliveries = max(1, said["deliveries"])
    return {
        "deliveries/s": said["deliveries"] / said["seconds"],
        "CPU µs/delivery": 1e6 * said["cpu"][0] / deliveries,
        "p50 ms": 1000 * said["p50"],
        "p99 ms": 1000 * said["p99"],
    }


def _cpu_share(service: Service) -> float:
    """What share of a core the server takes when nobody says anything."""
    before, began = _ticks(service), time.monotonic()
    time.sleep(_SECONDS)
    return (_ticks(service) - before) / _TICKS / (time.monotonic() - began)


def _ticks(service: Service) -> int:
    fields = Path(f"/proc/{service.pids[0]}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # utime and stime, proc(5)


def _kept(pair: Pair) -> float:
    """Bytes that the store has."""
    redis = pair.service.redis
    if redis is None:
        return float(sum(path.stat().st_size for path in pair.service.folder.glob("chat.db*")))
    facts = redis.execute("INFO", "memory").decode()
    return float(facts.split("used_memory:")[1].split("\r\n")[0])


def _first_page(service: Service) -> float:
    """Milliseconds from the log-in to the first message that waited; none is acknowledged."""
    token = Path(service.tokens).read_text().splitlines()[_BURIED - FIRST_UID]
    client = StructuredClient(service.port, service.ca)
    began = time.monotonic()
    client.say(type="auth", n=1, uid=_BURIED, token=token)
    while client.next()["type"] != "msg":
        pass
    took = time.monotonic() - began
    client.close()
    return 1000 * took


def _show(what: str, store: str, rows: Iterator[tuple[int, Figures]]) -> None:
    say(f"\n{what}, {store}\n")
    for index, (many, figures) in enumerate(rows):
        if not index:
            say("".join(f"{name:>22}" for name in (what, *figures)))
        say(f"{many:>22,}" + "".join(f"{value:>22,.4g}" for value in figures.values()))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--of", choices=STEPS, action="append", help="default: all")
    parser.add_argument("--store", choices=STORES, default="redis")
    parser.add_argument("--up-to", type=int, default=1_000_000)
    options = parser.parse_args()
    allow_many_files()
    for what in options.of or STEPS:
        measure = MEASURES[what]
        steps = (many for many in STEPS[what] if many <= options.up_to)
        _show(what, options.store, ((many, measure(options.store, many)) for many in steps))


if __name__ == "__main__":
    main()
