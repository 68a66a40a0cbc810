"""
The campaign's world: servers in one network namespace, users in another.

One server has SQLite for its accounts. Several have one MariaDB, one Redis and one key folder, and a balancer before
them; each second one consists of two workers. Everything lives in one folder, is started by this process and ended by
it.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import time
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from benchmarks.campaign.balancer import Balancer
from benchmarks.campaign.network import SERVERS, Network
from benchmarks.campaign.node import HERE, Node, Ports
from benchmarks.campaign.process import Process, wait_until
from benchmarks.campaign.redis import Redis
from tests.support.servers import PrivateMariaDB

BALANCER_PORT = 10_000
PROXY = "127.0.0.1:10001"
"""Where half of the users connect: a proxy that cuts their connections."""

DETOUR = "127.0.0.1:10002"
"""Where half of the senders connect: a proxy that holds what they say."""

FIRST_UID = 20_001
NAMES = "abcdefgh"


class World:
    """``store`` is ``redis`` or ``sqlite``; ``sabotage`` names a rule that the servers are to break."""

    def __init__(
        self, folder: Path, store: str, users: int, nodes: int = 1, sabotage: str = ""
    ) -> None:
        self.folder = folder
        self.store = store
        self.uids = [FIRST_UID + i for i in range(users)]
        self.network = Network()
        self.redis = Redis(folder) if store == "redis" else None
        self._mariadb = PrivateMariaDB() if nodes > 1 else None
        self.nodes = [self._make_node(number, sabotage) for number in range(nodes)]
        self.spare: Node | None = None
        self.balancer: Balancer | None = None
        if nodes > 1:
            self.spare = self._make_node(nodes, sabotage)
            behind = [*self.nodes, self.spare]
            self.balancer = Balancer(folder, BALANCER_PORT, behind, self.network.servers)
        door = f"{SERVERS}:{BALANCER_PORT}" if self.balancer else self.nodes[0].target
        self.front_door = door
        program = [sys.executable, str(HERE / "proxy.py"), PROXY, door]
        self.proxy = Process(program, folder, "proxy", self.network.users)
        program = [sys.executable, str(HERE / "proxy.py"), DETOUR, self.nodes[0].target]
        self.detour = Process(program, folder, "detour", self.network.users)
        self.crowds: list[Process] = []
        """All processes of users; some of them are ``readers``, and others ``senders``, who only send."""
        self.readers: list[Process] = []
        self.senders: list[Process] = []
        self.sending = self.uids[: max(2, users // 3)]
        """The uids of those who have a second session, which only sends."""

    def start(self) -> None:
        self.network.open()
        if self.redis is not None:
            self.redis.start()
        if self._mariadb is not None:
            self._mariadb.start()
            self._mariadb.create_database("chat")
        # The first makes the keys and the tables.
        for node in self.nodes:
            node.start()
        self._make_accounts()
        if self.balancer is not None:
            self.balancer.start(self.nodes)
        self.proxy.start()
        self.detour.start()

    def add_crowds(self, dialect: str, rate: float) -> None:
        """
        Start the users, in four processes, and the second sessions of some of them, which only send, in two more.

        In the structured dialect all write to all, half of them through the proxy. In the text dialect one half writes
        and the other reads, and without proxy and balancer, which would acknowledge in the readers' place.
        """
        half = len(self.uids) // 2
        everybody, writers, readers = self.uids, self.uids[:half], self.uids[half:]
        nodes = [node.target for node in self.all_nodes]
        if dialect == "structured":
            doors = [self.front_door, PROXY]
            for i in range(4):
                self.readers.append(
                    self._add_crowd("structured", self.uids[i::4], everybody, rate, doors)
                )
        else:
            everybody = readers
            for i in range(2):
                self.readers.append(self._add_crowd("reader", readers[i::2], [], rate, nodes))
                self._add_crowd("writer", writers[i::2], readers, rate, [self.front_door])
        doors = [*nodes, *([DETOUR] * len(nodes))]
        for i in range(2):
            some = self.sending[i::2]
            self.senders.append(self._add_crowd("sender", some, everybody, rate, doors))
        wait_until(lambda: self.waiting()[1] > 0, "the users", 60)

    @property
    def all_nodes(self) -> list[Node]:
        """The spare one among them."""
        return [*self.nodes, *([self.spare] if self.spare else [])]

    def _add_crowd(
        self, part: str, uids: list[int], others: list[int], rate: float, targets: list[str]
    ) -> Process:
        arguments = [
            *(sys.executable, str(HERE / "crowd.py"), "--part", part, "--rate", str(rate)),
            *("--users", ",".join(map(str, uids)), "--others", ",".join(map(str, others))),
            *("--slow", str(self.uids[-1])),
            *("--ca", str(self.folder / "keys" / "server.crt"), "--state", str(self.folder)),
            *(word for target in targets for word in ("--target", target)),
            *(word for node in self.all_nodes for word in ("--node", node.target)),
        ]
        name = f"{part}{len(self.crowds)}"
        crowd = Process(arguments, self.folder, name, self.network.users)
        crowd.start()
        self.crowds.append(crowd)
        return crowd

    def waiting(self) -> tuple[int, int]:
        """How many messages are unconfirmed, and how many were shown in the users' present lives."""
        counts = [
            [int(word) for word in crowd.last_line().split()] or [1, 0] for crowd in self.crowds
        ]
        return sum(count[0] for count in counts), sum(count[1] for count in counts)

    def lock_sqlite(self, seconds: float) -> None:
        """Hold the write lock of the store, as a back-up that hangs would."""
        other = sqlite3.connect(self.folder / "chat.db", timeout=10, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
        other.close()

    def close(self) -> None:
        for process in [*self.crowds, self.proxy, self.detour]:
            process.end()
        for node in self.all_nodes:
            node.close()
        if self.balancer is not None:
            self.balancer.close()
        if self.redis is not None:
            self.redis.end()
        if self._mariadb is not None:
            self._mariadb.remove()
        self.network.close()

    def _make_node(self, number: int, sabotage: str) -> Node:
        ports, namespace = Ports.of(number), self.network.servers
        redis = str(self.redis.socket) if self.redis else ""
        accounts = "sqlite:chat.db"
        if self._mariadb is not None:
            account = f"{self._mariadb.user}:{quote(self._mariadb.password, safe='')}"
            accounts = f"mysql://{account}@/chat?unix_socket={self._mariadb.socket}"
        workers = 2 if number % 2 else 1
        return Node(
            self.folder, NAMES[number], ports, namespace, redis, accounts, sabotage, workers
        )

    def _make_accounts(self) -> None:
        rows = [(uid, f"user{uid}", f"pw{uid}") for uid in self.uids]
        insert = "INSERT INTO user (id, username, password) VALUES (?, ?, ?)"
        if self._mariadb is not None:
            for row in rows:
                self._mariadb.execute("chat", insert.replace("?", "%s"), row)
            return
        with closing(sqlite3.connect(self.folder / "chat.db", timeout=10)) as database, database:
            database.executemany(insert, rows)


def pause() -> None:
    """Between two faults, now and then a longer peace."""
    time.sleep(random.choice([0.1, 0.3, 0.6, 0.6, 1.0, 1.5]))
