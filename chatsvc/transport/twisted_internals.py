"""
What we use of Twisted that Twisted does not promise to keep: names with an underscore, and attributes that we replace.

Everything of that kind stands here, each in a function that says why no public way would do.
``tests/transport/test_twisted_internals.py`` names each, so that a release which changes one says so in a line.
"""

from __future__ import annotations

import fcntl
import os
import signal
import stat
import time
from collections.abc import Callable
from operator import attrgetter
from os import stat as stat_file
from typing import Any

from OpenSSL import SSL
from twisted.internet import tcp, unix
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.abstract import FileDescriptor
from twisted.internet.base import ReactorBase
from twisted.internet.interfaces import IProtocolFactory
from twisted.logger import ILogObserver, LogEvent, Logger, globalLogPublisher
from twisted.protocols.basic import IntNStringReceiver
from twisted.python.logfile import LogFile
from zope.interface import implementer, provider

SignalHandler = Callable[[int, Any], None]


def waiting_bytes(connection: FileDescriptor) -> int:
    """
    Count the bytes that were written to a connection and that the kernel has not taken yet.

    ``dataBuffer`` from ``offset`` on and ``_tempDataLen`` are where Twisted keeps them; it only tells producers whether
    there are any.
    """
    return len(connection.dataBuffer) - connection.offset + connection._tempDataLen


unprocessed: Callable[[IntNStringReceiver], bytes] = attrgetter("_unprocessed")
"""
The bytes that a receiver has and that are no whole frame yet, with the length before them.

``recvd``, which is public, is there for compatibility only. An ``attrgetter``, as it is asked once for all that came
in one go.
"""


def watch_accepting(
    port: tcp.Port, turned_away: Callable[[str], None], failed: Callable[[str], None]
) -> None:
    """
    Have a port report what it cannot accept.

    When a process may open no more files, Twisted accepts with the last one and closes at once: ``turned_away`` is
    called with the address of each, empty if it has none. ``failed`` is called with the name of any other error of
    accept(2). Twisted only logs them, and has no public way to be told.
    """

    @provider(ILogObserver)
    def observe(event: LogEvent) -> None:
        address = event.get("address")
        if "acceptError" in event:
            failed(str(event["acceptError"]))
        elif address is not None:
            turned_away(str(address[0]) if isinstance(address, tuple) else "")
        globalLogPublisher(event)

    port._logger = Logger(namespace="twisted.internet.tcp", observer=observe)


def share_socket(port: tcp.Port) -> None:
    """
    Let a port be closed here and stay open in the processes that were given its socket.

    Twisted shuts a listening socket down before it closes it, which would end it for all.
    """
    port._shouldShutdown = False


class _AdoptedUnixPort(unix.Port):
    """A Unix socket that another process has opened; that process removes its file."""

    _shouldShutdown = False

    def connectionLost(self, reason: Any) -> None:
        tcp.Port.connectionLost(self, reason)


def adopt_unix_port(reactor: Any, descriptor: int, factory: IProtocolFactory) -> unix.Port:
    """
    Make a port of a copy of a Unix socket that listens already, and leave its file's mode as it is.

    ``reactor.adoptStreamPort``, the public way, gives everybody access to the file, removes it at the end, and shuts
    the socket down for all processes.
    """
    port: unix.Port = _AdoptedUnixPort._fromListeningDescriptor(reactor, descriptor, factory)
    port.mode = stat.S_IMODE(stat_file(port._bindPath).st_mode)
    return port


@implementer(IOpenSSLTrustRoot)
class CombinedTrust:
    """
    Trusts whatever any of these roots does (``platformTrust()``, ``trustRootFromCertificates(…)``).

    Twisted takes one root, and has no public way to make one of several.
    """

    def __init__(self, *roots: Any) -> None:
        self._roots = roots

    def _addCACertsToContext(self, context: SSL.Context) -> None:
        for root in self._roots:
            root._addCACertsToContext(context)


def use_monotonic_clock(
    reactor: ReactorBase, seconds: Callable[[], float] = time.monotonic
) -> None:
    """
    Time calls by a clock that nobody sets: a change of the system's time must not delay or hurry them.

    Twisted's reactors use ``time.time``, and take no clock. Call it before any call is scheduled.
    """
    reactor.seconds = seconds  # type: ignore[method-assign]


def exit_signal(reactor: ReactorBase) -> int | None:
    """
    Give the signal that has stopped a reactor; None: something else has.

    A reactor tells it only after it has ended, to whoever runs it.
    """
    return reactor._exitSignal


def stop_signal_handlers(reactor: ReactorBase) -> dict[int, SignalHandler]:
    """
    Give what a reactor does by itself with SIGTERM and SIGINT, by the signal's number.

    It stops, and the process ends by that signal. ``installSignalHandlers=False`` would also leave SIGCHLD alone.
    """
    return {signal.SIGTERM: reactor.sigTerm, signal.SIGINT: reactor.sigInt}


class AppendingLogFile(LogFile):
    """
    A log file that is opened to append, and whose size is the file's own.

    Another program may cut it off (``copytruncate`` of logrotate(8)): Twisted would go on writing where it was, behind
    a hole of NULs, and take it for as large as before.
    """

    def _openFile(self) -> None:
        super()._openFile()
        flags = fcntl.fcntl(self._file, fcntl.F_GETFL)
        fcntl.fcntl(self._file, fcntl.F_SETFL, flags | os.O_APPEND)

    def shouldRotate(self) -> bool:
        self.size = os.fstat(self._file.fileno()).st_size
        return bool(super().shouldRotate())
