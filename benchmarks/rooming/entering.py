"""Coming in as a member of many rooms: what a log-in costs, and what a connection holds, beside one without rooms."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import ExitStack

from benchmarks.comparing.board import Board
from benchmarks.comparing.load import Load
from benchmarks.comparing.subjects import FIRST_UID, Service, running
from benchmarks.comparing.talking import Effort, Said, check, rate
from benchmarks.rooming.fan_out import door
from benchmarks.rooming.membership import NO_ROOM_LIMITS, catch_up, open_rooms

_ACCOUNTS = 32
"""They log in one after the other, so that nobody is logged in twice."""

_WAYS: dict[str, tuple[str, dict[str, int]]] = {
    "log-in, structured by token, to `synced`": ("structured", {"features": 2, "until_synced": 1}),
    "log-in, structured by token, to `ok`": ("structured", {"features": 2}),
    "log-in, text by password, to `认证成功!`": ("text", {}),
}
"""How one logs in: the dialect, and words of the generator's command line."""

_MOST_DEARER = 1.5
"""What a log-in with many rooms may take, to one without."""

_MOST_KIB = 4.0
"""What 20 rooms may add to a connection, in KiB."""

_SETTLED = 3.0
"""Seconds after which a server has done what log-ins leave to do."""

_FIRST = 20
"""Connections that come and go before those whose memory is measured."""

WITHOUT = "without rooms"
"""What the rows of members are compared with."""


def logins(board: Board, store: str, effort: Effort, rooms: int) -> None:
    """Log in, one at a time, as users of no room and of many in turns."""
    with running(store, NO_ROOM_LIMITS) as pair, ExitStack() as stack:
        service = pair.service
        said_of_rooms = {0: "{}", rooms: _join(service, rooms, _ACCOUNTS)}
        loads = [
            (way, many, stack.enter_context(_coming(service, way, many, positions)))
            for way in _WAYS
            for many, positions in said_of_rooms.items()
        ]
        for _ in range(effort.rounds):
            for way, many, load in loads:
                said = load.run(seconds=effort.seconds, warm=0.5)
                _note_login(board.value if many else board.base, f"{way}, {rooms} rooms", said)
                check(board, service, way, said)
    for way in _WAYS:
        for what in ("p50 ms", "server CPU µs"):
            board.at_most(f"{way}, {rooms} rooms: {what}", _MOST_DEARER)


def memory(board: Board, store: str, connections: int, rooms: int, dialect: str) -> None:
    """What a silent connection holds: of members of no room and of many, each on a server of its own."""
    title = f"{connections:,} silent connections, {dialect}"
    held = {}
    for many in (0, rooms):
        with running(store, NO_ROOM_LIMITS) as pair:
            positions = _join(pair.service, many, connections)
            pair.service.stop()
            pair.service.start()
            held[many] = _held(pair.service, connections, dialect, positions)
    row = f"{title}: KiB each, {rooms} rooms"
    board.value(row, held[rooms], WITHOUT)
    board.base(row, held[0], WITHOUT)
    board.value(
        f"{title}: KiB added by {rooms} rooms ({_MOST_KIB:g} asked)", held[rooms] - held[0], ""
    )


def _join(service: Service, rooms: int, users: int) -> str:
    """
    Let so many users, the first ones, be members of so many rooms, and have read all of them.

    Give what they say of the rooms when they log in, JSON without spaces.
    """
    if not rooms:
        return "{}"
    names, uids = [f"room-{n}" for n in range(rooms)], range(FIRST_UID, FIRST_UID + users)
    open_rooms(door(service), names, uids)
    return json.dumps(catch_up(door(service), uids), separators=(",", ":"))


def _held(service: Service, connections: int, dialect: str, positions: str) -> float:
    crowd = {"lines": connections, "writers": 0, "features": 2}
    some = {**crowd, "lines": min(connections, _FIRST)}
    with service.load("room", dialect, **some, positions=positions):
        pass  # what the server loads once is no connection's
    time.sleep(_SETTLED)
    before = service.resident()
    with service.load("room", dialect, **crowd, positions=positions, patience=900):
        time.sleep(_SETTLED)
        return (service.resident() - before) / connections


def _coming(service: Service, way: str, rooms: int, positions: str) -> Load:
    dialect, words = _WAYS[way]
    uid = FIRST_UID if rooms else FIRST_UID + _ACCOUNTS
    crowd = {"lines": 1, "uid": uid, "accounts": _ACCOUNTS, **words}
    return service.load("login", dialect, **crowd, positions=positions)


def _note_login(note: Callable[[str, float, str], None], title: str, said: Said) -> None:
    cpu = [1e6 * spent / max(1, said["logins"]) for spent in said["cpu"]]
    found = {"p50 ms": 1000 * said["p50"], "server CPU µs": cpu[0]}
    found |= {"Redis CPU µs": cpu[1]} if len(cpu) > 1 else {}
    found["log-ins/s"] = rate(said, "logins")
    for what, value in found.items():
        note(f"{title}: {what}", value, WITHOUT)
