"""
Attackers send a server random, mutated and truncated frames, while two bystanders talk to each other.

In both dialects and both byte orders, before and after log-in; one conversation in eight over TLS, the others over
plain TCP, which is faster and the same to all that reads frames. A seed makes the same conversations again, all but the
token in them. The exit status is 0 if every message of the bystanders arrived, all that the server said was well
formed, its log has no traceback, it still answers, and its memory is within 20 MB of where it was after a warm-up.

    python benchmarks/fuzz.py --store redis --frames 1000000
"""

from __future__ import annotations

import argparse
import ctypes
import re
import signal
import sys
import time
from collections.abc import Iterator
from concurrent.futures import (
    FIRST_COMPLETED,
    Future,
    ProcessPoolExecutor,
    ThreadPoolExecutor,
    wait,
)
from dataclasses import dataclass, field
from itertools import count
from math import nan
from multiprocessing import get_context
from pathlib import Path
from random import Random

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.fuzzing.attackers import Doors, Tally, play
from benchmarks.fuzzing.conversations import Conversation, conversation
from benchmarks.fuzzing.stage import FourDoors, People, restore, settle
from tests.attacks.bystanders import Talk
from tests.attacks.bystanders import _Pair as Pair
from tests.support.clients import StructuredClient
from tests.support.processes import PASSWORD, ServerStores, SQLiteStores, Stores, new_address

MOST_GROWTH = 20.0
"""MB of memory."""

_TOGETHER, _AT_A_TIME = 32, 64
"""Conversations that a process of attackers has at once, and those after which it says what became of them."""

_SETTLING = 2.0
"""Seconds without attackers before memory is measured."""

_SHOWN = 10
"""Faults that are shown in full."""

_FAILED = re.compile(r"Unhandled.*\s+Traceback|Traceback|Unhandled")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Attack:
    """What the processes of attackers are told."""

    seed: int
    doors: Doors
    people: People

    def draw(self, number: int) -> Conversation:
        """The conversation of this number."""
        return conversation(Random(f"{self.seed}/{number}"), self.people.corpora)

    def have(self, number: int) -> Tally:
        """Have the conversation of this number, from an address of its own: failed log-ins count by address."""
        source = f"127.{64 + number // 62_500 % 64}.{number // 250 % 250}.{1 + number % 250}"
        members = self.people.members
        tally = play(self.draw(number), self.doors, members[number % len(members)], source)
        tally.broken = [f"conversation {number}: {what}" for what in tally.broken]
        return tally


def have_all(attack: Attack, numbers: range) -> Tally:
    """Have conversations, many at once."""
    tally = Tally()
    with ThreadPoolExecutor(_TOGETHER) as threads:
        for other in threads.map(attack.have, numbers):
            tally.add(other)
    return tally


def _end_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


@dataclass
class Verdict:
    """What a campaign found; memory in MiB."""

    tally: Tally = field(default_factory=Tally)
    seconds: float = 0.0
    talk: Talk = field(default_factory=Talk)
    before: float = 0.0
    highest: float = 0.0
    after: float = 0.0
    faults: list[str] = field(default_factory=list)

    @property
    def growth(self) -> float:
        """MB."""
        return (self.after - self.before) * 2**20 / 1e6

    def __str__(self) -> str:
        tally, talk = self.tally, sorted(self.talk.seconds)
        lines = [
            f"frames {tally.frames} ({tally.size / 1e6:.0f} MB) in {tally.conversations}"
            f" conversations, {self.seconds:.0f} s, {tally.frames / self.seconds:.0f} frames/s",
            f"answers {tally.answers}, log-ins refused {tally.kept_out},"
            f" conversations given up {tally.late}",
            f"bystanders' messages {len(talk)}, p50 {talk[len(talk) // 2] * 1e3:.0f} ms,"
            f" p99 {self.talk.p99 * 1e3:.0f} ms, slowest {self.talk.worst * 1e3:.0f} ms",
            f"memory after the warm-up {self.before:.1f} MiB, at the end {self.after:.1f} MiB,"
            f" at most {self.highest:.1f} MiB, growth {self.growth:.1f} MB",
        ]
        return "\n".join([*lines, *(f"FAULT: {fault}" for fault in self.faults[:_SHOWN])])


