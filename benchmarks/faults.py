"""
A campaign of faults: users write to each other while servers, store, network and clients fail at random.

At the end it compares what every sender was told with what every reader was shown. Real processes, real TLS, in
network namespaces of its own (needs root). The same seed makes the same schedule. Several nodes have a MariaDB for
accounts, and HAProxy before them.

    python benchmarks/faults.py --store redis --dialect structured --faults 500 --messages 200000
    python benchmarks/faults.py --nodes 3 --faults 500
"""

from __future__ import annotations

import argparse
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.campaign.archive.court import judge_archive
from benchmarks.campaign.archive.verdict import ArchiveVerdict
from benchmarks.campaign.node_strikes import NodeFaults
from benchmarks.campaign.rooms.court import judge_rooms
from benchmarks.campaign.rooms.verdict import RoomVerdict
from benchmarks.campaign.strikes import Faults
from benchmarks.campaign.verdict import BACKLOG, Verdict, count_confirmed, reconcile
from benchmarks.campaign.world import NAMES, World, pause

_DRAIN = 180
"""Seconds after the last fault in which everything must have been confirmed."""

_FINISHED = 15
"""Seconds in which what has changed in rooms must be in their logs: any node finishes it after five."""

_ARCHIVED = 40
"""Seconds in which some of what was said must get into the archive: a dead node's transaction ends in 30."""

_QUIET = 3
"""Seconds in which nothing more is shown: then it is over. Readers look again after two at the latest."""

_EMPTY = 2
"""Seconds after that in which the last acknowledgement must have been carried out."""


