"""A store that goes back: it is killed, a copy from some seconds before takes the place of its data, and it goes on."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Sequence

from benchmarks.campaign.losses import LOSSES, Loss, record_loss
from benchmarks.campaign.node import Node
from benchmarks.campaign.process import Process, wait_until
from benchmarks.campaign.store_copy import RedisCopy, SQLiteCopy, StoreCopy
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

    def strike(self, nodes: Sequence[Node]) -> None:
        """Let the store of these nodes, which are well, lose writes."""
        copy = self._copy(nodes)
        wait_until(lambda: copy.batches() > 0, "the first message", _PATIENCE)
        begin = copy.make()
        content = copy.content()
        if not content.batches:
            raise SystemExit("nothing was set back: the copy has taken no messages")
        time.sleep(random.uniform(*_STAY))
        absent = random.choice(self._world.readers)
        self._send_away(absent)
        wait_until(lambda: copy.batches() > content.batches, "a message after the copy", _PATIENCE)
        time.sleep(_KNOWN)
        end = self._replace(copy, nodes)
        record_loss(self._world.folder / LOSSES, Loss(begin, end, content.waiting))
        time.sleep(random.uniform(*_AWAY))
        if self._moves:
            absent.tell("back")

    def _copy(self, nodes: Sequence[Node]) -> StoreCopy:
        folder = self._world.folder / "copy"
        if self._world.redis is not None:
            return RedisCopy(self._world.redis, folder)
        return SQLiteCopy(self._world.folder / "chat.db", nodes[0].process, folder)

    def _send_away(self, crowd: Process) -> None:
        # A reader of the text dialect would miss what its kernel has acknowledged.
        longest = _STAY[1] + _KNOWN + _AWAY[1]
        crowd.tell("away" if self._moves else f"stall {longest}")

    def _replace(self, copy: StoreCopy, nodes: Sequence[Node]) -> float:
        """When nobody had the newer data any more, in seconds since 1970."""
        redis = self._world.redis
        restarted = nodes if redis is None or random.random() < _SERVERS_TOO else ()
        for node in restarted:
            node.process.end(signal.SIGKILL)
        if redis is not None:
            _mark(self._world)
            redis.end(signal.SIGKILL)
        end = time.time()
        copy.put_back()
        time.sleep(random.uniform(0, 0.5))
        if redis is not None:
            redis.start()
            _see_that_it_went_back(self._world)
        for node in restarted:
            node.start()
        return end


_MARK = "campaign:mark"


def _mark(world: World) -> None:
    assert world.redis is not None
    world.redis.ask(f"SET {_MARK} 1")


def _see_that_it_went_back(world: World) -> None:
    redis = world.redis
    assert redis is not None
    if redis.ask(f"EXISTS {_MARK}") != ":0":
        raise SystemExit("nothing was set back: Redis has its newest data")
