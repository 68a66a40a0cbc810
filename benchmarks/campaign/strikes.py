"""The faults that strike any server: it is killed, its store is away, its users' network fails."""

from __future__ import annotations

import random
import signal
import time
from pathlib import Path

from benchmarks.campaign.archive import strikes as archive_strikes
from benchmarks.campaign.archive.strikes import ArchiveFaults
from benchmarks.campaign.device_strikes import DeviceFaults
from benchmarks.campaign.earlier import EarlierState, RedisCopy, RedisTruncation, SQLiteCopy
from benchmarks.campaign.journal import entries
from benchmarks.campaign.node import Node
from benchmarks.campaign.process import wait_until
from benchmarks.campaign.rooms.strikes import WEIGHTS, RoomFaults
from benchmarks.campaign.sending_user import SendingUser
from benchmarks.campaign.set_back import SetBack
from benchmarks.campaign.world import DETOUR, World

_OVER_PATIENCE = (5.5, 7)
"""Seconds in which a server gives up waiting for its store."""

_LATE = (1, 4)
"""Seconds by which something comes late."""

_FILLING = 1.5
"""Seconds in which the senders have filled their shares with somebody who acknowledges nothing."""

_TAKING = 0.5
"""Seconds in which an acknowledgement has been carried out."""

_RETURN = 1.0
"""Seconds in which somebody who leaves has connected again."""

_HUNG = (1, 6)
"""Seconds: less than a node's lease."""