class Campaign:
    """A server, its stores, and all who talk to it."""

    def __init__(self, store: str, processes: int) -> None:
        self._processes = processes
        self._stores: Stores = SQLiteStores() if store == "sqlite" else ServerStores()
        self.server = FourDoors(self._stores)

    def start(self, seed: int) -> Attack:
        """Start the server; what attackers must know of it."""
        self.server.start()
        return Attack(seed, self.server.doors, settle(self._stores, self.server))

    def run(self, attack: Attack, warm_up: int, frames: int, seconds: float) -> Verdict:
        """Attack with so many frames, in so many seconds at most; then look at the server, whatever was found."""
        verdict = Verdict()
        deadline = time.monotonic() + seconds
        uids = [self._stores.add_user("bystander") for _ in range(2)]
        pair = Pair(uids, [self._log_in(uid) for uid in uids])
        verdict.talk = pair.talk
        pair.begin()
        # Not by fork: a thread talks here.
        with ProcessPoolExecutor(self._processes, get_context("spawn"), _end_with_parent) as pool:
            numbers = count(0, _AT_A_TIME)
            warming = Verdict()
            self._fight(pool, attack, numbers, warm_up, deadline, warming)
            verdict.before = self._settled()
            began = time.monotonic()
            self._fight(pool, attack, numbers, frames, deadline, verdict)
            verdict.seconds = time.monotonic() - began
            verdict.after = self._settled()
        verdict.faults += warming.tally.broken
        self._judge(verdict, frames, pair)
        return verdict

    def _fight(
        self,
        pool: ProcessPoolExecutor,
        attack: Attack,
        numbers: Iterator[int],
        frames: int,
        deadline: float,
        verdict: Verdict,
    ) -> None:
        """Let conversations be had until there were so many frames, or something is wrong, or time is up."""
        under_way: set[Future[Tally]] = set()

        def over() -> bool:
            enough = verdict.tally.frames >= frames or time.monotonic() > deadline
            return enough or bool(verdict.tally.broken) or bool(_FAILED.search(self.server.log()))

        while under_way or not over():
            # One more than there are processes, so that none waits.
            while len(under_way) <= self._processes and not over():
                first = next(numbers)
                under_way.add(pool.submit(have_all, attack, range(first, first + _AT_A_TIME)))
            done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in done:
                verdict.tally.add(future.result())
            verdict.highest = max(verdict.highest, self._resident())
            restore(self._stores)

    def _judge(self, verdict: Verdict, frames: int, pair: Pair) -> None:
        faults = verdict.faults
        faults += verdict.tally.broken
        log = self.server.log()
        faults += [log[max(0, at.start() - 300) : at.end() + 3_000] for at in _FAILED.finditer(log)]
        if verdict.tally.frames < frames:
            faults.append(f"only {verdict.tally.frames} of {frames} frames were sent")
        if verdict.growth > MOST_GROWTH:
            faults.append(f"memory grew by more than {MOST_GROWTH} MB")
        try:
            pair.end()
            self._answers()
        except (AssertionError, OSError, EOFError) as problem:
            faults.append(f"the server does not serve any more: {problem!r}")

    def _answers(self) -> None:
        """Fail unless people can log in and write to each other."""
        uids = [self._stores.add_user("somebody") for _ in range(2)]
        reader, writer = (self.server.text(source=new_address()) for _ in uids)
        for uid, client in zip(uids, (reader, writer), strict=True):
            client.log_in(uid, PASSWORD)
        confirmed = writer.ask(f"msg {uids[0]} still here")
        read = reader.read()
        assert read == confirmed and read.endswith(" ]:still here"), (read, confirmed)

    def _log_in(self, uid: int) -> StructuredClient:
        client = self.server.structured(source=new_address(), device=f"{uid:016x}")
        client.log_in(uid, PASSWORD)
        return client

    def _settled(self) -> float:
        time.sleep(_SETTLING)
        return self._resident()

    def _resident(self) -> float:
        try:
            return self.server.resident()
        except (OSError, TypeError):  # it has died
            return nan


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--store", choices=["redis", "sqlite"], default="sqlite")
    parser.add_argument(
        "--frames", type=int, default=1_000_000, help="at least so many, empty ones not counted"
    )
    parser.add_argument(
        "--warm-up", type=int, default=20_000, help="frames before memory is measured first"
    )
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=7_200.0, help="at most, in all")
    parser.add_argument("--processes", type=int, default=2, help="processes of attackers")
    parser.add_argument(
        "--only",
        type=int,
        help="show and have the conversation of this number; one from 127.64.X.Y is 250 * X + Y - 1",
    )
    options = parser.parse_args()
    campaign = Campaign(options.store, options.processes)
    try:
        attack = campaign.start(options.seed)
        if options.only is not None:
            print(attack.draw(options.only), attack.have(options.only), sep="\n")
            time.sleep(_SETTLING)
            sys.exit(1 if _FAILED.search(campaign.server.log()) else 0)
        verdict = campaign.run(attack, options.warm_up, options.frames, options.seconds)
    finally:
        campaign.server.remove()
    print(f"store {options.store}, seed {options.seed}", verdict, sep="\n")
    sys.exit(1 if verdict.faults else 0)


if __name__ == "__main__":
    main()