def campaign(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> bool:
    """Run one; True: as it is promised."""
    random.seed(options.seed)
    devices, backlog = options.devices, options.device_backlog
    rule = options.sabotage
    place = (options.store, options.users, options.nodes)
    world = World(folder, *place, rule, devices, backlog, options.rooms)
    kind = NodeFaults if options.nodes > 1 else Faults
    faults = kind(world, options.dialect, options.only)
    try:
        world.start()
        world.add_crowds(options.dialect, options.rate)
        began = time.monotonic()
        while faults.struck.total() < options.faults and not _is_seen(
            options.until, world, backlog
        ):
            pause()
            faults.strike()
            if faults.struck.total() % 50 == 0:
                say(f"{time.monotonic() - began:.0f} s: {faults.struck.total()} faults")
        faults.end()
        while count_confirmed(folder) < options.messages:
            time.sleep(2)
        drained = _drain(world)
        if options.rooms:
            drained = _finish_rooms(world) and drained
        left = _left(world)
        in_the_end = world.finish_archive(_ARCHIVED)
    finally:
        world.close()
    verdict = reconcile(folder, backlog)
    say(
        f"store {options.store}, dialect {options.dialect}, nodes {options.nodes},"
        f" devices {'a mix' if devices is None else devices}, rooms {options.rooms},"
        f" seed {options.seed}, rule off: {options.sabotage or 'none'}"
    )
    _say_sums(say, verdict)
    rooms = judge_rooms(folder) if options.rooms else RoomVerdict()
    if options.rooms:
        _say_rooms(say, rooms)
    archive = judge_archive(folder, in_the_end)
    _say_archive(say, archive)
    counted = ", ".join(f"{name} {n}" for name, n in faults.struck.most_common())
    say(f"faults {faults.struck.total()}: {counted}")
    for example in [*verdict.examples, *rooms.examples, *archive.examples]:
        say(example)
    if not drained:
        say(f"not everything was confirmed within {_DRAIN} s after the last fault")
    if left:
        say(f"{left} messages were shown, and wait all the same")
    tracebacks = [node.name for node in world.all_nodes if node.has_traceback()]
    if tracebacks:
        say(f"the log of server {', '.join(tracebacks)} has a traceback")
    broken = verdict.is_broken or rooms.is_broken or (options.rooms and not rooms.confirmed)
    broken = broken or archive.is_broken
    return drained and verdict.confirmed > 0 and not (left or tracebacks or broken)


def _say_sums(say: Callable[[str], None], verdict: Verdict) -> None:
    say(f"confirmed {verdict.confirmed}, to be shown {verdict.owed} times")
    say(f"of these events {verdict.events}")
    say(f"lost {verdict.lost}")
    say(f"shown twice {verdict.shown_twice}")
    say(f"out of order {verdict.out_of_order}")
    say(f"copies {verdict.copies}, of which lost, twice or out of order {verdict.copies_wrong}")
    say(f"misdirected {verdict.misdirected}")
    say(f"shown though refused {verdict.shown_though_refused} of {verdict.refused}")
    say(
        f"missed for no reason {verdict.missed_for_no_reason}, for a reason {verdict.missed} messages"
    )
    say(f"wrong frames {verdict.wrong}")
    say(f"lost with the store {verdict.lost_with_store}, shown again {verdict.shown_again}")
    say(f"new devices {verdict.devices}")
    say(f"kicked for no reason {verdict.kicked}")


def _say_rooms(say: Callable[[str], None], verdict: RoomVerdict) -> None:
    say(f"in rooms: confirmed {verdict.confirmed}, events {verdict.changes}")
    say(f"in rooms: edits {verdict.edits}, retractions {verdict.retractions}")
    say(
        f"in rooms: to be shown {verdict.owed} times, retracted before they were {verdict.retracted}"
    )
    say(f"in rooms: lost {verdict.lost}")
    say(f"in rooms: shown twice {verdict.shown_twice}")
    say(f"in rooms: out of order {verdict.out_of_order}")
    say(f"in rooms: leaked {verdict.leaked}")
    say(f"in rooms: misdirected {verdict.misdirected}")
    say(
        f"in rooms: refused for no reason {verdict.refused_for_no_reason}"
        f" of {verdict.refused} refused"
    )
    say(
        f"in rooms: missed for no reason {verdict.missed_for_no_reason}, for a reason"
        f" {verdict.missed} entries"
    )
    say(f"in rooms: unfinished {verdict.unfinished}")
    say(f"in rooms: wrong {verdict.wrong}")
    say(
        f"in rooms: lost with the store {verdict.lost_with_store}, shown again"
        f" {verdict.shown_again}, in no known place {verdict.unplaced}"
    )


def _say_archive(say: Callable[[str], None], verdict: ArchiveVerdict) -> None:
    say(f"archive: messages {verdict.messages}")
    say(f"archive: owed {verdict.owed}")
    say(f"archive: missing {verdict.missing}")
    say(f"archive: twice {verdict.twice}")
    say(f"archive: wrong {verdict.wrong}")
    say(f"archive: out of order {verdict.out_of_order}")
    say(f"archive: edits {verdict.edits}, retractions {verdict.retractions}")
    say(f"archive: reads otherwise {verdict.otherwise}")
    say(f"archive: left in rooms {verdict.in_rooms}")
    say(f"archive: told otherwise {verdict.told_otherwise}")
    say(f"archive: changes refused {verdict.changes_refused}")
    say(f"archive: unindexed {verdict.unindexed}")
    say(f"archive: not found {verdict.unfound}")
    say(f"archive: stray words {verdict.stray}")
    say(f"archive: still queued {verdict.queued}")
    say(f"archive: refused {verdict.refused}")
    say(f"archive: lost with the store {verdict.lost_with_store}, kept though lost {verdict.kept}")


_CERTAIN = {
    "lost": "passed_over",
    "shown twice": "shown_twice",
    "out of order": "out_of_order",
    "misdirected": "misdirected",
    "missed for no reason": "missed_for_no_reason",
    "wrong frames": "wrong",
}
"""By what a complaint is certain before the end, when what is not shown may still be on its way."""


_IN_ROOMS = {
    "in rooms: lost": "passed_over",
    "in rooms: shown twice": "shown_twice",
    "in rooms: out of order": "out_of_order",
    "in rooms: leaked": "leaked",
    "in rooms: misdirected": "misdirected",
    "in rooms: refused for no reason": "refused_for_no_reason",
}
"""The same of rooms."""


_IN_ARCHIVE = {
    "archive: missing": "passed_over",
    "archive: twice": "twice",
    "archive: wrong": "wrong",
    "archive: out of order": "out_of_order",
    "archive: reads otherwise": "otherwise_for_good",
    "archive: left in rooms": "in_rooms",
}
"""The same of the archive."""


def _is_seen(complaint: str, world: World, backlog: int) -> bool:
    """Whether there is such a complaint; an empty one is never seen."""
    if complaint in _CERTAIN:
        return bool(getattr(reconcile(world.folder, backlog), _CERTAIN[complaint]))
    if complaint in _IN_ARCHIVE:
        archive = world.read_archive()  # before the journals, which must know more
        return bool(getattr(judge_archive(world.folder, archive), _IN_ARCHIVE[complaint]))
    if complaint:
        return bool(getattr(judge_rooms(world.folder, world.write_history), _IN_ROOMS[complaint]))
    return False


def _finish_rooms(world: World) -> bool:
    """Let all changes get into their rooms' logs, and be shown; whether they have."""
    deadline = time.monotonic() + _FINISHED
    while not world.write_history():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.5)
    time.sleep(_EMPTY)
    return True


