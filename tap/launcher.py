"""Processes of a server: ``twistd chat`` starts workers like itself, and finds out who has started it."""

from __future__ import annotations

import json
import os
import signal
import sys
import tempfile
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IReactorTime, IReadDescriptor
from zope.interface import implementer

from chatsvc.config import WorkerSlot
from chatsvc.supervision.systemd import SystemdNotifier
from chatsvc.supervision.worker_process import HEARTBEAT_TIMEOUT, WorkerProcess

_TEAM = "CHATSVC_TEAM"
"""The environment variable that tells a worker its slot; only the launcher sets it."""

_TWISTD = "from twisted.scripts.twistd import run; run()"

_LIFELINE = 0
"""Standard input of a worker; it ends when the supervisor does, which holds the other end."""


def worker_slot(environment: MutableMapping[str, str]) -> WorkerSlot | None:
    """Take the slot of a worker out of the environment; None: this process is no worker."""
    text = environment.pop(_TEAM, "")
    if not text:
        return None
    number, count, sockets = json.loads(text)
    return WorkerSlot(number, count, tuple((descriptor, family) for descriptor, family in sockets))


def systemd_notifier(clock: IReactorTime, environment: MutableMapping[str, str]) -> SystemdNotifier:
    """
    Make the notifier that NOTIFY_SOCKET and WATCHDOG_USEC ask for (sd_notify(3), sd_watchdog_enabled(3)).

    They leave the environment: processes that this one starts must not notify in its place.
    """
    address = environment.pop("NOTIFY_SOCKET", "")
    limit = environment.pop("WATCHDOG_USEC", "")
    process = environment.pop("WATCHDOG_PID", "")
    watches = limit.isascii() and limit.isdigit() and process in ("", str(os.getpid()))
    return SystemdNotifier(clock, address, int(limit) / 1e6 if watches else 0.0)


class Launcher:
    """
    Starts workers with the options of ``twistd`` that this process has, and these ``words`` for ``chat``.

    Their sockets are in ``folder``, which only this user may enter.
    """

    def __init__(
        self, reactor: Any, count: int, twistd: Mapping[str, Any], words: Sequence[str]
    ) -> None:
        self._reactor = reactor
        self._count = count
        self._twistd = twistd
        self._words = words
        self._working_directory = os.getcwd()
        self._temporary = tempfile.TemporaryDirectory(prefix="chatsvc-")
        self.folder = Path(self._temporary.name)

    def __call__(self, worker: WorkerProcess, ports: Sequence[Any]) -> Any:
        """Start ``worker``, to listen at ``ports``."""
        sockets = [(port.fileno(), int(port.socket.family)) for port in ports]
        environment = {
            **os.environ,
            _TEAM: json.dumps([worker.number, self._count, sockets]),
            "NOTIFY_SOCKET": worker.heartbeat_path,
            "WATCHDOG_USEC": str(int(HEARTBEAT_TIMEOUT / 3 * 1e6)),
        }
        return self._reactor.spawnProcess(
            worker,
            sys.executable,
            [sys.executable, "-c", _TWISTD, *self._words_of(worker)],
            environment,
            self._working_directory,
            childFDs={_LIFELINE: "w", 1: 1, 2: 2, **{fd: fd for fd, _ in sockets}},
        )

    def close(self) -> None:
        """Remove the folder."""
        self._temporary.cleanup()

    def _words_of(self, worker: WorkerProcess) -> list[str]:
        probe = f"--metrics=unix:{worker.probe_path}:mode=600"
        return [*self._words_of_twistd(worker), "chat", *self._words, probe]

    def _words_of_twistd(self, worker: WorkerProcess) -> list[str]:
        # In the foreground, whatever this process is; with a log file of its own, for each process rotates its file.
        words = ["--nodaemon", "--pidfile="]
        twistd, name = self._twistd, self._twistd.get("logfile")
        if twistd.get("syslog"):
            return [*words, "--syslog", f"--prefix={twistd.get('prefix') or 'chatsvc'}"]
        if name == "-" or (not name and twistd.get("nodaemon")):
            return words
        stem, end = os.path.splitext(name or "twistd.log")
        return [*words, f"--logfile={stem}-worker{worker.number}{end}"]


@implementer(IReadDescriptor)
class _Lifeline:
    """Ends this process, as SIGTERM would, when its supervisor is gone."""

    def fileno(self) -> int:
        return _LIFELINE

    def logPrefix(self) -> str:
        return "lifeline"

    def doRead(self) -> Exception | None:  # type: ignore[override]
        return None if os.read(_LIFELINE, 1024) else ConnectionDone()

    def connectionLost(self, reason: object) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


def hold_lifeline(reactor: Any) -> None:
    """End this worker when its supervisor ends, however that happens."""
    lifeline = _Lifeline()
    reactor.addReader(lifeline)
    reactor.addSystemEventTrigger("before", "shutdown", reactor.removeReader, lifeline)
