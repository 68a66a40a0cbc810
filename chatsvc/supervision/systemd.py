"""sd_notify(3): how a service tells its supervisor that it is ready, that it stops, and that it is alive."""

from __future__ import annotations

import socket
import time

from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger


class SystemdNotifier:
    """
    Whoever started this process and wants to hear how it is: systemd, or another that speaks its protocol.

    ``address`` is what ``NOTIFY_SOCKET`` says: a path, or ``@`` and an abstract name; empty: nobody listens.
    ``patience``: seconds without a sign of life after which it takes this process for dead, 0: for ever.

    The signs of life say that the reactor turns, and no more: a start anew would bring no store back.
    """

    _log = Logger()

    def __init__(self, clock: IReactorTime, address: str = "", patience: float = 0.0) -> None:
        self._clock = clock
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._patience = patience
        self._living = LoopingCall(self._tell, "WATCHDOG=1")
        self._living.clock = clock
        self._lost = False

    def ready(self, status: str) -> None:
        """The service does what it is for, after its start or a reload; ``status`` is for people."""
        self._tell("READY=1", _status(status))
        if self._patience and not self._living.running:
            self._living.start(self._patience / 2)

    def status(self, status: str) -> None:
        """Something that people want to know."""
        self._tell(_status(status))

    def reloading(self) -> None:
        """A reload begins; :meth:`ready` ends it."""
        now = time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000
        self._tell("RELOADING=1", f"MONOTONIC_USEC={now}")

    def stopping(self, status: str) -> None:
        """The service ends; the signs of life go on until the process does."""
        self._tell("STOPPING=1", _status(status))

    def _tell(self, *lines: str) -> None:
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
