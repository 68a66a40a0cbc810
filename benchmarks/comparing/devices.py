"""Readers with two devices: what a message costs then, beside what it costs with one, in one run."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.comparing.board import Board
from benchmarks.comparing.load import Load
from benchmarks.comparing.shapes import parse_shape
from benchmarks.comparing.subjects import FIRST_UID, Pair, Subject
from benchmarks.comparing.talking import Effort, check, rate

_SHAPE = parse_shape("40x8")
_UIDS = 200
"""Uids that each of the crowds has for itself: they are all there at once."""

_TWO_DEVICES = 1.7
"""What a message to a reader with two devices may cost, to one with one."""

_CROWDS = {
    "no features": {"screens": 1, "one_way": 1},
    "one device": {"screens": 1, "one_way": 1, "features": 1},
    "two devices": {"screens": 2, "one_way": 1, "features": 1},
    "one device, both ways": {"screens": 1, "features": 1},
    "two devices, both ways, with copies": {"screens": 2, "features": 1},
}
"""
Whose messages are measured, and by which words of the generator: 40 who write to 40 who read, or 40 who do both, whose
other devices are handed copies.
"""

_BESIDE = {
    "one device": "no features",
    "two devices": "one device",
    "two devices, both ways, with copies": "one device, both ways",
}


def devices(board: Board, pair: Pair, effort: Effort) -> None:
    """All rounds of all crowds in turns, structured, as fast as answers come."""
    service = pair.service
    with ExitStack() as stack:
        loads = {
            name: stack.enter_context(_crowd(service, effort, place, **words))
            for place, (name, words) in enumerate(_CROWDS.items())
        }
        for _ in range(effort.rounds):
            cost = {}
            for name, load in loads.items():
                said = load.run(seconds=effort.seconds, warm=0.5, **_SHAPE.run)
                cost[name] = 1e6 * said["cpu"][0] / max(1, said["confirmations"])
                board.value(f"{name}: messages/s", rate(said, "confirmations"), "")
                board.value(f"{name}: showings/s", rate(said), "")
                for redis in said["cpu"][1:]:
                    each = 1e6 * redis / max(1, said["confirmations"])
                    board.value(f"{name}: Redis CPU µs/message", each, "")
                check(board, service, name, said)
            for name, value in cost.items():
                _note(board, name, value, cost)
    board.at_most("two devices: server CPU µs/message", _TWO_DEVICES)


def _crowd(service: Subject, effort: Effort, place: int, **words: int) -> Load:
    lines = _SHAPE.writers * (1 + words.get("one_way", 0))
    crowd = {"lines": lines, "uid": FIRST_UID + _UIDS * place, "gather": effort.gather, **words}
    return service.load("talk", "structured", patience=900, **crowd)


def _note(board: Board, name: str, value: float, cost: dict[str, float]) -> None:
    beside = _BESIDE.get(name, "")
    row = f"{name}: server CPU µs/message"
    board.value(row, value, beside)
    if beside:
        board.base(row, cost[beside], beside)