def _drain(world: World) -> bool:
    """Let everything be confirmed and shown, with no more faults."""
    for crowd in world.crowds:
        crowd.tell("finish")
    deadline, shown, quiet = time.monotonic() + _DRAIN, -1, 0
    while time.monotonic() < deadline:
        time.sleep(1)
        unconfirmed, now_shown = world.waiting()
        quiet = quiet + 1 if now_shown == shown and not unconfirmed else 0
        shown = now_shown
        if quiet >= _QUIET:
            return True
    return False


def _left(world: World) -> int:
    """How many messages still wait in Redis when all have been shown."""
    if world.redis is None:
        return 0
    deadline = time.monotonic() + _EMPTY
    while (left := world.redis.left(world.uids)) and time.monotonic() < deadline:
        time.sleep(0.5)
    return left


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", choices=["redis", "sqlite"], default="redis")
    parser.add_argument("--nodes", type=int, choices=range(1, len(NAMES)), default=1)
    parser.add_argument("--dialect", choices=["structured", "text"], default="structured")
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument(
        "--until",
        choices=[*_CERTAIN, *_IN_ROOMS, *_IN_ARCHIVE],
        default="",
        help="strike no more when there is such a complaint",
    )
    parser.add_argument("--messages", type=int, default=0, help="confirmed messages at least")
    parser.add_argument(
        "--devices",
        type=int,
        choices=range(4),
        help="registered ones of each user (structured); default: a mix of users",
    )
    parser.add_argument(
        "--device-backlog",
        type=int,
        default=BACKLOG,
        help="ids that a device may be behind before it is forgotten",
    )
    parser.add_argument(
        "--rooms", type=int, default=0, help="rooms in which the users talk, too (structured)"
    )
    parser.add_argument("--users", type=int, default=12)
    parser.add_argument("--rate", type=float, default=40.0, help="messages a second of each user")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument(
        "--sabotage", default="", help="a rule to switch off, see campaign/sabotage.py"
    )
    parser.add_argument(
        "--only", action="append", default=[], help="strike with this fault alone, by its name"
    )
    parser.add_argument("--keep", type=Path, help="an empty folder to work in, kept afterwards")
    options = parser.parse_args()
    if options.dialect == "text":
        options.devices = 0
    if options.rooms and options.devices == 0:
        raise SystemExit("--rooms: only registered devices are shown all of them, see --devices")
    if options.nodes > 1 and options.store == "sqlite":
        raise SystemExit(
            f"--nodes {options.nodes}: SQLite serves one node, several need --store redis"
        )

    def say(line: str) -> None:
        print(line, flush=True)

    with tempfile.TemporaryDirectory(prefix="chatsvc-faults-") as folder:
        sys.exit(0 if campaign(options, options.keep or Path(folder), say) else 1)


if __name__ == "__main__":
    main()
