"""Coming in: log-ins a second, memory of those who are in and silent, start-up time."""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.comparing.board import Board
from benchmarks.comparing.load import Load
from benchmarks.comparing.shapes import parse_shape
from benchmarks.comparing.subjects import Pair, Subject
from benchmarks.comparing.talking import Effort, Said, check, rate

IDLE = 10_000
"""Connections that are logged in and silent."""

_AT_ONCE = 16
"""Connections that are on their way in."""

_ACCOUNTS = 2_000
_BESIDE = parse_shape("40x8")


def logins(board: Board, pair: Pair, effort: Effort) -> None:
    """Connect, log in, close, again and again: by password in text, by token in the structured dialect."""
    with ExitStack() as stack:
        loads = [
            (way, one, stack.enter_context(_coming(one, dialect)))
            for way, dialect in (("password", "text"), ("token", "structured"))
            for one in pair.both
        ]
        for _ in range(effort.rounds):
            for way, one, load in loads:
                _note_logins(
                    board, one, f"log-ins by {way}", load.run(seconds=effort.seconds, warm=0.5)
                )
    board.at_least("log-ins by token: log-ins/s", 0.6)


def _coming(one: Subject, dialect: str) -> Load:
    return one.load("login", dialect, lines=_AT_ONCE, accounts=_ACCOUNTS)


def _note_logins(board: Board, one: Subject, title: str, said: Said) -> None:
    each = 1e6 * said["cpu"][0] / max(1, said["logins"])
    board.note(one.name, f"{title}: log-ins/s", rate(said, "logins"))
    board.note(one.name, f"{title}: server CPU µs/log-in", each)
    board.note(one.name, f"{title}: p99 ms", 1000 * said["p99"])
    check(board, one, title, said)


def memory_of_idle(service: Subject, features: int = 0) -> float:
    """KiB for each of `IDLE` silent connections, with registered devices or without."""
    before = service.resident()
    crowd = {"idle": IDLE, "patience": 300, "features": features, **_BESIDE.crowd}
    with service.load("talk", "text", **crowd) as load:
        return (service.resident() - before) / float(load.arrival["lines"])


def idle_devices(board: Board, pair: Pair) -> None:
    """What a silent connection of a registered device takes, beside what one without features does."""
    plain = f"{IDLE:,} idle: KiB/connection"
    each = memory_of_idle(pair.service, features=1)
    row, than = f"{IDLE:,} idle devices: KiB/connection", "without features"
    board.value(row, each, than)
    board.base(row, board.rows[plain].value, than)
    board.at_most(row, 1.05)


def idle(board: Board, pair: Pair, effort: Effort) -> None:
    """What a silent connection takes, and whether messages flow beside `IDLE` of them; on fresh processes."""
    title = f"{IDLE:,} idle"
    with ExitStack() as stack:
        loads = []
        for one in pair.both:
            before = one.resident()
            load = stack.enter_context(
                one.load("talk", "text", idle=IDLE, patience=300, **_BESIDE.crowd)
            )
            each = (one.resident() - before) / load.arrival["lines"]
            board.note(one.name, f"{title}: KiB/connection", each)
            loads.append((one, load))
        for _ in range(effort.rounds):
            for one, load in loads:
                said = load.run(seconds=effort.seconds, warm=0.5, **_BESIDE.run)
                board.note(one.name, f"{title}: {_BESIDE.name} deliveries/s", rate(said))
                check(board, one, title, said)
    board.at_most(f"{title}: KiB/connection", 1.3)


def start(board: Board, pair: Pair, effort: Effort) -> None:
    """Seconds from the start of the process to the first greeting; everybody is cut off."""
    for _ in range(effort.rounds):
        for one in pair.both:
            one.stop()
            board.note(one.name, "start-up: s to the first greeting", one.start())
