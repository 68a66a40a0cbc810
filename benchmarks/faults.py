"""
A campaign of faults: users write to each other while server, store, network and clients fail at random.

At the end it compares what every sender was told with what every reader was shown. Real processes, real TLS, in network
namespaces of its own (needs root). The same seed makes the same schedule.

    python benchmarks/faults.py --store redis --dialect structured --faults 500 --messages 200000
"""

from __future__ import annotations

import argparse
import random
import signal
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.campaign.journal import entries
from benchmarks.campaign.world import World, pause

_DRAIN = 180
"""Seconds after the last fault in which everything must have been confirmed."""

_QUIET = 3
"""Seconds in which nothing more is shown: then it is over. Readers look again after two at the latest."""


@dataclass
class Verdict:
    """What the journals say."""

    confirmed: int = 0
    lost: int = 0
    shown_twice: int = 0
    out_of_order: int = 0
    examples: list[str] = field(default_factory=list)

    def blame(self, kind: str, sender: int, reader: int, k: int) -> None:
        setattr(self, kind, getattr(self, kind) + 1)
        if len(self.examples) < 10:
            self.examples.append(f"{kind}: {sender}>{reader}#{k}")


def reconcile(folder: Path, uids: list[int]) -> Verdict:
    """Compare what every sender was told with what every reader was shown."""
    verdict = Verdict()
    confirmed: dict[tuple[int, int], list[int]] = defaultdict(list)
    shown: dict[tuple[int, int], list[int]] = defaultdict(list)
    for uid in uids:
        for kind, *words in entries(folder / f"{uid}.journal"):
            if kind == "c":
                confirmed[uid, int(words[0])].append(int(words[1]))
            elif kind == "s":
                shown[int(words[1]), uid].append(int(words[2]))
    for pair, ks in confirmed.items():
        verdict.confirmed += len(ks)
        for k in sorted(set(ks) - set(shown[pair])):
            verdict.blame("lost", *pair, k)
    for pair, ks in shown.items():
        seen: set[int] = set()
        newest = 0
        for k in ks:
            if k in seen:
                verdict.blame("shown_twice", *pair, k)
            elif k < newest:
                verdict.blame("out_of_order", *pair, k)
            seen.add(k)
            newest = max(newest, k)
    return verdict


class Faults:
    """The faults, by name, and how often each is to come."""

    def __init__(self, world: World, dialect: str, only: list[str]) -> None:
        self._world = world
        self.weights: dict[str, float] = {
            "server killed": 3,
            "server stopped": 1.5,
            "cable silent": 1.5,
            "readers stalled": 1.5,
            "readers moved": 1.5,
        }
        if world.store == "redis":
            self.weights |= {"redis killed": 2.5, "redis link cut": 2, "redis frozen": 0.4}
        else:
            self.weights |= {"sqlite locked": 0.4}
        if dialect == "structured":
            self.weights |= {"connections cut": 4, "clients killed": 2}
        self.weights = {
            name: weight for name, weight in self.weights.items() if not only or name in only
        }

    def strike(self) -> str:
        """One fault; its name."""
        (name,) = random.choices(list(self.weights), list(self.weights.values()))
        getattr(self, "_" + name.replace(" ", "_"))()
        return name

    def _server_killed(self) -> None:
        self._world.server.end(signal.SIGKILL)
        self._world.start_server()

    def _server_stopped(self) -> None:
        self._world.server.end(signal.SIGTERM)
        self._world.start_server()

    def _redis_killed(self) -> None:
        assert self._world.redis is not None
        self._world.redis.end(signal.SIGKILL)
        time.sleep(random.uniform(0, 0.5))
        self._world.redis.start()

    def _redis_frozen(self) -> None:
        assert self._world.redis is not None
        self._world.redis.send_signal(signal.SIGSTOP)
        time.sleep(random.uniform(5.5, 7))
        self._world.redis.send_signal(signal.SIGCONT)

    def _sqlite_locked(self) -> None:
        self._world.lock_sqlite(random.uniform(5.5, 7))

    def _cable_silent(self) -> None:
        with self._world.network.silence():
            time.sleep(random.uniform(0.2, 2.5))

    def _readers_moved(self) -> None:
        with self._world.network.silence():
            time.sleep(random.uniform(0.1, 0.5))
            random.choice(self._world.crowds).tell("move")
            time.sleep(1)

    def _redis_link_cut(self) -> None:
        self._world.link.tell(f"deafen {random.choice([0.02, 0.1, 0.5])}")
        time.sleep(0.6)

    def _connections_cut(self) -> None:
        self._world.proxy.tell(f"cut {random.choice([0.2, 0.5, 1])}")

    def _readers_stalled(self) -> None:
        random.choice(self._world.crowds).tell(f"stall {random.uniform(0.5, 2):.1f}")

    def _clients_killed(self) -> None:
        crowd = random.choice(self._world.crowds)
        crowd.end(signal.SIGKILL)
        crowd.start()


def campaign(options: argparse.Namespace, folder: Path, say: Callable[[str], None]) -> bool:
    """Run one; True: as it is promised."""
    random.seed(options.seed)
    world = World(folder, options.store, options.users, options.sabotage)
    struck: Counter[str] = Counter()
    try:
        world.start()
        world.add_crowds(options.dialect, options.rate)
        faults = Faults(world, options.dialect, options.only)
        began = time.monotonic()
        while sum(struck.values()) < options.faults:
            pause()
            struck[faults.strike()] += 1
            if sum(struck.values()) % 50 == 0:
                say(f"{time.monotonic() - began:.0f} s: {sum(struck.values())} faults")
        while reconcile(folder, world.uids).confirmed < options.messages:
            time.sleep(2)
        drained = _drain(world)
    finally:
        world.close()
    verdict = reconcile(folder, world.uids)
    say(
        f"store {options.store}, dialect {options.dialect}, seed {options.seed}, rule off: {options.sabotage or 'none'}"
    )
    say(f"confirmed {verdict.confirmed}")
    say(f"lost {verdict.lost}")
    say(f"shown twice {verdict.shown_twice}")
    say(f"out of order {verdict.out_of_order}")
    say(
        f"faults {sum(struck.values())}: "
        + ", ".join(f"{name} {n}" for name, n in struck.most_common())
    )
    for example in verdict.examples:
        say(example)
    if not drained:
        say(f"not everything was confirmed within {_DRAIN} s after the last fault")
    traceback = "Traceback" in world.server.log.read_text(errors="replace")
    if traceback:
        say("the server's log has a traceback")
    repeats = 0 if options.dialect == "text" else verdict.shown_twice + verdict.out_of_order
    return drained and not traceback and not verdict.lost and not repeats


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


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", choices=["redis", "sqlite"], default="redis")
    parser.add_argument("--dialect", choices=["structured", "text"], default="structured")
    parser.add_argument("--faults", type=int, default=500)
    parser.add_argument("--messages", type=int, default=0, help="confirmed messages at least")
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

    def say(line: str) -> None:
        print(line, flush=True)

    with tempfile.TemporaryDirectory(prefix="chatsvc-faults-") as folder:
        sys.exit(0 if campaign(options, options.keep or Path(folder), say) else 1)


if __name__ == "__main__":
    main()
