"""Sockets that listen already: one process opens them and accepts nothing, others accept at them."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from typing import Any

from twisted.internet import fdesc
from twisted.internet.defer import Deferred, execute
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.internet.interfaces import IListeningPort, IProtocolFactory, IStreamServerEndpoint
from zope.interface import implementer

from chatsvc.transport.twisted_internals import adopt_unix_port, share_socket


def hand_down(port: Any) -> None:
    """Accept nothing at a port of this process, so that others do; closing it here leaves it open there."""
    port.stopReading()
    share_socket(port)


@implementer(IStreamServerEndpoint)
@dataclass(frozen=True)
class InheritedEndpoint:
    """A socket that another process has opened: its ``descriptor`` here and its address ``family``."""

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
        port = adopt_unix_port(self.reactor, self.descriptor, factory)
        os.close(self.descriptor)  # the port has one of its own
        port.startListening()
        return port
