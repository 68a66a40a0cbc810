"""What a message into a room costs Redis: with few members and with many, and with their acknowledgements."""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass

from benchmarks.comparing.board import Board
from benchmarks.comparing.load import Load
from benchmarks.comparing.subjects import FIRST_UID, Service, running
from benchmarks.comparing.talking import Effort, check
from benchmarks.rooming.fan_out import READING, door
from benchmarks.rooming.membership import NO_ROOM_LIMITS, open_room
from tests.support.servers import PrivateRedis

FEW = 2
_WARM = 1.0
_MOST_DEARER = 1.5
"""What a message may cost Redis with many members, to one with few, acknowledgements apart."""

_CPU = re.compile(r"used_cpu_(?:sys|user):([\d.]+)")


def redis_cost(board: Board, effort: Effort, members: int, pace: float) -> None:
    """
    All rounds: a room of two and one of many, without acknowledgements and with them.

    ``pace`` is messages a second, the same for both rooms: what comes at once is stored at once and costs less.
    """
    with running("redis", NO_ROOM_LIMITS) as pair, ExitStack() as stack:
        service = pair.service
        assert service.redis is not None
        clock = Clock(service.redis)
        rooms = [
            Measured(many, stack.enter_context(_load(service, many, place)), service, clock)
            for place, many in enumerate((FEW, members))
        ]
        for _ in range(effort.rounds):
            silence = clock.spent(lambda: time.sleep(effort.seconds)) / effort.seconds
            board.value("Redis CPU µs/s while nobody writes", 1e6 * silence, "")
            for acks in (0, 1):
                few, many = (one.cost(board, effort, pace, acks, silence) for one in rooms)
                board.value(row(FEW, acks), few, "")
                board.value(row(members, acks), many, f"{FEW} members")
                board.base(row(members, acks), few, f"{FEW} members")
    board.at_most(row(members, 0), _MOST_DEARER)


def row(members: int, acks: int) -> str:
    """The name of a row."""
    how = "with acknowledgements" if acks else "acknowledgements apart"
    return f"{members:,} members, {how}: Redis CPU µs/message"


class Clock:
    """The CPU that a Redis spends, all threads together, in seconds."""

    def __init__(self, redis: PrivateRedis) -> None:
        self._redis = redis

    def now(self) -> float:
        """What it has spent since its start."""
        return cpu_in(self._redis.execute("INFO", "cpu").decode())

    def spent(self, what: Callable[[], object]) -> float:
        """What it spends while something is done."""
        before = self.now()
        what()
        return self.now() - before


@dataclass(frozen=True)
class Measured:
    """A room of so many members, and the load that writes into it."""

    members: int
    load: Load
    service: Service
    clock: Clock

    def cost(self, board: Board, effort: Effort, pace: float, acks: int, silence: float) -> float:
        """µs of Redis's CPU a message; ``silence`` is what it spends a second without any."""
        self.load.begin(seconds=effort.seconds, warm=_WARM, rate=pace, acks=acks)
        before, began = self.clock.now(), time.monotonic()
        said = self.load.end()
        spent = self.clock.now() - before - silence * (time.monotonic() - began)
        title = f"{self.members:,} members"
        board.value(f"{title}: deliveries/s", said["deliveries"] / said["seconds"], "")
        check(board, self.service, title, said)
        messages: int = max(1, said["confirmations"])
        return max(0.0, 1e6 * spent / messages)


def cpu_in(info: str) -> float:
    """
    Add up the CPU that ``INFO cpu`` tells, of the server and the kernel for it, in seconds.

    Children, as those that write a file anew, are not in it.
    """
    return sum(map(float, _CPU.findall(info)))


def _load(service: Service, members: int, place: int) -> Load:
    uid = FIRST_UID + 2_000 * place
    room = open_room(door(service), f"of-{members}", range(uid, uid + members))
    where = {"room": room.number, "room_name": room.name}
    crowd = {"uid": uid, "lines": members, "writers": 1}
    return service.load("room", "structured", **crowd, **where, **READING, patience=300)
