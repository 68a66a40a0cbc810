"""
What do rooms cost where nobody looks: Redis, a log-in, a silent connection, a sender beside members who do not read?

    python benchmarks/rooms.py                       # all measures, on Redis
    python benchmarks/rooms.py --measure redis --measure pauses --rounds 5
    python benchmarks/rooms.py --measure memory --store sqlite --dialect text --dialect structured
    python benchmarks/rooms.py --kill                # 1,000 members on two nodes, one of which is killed

``redis``: the CPU of the Redis process a message, with 2 members and with many, acknowledgements apart, and with them.
``logins``: a log-in with 50 rooms beside one without. ``memory``: what 20 rooms add to a silent connection. ``pauses``:
the sender's p99 into a room whose other members have stopped reading, and what each adds to the node. ``--kill`` has a
MariaDB, a Redis and two nodes; its status is 1 if a member was not back after 10 seconds, or a device was shown a
message not once. The generator is in C and needs gcc and libssl-dev. Nothing else should be running.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.compare import DIALECTS, STORES, allow_many_files, say, show
from benchmarks.comparing.board import Board
from benchmarks.comparing.talking import Effort
from benchmarks.rooming.coming_back import coming_back
from benchmarks.rooming.entering import logins, memory
from benchmarks.rooming.pausing import pausing
from benchmarks.rooming.redis_cost import redis_cost

MEASURES = ("redis", "logins", "memory", "pauses")


def measure(options: argparse.Namespace, store: str) -> Board:
    """Take all measures that were asked for, with one store."""
    board, effort = Board(), Effort(options.rounds, options.seconds)
    if "redis" in options.measure and store == "redis":
        redis_cost(board, effort, options.members, options.pace)
        say(f"{store}, redis: done")
    if "logins" in options.measure:
        logins(board, store, effort, options.rooms or 50)
        say(f"{store}, logins: done")
    for dialect in options.dialect if "memory" in options.measure else ():
        memory(board, store, options.members, options.rooms or 20, dialect)
        say(f"{store}, memory, {dialect}: done")
    if "pauses" in options.measure:
        pausing(board, store, effort, options.members, options.pace)
        say(f"{store}, pauses: done")
    return board


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--measure", choices=MEASURES, action="append", help="default: all")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=10.0, help="of each turn of a round")
    parser.add_argument("--store", choices=STORES, action="append", help="default: redis")
    parser.add_argument(
        "--dialect", choices=DIALECTS, action="append", help="of memory; default: structured"
    )
    parser.add_argument("--members", type=int, default=1000, help="of the large room")
    parser.add_argument("--rooms", type=int, help="of a member; default: 50 logins, 20 memory")
    parser.add_argument("--pace", type=float, help="messages a second; default: 20, 50 with --kill")
    parser.add_argument("--kill", action="store_true", help="kill one of two nodes, nothing else")
    options = parser.parse_args()
    options.measure = options.measure or MEASURES
    options.dialect = options.dialect or DIALECTS[1:]
    allow_many_files()
    say(f"load before: {os.getloadavg()[0]:.2f} of {os.cpu_count()} cores")
    if options.kill:
        outcome = coming_back(options.members, options.pace or 50.0, 3 * options.seconds)
        say(str(outcome))
        sys.exit(0 if outcome.kept else 1)
    options.pace = options.pace or 20.0
    for store in options.store or STORES[:1]:
        show(store, measure(options, store))


if __name__ == "__main__":
    main()
