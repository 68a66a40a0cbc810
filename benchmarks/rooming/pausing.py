"""Members who stop reading: what the sender into their room notices, and what they cost the node."""

from __future__ import annotations

from benchmarks.comparing.board import Board
from benchmarks.comparing.load import Load
from benchmarks.comparing.subjects import FIRST_UID, Service, running
from benchmarks.comparing.talking import Effort, Said, check
from benchmarks.rooming.fan_out import READING, door
from benchmarks.rooming.membership import NO_ROOM_LIMITS, open_room

_MOST_SLOWER = 1.5
"""What the sender's p99 may be with paused members, to that without (P8 of docs/protocol.md)."""

_MOST_KIB = 1024
"""What a paused reader may add to a node, in KiB (P8)."""

_LARGE = 8_000
"""Bytes of each text that fills what the system keeps for a connection, so that the server learns of the pause."""

_FILL = 400
"""Messages of that size: 3 MiB for each member. Linux keeps up to some 2.5 MiB for a connection on the loopback."""

_BUFFER = 16_384
"""Bytes that the socket of a member keeps for who does not read."""

_LONGEST = 40
"""Seconds that filling may take. The server has Linux end a connection whose peer takes nothing for 60 seconds."""

WITHOUT = "nobody paused"
"""What the rows of a room with paused members are compared with."""


def pausing(board: Board, store: str, effort: Effort, members: int, pace: float) -> None:
    """Rounds of: all read; all but the sender stop, and what is kept for them is filled; one writes to them."""
    with running(store, NO_ROOM_LIMITS) as pair:
        service = pair.service
        for number in range(effort.rounds):
            # Members who have lost their connection meanwhile would not count: each round has a crowd of its own.
            with _load(service, members, number) as load:
                _round(board, service, load, effort, members - 1, pace)
    board.at_most(f"sender into a room with {members - 1:,} paused: p99 ms", _MOST_SLOWER)


def _round(
    board: Board, service: Service, load: Load, effort: Effort, paused: int, pace: float
) -> None:
    title = f"sender into a room with {paused:,} paused"
    quiet = load.run(seconds=effort.seconds, warm=1, rate=pace)
    _note_sender(board, title, quiet, base=True)
    check(board, service, f"{title}, before", quiet)
    before = service.resident()
    filled = load.run(
        seconds=_LONGEST, warm=0, flight=1, size=_LARGE, messages=_FILL, paused=paused
    )
    busy = load.run(seconds=effort.seconds, warm=1, rate=pace, paused=paused)
    added = (service.resident() - before) / paused
    _note_sender(board, title, busy, base=False)
    check(board, service, title, busy)
    board.value(
        f"node's memory added by a paused reader: KiB (at most {_MOST_KIB:,} asked)", added, ""
    )
    board.value("messages that filled what is kept for each", filled["confirmations"], "")
    board.value("members whose connection ended", paused + 1 - busy["in"], "")


def _note_sender(board: Board, title: str, said: Said, *, base: bool) -> None:
    note = board.base if base else board.value
    note(f"{title}: p50 ms", 1000 * said["p50"], WITHOUT)
    note(f"{title}: p99 ms", 1000 * said["p99"], WITHOUT)
    note(f"{title}: server's share of a core", said["cpu"][0] / said["seconds"], WITHOUT)


def _load(service: Service, members: int, number: int) -> Load:
    uid = FIRST_UID + 2_000 * number
    room = open_room(door(service), f"paused-{number}", range(uid, uid + members))
    crowd = {"uid": uid, "lines": members, "writers": 1, "buffer": _BUFFER}
    where = {"room": room.number, "room_name": room.name}
    return service.load("room", "structured", **crowd, **where, **READING, patience=300)
