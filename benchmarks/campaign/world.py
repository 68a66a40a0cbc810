"""
The campaign's world: servers in one network namespace, users in another, a cable between them.

Everything lives in one temporary folder, is started by this process and ended by it.
"""

from __future__ import annotations

import ctypes
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

HERE = Path(__file__).parent
SERVER, USERS = "198.18.0.1", "198.18.0.2"
"""Addresses for benchmarks (RFC 2544), in namespaces of our own."""
PORT, PROXY_PORT = 10_000, 10_001
FIRST_UID = 20_001
_PR_SET_PDEATHSIG = 1


class Network:
    """Two namespaces and a cable; ``cut`` makes it go silent, as a dead link does."""

    def __init__(self) -> None:
        self.servers, self.users = f"chat-s{os.getpid()}", f"chat-u{os.getpid()}"
        self._cable = f"cs{os.getpid()}", f"cu{os.getpid()}"
        for name in (self.servers, self.users):
            _ip("netns", "add", name)
        ends = list(zip((self.servers, self.users), self._cable, (SERVER, USERS), strict=True))
        (near, near_end, _), (far, far_end, _) = ends
        _ip(
            "link",
            "add",
            near_end,
            "netns",
            near,
            "type",
            "veth",
            "peer",
            "name",
            far_end,
            "netns",
            far,
        )
        for name, end, address in ends:
            _ip("-n", name, "addr", "add", f"{address}/30", "dev", end)
            _ip("-n", name, "link", "set", end, "up")
            _ip("-n", name, "link", "set", "lo", "up")

    @contextmanager
    def silence(self) -> Iterator[None]:
        """Meanwhile nothing passes; nobody is told."""
        name, end = self.users, self._cable[1]
        _ip("-n", name, "link", "set", end, "down")
        try:
            yield
        finally:
            _ip("-n", name, "link", "set", end, "up")

    def close(self) -> None:
        for name in (self.servers, self.users):
            _ip("netns", "del", name)


