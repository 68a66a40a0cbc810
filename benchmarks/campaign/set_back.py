"""A store that goes back: it is killed, loses the writes of the last seconds, and goes on."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence

from benchmarks.campaign.earlier import EarlierState
from benchmarks.campaign.losses import LOSSES, Loss, record_loss
from benchmarks.campaign.node import Node
from benchmarks.campaign.process import Process, wait_until
from benchmarks.campaign.world import World

_STAY = (0.3, 1.0)
"""Seconds in which readers are still there and are shown what will be lost."""

_KNOWN = 2.2
"""Seconds after which a server's watermark knows of a batch: it is written once a second."""

_AWAY = (1.0, 3.0)
"""Seconds after the return in which ids are given out past what the absent readers have seen."""

_PATIENCE = 90
"""Seconds in which somebody must have stored something, also when nodes are held by other faults."""

_SERVERS_TOO = 0.4
"""The share of the returns of Redis at which the servers, too, are killed and started again."""


class SetBack:
    """``moves``: the readers can leave a connection without loss, as those who acknowledge can."""

    def __init__(self, world: World, moves: bool) -> None:
        self._world = world
        self._moves = moves

    def strike(self, state: EarlierState, nodes: Sequence[Node]) -> None:
        """Let the store of these nodes, which are well, return to about the present state, after a while."""
        wait_until(lambda: state.batches() > 0, "the first message", _PATIENCE)
        begin, noted = state.note(), state.batches()
        time.sleep(random.uniform(*_STAY))
        absent = random.choice(self._world.readers)
        self._send_away(absent)
        wait_until(lambda: state.batches() > noted, "a message that can be lost", _PATIENCE)
        time.sleep(_KNOWN)
        self._replace(state, nodes, begin)
        time.sleep(random.uniform(*_AWAY))
        if self._moves:
            absent.tell("back")

    def _send_away(self, crowd: Process) -> None:
        # A reader of the text dialect would miss what its kernel has acknowledged.
        longest = _STAY[1] + _KNOWN + _AWAY[1]
        crowd.tell("away" if self._moves else f"stall {longest}")

    def _replace(self, state: EarlierState, nodes: Sequence[Node], begin: float) -> None:
        redis = self._world.redis
        batches = state.batches()
        restarted = nodes if redis is None or random.random() < _SERVERS_TOO else ()
        for node in restarted:
            node.kill()
        if redis is not None:
            redis.ask(f"SET {_MARK} 1")
            redis.end(signal.SIGKILL)
        end = time.time()
        content = state.put_back(batches)
        if not 0 < content.batches < batches:
            raise SystemExit(f"nothing was set back: {content.batches} batches of {batches}")
        loss = Loss(begin, end, content.waiting, content.last, content.serial)
        record_loss(self._world.folder / LOSSES, loss)
        time.sleep(random.uniform(0, 0.5))
        if redis is not None:
            redis.start()
            if redis.ask(f"EXISTS {_MARK}") != ":0":
                raise SystemExit("nothing was set back: Redis has its newest data")
        for node in restarted:
            node.start()


_MARK = "campaign:mark"
"""The last key that is written before the store goes back."""
