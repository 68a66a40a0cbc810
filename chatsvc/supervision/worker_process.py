"""One worker: a process that serves beside others on sockets that its supervisor has opened."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import DatagramProtocol, ProcessProtocol
from twisted.python.failure import Failure

Launch = Callable[["WorkerProcess"], Any]
"""Starts a worker's process with the worker as its protocol, and gives the process."""


class _HeartbeatSocket(DatagramProtocol):
    """The supervisor's end of sd_notify(3)."""

    def __init__(self, told: Callable[[set[str]], None]) -> None:
        self._datagram_received = told

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._datagram_received(set(datagram.decode(errors="replace").split("\n")))


class WorkerProcess(ProcessProtocol):
    """
    The process with a ``number``, from 1, and its successors.

    ``folder`` is where it can be asked things and gives signs of life. ``ended`` is called with how a process ended
    that was not asked to.
    """

    def __init__(
        self,
        reactor: Any,
        number: int,
        folder: Path,
        launch: Launch,
        ended: Callable[[WorkerProcess, str], None],
    ) -> None:
        self.number = number
        self.signs_path = str(folder / f"{number}.signs")
        self.probe_path = str(folder / f"{number}.probe")
        self._reactor = reactor
        self._launch = launch
        self._ended = ended
        self._process: Any = None
        self._signs = reactor.listenUNIXDatagram(
            self.signs_path, _HeartbeatSocket(self._datagram_received), mode=0o600
        )
        self._stopping = False
        self._serves = False
        self._heard = self._began = 0.0
        self.starts = 0
        """How many processes there have been."""
        self._ready: list[Deferred[bool]] = []
        self._gone: list[Deferred[None]] = []

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._process is not None

    @property
    def serves(self) -> bool:
        """Whether it has said that it is ready."""
        return self._serves

    @property
    def age(self) -> float:
        """Seconds since the last start."""
        return float(self._reactor.seconds()) - self._began

    @property
    def silence(self) -> float:
        """Seconds since the last sign of life, or since the start."""
        return float(self._reactor.seconds()) - self._heard

    def start(self) -> Deferred[bool]:
        """Start a process: True when it is ready, False when it has ended before."""
        self._heard = self._began = self._reactor.seconds()
        self._serves = False
        self._process = self._launch(self)
        self.starts += 1
        return self.ready()

    def ready(self) -> Deferred[bool]:
        """True when it next says that it is ready, False when it has ended before."""
        waiting: Deferred[bool] = Deferred(self._ready.remove)
        self._ready.append(waiting)
        return waiting

    def reset_silence(self) -> None:
        """Count its silence from now on."""
        self._heard = self._reactor.seconds()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is a process."""
        try:
            if self._process is not None:
                self._process.signalProcess(number)
        except ProcessExitedAlready:
            pass

    def stop(self) -> Deferred[None]:
        """Ask the process to end, for good; fires when it has."""
        self._stopping = True
        gone: Deferred[None] = Deferred()
        if self._process is None:
            gone.callback(None)
        else:
            self._gone.append(gone)
            self.signal(signal.SIGTERM)
        return gone

    def close(self) -> Deferred[None] | None:
        """Listen to no more signs of life."""
        closed: Deferred[None] | None = self._signs.stopListening()
        return closed

    def processEnded(self, reason: Failure) -> None:  # type: ignore[override]
        self._process, self._serves = None, False
        self._write_signal(False)
        gone, self._gone = self._gone, []
        for waiting in gone:
            waiting.callback(None)
        if not self._stopping:
            self._ended(self, _how(reason.value))

    def _datagram_received(self, lines: set[str]) -> None:
        self._heard = self._reactor.seconds()
        if "READY=1" in lines and self.runs:
            self._serves = True
            self._write_signal(True)

    def _write_signal(self, ready: bool) -> None:
        waiting, self._ready = self._ready, []
        for one in waiting:
            one.callback(ready)


def _how(ended: Any) -> str:
    if ended.signal is not None:
        return f"was ended by {signal.Signals(ended.signal).name}"
    return f"ended with status {ended.exitCode}"
