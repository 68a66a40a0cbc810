"""The faults that need several nodes: one of them is away, frozen, cut off or new, while the others go on."""

from __future__ import annotations

import random
import signal
import time

from benchmarks.campaign.node import Node
from benchmarks.campaign.strikes import Faults

_LEASE = 15
"""Seconds after which the others take a node for dead."""

_STRIKES_OF_LEASE = 12
"""So many strikes take about as long."""

_LASTING = ("server away", "server taken out", "server frozen", "server cut off")
"""Faults that hold a node while others strike."""

_OTHERS_GO_ON = (*_LASTING, "device acknowledged late")
"""Faults that need another node that is well."""

_WAYS_TO_REDIS = ("deafen", "swallow", "hold", "refuse")
_TIMES_CUT_OFF = (0.05, 0.3, 1, 3, 7, 17)
"""Seconds: blinks, more than a server waits for its store, more than its lease."""


_HEARING = 1.0
"""Seconds in which a log-in is done, and something is heard."""


class NodeFaults(Faults):
    """A node that a fault still holds is left alone until it is over, so that always somebody is well."""

    def _weights(self) -> dict[str, float]:
        weights = super()._weights()
        del weights["redis link cut"]
        if self._world.devices and self._dialect == "structured":
            weights["device acknowledged late"] = 1.0
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

    def _choose(self) -> str:
        """The last node that is well is left alone."""
        name = super()._choose()
        while name in _OTHERS_GO_ON and len(self._well()) < 2:
            if set(self._names) <= set(_OTHERS_GO_ON):
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

    def _device_acknowledged_late(self) -> None:
        """
        A process that is a device's acknowledges what it has heard, and its node stands still. Before it goes on,
        another process has logged in as the same device elsewhere, and has crashed before it could show anything. What
        it comes back for must still be there.
        """
        node, other = random.sample(self._well(), 2)
        for name in self._choose_device()[:1]:
            self._world.tell(name, "away")
            time.sleep(_HEARING)
            self._world.tell(name, f"stay {node.target}")
            time.sleep(_HEARING)
            node.process.freeze()
            self._world.tell(name, "acknowledge")
            self._world.tell(name, f"glance {other.target}")
            time.sleep(_HEARING)
            node.process.thaw()
            time.sleep(_HEARING)
            self._world.tell(name, "back")

    def _users_hopped(self) -> None:
        random.choice(self._world.crowds).tell("hop")


def _thaw(node: Node, earliest: float) -> None:
    time.sleep(max(0.0, earliest - time.monotonic()))
    node.process.thaw()