class Process:
    """A program in a namespace, started again and again on the same arguments."""

    def __init__(self, arguments: Sequence[str], folder: Path, name: str, namespace: str) -> None:
        self._arguments = (
            ["ip", "netns", "exec", namespace, *arguments] if namespace else list(arguments)
        )
        self._folder = folder
        self.log = folder / f"{name}.log"
        self.complaints = folder / f"{name}.err"
        self.process: subprocess.Popen[str] | None = None

    def start(self, environment: dict[str, str] | None = None) -> None:
        with self.log.open("ab") as log, self.complaints.open("ab") as complaints:
            self.process = subprocess.Popen(
                self._arguments,
                cwd=self._folder,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=complaints,
                text=True,
                env={**os.environ, **(environment or {})},
                preexec_fn=_die_with_parent,
            )

    def tell(self, line: str) -> None:
        assert self.process is not None and self.process.stdin is not None
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def send_signal(self, number: int) -> None:
        assert self.process is not None
        self.process.send_signal(number)

    def end(self, number: int = signal.SIGKILL, patience: float = 15) -> None:
        """End it by a signal and wait for that."""
        if self.process is not None:
            self.send_signal(number)
            self.process.wait(patience)
            self.process = None

    def has_ended(self) -> bool:
        """Whether it ended by itself."""
        return self.process is not None and self.process.poll() is not None

    def last_line(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return lines[-1] if lines else ""


class World:
    """``store`` is ``redis`` or ``sqlite``; ``sabotage`` names a rule that the server is to break."""

    def __init__(self, folder: Path, store: str, users: int, sabotage: str = "") -> None:
        self.folder = folder
        self.store = store
        self.uids = [FIRST_UID + i for i in range(users)]
        self.network = Network()
        self.redis = self._redis() if store == "redis" else None
        self.link = self._proxy("link", "link.sock", "redis.sock", "")
        self.server = self._server(sabotage)
        users_proxy = f"127.0.0.1:{PROXY_PORT}", f"{SERVER}:{PORT}"
        self.proxy = self._proxy("proxy", *users_proxy, self.network.users)
        self.crowds: list[Process] = []

    def start(self) -> None:
        if self.redis is not None:
            self.redis.start()
            self.link.start()
            _wait((self.folder / "link.sock").exists, "the proxy to Redis", 10)
        self.start_server()
        self._make_accounts()
        self.proxy.start()

    def start_server(self) -> None:
        """Start the server and wait until it listens; start it again, as an init system does, if it finds no store."""
        said = self.server.log.stat().st_size if self.server.log.exists() else 0

        def listens() -> bool:
            if self.server.has_ended():
                self.server.start()
            return b"Next, in another terminal" in self.server.log.read_bytes()[said:]

        self.server.start()
        _wait(listens, "the server", 60)

    def add_crowds(self, dialect: str, rate: float) -> None:
        """
        Start the users, in four processes.

        In the structured dialect all write to all, half of them through the proxy. In the text dialect one half writes
        and the other reads, and without the proxy, which would acknowledge in the readers' place.
        """
        half = len(self.uids) // 2
        everybody, writers, readers = self.uids, self.uids[:half], self.uids[half:]
        if dialect == "structured":
            for i in range(4):
                self._add_crowd(
                    "structured", self.uids[i::4], everybody, rate, [SERVER, "127.0.0.1"]
                )
        else:
            for i in range(2):
                self._add_crowd("reader", readers[i::2], [], rate, [SERVER])
                self._add_crowd("writer", writers[i::2], readers, rate, [SERVER])

    def _add_crowd(
        self, part: str, uids: list[int], others: list[int], rate: float, hosts: list[str]
    ) -> None:
        ports = {SERVER: PORT, "127.0.0.1": PROXY_PORT}
        arguments = [
            *(sys.executable, str(HERE / "users.py"), "--part", part, "--rate", str(rate)),
            *("--users", ",".join(map(str, uids)), "--others", ",".join(map(str, others))),
            *("--ca", str(self.folder / "keys" / "server.crt"), "--state", str(self.folder)),
            *(word for host in hosts for word in ("--target", f"{host}:{ports[host]}")),
        ]
        name = f"{part}{len(self.crowds)}"
        crowd = Process(arguments, self.folder, name, self.network.users)
        crowd.start()
        self.crowds.append(crowd)

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
        for process in [
            *self.crowds,
            self.proxy,
            self.link,
            self.server,
            *([self.redis] if self.redis else []),
        ]:
            process.end()
        self.network.close()

    def _redis(self) -> Process:
        program = shutil.which("redis-server") or shutil.which("valkey-server")
        if program is None:
            raise SystemExit("redis-server is not installed")
        always = [
            "--port",
            "0",
            "--unixsocket",
            "redis.sock",
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ]
        return Process(
            [program, *always, "--save", "", "--dir", str(self.folder)], self.folder, "redis", ""
        )

    def _proxy(self, name: str, place: str, target: str, namespace: str) -> Process:
        arguments = [sys.executable, str(HERE / "proxy.py"), place, target]
        return Process(arguments, self.folder, name, namespace)

    def _server(self, sabotage: str) -> Process:
        inbox = (
            f"redis+unix://{self.folder}/link.sock" if self.store == "redis" else "sqlite:chat.db"
        )
        limits = [
            "--rate",
            "0",
            "--inbox-limit",
            "1000000",
            "--inbox-share",
            "1000000",
            "--max-per-ip",
            "10000",
        ]
        arguments = [
            *(sys.executable, str(HERE / "sabotage.py"), sabotage or "nothing", "-n", "chat"),
            *("--port", f"ssl:{PORT}", "--inbox", inbox, *limits),
        ]
        return Process(arguments, self.folder, "server", self.network.servers)

    def _make_accounts(self) -> None:
        with sqlite3.connect(self.folder / "chat.db", timeout=10) as database:
            database.executemany(
                "INSERT INTO user (id, username, password) VALUES (?, ?, ?)",
                [(uid, f"user{uid}", f"pw{uid}") for uid in self.uids],
            )
        database.close()


def pause() -> None:
    """Between two faults, now and then a longer peace."""
    time.sleep(random.choice([0.1, 0.3, 0.6, 0.6, 1.0, 1.5]))


def _wait(until: Callable[[], bool], what: str, patience: float) -> None:
    deadline = time.monotonic() + patience
    while not until():
        if time.monotonic() > deadline:
            raise SystemExit(f"{what} did not come up")
        time.sleep(0.05)


def _ip(*words: str) -> None:
    subprocess.run(["ip", *words], check=True)


def _die_with_parent() -> None:
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
