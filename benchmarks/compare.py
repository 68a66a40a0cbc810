"""
How far is the service from a bare relay on Twisted? Both run here, over TLS, and take turns under the same load.

    python benchmarks/compare.py --quick
    python benchmarks/compare.py --rounds 5 --seconds 5 --store sqlite --dialect structured --shape hot:200x1
    python benchmarks/compare.py --all --rounds 5

Each figure is the median of the rounds; its ratio, service to relay, is the median of the rounds' ratios. The relay
always speaks the text dialect. Redis runs with ``appendfsync everysec``; the service's limits are out of the way. A
message leaves its sender as one TLS record, unless ``--gather``. The generator is in C and needs gcc and libssl-dev.
Nothing else should be running.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.comparing.board import Board
from benchmarks.comparing.shapes import QUICK, USUAL, Shape, parse_shape
from benchmarks.comparing.subjects import running
from benchmarks.comparing.talking import Effort, talk

STORES = ("redis", "sqlite")
DIALECTS = ("text", "structured")


def compare(options: argparse.Namespace) -> None:
    """Measure what was asked for and print it, one table for each store."""
    effort = Effort(options.rounds, options.seconds)
    for store in options.store:
        board = Board()
        with running(store) as pair:
            for shape in options.shape:
                for dialect in options.dialect:
                    talk(board, pair, effort, shape, dialect)
        show(store, board)


def show(store: str, board: Board) -> None:
    """Print all figures of one store."""
    print(f"\nservice with {store}\n")
    print(*board.table(), "", *board.verdicts(), sep="\n", flush=True)
    for warning in board.warnings:
        print(f"careful: {warning}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn of a round")
    parser.add_argument("--store", choices=STORES, action="append")
    parser.add_argument("--dialect", choices=DIALECTS, action="append")
    parser.add_argument("--shape", type=parse_shape, action="append", help="such as 40x8")
    parser.add_argument("--all", action="store_true", help="all stores, dialects and shapes")
    parser.add_argument("--quick", action="store_true", help="40x8 and 400x2, text, Redis")
    options = parser.parse_args()
    usual: tuple[Shape, ...] = USUAL if options.all else QUICK
    options.shape = options.shape or usual
    options.store = options.store or (STORES if options.all else STORES[:1])
    options.dialect = options.dialect or (DIALECTS if options.all else DIALECTS[:1])
    print(f"load before: {os.getloadavg()[0]:.2f} of {os.cpu_count()} cores", flush=True)
    compare(options)


if __name__ == "__main__":
    main()
