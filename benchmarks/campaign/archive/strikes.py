"""The faults that strike the node which archives, in the middle of that, and what it depends on."""

from __future__ import annotations

import random
import signal
import time

from benchmarks.campaign.archive.points import COMMITTED, WRITTEN
from benchmarks.campaign.lasting import LastingFaults
from benchmarks.campaign.node import Node
from benchmarks.campaign.process import freeze, thaw
from benchmarks.campaign.rooms.strikes import start_again, stop_at
from benchmarks.campaign.world import World

_FROZEN = (5.5, 8.0)
"""Seconds: more than the lease of who archives, which is five…"""

_FROZEN_LONG = (31.0, 35.0)
"""…and more than MariaDB waits for a connection that it has from who archives."""

_SHARE_LONG = 0.25

_REPLACED = (0.5, 4.0)
"""Seconds for which nobody archives, because the lease is nobody's."""

_TAKING_OVER = (0.2, 2.5)
"""Seconds in which another node has taken the lease, and has begun to write the same."""

_AWAY = (0.2, 3.0)
_OVER_PATIENCE = (5.5, 7.0)
"""Seconds in which a server gives up waiting for its database."""

_LEASE = "chat:archiver"

WEIGHTS = {"archiver killed": 1.5, "archiver frozen": 0.5, "archiver replaced": 1.5}

DATABASE_WEIGHTS = {"database frozen": 0.4, "database killed": 0.6}
"""Where the archive is in a MariaDB."""


class ArchiveFaults(LastingFaults):
    """Where one node archives for all, it dies, stands still, or is replaced, when it has something in its hands."""

    _world: World

    def _well(self) -> list[Node]:
        raise NotImplementedError

    def _archiver_killed(self) -> None:
        """What it wrote is not committed, or is committed and still in the queue."""
        for node, _ in self._stop_archiver(random.choice((WRITTEN, COMMITTED)), signal.SIGKILL):
            start_again(node)

    def _archiver_frozen(self) -> None:
        """It goes on when another node, and the database, have long given it up."""
        several = len(self._world.nodes) > 1
        long = several and random.random() < _SHARE_LONG
        for node, pid in self._stop_archiver(WRITTEN, signal.SIGSTOP):
            freeze([pid])  # all of its threads stand still when this returns
            if random.random() < 0.5:
                for crowd in self._world.crowds:
                    crowd.tell(f"leave {node.target}")
            time.sleep(random.uniform(*(_FROZEN_LONG if long else _FROZEN)))
            thaw([pid])

    def _archiver_replaced(self) -> None:
        """It loses the lease: to nobody for a while, or to who comes first, who then writes the same."""
        redis = self._world.redis
        assert redis is not None
        for _, pid in self._stop_archiver(WRITTEN, signal.SIGSTOP):
            freeze([pid])
            if random.random() < 0.5:
                redis.ask(f"SET {_LEASE} nobody PX {int(random.uniform(*_REPLACED) * 1000)}")
            else:
                redis.ask(f"DEL {_LEASE}")
                time.sleep(random.uniform(*_TAKING_OVER))
            thaw([pid])

    def _stop_archiver(self, point: str, number: int) -> list[tuple[Node, int]]:
        """Let who archives come to a point, wherever it is."""
        spare = self._world.spare
        if spare is not None and spare.runs():
            spare.process.end(signal.SIGTERM)  # else it might be the one
        return stop_at(self._well(), point, number)

    def _database_frozen(self) -> None:
        assert self._world.mariadb is not None
        self._world.mariadb.freeze()
        time.sleep(random.uniform(*_OVER_PATIENCE))
        self._world.mariadb.thaw()

    def _database_killed(self) -> None:
        assert self._world.mariadb is not None
        self._world.mariadb.kill()
        time.sleep(random.uniform(*_AWAY))
        self._world.mariadb.start()
