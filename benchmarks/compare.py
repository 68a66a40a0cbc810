"""
How far is the service from a bare relay on Twisted? Both run here, over TLS, and take turns under the same load.

    python benchmarks/compare.py --quick
    python benchmarks/compare.py --rounds 5 --seconds 5 --store sqlite --dialect structured --shape hot:200x1
    python benchmarks/compare.py --measure devices --measure idle
    python benchmarks/compare.py --before ../earlier --dialect text --dialect structured --measure idle
    python benchmarks/compare.py --measure history --store redis --store sqlite
    python benchmarks/compare.py --all --rounds 5

Each figure is the median of the rounds; its ratio, service to relay, is the median of the rounds' ratios. The relay
always speaks the text dialect. Redis runs with ``appendfsync everysec``; the service's limits are out of the way. A
message leaves its sender as one TLS record, unless ``--gather``. The generator is in C and needs gcc and libssl-dev.
Nothing else should be running.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.comparing.before import idle_before, talk_before, talk_with_history
from benchmarks.comparing.board import Board
from benchmarks.comparing.devices import devices
from benchmarks.comparing.entering import idle, idle_devices, logins, start
from benchmarks.comparing.shapes import QUICK, USUAL, Shape, parse_shape
from benchmarks.comparing.subjects import Pair, running
from benchmarks.comparing.talking import Effort, talk
from benchmarks.comparing.waiting import large_drain, offline

STORES = ("redis", "sqlite")
DIALECTS = ("text", "structured")
MEASURES = ("talk", "offline", "drain", "devices", "logins", "start", "idle", "history")


def compare(options: argparse.Namespace) -> None:
    """Measure what was asked for and print it, one table for each store."""
    effort = Effort(options.rounds, options.seconds, int(options.gather))
    for store in options.store:
        board = Board()
        if options.before:
            dialects, shapes = options.dialect, options.shape
            talk_before(board, store, options.before, effort, shapes, dialects)
            if "idle" in options.measure:
                idle_before(board, store, options.before)
            show(store, board)
            continue
        if "history" in options.measure:
            talk_with_history(board, store, effort, options.shape, options.dialect)
        if options.measure == ["history"]:
            show(store, board)
            continue
        with running(store) as pair:
            for dialect in options.dialect:
                measure(board, pair, effort, dialect, options)
            if "devices" in options.measure:
                devices(board, pair, effort)
            if "logins" in options.measure:
                logins(board, pair, effort)
            if "start" in options.measure:
                start(board, pair, effort)
        if "idle" in options.measure:
            with running(store) as pair:
                idle(board, pair, effort)
            with running(store) as pair:
                idle_devices(board, pair)
        show(store, board)


def measure(
    board: Board, pair: Pair, effort: Effort, dialect: str, options: argparse.Namespace
) -> None:
    """What there is to measure of one dialect."""
    if "talk" in options.measure:
        for shape in options.shape:
            talk(board, pair, effort, shape, dialect)
            say(f"{pair.store}, {shape.name}, {dialect}: done")
    for name, of_waiting in (("offline", offline), ("drain", large_drain)):
        if name in options.measure:
            of_waiting(board, pair, effort, dialect)
            say(f"{pair.store}, {name}, {dialect}: done")


def show(store: str, board: Board) -> None:
    """Print all figures of one store."""
    say(f"\nservice with {store}\n")
    say("\n".join(board.table()))
    say("\n" + "\n".join(board.verdicts()))
    for warning in board.warnings:
        say(f"careful: {warning}")


def say(line: str) -> None:
    """Print a line."""
    print(line, flush=True)


def allow_many_files() -> None:
    """As many connections at once as the system lets us and our children have."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn of a round")
    parser.add_argument("--store", choices=STORES, action="append", help="default: redis")
    parser.add_argument("--dialect", choices=DIALECTS, action="append", help="default: text")
    parser.add_argument("--shape", type=parse_shape, action="append", help="default: 40x8, 400x2")
    parser.add_argument("--measure", choices=MEASURES, action="append", help="default: talk")
    parser.add_argument(
        "--before", metavar="FOLDER", help="a checkout to compare with, instead of the relay"
    )
    parser.add_argument("--gather", action="store_true", help="one TLS record for many messages")
    parser.add_argument("--all", action="store_true", help="everything that is not chosen")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 seconds")
    options = parser.parse_args()
    usual: tuple[Shape, ...] = USUAL if options.all else QUICK
    options.shape = options.shape or usual
    options.store = options.store or (STORES if options.all else STORES[:1])
    options.dialect = options.dialect or (DIALECTS if options.all else DIALECTS[:1])
    options.measure = options.measure or (MEASURES if options.all else MEASURES[:1])
    if options.quick:
        options.rounds, options.seconds = 2, 2.0
    allow_many_files()
    say(f"load before: {os.getloadavg()[0]:.2f} of {os.cpu_count()} cores")
    compare(options)


if __name__ == "__main__":
    main()
