"""The faults that strike servers in the middle of what happens to rooms."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.campaign.lasting import LastingFaults
from benchmarks.campaign.node import Node
from benchmarks.campaign.process import freeze, thaw, wait_until
from benchmarks.campaign.world import World

_PATIENCE = 15
"""Seconds in which a server comes to a point, if its users are there."""

_FROZEN = (0.5, 6.0)
"""Seconds: less than a node's lease."""

_SHARE_FROZEN = 0.35

WEIGHTS = {
    "room changed": 2.0,
    "room event logged": 2.0,
    "room event placed": 1.0,
    "room message stored": 2.0,
}


class RoomFaults(LastingFaults):
    """A node is killed, or stands still for a while, when it comes to a point."""

    _world: World

    def _node(self) -> Node:
        raise NotImplementedError

    def _room_changed(self) -> None:
        self._stop_at("changed")

    def _room_event_logged(self) -> None:
        self._stop_at("logged")

    def _room_event_placed(self) -> None:
        self._stop_at("placed")

    def _room_message_stored(self) -> None:
        self._stop_at("stored")

    def _stop_at(self, point: str) -> None:
        frozen = random.random() < _SHARE_FROZEN
        number = signal.SIGSTOP if frozen else signal.SIGKILL
        for node, pid in stop_at([self._node()], point, number):
            if frozen:
                self._let_stand(node, pid)
            else:
                start_again(node)

    def _let_stand(self, node: Node, pid: int) -> None:
        freeze([pid])  # all of its threads stand still when this returns
        if random.random() < 0.5:
            for crowd in self._world.crowds:
                crowd.tell(f"leave {node.target}")
        time.sleep(random.uniform(*_FROZEN))
        thaw([pid])


def stop_at(nodes: Sequence[Node], point: str, number: int) -> list[tuple[Node, int]]:
    """Send a signal to the process that comes to a point first, on any of these nodes; none if none came in time."""
    for node in nodes:
        node.point.write_text(f"{point} {number}")
    deadline = time.monotonic() + _PATIENCE
    while not any(map(_has_struck, nodes)) and time.monotonic() < deadline:
        time.sleep(0.05)
    for node in nodes:
        node.point.unlink(missing_ok=True)
    # Only now nobody else can come to it.
    return [
        (node, int(path.suffix[1:])) for node in nodes for path in _has_struck(node, forget=True)
    ]


def _has_struck(node: Node, *, forget: bool = False) -> list[Path]:
    """The files that processes of a node have left when they came to the point."""
    found = list(node.point.parent.glob(f"{node.point.name}.*"))
    if forget:
        for path in found:
            path.unlink()
    return found


def start_again(node: Node) -> None:
    """Start a node that was killed at a point; a worker of several is started by its node."""
    if node.workers == 1:
        wait_until(lambda: not node.runs(), f"the end of server {node.name}", 5)
        node.start()
