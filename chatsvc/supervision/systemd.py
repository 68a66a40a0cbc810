"""sd_notify(3): a service tells systemd that it is ready, that it stops, and that it is alive."""

from __future__ import annotations

import socket
import time

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from chatsvc.observability.periodic import PeriodicTask


class SystemdNotifier:
    """
    Tells systemd, or whatever else has started this process and speaks its protocol, how the service is.

    ``address`` is what ``NOTIFY_SOCKET`` says: a path, or ``@`` and an abstract name; empty: nobody listens.
    ``watchdog``: seconds without a heartbeat after which this process is taken for dead, 0: never.

    WATCHDOG=1 only proves that the reactor runs. Restarting us would not bring a store back.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, address: str = "", watchdog: float = 0.0) -> None:
        self._clock = clock
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog = watchdog
        self._heartbeat = PeriodicTask(
            clock, "telling systemd of being alive", lambda: self._send("WATCHDOG=1")
        )
        self._lost = False

    def ready(self, status: str) -> None:
        """Say that the service does what it is for, after its start or a reload; ``status`` is for people."""
        self._send("READY=1", _status(status))
        if self._watchdog and not self._heartbeat.running:
            self._heartbeat.start(self._watchdog / 2)

    def status(self, status: str) -> None:
        """Show a line to people who ask how the service is."""
        self._send(_status(status))

    def reloading(self) -> None:
        """Say that a reload begins; :meth:`ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._send("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str) -> None:
        """Say that the service ends; heartbeats go on until the process does."""
        self._send("STOPPING=1", _status(status))

    def _send(self, *lines: str) -> None:
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
                channel.setblocking(False)
                channel.sendto("\n".join(lines).encode(errors="replace"), self._address)
        except OSError as problem:
            if not self._lost:
                text = "The supervisor at NOTIFY_SOCKET cannot be told anything: {reason}"
                self._log.warn(text, event="supervisor-lost", reason=problem.strerror)
            self._lost = True
        else:
            self._lost = False


def _status(text: str) -> str:
    return f"STATUS={' '.join(text.splitlines())}"
