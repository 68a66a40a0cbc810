"""Messages for who is not here: stored, drained, and what a large drain does to others."""

from __future__ import annotations

from typing import Any

from benchmarks.comparing.board import Board
from benchmarks.comparing.shapes import parse_shape
from benchmarks.comparing.subjects import FIRST_UID, Pair, Subject
from benchmarks.comparing.talking import Effort, Said, check, rate

_ONLINE = parse_shape("40x8")
_WRITERS = _ONLINE.writers
_WRITING = FIRST_UID + 100
"""The first who writes to somebody away…"""
_AWAY = _WRITING + _WRITERS
"""…and the first of those."""
_BURIED = FIRST_UID + 300
"""Whose inbox gets large."""

_MANY = 100_000
_PACE = 1_000
"""Messages a second of others beside a large drain."""

_LONGEST = 120.0
"""Seconds that storing may take."""


def offline(board: Board, pair: Pair, effort: Effort, dialect: str) -> None:
    """Online deliveries, then as many stored for 40 who are away, then drained: the service beside itself."""
    service, title = pair.service, f"offline {dialect}"
    than = "online deliveries/s of the round"
    for _ in range(effort.rounds):
        with service.load("talk", dialect, gather=effort.gather, **_ONLINE.crowd) as load:
            said = load.run(seconds=effort.seconds, warm=0.5, **_ONLINE.run)
        online = rate(said)
        messages = max(_WRITERS, int(online * effort.seconds))
        stored = _store(service, dialect, effort, messages, away=1)
        drained = _drain(service, dialect, messages, uid=_AWAY, lines=_WRITERS)
        for what, value in (
            ("stored/s", rate(stored, "confirmations")),
            ("drained/s", rate(drained, "drained")),
        ):
            board.value(f"{title}: {what}", value, than)
            board.base(f"{title}: {what}", online, than)
        check(board, service, f"{title}, storing", stored)
        _check_drained(board, title, drained, messages)
    board.at_least(f"{title}: stored/s", 1)
    board.at_least(f"{title}: drained/s", 2)


def large_drain(board: Board, pair: Pair, effort: Effort, dialect: str) -> None:
    """What 40 others, at a steady pace, notice of one who drains 100,000 messages."""
    service, title = pair.service, f"drain of {_MANY:,} {dialect}"
    lasts = min(2.0, effort.seconds)
    with service.load("talk", dialect, **_ONLINE.crowd) as others:
        for _ in range(effort.rounds):
            _store(service, dialect, effort, _MANY, to=_BURIED)
            quiet = others.run(seconds=effort.seconds, warm=0.5, rate=_PACE)
            with service.load("drain", dialect, lines=1, uid=_BURIED) as reader:
                others.begin(seconds=lasts, warm=0, rate=_PACE)
                drained = reader.run(messages=_MANY)
                busy = others.end()
            # The next window is as long as the drain is, so that all of it is beside it.
            lasts = max(0.5, 0.9 * drained["seconds"])
            name = f"{title}: others' p99 ms"
            board.value(name, 1000 * busy["p99"], "quiet")
            board.base(name, 1000 * quiet["p99"], "quiet")
            board.value(f"{title}: drained/s", rate(drained, "drained"), "")
            _check_drained(board, title, drained, _MANY)
            check(board, service, title, busy)
    board.at_most(f"{title}: others' p99 ms", 3)


def _store(service: Subject, dialect: str, effort: Effort, messages: int, **to: int) -> Said:
    crowd = {"uid": _WRITING, "lines": _WRITERS, "gather": effort.gather, **to}
    with service.load("talk", dialect, **crowd) as load:
        return load.run(seconds=_LONGEST, warm=0, messages=messages, **_ONLINE.run)


def _drain(service: Subject, dialect: str, messages: int, **crowd: int) -> dict[str, Any]:
    with service.load("drain", dialect, **crowd) as load:
        return load.run(messages=messages)


def _check_drained(board: Board, title: str, drained: Said, messages: int) -> None:
    if drained["drained"] != messages:
        board.warn(f"{title}: {drained['drained']} messages drained of {messages}")
