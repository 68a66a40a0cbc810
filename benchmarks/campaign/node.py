"""One server of the campaign, and the proxy through which it reaches Redis."""

from __future__ import annotations

import os
import random
import signal
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.campaign.network import SERVERS
from benchmarks.campaign.process import Process, freeze, thaw, wait_until
from benchmarks.campaign.rooms.plan import PATH_VARIABLE

HERE = Path(__file__).parent
_PATIENCE = 60
_STARTED = b"Next, in another terminal"
_LIMITS = (
    # A share that who only sends fills time and again, with the reader who acknowledges seldom.
    *("--rate", "0", "--inbox-limit", "1000000", "--inbox-share", "24"),
    *("--max-per-ip", "10000", "--max-connections", "20000"),
)


@dataclass(frozen=True)
class Ports:
    """Where a node listens: for users, for the balancer, and for its questions; and the node's way to Redis."""

    direct: int
    behind: int
    health: int
    link: int

    @classmethod
    def of(cls, number: int) -> Ports:
        """Those of the node with this number."""
        return cls(10_100 + number, 10_200 + number, 9_100 + number, 7_000 + number)


class Node:
    """
    A server named ``name``. With ``redis``, the path of its socket, messages wait there; ``accounts`` is the URL of
    the accounts. ``sabotage`` names a rule that it is to break; it consists of so many ``workers``, and has more
    ``options``. ``watched``: it stops at points when it is told to.
    """

    def __init__(
        self,
        folder: Path,
        name: str,
        ports: Ports,
        namespace: str,
        redis: str = "",
        accounts: str = "sqlite:chat.db",
        sabotage: str = "",
        workers: int = 1,
        options: Sequence[str] = (),
        watched: bool = False,
    ) -> None:
        self.name = name
        self.workers = workers
        self.ports = ports
        self.link: Process | None = None
        stores: Sequence[str] = ("--accounts", accounts)
        if redis:
            place = f"127.0.0.1:{ports.link}"
            proxy = [sys.executable, str(HERE / "proxy.py"), place, redis]
            self.link = Process(proxy, folder, f"link-{name}", namespace)
            stores = (*stores, "--inbox", f"redis://{place}/0")
        self.stores = stores
        """Options that say where its stores are."""
        listening = (
            *("--port", f"ssl:{ports.direct}"),
            *("--port", f"haproxy:ssl:{ports.behind}:interface=127.0.0.1"),
            *("--metrics", f"tcp:{ports.health}:interface=127.0.0.1"),
        )
        self.point = folder / f"point-{name}"
        """The file that says at which point it is to stop, see ``rooms/points.py``."""
        program = [sys.executable, str(HERE / "sabotage.py"), sabotage or "nothing", "-n", "chat"]
        if watched:
            program = ["env", f"{PATH_VARIABLE}={self.point}", *program]
        arguments = [*program, *listening, *stores, *_LIMITS, *options]
        arguments += ["--workers", str(workers)]
        self.process = Process(arguments, folder, f"server-{name}", namespace)

    @property
    def target(self) -> str:
        """Where users reach it without a balancer."""
        return f"{SERVERS}:{self.ports.direct}"

    def start(self) -> None:
        """Start it and wait until it listens; start it again, as an init system does, if it finds no store."""
        log = self.process.log
        said = log.stat().st_size if log.exists() else 0

        def listens() -> bool:
            if not self.process.runs():
                self.process.start()
            return _STARTED in log.read_bytes()[said:]

        if self.link is not None and not self.link.runs():
            self.link.start()
        wait_until(listens, f"server {self.name}", _PATIENCE)

    def restart(self, number: int) -> None:
        """End it by a signal and start it again."""
        self.process.end(number)
        self.start()

    def kill(self) -> None:
        """End it at once; its workers end a moment later by themselves."""
        self.process.end(signal.SIGKILL)

    def hang(self) -> Callable[[], None]:
        """Let the server, or one of its workers, stand still; what is returned lets it go on."""
        first, *workers = self.process.pids()
        stopped = (
            [random.choice(workers)] if workers and random.random() < 0.7 else [first, *workers]
        )
        freeze(stopped)
        return lambda: thaw(stopped)

    def runs(self) -> bool:
        return self.process.runs()

    def has_traceback(self) -> bool:
        """Whether something went wrong that nobody thought of."""
        log = self.process.log
        return log.exists() and "Traceback" in log.read_text(errors="replace")

    def close(self) -> None:
        if self.process.runs():
            # Workers, too: their folder goes next.
            for pid in reversed(self.process.pids()):
                os.kill(pid, signal.SIGKILL)
        self.process.end(signal.SIGKILL)
        if self.link is not None:
            self.link.end()