class Faults(RoomFaults, DeviceFaults, ArchiveFaults):
    """The faults, by name, and how often each is to come."""

    def __init__(self, world: World, dialect: str, only: list[str]) -> None:
        super().__init__(world)
        self._dialect = dialect
        chosen = {n: w for n, w in self._weights().items() if not only or n in only}
        if not chosen:
            raise SystemExit(f"no such fault here: {', '.join(only)}")
        self._names, self._shares = list(chosen), list(chosen.values())

    def _weights(self) -> dict[str, float]:
        weights = {
            "server killed": 3,
            "server stopped": 1.5,
            "cable silent": 1.5,
            "readers stalled": 1.5,
            "readers moved": 1.5,
            "senders moved": 2,
            "senders killed": 1.5,
            "senders set back": 1,
            "server hung": 2,
        }
        if self._world.store == "redis":
            weights |= {"redis killed": 2.5, "redis link cut": 2, "redis frozen": 0.4}
            weights |= {"redis set back": 1, "redis truncated": 1, **archive_strikes.WEIGHTS}
        else:
            weights["sqlite set back"] = 1
        weights |= (
            {"sqlite locked": 0.4}
            if self._world.mariadb is None
            else archive_strikes.DATABASE_WEIGHTS
        )
        if self._dialect == "structured":
            weights |= {"connections cut": 4, "clients killed": 2, **self._device_weights()}
        if self._world.rooms:
            weights |= WEIGHTS
        return weights

    def strike(self) -> None:
        """One fault."""
        self._undo_what_is_over()
        name = self._choose()
        getattr(self, "_" + name.replace(" ", "_"))()
        self.struck[name] += 1

    def _choose(self) -> str:
        (name,) = random.choices(self._names, self._shares)
        return name

    def _well(self) -> list[Node]:
        """The nodes that no fault holds."""
        held = self._held()
        return [node for node in self._world.nodes if node not in held]

    def _node(self) -> Node:
        """Whom it strikes."""
        return random.choice(self._well())

    def _server_killed(self) -> None:
        self._node().restart(signal.SIGKILL)

    def _server_stopped(self) -> None:
        self._node().restart(signal.SIGTERM)

    def _redis_killed(self) -> None:
        assert self._world.redis is not None
        self._world.redis.end(signal.SIGKILL)
        time.sleep(random.uniform(0, 0.5))
        self._world.redis.start()

    def _redis_frozen(self) -> None:
        assert self._world.redis is not None
        self._world.redis.freeze()
        time.sleep(random.uniform(*_OVER_PATIENCE))
        self._world.redis.thaw()

    def _redis_link_cut(self) -> None:
        link = self._node().link
        assert link is not None
        link.tell(f"deafen {random.choice([0.02, 0.1, 0.5])}")
        time.sleep(0.6)

    def _sqlite_locked(self) -> None:
        self._world.lock_sqlite(random.uniform(*_OVER_PATIENCE))

    def _cable_silent(self) -> None:
        with self._world.network.silence():
            time.sleep(random.uniform(0.2, 2.5))

    def _readers_moved(self) -> None:
        with self._world.network.silence():
            time.sleep(random.uniform(0.1, 0.5))
            random.choice(self._world.crowds).tell("move")
            time.sleep(1)

    def _connections_cut(self) -> None:
        self._world.proxy.tell(f"cut {random.choice([0.2, 0.5, 1])}")

    def _readers_stalled(self) -> None:
        random.choice(self._world.crowds).tell(f"stall {random.uniform(0.5, 2):.1f}")

    def _clients_killed(self) -> None:
        # Not those of the text dialect, who would miss what their kernel has acknowledged.
        crowd = random.choice([*self._world.readers, *self._world.senders])
        crowd.end(signal.SIGKILL)
        crowd.start()

    def _senders_moved(self) -> None:
        """Some come again by another connection; what they said last is still on its way."""
        self._tell_on_the_way(f"leave {DETOUR}")

    def _tell_on_the_way(self, command: str) -> None:
        """Some of the senders are at a detour, which holds what they say: it comes when they have gone on elsewhere."""
        self._world.detour.tell(f"hold {random.uniform(*_LATE):.1f}")
        time.sleep(random.uniform(0.1, 0.5))
        for crowd in self._world.senders:
            crowd.tell(command)
        time.sleep(_LATE[1])

    def _senders_killed(self) -> None:
        """The same, by the end of their process."""
        crowd = random.choice(self._world.senders)
        with self._world.network.silence():
            time.sleep(random.uniform(0, 1))
            crowd.end(signal.SIGKILL)
        crowd.start()

    def _senders_set_back(self) -> None:
        """
        Their disk has lost the last numbers that they used, and they use them again, while the last of what they said
        is still on its way.
        """
        for node in self._world.nodes:  # those who are there go to the detour, perhaps
            self._tell_senders(f"leave {node.target}")
        moment = time.time() + _RETURN
        wait_until(lambda: self._have_talked_since(moment), "the senders' texts", 60)
        before = self._numbers_lost()
        self._tell_on_the_way(f"forget {DETOUR}")
        wait_until(lambda: self._numbers_lost() > before, "a sender without its numbers", 10)

    def _have_talked_since(self, moment: float) -> bool:
        return all(
            any(entry.kind == "o" and entry.time > moment for entry in entries(path))
            for path in self._journals_of_senders()
        )

    def _numbers_lost(self) -> int:
        journals = self._journals_of_senders()
        return sum(entry.kind == "b" for path in journals for entry in entries(path))

    def _journals_of_senders(self) -> list[Path]:
        names = [f"{uid}{SendingUser.kind}" for uid in self._world.sending]
        return [self._world.folder / f"{name}.journal" for name in names]

    def _server_hung(self) -> None:
        """
        Its users go elsewhere, or are killed, and go on; then it carries out what lay in its sockets. Half of the times
        the one who acknowledges seldom has a full share while it hangs, and room when it goes on: what lay there was
        refused elsewhere meanwhile, and its number is free.
        """
        node = self._node()
        refuses = self._dialect == "structured" and random.random() < 0.6
        if refuses:
            self._tell_all(f"hoard {_FILLING + _HUNG[1] + 1}")
            time.sleep(_FILLING)
        go_on = node.hang()
        if refuses:
            self._tell_senders("insist")
        time.sleep(random.uniform(0.1, 0.5))
        self._tell_all(f"leave {node.target}")
        if random.random() < 0.5:
            self._kill_senders()
        time.sleep(random.uniform(*_HUNG))
        if refuses:
            self._tell_senders("quiet 2")
            self._tell_all("hoard 0")
            time.sleep(_TAKING)
        go_on()

    def _tell_all(self, command: str) -> None:
        for crowd in self._world.crowds:
            crowd.tell(command)

    def _tell_senders(self, command: str) -> None:
        for crowd in self._world.senders:
            crowd.tell(command)

    def _kill_senders(self) -> None:
        crowd = random.choice(self._world.senders)
        crowd.end(signal.SIGKILL)
        crowd.start()

    def _redis_set_back(self) -> None:
        """An older copy takes the place of its data."""
        assert self._world.redis is not None
        self._set_back(RedisCopy(self._world.redis, self._copies))

    def _redis_truncated(self) -> None:
        """What it wrote last is not in its file any more."""
        assert self._world.redis is not None
        self._set_back(RedisTruncation(self._world.redis, self._copies))

    def _sqlite_set_back(self) -> None:
        (node,) = self._world.nodes
        self._set_back(SQLiteCopy(self._world.folder / "chat.db", node.process, self._copies))

    @property
    def _copies(self) -> Path:
        return self._world.folder / "copy"

    def _set_back(self, state: EarlierState) -> None:
        SetBack(self._world, self._dialect == "structured").strike(state, self._well())
