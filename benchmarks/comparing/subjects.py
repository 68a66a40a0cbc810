"""What is compared: the relay and the service, each a process with a port of its own."""

from __future__ import annotations

import re
import sqlite3
import subprocess
import sys
import tempfile
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from benchmarks.comparing.load import Load, end_with_parent, words
from chatsvc.accounts.tokens import Tokens
from chatsvc.tls.key_folder import KeyFolder
from tests.support.clients import TextClient
from tests.support.processes import ChatServer, phc
from tests.support.servers import PrivateRedis, free_port

PASSWORD = "x"
FIRST_UID = 20_001
ACCOUNTS = 12_000
"""Accounts where it is not said how many."""

_PATIENCE = 30.0
"""Seconds in which a server must have started."""

NO_LIMITS = (
    *("--rate", "1000000", "--request-rate", "1000000"),
    *("--max-per-ip", "100000", "--max-connections", "100000"),
    *("--inbox-limit", "1000000", "--inbox-share", "1000000"),
)
"""Options of the service: its limits are in force, and so high that they are not what is measured."""


class Subject(ABC):
    """
    One server. ``pids`` are its own process and, of the service with Redis, Redis's; ``tokens`` is a file of tokens,
    one a line, the first for `FIRST_UID`; empty: it knows none.
    """

    name: str
    port: int
    ca: str
    tokens = ""

    @property
    @abstractmethod
    def pids(self) -> list[int]:
        """The processes whose CPU and memory count."""

    @abstractmethod
    def start(self) -> float:
        """Start it; the seconds until a client had its greeting."""

    @abstractmethod
    def stop(self) -> None:
        """End it; it can be started again."""

    def load(self, mode: str, dialect: str = "text", **options: object) -> Load:
        """A generator whose lines are in; ``dialect`` counts where the subject has more than one."""
        common = {"port": self.port, "ca": self.ca, "uid": FIRST_UID, "password": PASSWORD}
        watch = ",".join(map(str, self.pids))
        chosen = {"dialect": dialect if self.tokens else "text"}
        if self.tokens:
            chosen |= {"tokens": self.tokens, "tokens_uid": str(FIRST_UID)}
        return Load(mode, words(**{**common, **chosen, "watch": watch, **options}))

    def resident(self) -> float:
        """Memory that the server's own process holds, in KiB (``VmRSS``, proc(5))."""
        status = Path(f"/proc/{self.pids[0]}/status").read_text()
        found = re.search(r"VmRSS:\s+(\d+)", status)
        assert found is not None
        return float(found[1])

    def _await_greeting(self, began: float) -> float:
        while time.monotonic() < began + _PATIENCE:
            with suppress(OSError):
                TextClient(self.port, self.ca).close()
                return time.monotonic() - began
            time.sleep(0.005)
        raise RuntimeError(f"{self.name} does not greet")


class Relay(Subject):
    """`benchmarks/relay.py` with the service's certificate."""

    name = "relay"

    def __init__(self, keys: Path, options: Sequence[str] = ()) -> None:
        self.port = free_port()
        self.ca = str(keys / "server.crt")
        self._keys = keys
        self._options = options
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pids(self) -> list[int]:
        assert self._process is not None
        return [self._process.pid]

    def start(self) -> float:
        program = Path(__file__).parents[1] / "relay.py"
        options = ["--port", str(self.port), "--keys", str(self._keys)]
        began = time.monotonic()
        self._process = subprocess.Popen(
            [sys.executable, str(program), *options, *self._options],
            stdin=subprocess.DEVNULL,
            preexec_fn=end_with_parent,
        )
        return self._await_greeting(began)

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()


class Service(Subject):
    """
    The service, with ``redis`` as its inbox or, without, one SQLite file for everything. ``version`` is the checkout of
    another version; empty: this one.
    """

    name = "service"

    def __init__(
        self,
        folder: Path,
        redis: PrivateRedis | None,
        options: Sequence[str],
        version: str = "",
    ) -> None:
        self.redis = redis
        inbox = ("--inbox", redis.url()) if redis else ()
        env = {"PYTHONPATH": str(Path(version).resolve())} if version else None
        self._server = ChatServer(*inbox, *NO_LIMITS, *options, folder=folder, env=env)
        self.folder = folder
        self.port = self._server.port
        self.ca = self._server.ca

    @property
    def pids(self) -> list[int]:
        redis = [process_of(self.redis)] if self.redis else []
        return [self._server.pid, *redis]

    def start(self) -> float:
        began = time.monotonic()
        self._server.start()
        return self._await_greeting(began)

    def stop(self) -> None:
        self._server.kill()

    def add_accounts(self, many: int) -> None:
        """Make accounts in the store, and a token for each."""
        stored = phc(PASSWORD)
        uids = range(FIRST_UID, FIRST_UID + many)
        rows = ((uid, f"user {uid}", stored) for uid in uids)
        insert = "INSERT INTO user (id, username, password) VALUES (?, ?, ?)"
        with closing(sqlite3.connect(self.folder / "chat.db", timeout=30)) as database, database:
            database.executemany(insert, rows)
        tokens = Tokens(KeyFolder(str(self.folder / "keys")).token_secret())
        path = self.folder / "tokens"
        path.write_text("".join(f"{tokens.issue(uid, stored)}\n" for uid in uids))
        self.tokens = str(path)


def process_of(redis: PrivateRedis) -> int:
    """The process of a Redis that runs."""
    found = re.search(rb"process_id:(\d+)", redis.execute("INFO", "server"))
    assert found is not None
    return int(found[1])


@dataclass(frozen=True)
class Pair:
    """Both of them, running; ``store`` is the service's, redis or sqlite."""

    store: str
    relay: Relay
    service: Service

    @property
    def both(self) -> tuple[Subject, Subject]:
        """In the order in which they take their turns."""
        return (self.relay, self.service)


@contextmanager
def running(
    store: str,
    options: Sequence[str] = (),
    accounts: int = ACCOUNTS,
    version: str = "",
    relay_options: Sequence[str] = (),
) -> Iterator[Pair]:
    """
    A relay and a service with so many accounts, whose uids begin with `FIRST_UID`; ``options`` are the service's, and
    ``version`` is the checkout of another one than this.
    """
    redis = PrivateRedis("--appendfsync", "everysec") if store == "redis" else None
    with tempfile.TemporaryDirectory(prefix="chatsvc-compare-") as name:
        folder = Path(name)
        service = None
        relay = Relay(folder / "keys", relay_options)
        try:
            if redis is not None:
                redis.start()
            service = Service(folder, redis, options, version)
            service.start()
            service.add_accounts(accounts)
            relay.start()
            yield Pair(store, relay, service)
        finally:
            relay.stop()
            if service is not None:
                service.stop()
            if redis is not None:
                redis.remove()
