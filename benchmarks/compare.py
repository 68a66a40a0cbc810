"""
The service beside a bare relay, in turn, over TLS: deliveries a second, CPU for each, latency.

    python benchmarks/compare.py --store redis --dialect text --shape 40x8 --shape 400x2 --rounds 5

A shape is so many connections, in pairs, with so many messages of each on their way. It needs a C compiler and the
headers of OpenSSL (Debian: gcc libc6-dev libssl-dev) for the load generator, and Redis for ``--store redis``.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass
from pathlib import Path
from statistics import median

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.comparing.subjects import Pair, Subject, running

SHAPES = ("40x8", "400x2")


@dataclass(frozen=True)
class Figures:
    """One run: deliveries a second, CPU µs of the server and of its store for each, seconds, a core's share."""

    rate: float
    server: float
    store: float
    p50: float
    p99: float
    load: float


def measure(subject: Subject, dialect: str, lines: int, flight: int, seconds: float) -> Figures:
    """
    One run on connections of its own.

    :raise RuntimeError: messages went missing, or something was refused.
    """
    with subject.load("talk", dialect, lines=lines) as load:
        said = load.run(seconds=seconds, flight=flight)
    if said["missing"] or said["troubles"]:
        raise RuntimeError(f"{subject.name}: {said}")
    each = [1e6 * cpu / said["deliveries"] for cpu in (*said["cpu"], 0.0)]
    lasted = said["seconds"]
    rate, busy = said["deliveries"] / lasted, said["load_cpu"] / lasted
    return Figures(rate, each[0], each[1], said["p50"], said["p99"], busy)


def compare(pair: Pair, dialect: str, shape: str, seconds: float, rounds: int) -> None:
    """Print the medians of some rounds, in each of which both take their turn."""
    lines, flight = map(int, shape.split("x"))
    runs: list[list[Figures]] = [[], []]
    for _ in range(rounds):
        for subject, figures in zip(pair.both, runs, strict=True):
            figures.append(measure(subject, dialect, lines, flight, seconds))
    relay, service = (
        Figures(*(median(column) for column in zip(*map(_row, figures), strict=True)))
        for figures in runs
    )
    print(f"{shape}, {dialect}, medians of {rounds} rounds: relay, service, ratio")
    for what, one, other in (
        ("deliveries a second", relay.rate, service.rate),
        ("server's CPU, µs each", relay.server, service.server),
        ("store's CPU, µs each", relay.store, service.store),
        ("p50, ms", 1000 * relay.p50, 1000 * service.p50),
        ("p99, ms", 1000 * relay.p99, 1000 * service.p99),
        ("load generator, cores", relay.load, service.load),
    ):
        ratio = f"{other / one:10.2f}" if one else ""
        print(f"  {what:<24}{one:12.2f}{other:12.2f}{ratio}", flush=True)


def _row(figures: Figures) -> tuple[float, ...]:
    return (
        *(figures.rate, figures.server, figures.store),
        *(figures.p50, figures.p99, figures.load),
    )


def main() -> None:
    """Compare, and print what came of it."""
    options = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    options.add_argument("--store", choices=("redis", "sqlite"), default="redis")
    options.add_argument("--dialect", choices=("text", "structured"), default="text")
    options.add_argument("--shape", action="append", help="CONNECTIONSxFLIGHT, repeatable")
    options.add_argument("--seconds", type=float, default=5.0)
    options.add_argument("--rounds", type=int, default=5)
    chosen = options.parse_args()
    with running(chosen.store) as pair:
        for shape in chosen.shape or SHAPES:
            compare(pair, chosen.dialect, shape, chosen.seconds, chosen.rounds)


if __name__ == "__main__":
    main()
