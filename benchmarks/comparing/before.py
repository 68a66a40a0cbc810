"""This version beside an earlier one, or one with other options, in one run: what it costs more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack

from benchmarks.comparing.board import Board
from benchmarks.comparing.entering import memory_of_idle
from benchmarks.comparing.shapes import Shape
from benchmarks.comparing.subjects import Subject, running
from benchmarks.comparing.talking import Effort, Said, check, rate

_SLOWER = 1.05
"""What may be used more, or done less."""

_WITH_HISTORY = {"redis": 0.9, "sqlite": 0.7}
"""What the service with a history must do of what it does without one, by store."""

_THAN = "before"


def talk_before(
    board: Board, store: str, version: str, effort: Effort, shapes: list[Shape], dialects: list[str]
) -> None:
    """All rounds of all shapes, the earlier service and this one in turns; ``version`` is its checkout."""
    with running(store, version=version) as earlier, running(store) as now:
        both = ((_THAN, earlier.service), ("now", now.service))
        for title in _in_turns(board, both, effort, shapes, dialects):
            board.at_least(f"{title}: deliveries/s", 1 / _SLOWER)
            board.at_most(f"{title}: server CPU µs/delivery", _SLOWER)


def talk_with_history(
    board: Board, store: str, effort: Effort, shapes: list[Shape], dialects: list[str]
) -> None:
    """All rounds of all shapes, the service without a history and with one in turns."""
    with running(store, ("--history-days", "0")) as off, running(store) as on:
        both = ((_THAN, off.service), ("now", on.service))
        for title in _in_turns(board, both, effort, shapes, dialects):
            board.at_least(f"{title}: deliveries/s", _WITH_HISTORY[store])


def _in_turns(
    board: Board,
    both: Sequence[tuple[str, Subject]],
    effort: Effort,
    shapes: list[Shape],
    dialects: list[str],
) -> Iterator[str]:
    """Measure all shapes, round by round; each title is given when its rounds are over."""
    for dialect in dialects:
        for shape in shapes:
            title = f"{shape.name} {dialect}"
            crowd = {**shape.crowd, "gather": effort.gather, "patience": 900}
            with ExitStack() as stack:
                loads = [
                    (name, one, stack.enter_context(one.load("talk", dialect, **crowd)))
                    for name, one in both
                ]
                for _ in range(effort.rounds):
                    for name, one, load in loads:
                        said = load.run(seconds=effort.seconds, warm=0.5, **shape.run)
                        _note(board, name, title, said)
                        check(board, one, f"{title}, {name}", said)
            yield title


def _note(board: Board, name: str, title: str, said: Said) -> None:
    deliveries = max(1, said["deliveries"])
    figures = {"deliveries/s": rate(said), "p99 ms": 1000 * said["p99"]}
    for place, who in enumerate(("server", "Redis")[: len(said["cpu"])]):
        figures[f"{who} CPU µs/delivery"] = 1e6 * said["cpu"][place] / deliveries
    for what, value in figures.items():
        (board.base if name == _THAN else board.value)(f"{title}: {what}", value, _THAN)


def idle_before(board: Board, store: str, version: str) -> None:
    """What a silent connection takes, on fresh processes."""
    row = "idle: KiB/connection"
    for note, checkout in ((board.base, version), (board.value, "")):
        with running(store, version=checkout) as pair:
            note(row, memory_of_idle(pair.service), _THAN)
    board.at_most(row, _SLOWER)
