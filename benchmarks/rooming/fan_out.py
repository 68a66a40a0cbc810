"""Fan-out: what is said in a room is delivered to all who are in it, by the relay and the service in turns."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import accumulate, pairwise

from benchmarks.comparing.board import Board
from benchmarks.comparing.load import Load
from benchmarks.comparing.subjects import ACCOUNTS, FIRST_UID, Service, Subject
from benchmarks.comparing.talking import Effort, Said, check, rate
from benchmarks.rooming.membership import Door, OpenRoom, open_room
from benchmarks.rooming.shapes import RoomShape

READING = {"features": 2, "ack_every": 64, "ack_ms": 1000}
"""Words of the generator's command line: members read rooms, and acknowledge every 64 messages or once a second."""

_WARM = 0.5
_WAY_IN = 900
"""Seconds in which all must be logged in: passwords are slow on purpose."""

_AT_LEAST = {
    ("text", "20x4x4"): 0.5,
    ("text", "200x4x4"): 0.5,
    ("text", "1000x1x2"): 0.7,
    ("structured", "20x4x4"): 0.4,
    ("structured", "200x4x4"): 0.4,
    ("structured", "1000x1x2"): 0.4,
}
"""The ratio of deliveries that is asked for, by dialect and shape."""


@dataclass(frozen=True)
class Contestant:
    """One of two servers that take turns; ``base``: the other one is compared with it."""

    name: str
    subject: Subject
    base: bool = False


@dataclass(frozen=True)
class Contest:
    """Two servers, the base first."""

    contestants: Sequence[Contestant]

    @property
    def than(self) -> str:
        """The name of what the other one is compared with."""
        return self.contestants[0].name


def fan_out(
    board: Board, contest: Contest, effort: Effort, shapes: Sequence[RoomShape], dialect: str
) -> None:
    """All rounds of all shapes in one dialect, both servers in turns."""
    for shape, uids in zip(shapes, members_of(shapes), strict=True):
        title = f"{shape.name} {dialect}"
        with ExitStack() as stack:
            loads = [
                (one, stack.enter_context(_load(one.subject, shape, uids, dialect, effort)))
                for one in contest.contestants
            ]
            for _ in range(effort.rounds):
                for one, load in loads:
                    said = load.run(seconds=effort.seconds, warm=_WARM, flight=shape.flight)
                    _note(board, contest, one, title, said)
        _limit(board, contest, title, shape, dialect)


def figures(said: Said) -> dict[str, float]:
    """What a run says, by the names of its rows: of each delivery, of each message, of the generator."""
    deliveries, messages = max(1, said["deliveries"]), max(1, said["confirmations"])
    cpu = said["cpu"]
    redis = {"Redis CPU µs/message": 1e6 * cpu[1] / messages} if len(cpu) > 1 else {}
    return {
        "deliveries/s": rate(said),
        "messages/s": rate(said, "confirmations"),
        "server CPU µs/delivery": 1e6 * cpu[0] / deliveries,
        **redis,
        "confirmation p50 ms": 1000 * said["p50"],
        "confirmation p99 ms": 1000 * said["p99"],
        "delivery p50 ms": 1000 * said["late_p50"],
        "delivery p99 ms": 1000 * said["late_p99"],
        "generator's share of a core": said["load_cpu"] / said["seconds"],
    }


def door(service: Service) -> Door:
    """The way into a service."""
    return Door(service.port, service.ca, service.tokens)


def members_of(shapes: Sequence[RoomShape]) -> list[range]:
    """
    The uids of each shape's members, from the same ones on in each dialect: nobody is in the rooms of two.

    :raise ValueError: there are not so many accounts
    """
    ends = list(accumulate((shape.members for shape in shapes), initial=FIRST_UID))
    if ends[-1] > FIRST_UID + ACCOUNTS:
        raise ValueError(f"the rooms have more members than the {ACCOUNTS:,} accounts")
    return [range(first, end) for first, end in pairwise(ends)]


def _load(subject: Subject, shape: RoomShape, uids: range, dialect: str, effort: Effort) -> Load:
    room = OpenRoom(0, "room")
    if isinstance(subject, Service):
        room = open_room(door(subject), f"fan-{shape.name}-{uids[0]}", uids)
    crowd = {"uid": uids[0], "lines": shape.members, "writers": shape.senders}
    where = {"room": room.number, "room_name": room.name}
    return subject.load(
        "room", dialect, **crowd, **where, **READING, gather=effort.gather, patience=_WAY_IN
    )


def _note(board: Board, contest: Contest, one: Contestant, title: str, said: Said) -> None:
    for name, value in figures(said).items():
        row = f"{title}: {name}"
        (board.base if one.base else board.value)(row, value, contest.than)
    check(board, one.subject, title, said)


def _limit(board: Board, contest: Contest, title: str, shape: RoomShape, dialect: str) -> None:
    bound = _AT_LEAST.get((dialect, shape.name))
    if contest.than == "before":
        board.at_least(f"{title}: deliveries/s", 1 / 1.05)
        board.at_most(f"{title}: server CPU µs/delivery", 1.05)
    elif bound is not None:
        board.at_least(f"{title}: deliveries/s", bound)
