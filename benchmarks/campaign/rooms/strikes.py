"""The faults that strike servers in the middle of what happens to rooms."""

from __future__ import annotations

import random
import signal
import time
from contextlib import suppress
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
        node = self._node()
        frozen = random.random() < _SHARE_FROZEN
        number = signal.SIGSTOP if frozen else signal.SIGKILL
        node.point.write_text(f"{point} {number}")
        pid = _struck(node.point)
        if pid and frozen:
            self._let_stand(node, pid)
        elif pid and node.workers == 1:
            wait_until(lambda: not node.runs(), f"the end of server {node.name}", 5)
            node.start()

    def _let_stand(self, node: Node, pid: int) -> None:
        freeze([pid])  # all of its threads stand still when this returns
        if random.random() < 0.5:
            for crowd in self._world.crowds:
                crowd.tell(f"leave {node.target}")
        time.sleep(random.uniform(*_FROZEN))
        thaw([pid])


def _struck(point: Path) -> int:
    """The process that came to the point; 0: none did, and none will."""
    deadline = time.monotonic() + _PATIENCE
    while time.monotonic() < deadline:
        for path in point.parent.glob(f"{point.name}.*"):
            path.unlink()
            return int(path.suffix[1:])
        time.sleep(0.05)
    with suppress(FileNotFoundError):
        point.unlink()
    return 0
