"""Deliveries: as many as go, and how late they are at half of that."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from benchmarks.comparing.board import Board
from benchmarks.comparing.shapes import Shape
from benchmarks.comparing.subjects import Pair, Subject

Said = dict[str, Any]
"""What the generator says of a run."""

_BUSY = 0.9
"""The share of a core past which the generator may be what is measured."""

_WAY_IN = 900
"""Seconds in which all must be logged in: passwords are slow on purpose."""

_WARM = 0.5
"""Seconds before each window."""


@dataclass(frozen=True)
class Effort:
    """So many rounds, seconds of each turn; ``gather`` 1: what a sender says at once is one TLS record."""

    rounds: int
    seconds: float
    gather: int = 0


def talk(board: Board, pair: Pair, effort: Effort, shape: Shape, dialect: str) -> None:
    """All rounds of one shape, the relay and the service in turns; then at half of the service's top load."""
    title = f"{shape.name} {dialect}"
    crowd = {**shape.crowd, "gather": effort.gather, "patience": _WAY_IN}
    with ExitStack() as stack:
        loads = [
            (one, stack.enter_context(one.load("talk", dialect, **crowd))) for one in pair.both
        ]
        for _ in range(effort.rounds):
            for one, load in loads:
                said = load.run(seconds=effort.seconds, warm=_WARM, **shape.run)
                _note_top(board, one, title, said)
        _limit(board, title, pair, shape, dialect)
        if shape.kind == "burst":
            return
        half = board.rows[f"{title}: deliveries/s"].value / 2
        for _ in range(effort.rounds):
            for one, load in loads:
                said = load.run(seconds=effort.seconds, warm=_WARM, rate=half)
                _note_latency(board, one, f"{title} at half load", said)
        board.at_most(f"{title} at half load: p99 ms", 3)


def check(board: Board, one: Subject, title: str, said: Said) -> None:
    """Warn of a run that says little."""
    share = said["load_cpu"] / said["seconds"]
    if share > _BUSY:
        board.warn(f"{title}, {one.name}: the generator used {share:.2f} of a core")
    if said["troubles"] or said.get("missing"):
        lost = said.get("missing", 0)
        board.warn(f"{title}, {one.name}: {said['troubles']} refusals, {lost} messages missing")


def rate(said: Said, what: str = "deliveries") -> float:
    """How many a second."""
    return float(said[what] / said["seconds"])


def _note_top(board: Board, one: Subject, title: str, said: Said) -> None:
    deliveries = max(1, said["deliveries"])
    board.note(one.name, f"{title}: deliveries/s", rate(said))
    board.note(one.name, f"{title}: server CPU µs/delivery", 1e6 * said["cpu"][0] / deliveries)
    if len(said["cpu"]) > 1:
        board.value(f"{title}: Redis CPU µs/delivery", 1e6 * said["cpu"][1] / deliveries)
    _note_latency(board, one, title, said)
    board.note(
        one.name, f"{title}: generator's share of a core", said["load_cpu"] / said["seconds"]
    )


def _note_latency(board: Board, one: Subject, title: str, said: Said) -> None:
    board.note(one.name, f"{title}: p50 ms", 1000 * said["p50"])
    board.note(one.name, f"{title}: p99 ms", 1000 * said["p99"])
    check(board, one, title, said)


def _limit(board: Board, title: str, pair: Pair, shape: Shape, dialect: str) -> None:
    row = f"{title}: deliveries/s"
    if shape.name in ("40x8", "400x2"):
        board.at_most(f"{title}: server CPU µs/delivery", 1.8)
        if dialect == "structured":
            board.at_least(row, 0.45)
        elif pair.store == "redis":
            board.at_least(row, 0.55, ", aim 0.75")
    if shape.name == "400x2" and pair.store == "sqlite":
        board.at_least(row, 0.35)
