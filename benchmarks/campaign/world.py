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
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from benchmarks.campaign.archive.reading import (
    ROOM_LOGS,
    WAITING,
    Archive,
    keep_archive,
    logged_in_redis,
    logged_in_sql,
    read_archive,
)
from benchmarks.campaign.balancer import Balancer
from benchmarks.campaign.device_user import device_named
from benchmarks.campaign.journal import entries, split_name
from benchmarks.campaign.network import SERVERS, Network
from benchmarks.campaign.node import HERE, Node, Ports
from benchmarks.campaign.process import Process, wait_until
from benchmarks.campaign.redis import Redis
from benchmarks.campaign.rooms.history import write_history
from benchmarks.campaign.rooms.plan import LIMITS
from benchmarks.campaign.rooms.sql import QUERY, changes_of
from benchmarks.campaign.sessions import MOST_DEVICES, is_device, is_text, sessions_of
from benchmarks.campaign.user import BEGUN
from benchmarks.campaign.verdict import BACKLOG
from tests.support.servers import PrivateMariaDB

BALANCER_PORT = 10_000
PROXY = "127.0.0.1:10001"
"""Where half of the users connect: a proxy that cuts their connections."""

DETOUR = "127.0.0.1:10002"
"""Where half of the senders connect: a proxy that holds what they say."""

FIRST_UID = 20_001
NAMES = "abcdefgh"


_MAKE_OLD = """
local value = redis.call('HGET', KEYS[1], ARGV[1])
if not value then return '' end
local before, used, client = string.match(value, '^(%S+ %d+ %d+ %d+ %d+ %d+) (%d+) (.*)$')
redis.call('HSET', KEYS[1], ARGV[1], before .. ' ' .. string.format('%.0f', used - ARGV[2]) .. ' ' .. client)
return ''
"""
"""Takes ms from the time at which a device was used last."""

_QUEUE, _REFUSED = "chat:archive", "chat:archive:refused"
"""Streams in Redis: what is to be archived, and what the archive did not take."""

_TRIES = 30
"""Times that an admin tries again, a second apart."""


