"""One worker: a process that serves beside others on sockets that its supervisor has opened."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.protocol import DatagramProtocol, ProcessProtocol
from twisted.python.failure import Failure

from chatsvc.supervision.worker_state import new_worker_state
from chatsvc.waiters import Waiters

HEARTBEAT_TIMEOUT = 30.0
"""Seconds without a heartbeat after which a worker is killed: its reactor is stuck."""

Launch = Callable[["WorkerProcess"], Any]
"""Starts a worker's process with the worker as its protocol, and gives the process."""


class _HeartbeatSocket(DatagramProtocol):
    """Receives what workers send by sd_notify(3)."""

    def __init__(self, on_datagram: Callable[[set[str]], None]) -> None:
        self._on_datagram = on_datagram

    def datagramReceived(self, datagram: bytes, addr: Any) -> None:
        self._on_datagram(set(datagram.decode(errors="replace").split("\n")))


class WorkerProcess(ProcessProtocol):
    """
    The process with a ``number``, from 1, and its successors.

    It sends heartbeats to ``heartbeat_path`` and answers its supervisor at ``probe_path``, both in
    ``folder``. ``on_ended`` is called with how a process ended that was not asked to. Its states are in
    ``worker_state.py``.
    """

    def __init__(
        self,
        reactor: Any,
        number: int,
        folder: Path,
        launch: Launch,
        on_ended: Callable[[WorkerProcess, str], None],
    ) -> None:
        self.number = number
        self.heartbeat_path = str(folder / f"{number}.signs")
        self.probe_path = str(folder / f"{number}.probe")
        self._reactor = reactor
        self._launch = launch
        self._on_ended = on_ended
        self._state = new_worker_state()
        self._process: Any = None
        self._heartbeats = reactor.listenUNIXDatagram(
            self.heartbeat_path, _HeartbeatSocket(self._datagram_received), mode=0o600
        )
        self._last_heartbeat = self._started_at = 0.0
        self.starts = 0
        """How many processes there have been."""
        self._ready = Waiters[bool]()
        self._ended = Waiters[None]()

    @property
    def runs(self) -> bool:
        """Whether there is a process."""
        return self._state.runs()

    @property
    def serves(self) -> bool:
        """Whether there is a process that has said that it is ready."""
        return self._state.serves()

    @property
    def age(self) -> float:
        """Seconds since the last start."""
        return float(self._reactor.seconds()) - self._started_at

    @property
    def silence(self) -> float:
        """Seconds since the last heartbeat, or since the start."""
        return float(self._reactor.seconds()) - self._last_heartbeat

    def start(self) -> Deferred[bool]:
        """
        Start a process; the result is that of :meth:`when_ready`.

        :raise NoTransition: there is one already, or the worker was stopped.
        :raise OSError: the system has no room for one.
        """
        self._state.start()
        # Before the launch: one that fails counts as a start too, or its delays would never grow.
        self._last_heartbeat = self._started_at = self._reactor.seconds()
        try:
            self._process = self._launch(self)
        except BaseException:
            self._state.could_not_start()
            raise
        self.starts += 1
        return self.when_ready()

    def when_ready(self) -> Deferred[bool]:
        """Wait until it says that it is ready: True; or has ended before: False."""
        return self._ready.wait()

    def reset_silence(self) -> None:
        """Count its silence from now on."""
        self._last_heartbeat = self._reactor.seconds()

    def signal(self, number: signal.Signals) -> None:
        """Send a signal, if there is a process."""
        try:
            if self._process is not None:
                self._process.signalProcess(number)
        except ProcessExitedAlready:
            pass

    def stop(self) -> Deferred[None]:
        """Ask the process to end, for good; wait until it has."""
        if not self._state.stop():
            return succeed(None)
        ended = self._ended.wait()
        self.signal(signal.SIGTERM)
        return ended

    def close(self) -> Deferred[None] | None:
        """Listen to no more heartbeats."""
        closed: Deferred[None] | None = self._heartbeats.stopListening()
        return closed

    def processEnded(self, reason: Failure) -> None:  # type: ignore[override]
        unasked = self._state.ended()
        self._process = None
        self._ready.fire(False)
        self._ended.fire(None)
        if unasked:
            self._on_ended(self, _how(reason.value))

    def _datagram_received(self, lines: set[str]) -> None:
        self._last_heartbeat = self._reactor.seconds()
        if "READY=1" in lines and self._state.ready():
            self._ready.fire(True)


def _how(ended: Any) -> str:
    if ended.signal is not None:
        return f"was ended by {signal.Signals(ended.signal).name}"
    return f"ended with status {ended.exitCode}"
