"""The faults that need several nodes: one of them is away, frozen, cut off or new, while the others go on."""

from __future__ import annotations

import random
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass

from benchmarks.campaign.node import Node
from benchmarks.campaign.strikes import Faults
from benchmarks.campaign.world import World

_LEASE = 15
"""Seconds after which the others take a node for dead."""

_STRIKES_OF_LEASE = 12
"""So many strikes take about as long."""

_LASTING = ("server away", "server taken out", "server frozen", "server cut off")
"""Faults that hold a node while others strike."""

_WAYS_TO_REDIS = ("deafen", "swallow", "hold", "refuse")
_TIMES_CUT_OFF = (0.05, 0.3, 1, 3, 7, 17)
"""Seconds: blinks, more than a server waits for its store, more than its lease."""


@dataclass(frozen=True)
class _Lasting:
    """A fault that holds ``node`` until ``until`` faults have struck; ``undo`` ends it."""

    node: Node
    until: int
    undo: Callable[[], None]


class NodeFaults(Faults):
    """A node that a fault still holds is left alone until it is over, so that always somebody is well."""

    def __init__(self, world: World, dialect: str, only: list[str]) -> None:
        super().__init__(world, dialect, only)
        self._lasting: list[_Lasting] = []

    def _weights(self) -> dict[str, float]:
        weights = super()._weights()
        del weights["redis link cut"]
        return weights | {
            "server away": 1.5,
            "server taken out": 1.5,
            "server added": 1.5,
            "server frozen": 0.7,
            "server cut off": 2.5,
            "links reset": 1.5,
            "news lost": 2,
            "users hopped": 4,
            "redis asleep": 0.2,
        }

    def strike(self) -> None:
        self._undo(self.struck.total())
        super().strike()

    def end(self) -> None:
        self._undo(None)

    def _hold(self, node: Node, strikes: int, undo: Callable[[], None]) -> None:
        """Undo something after so many more strikes: a number, so that the schedule hangs on the seed alone."""
        self._lasting.append(_Lasting(node, self.struck.total() + strikes, undo))

    def _undo(self, now: int | None) -> None:
        for lasting in [one for one in self._lasting if now is None or one.until <= now]:
            self._lasting.remove(lasting)
            lasting.undo()

    def _well(self) -> list[Node]:
        held = [lasting.node for lasting in self._lasting]
        return [node for node in self._world.nodes if node not in held]

    def _choose(self) -> str:
        """The last node that is well is left alone."""
        name = super()._choose()
        while name in _LASTING and len(self._well()) < 2:
            if set(self._names) <= set(_LASTING):
                self.end()
            name = super()._choose()
        return name

    def _server_away(self) -> None:
        node = self._node()
        node.process.end(random.choice([signal.SIGKILL, signal.SIGTERM]))
        self._hold(node, random.choice([1, 3, 12]), node.start)

    def _server_taken_out(self) -> None:
        node, balancer = self._node(), self._world.balancer
        assert balancer is not None
        balancer.take_out(node)
        self._hold(node, random.choice([1, 3]), lambda: balancer.put_back(node))

    def _server_added(self) -> None:
        """One more than usual; if it is there, it goes again."""
        spare = self._world.spare
        assert spare is not None
        if spare.runs():
            spare.process.end(random.choice([signal.SIGKILL, signal.SIGTERM]))
        else:
            spare.start()

    def _server_frozen(self) -> None:
        node = self._node()
        node.process.freeze()
        thaw_at = time.monotonic() + _LEASE + 1
        self._hold(node, _STRIKES_OF_LEASE, lambda: _thaw(node, thaw_at))

    def _server_cut_off(self) -> None:
        node = self._node()
        assert node.link is not None
        seconds = random.choice(_TIMES_CUT_OFF)
        node.link.tell(f"{random.choice(_WAYS_TO_REDIS)} {seconds}")
        # It comes back by itself.
        self._hold(node, int(_STRIKES_OF_LEASE * seconds / _LEASE), lambda: None)

    def _links_reset(self) -> None:
        link = self._node().link
        assert link is not None
        link.tell("reset")

    def _news_lost(self) -> None:
        assert self._world.redis is not None
        self._world.redis.ask("CLIENT KILL TYPE pubsub")

    def _redis_asleep(self) -> None:
        """For longer than a lease: when it wakes, everybody has been taken for dead."""
        assert self._world.redis is not None
        self._world.redis.freeze()
        time.sleep(_LEASE + random.uniform(1, 3))
        self._world.redis.thaw()

    def _users_hopped(self) -> None:
        random.choice(self._world.crowds).tell("hop")


def _thaw(node: Node, earliest: float) -> None:
    time.sleep(max(0.0, earliest - time.monotonic()))
    node.process.thaw()