class World:
    """
    ``store`` is ``redis`` or ``sqlite``; ``sabotage`` names a rule that the servers are to break. Each user has so many
    ``devices``; None: a mix. They may be ``backlog`` ids behind. There are so many ``rooms``.
    """

    def __init__(
        self,
        folder: Path,
        store: str,
        users: int,
        nodes: int = 1,
        sabotage: str = "",
        devices: int | None = 0,
        backlog: int = BACKLOG,
        rooms: int = 0,
    ) -> None:
        self.folder = folder
        self.store = store
        self.uids = [FIRST_UID + i for i in range(users)]
        self._sabotage = sabotage
        self.rooms = rooms
        self.sessions = sessions_of(self.uids, devices, rooms=rooms > 0)
        """The names of those who read, in the structured campaign, by uid."""
        limits = ("--devices", str(MOST_DEVICES), "--device-backlog", str(backlog))
        self._limits = (limits if self.devices else ()) + (LIMITS if rooms else ())
        self.network = Network()
        self.redis = Redis(folder) if store == "redis" else None
        self.mariadb = PrivateMariaDB() if nodes > 1 else None
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
        if self.mariadb is not None:
            self.mariadb.start()
            self.mariadb.create_database("chat")
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
        nodes = [node.target for node in self.all_nodes]
        add = self._add_people if dialect == "text" else self._add_programs
        readers = add(rate, nodes)
        doors = [*nodes, *([DETOUR] * len(nodes))]
        for i in range(2):
            some = names(self.sending[i::2])
            self.senders.append(self._add_crowd("sender", some, readers, rate, doors))
        # Those who write already would keep others from logging in on a busy machine, where passwords come last.
        wait_until(self._all_registered, "the devices", 100)
        (self.folder / BEGUN).touch()
        wait_until(lambda: self.waiting()[1] > 0, "the users", 60)

    def _all_registered(self) -> bool:
        journals = [
            self.folder / f"{name}.journal" for names in self.devices.values() for name in names
        ]
        return all(any(entry.kind == "l" for entry in entries(path)) for path in journals)

    def _add_programs(self, rate: float, nodes: list[str]) -> list[int]:
        """All sessions of a user together say as much as one alone; who speaks text only reads. The uids that read."""
        everybody = [name for sessions in self.sessions.values() for name in sessions]
        talking = [name for name in everybody if not is_text(name)]
        texts = [name for name in everybody if is_text(name)]
        each = rate * len(self.uids) / len(talking)
        for i in range(4):
            some = talking[i::4]
            doors = [self.front_door, PROXY]
            self.readers.append(self._add_crowd("structured", some, self.uids, each, doors))
        if texts:
            self._add_crowd("reader", texts, [], rate, nodes)
        return self.uids

    def _add_people(self, rate: float, nodes: list[str]) -> list[int]:
        half = len(self.uids) // 2
        writers, readers = self.uids[:half], self.uids[half:]
        for i in range(2):
            self.readers.append(self._add_crowd("reader", names(readers[i::2]), [], rate, nodes))
            self._add_crowd("writer", names(writers[i::2]), readers, rate, [self.front_door])
        return readers

    @property
    def all_nodes(self) -> list[Node]:
        """The spare one among them."""
        return [*self.nodes, *([self.spare] if self.spare else [])]

    @property
    def devices(self) -> dict[int, list[str]]:
        """The names of the registered devices, by uid, of those who have any."""
        found = {uid: list(filter(is_device, names)) for uid, names in self.sessions.items()}
        return {uid: devices for uid, devices in found.items() if devices}

    @property
    def members(self) -> list[int]:
        """The uids of those who may be in rooms, all but those who have today's program alone."""
        return [uid for uid, names in self.sessions.items() if names != [str(uid)]]

    def tell(self, name: str, command: str) -> None:
        """Tell one session something."""
        for crowd in self.crowds:
            crowd.tell(f"only {name} {command}")

    def _add_crowd(
        self, part: str, users: list[str], others: list[int], rate: float, targets: list[str]
    ) -> Process:
        arguments = [
            *(sys.executable, str(HERE / "crowd.py"), "--part", part, "--rate", str(rate)),
            *("--users", ",".join(users), "--others", ",".join(map(str, others))),
            *("--beside", ",".join(map(str, self.devices)), "--sabotage", self._sabotage),
            *("--rooms", str(self.rooms), "--members", ",".join(map(str, self.members))),
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

    def make_old(self, name: str, days: int) -> None:
        """Let the store say that a registered device was used last so many days ago."""
        device, uid = device_named(name), int(split_name(name)[0])
        if self.redis is not None:
            age = days * 86_400_000
            self.redis.run(_MAKE_OLD, f"chat:{{{uid}}}:devices", device, str(age))
            return
        with closing(sqlite3.connect(self.folder / "chat.db", timeout=20)) as database, database:
            older = "UPDATE chat_registered SET used = used - ? WHERE uid = ? AND device = ?"
            database.execute(older, (days * 86_400_000, uid, device))

    def remove_device(self, name: str) -> None:
        """
        Have a device forgotten from the command line, as an admin does; a store that is away is asked again.

        :raise SystemExit: it cannot be done.
        """
        device, uid = device_named(name), split_name(name)[0]
        program = [sys.executable, "-m", "chatsvc.cli", "account", "devices", uid]
        stores = self.nodes[0].stores
        wanted = [*program, "--forget", device, *stores]
        for _ in range(_TRIES):
            done = self.network.run(wanted, self.folder)
            if not done.returncode:
                return
            time.sleep(1)
        raise SystemExit(f"{' '.join(wanted)}: {done.stdout}{done.stderr}")

    def lock_sqlite(self, seconds: float) -> None:
        """Hold the write lock of the store, as a back-up that hangs would."""
        other = sqlite3.connect(self.folder / "chat.db", timeout=10, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        time.sleep(seconds)
        other.execute("ROLLBACK")
        other.close()

    def write_history(self) -> bool:
        """Write down what SQL knows of rooms; whether all of it has got into the rooms' logs."""
        changes = changes_of(self.query(QUERY))
        write_history(self.folder, changes)
        return all(change.serial for change in changes)

    def query(self, sql: str) -> Sequence[tuple[Any, ...]]:
        """Ask the database of the accounts; all rows."""
        if self.mariadb is not None:
            return self.mariadb.execute("chat", sql)
        where = f"file:{self.folder / 'chat.db'}?mode=ro"
        with closing(sqlite3.connect(where, timeout=20, uri=True)) as database:
            return database.execute(sql).fetchall()

    def read_archive(self) -> Archive:
        """All that is in the archive, how much has not got there, and what is in rooms' logs."""
        queued = refused = 0
        if self.redis is not None:
            queued, refused = self.redis.length(_QUEUE), self.redis.length(_REFUSED)
        archive = read_archive(self.query, queued, refused)
        read_at = time.time()
        if not self.rooms:
            logged = []
        elif self.redis is not None:
            logged = logged_in_redis(self.redis.text("EVAL", ROOM_LOGS, "0"))
        else:
            logged = logged_in_sql(self.query)
        return replace(archive, logged=logged, read_at=read_at)

    def finish_archive(self, patience: float) -> Archive:
        """All that is in the archive when nothing waits any more, or for so long nothing has gone on."""
        left, deadline = self._unarchived(), time.monotonic() + patience
        while left and time.monotonic() < deadline:
            time.sleep(0.5)
            before, left = left, self._unarchived()
            if left < before:
                deadline = time.monotonic() + patience
        archive = self.read_archive()
        keep_archive(self.folder, archive)
        return archive

    def _unarchived(self) -> int:
        """How many messages are not in the archive, or in its index."""
        queued = self.redis.length(_QUEUE) if self.redis is not None else 0
        ((unindexed,),) = self.query(WAITING)
        return queued + int(unindexed)

    def close(self) -> None:
        for process in [*self.crowds, self.proxy, self.detour]:
            process.end()
        for node in self.all_nodes:
            node.close()
        if self.balancer is not None:
            self.balancer.close()
        if self.redis is not None:
            self.redis.end()
        if self.mariadb is not None:
            self.mariadb.remove()
        self.network.close()

    def _make_node(self, number: int, sabotage: str) -> Node:
        ports, namespace = Ports.of(number), self.network.servers
        redis = str(self.redis.socket) if self.redis else ""
        accounts = "sqlite:chat.db"
        if self.mariadb is not None:
            account = f"{self.mariadb.user}:{quote(self.mariadb.password, safe='')}"
            accounts = f"mysql://{account}@/chat?unix_socket={self.mariadb.socket}"
        workers = 2 if number % 2 else 1
        return Node(
            self.folder,
            NAMES[number],
            ports,
            namespace,
            redis,
            accounts,
            sabotage,
            workers,
            self._limits,
            watched=self.rooms > 0 or self.redis is not None,
        )

    def _make_accounts(self) -> None:
        rows = [(uid, f"user{uid}", f"pw{uid}") for uid in self.uids]
        insert = "INSERT INTO user (id, username, password) VALUES (?, ?, ?)"
        if self.mariadb is not None:
            for row in rows:
                self.mariadb.execute("chat", insert.replace("?", "%s"), row)
            return
        with closing(sqlite3.connect(self.folder / "chat.db", timeout=10)) as database, database:
            database.executemany(insert, rows)


def names(uids: Iterable[int]) -> list[str]:
    """The names of sessions of users who have one of that kind."""
    return list(map(str, uids))


def pause() -> None:
    """Between two faults, now and then a longer peace."""
    time.sleep(random.choice([0.1, 0.3, 0.6, 0.6, 1.0, 1.5]))
