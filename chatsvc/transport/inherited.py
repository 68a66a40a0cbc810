"""Sockets that listen already: opened by one process, which accepts nothing, for others that do."""

from __future__ import annotations

import os
import socket
import stat
from dataclasses import dataclass
from typing import Any

from twisted.internet import fdesc, tcp, unix
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from zope.interface import implementer


def hand_down(port: Any) -> None:
    """Let other processes accept at a port of this one."""
    port.stopReading()
    port._shouldShutdown = False  # it is theirs, too: to close it here must not end it there


@implementer(IStreamServerEndpoint)
@dataclass(frozen=True)
class InheritedEndpoint:
    """What another process has opened: its ``descriptor`` and address ``family``."""

    reactor: Any
    descriptor: int
    family: int

    def listen(self, protocolFactory: IProtocolFactory) -> Deferred[IListeningPort]:
        if self.family != socket.AF_UNIX:
            opened = AdoptedStreamServerEndpoint(self.reactor, self.descriptor, self.family)
            return opened.listen(protocolFactory)  # type: ignore[no-any-return]
        return execute(self._listen_at_file, protocolFactory)

    def _listen_at_file(self, factory: IProtocolFactory) -> Any:
        fdesc.setNonBlocking(self.descriptor)
        port = _File._fromListeningDescriptor(self.reactor, self.descriptor, factory)
        os.close(self.descriptor)  # the port has one of its own
        port.mode = stat.S_IMODE(os.stat(port._bindPath).st_mode)
        port.startListening()
        return port


class _File(unix.Port):
    """A Unix socket whose file is another's to remove, and whose end is another's to decide."""

    _shouldShutdown = False

    def connectionLost(self, reason: Any) -> None:
        tcp.Port.connectionLost(self, reason)
