"""
How far is a room of the service from a dict of everybody? Both run here, over TLS, and take turns under the same load.

    python benchmarks/fanout.py --quick
    python benchmarks/fanout.py --store redis --store sqlite --dialect text --dialect structured --rounds 5
    python benchmarks/fanout.py --shape 200x4x4 --shape 500x2x2
    python benchmarks/fanout.py --before ../earlier

A shape is MEMBERSxSENDERSxIN_FLIGHT: so many messages of each sender are unconfirmed at any time. What is counted is
deliveries: a message of a room of 200 is 199 of them. The relay (``benchmarks/relay.py --everybody``) always speaks the
text dialect; structured members of the service acknowledge every 64 messages or once a second. Each figure is the
median of the rounds; its ratio, service to relay, is the median of the rounds' ratios. Redis runs with ``appendfsync
everysec``; the service's limits are out of the way. A message leaves its sender as one TLS record, unless ``--gather``.
The generator is in C and needs gcc and libssl-dev; it says its own share of a core. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.compare import DIALECTS, STORES, allow_many_files, say, show
from benchmarks.comparing.board import Board
from benchmarks.comparing.subjects import running
from benchmarks.comparing.talking import Effort
from benchmarks.rooming.fan_out import Contest, Contestant, fan_out
from benchmarks.rooming.membership import NO_ROOM_LIMITS
from benchmarks.rooming.shapes import SHAPES, parse_room_shape


@contextmanager
def contest(store: str, before: str = "") -> Iterator[Contest]:
    """Run the relay and the service; or, with ``before``, the service of that checkout and this one."""
    with running(store, NO_ROOM_LIMITS, relay_options=("--everybody",)) as pair:
        now = Contestant("service", pair.service)
        if not before:
            yield Contest((Contestant("relay", pair.relay, base=True), now))
            return
        with running(store, NO_ROOM_LIMITS, version=before) as earlier:
            yield Contest((Contestant("before", earlier.service, base=True), now))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0, help="of each turn of a round")
    parser.add_argument("--store", choices=STORES, action="append", help="default: redis")
    parser.add_argument("--dialect", choices=DIALECTS, action="append", help="default: text")
    parser.add_argument(
        "--shape", type=parse_room_shape, action="append", help="default: 20x4x4, 200x4x4, 1000x1x2"
    )
    parser.add_argument(
        "--before", metavar="FOLDER", default="", help="a checkout to compare with, not the relay"
    )
    parser.add_argument("--gather", action="store_true", help="one TLS record for many messages")
    parser.add_argument("--quick", action="store_true", help="2 rounds of 2 seconds")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 2, 2.0
    allow_many_files()
    say(f"load before: {os.getloadavg()[0]:.2f} of {os.cpu_count()} cores")
    effort = Effort(options.rounds, options.seconds, int(options.gather))
    for store in options.store or STORES[:1]:
        board = Board()
        with contest(store, options.before) as both:
            for dialect in options.dialect or DIALECTS[:1]:
                fan_out(board, both, effort, options.shape or SHAPES, dialect)
                say(f"{store}, {dialect}: done")
        show(store, board)


if __name__ == "__main__":
    main()
