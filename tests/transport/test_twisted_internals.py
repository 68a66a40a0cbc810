"""What this project leans on inside Twisted: a release that changes one of these says so here, in a line."""

from __future__ import annotations

import errno
import os
import signal
import socket
import time
from pathlib import Path
from typing import Any

from OpenSSL import SSL
from OpenSSL.crypto import X509StoreContext, X509StoreContextError
from twisted.internet import reactor, ssl, tcp, unix
from twisted.internet.abstract import FileDescriptor
from twisted.internet.base import ReactorBase
from twisted.internet.error import ConnectionDone
from twisted.internet.protocol import Factory
from twisted.internet.selectreactor import SelectReactor
from twisted.internet.testing import MemoryReactorClock
from twisted.protocols.basic import Int16StringReceiver, IntNStringReceiver
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementedBy

import twisted
from chatsvc.transport.twisted_internals import (
    AppendingLogFile,
    CombinedTrust,
    adopt_unix_port,
    share_socket,
    stop_signal_handlers,
    unprocessed,
    use_monotonic_clock,
    waiting_bytes,
    watch_accepting,
)
from tests.support.authority import Authority, pem

LEANED_ON = (
    (FileDescriptor(), "dataBuffer", "waiting_bytes"),
    (FileDescriptor(), "offset", "waiting_bytes"),
    (FileDescriptor(), "_tempDataLen", "waiting_bytes"),
    (IntNStringReceiver, "_unprocessed", "unprocessed"),
    (tcp.Port, "_shouldShutdown", "share_socket"),
    (unix.Port, "_shouldShutdown", "adopt_unix_port"),
    (unix.Port, "_fromListeningDescriptor", "adopt_unix_port"),
    (unix.Port(b"/x", Factory()), "_bindPath", "adopt_unix_port"),
    (ssl.platformTrust(), "_addCACertsToContext", "CombinedTrust"),
    (ssl.trustRootFromCertificates([]), "_addCACertsToContext", "CombinedTrust"),
    (ReactorBase, "seconds", "use_monotonic_clock"),
    (ReactorBase, "_exitSignal", "exit_signal"),
    (ReactorBase, "sigTerm", "stop_signal_handlers"),
    (ReactorBase, "sigInt", "stop_signal_handlers"),
)
"""What must have an attribute, its name, and what is useless without it."""


class NamesTests(SynchronousTestCase):
    """The names, before what is made of them."""

    def test_there(self) -> None:
        """A release of Twisted without one of these would break a server or a client somewhere else, riddlingly."""
        gone = [
            f"Twisted {twisted.__version__} has no {name} in {owner!r}: see {user}"
            for owner, name, user in LEANED_ON
            if not hasattr(owner, name)
        ]
        self.assertEqual(gone, [])

    def test_kind_of_reactor(self) -> None:
        """A reactor of another kind would be asked for what it does not have."""
        self.assertIsInstance(reactor, ReactorBase)


class WritingTests(SynchronousTestCase):
    """A connection whose kernel takes some bytes of what is written."""

    def test_waiting(self) -> None:
        """Messages would count as received while they still lie in Twisted's buffers."""
        connection: Any = FileDescriptor(MemoryReactorClock())
        connection.connected = True
        connection.startWriting = connection.stopWriting = lambda: None
        connection.writeSomeData = lambda data: min(3, len(data))
        self.assertEqual(waiting_bytes(connection), 0)
        counts = []
        connection.write(b"12345")
        for more in (b"", b"6", b"", b""):
            connection.write(more)
            counts.append(waiting_bytes(connection))
            connection.doWrite()
        self.assertEqual([*counts, waiting_bytes(connection)], [5, 3, 0, 0, 0])


class ReceivingTests(SynchronousTestCase):
    """A receiver of frames."""

    def test_unprocessed(self) -> None:
        """The length of the next frame would be read from the middle of another one."""
        receiver = Int16StringReceiver()
        frames: list[bytes] = []
        receiver.stringReceived = frames.append  # type: ignore[method-assign]
        for data, begun in (
            (b"", b""),
            (b"\0", b"\0"),
            (b"\2a", b"\0\2a"),
            (b"b\0\1c\0\5d", b"\0\5d"),
            (b"efgh", b""),
        ):
            receiver.dataReceived(data)
            self.assertEqual(unprocessed(receiver), begun)
        self.assertEqual(frames, [b"ab", b"c", b"defgh"])


class PortTests(SynchronousTestCase):
    """Sockets that two processes have."""

    def accepts(self, listening: socket.socket, address: Any) -> bool:
        """Whether a socket still takes connections."""
        with socket.socket(listening.family) as client:
            client.settimeout(5)
            try:
                client.connect(address)
            except OSError:
                return False
            return True

    def test_shared(self) -> None:
        """A worker's supervisor that closes its port would close that of all workers."""
        port: Any = tcp.Port(0, Factory(), interface="127.0.0.1", reactor=reactor)
        port.startListening()
        port.stopReading()
        other = port.socket.dup()
        self.addCleanup(other.close)
        share_socket(port)
        port.connectionLost(Failure(ConnectionDone()))
        self.assertTrue(self.accepts(other, other.getsockname()))

    def test_unix(self) -> None:
        """A worker would open a Unix socket to everybody, or take it along when it ends."""
        path = os.path.relpath(self.mktemp())
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(path)
            os.chmod(path, 0o600)
            listening.listen()
            port: Any = adopt_unix_port(reactor, listening.fileno(), Factory())
            port.startListening()
            self.assertEqual(os.stat(path).st_mode & 0o777, 0o600)
            port.stopReading()
            port.connectionLost(Failure(ConnectionDone()))
            self.assertTrue(Path(path).exists())
            self.assertTrue(self.accepts(listening, path))


class TrustTests(SynchronousTestCase):
    """Roots of certificates."""

    def test_each(self) -> None:
        """A client would trust the platform only, or only the server beside it."""
        authorities = [Authority(name) for name in ("one", "two")]
        roots = [
            ssl.trustRootFromCertificates([ssl.Certificate.loadPEM(pem(one.certificate))])
            for one in authorities
        ]
        context = SSL.Context(SSL.TLS_CLIENT_METHOD)
        CombinedTrust(*roots)._addCACertsToContext(context)
        store = context.get_cert_store()
        assert store is not None
        for authority in authorities:
            shown = ssl.Certificate.loadPEM(pem(authority.certificate)).original
            X509StoreContext(store, shown).verify_certificate()
        stranger = ssl.Certificate.loadPEM(pem(Authority("other").certificate)).original
        context_of_stranger = X509StoreContext(store, stranger)
        self.assertRaises(X509StoreContextError, context_of_stranger.verify_certificate)

    def test_taken_by_twisted(self) -> None:
        """Twisted would refuse what we make of several roots."""
        (interface,) = implementedBy(type(ssl.platformTrust()))
        self.assertTrue(interface.implementedBy(CombinedTrust))
        ssl.CertificateOptions(trustRoot=CombinedTrust(ssl.platformTrust())).getContext()


class ReactorTests(SynchronousTestCase):
    """A reactor that does not run."""

    def setUp(self) -> None:
        self.own: Any = SelectReactor()
        self.addCleanup(self.own.waker.connectionLost, None)

    def test_clock(self) -> None:
        """A change of the system's time would end connections, or let none end."""
        use_monotonic_clock(self.own)
        call = self.own.callLater(10, lambda: None)
        self.assertLess(abs(call.getTime() - time.monotonic() - 10), 5)
        call.cancel()

    def test_stop(self) -> None:
        """A signal would not stop the server."""
        called: list[Any] = []
        self.own.callFromThread = called.append
        for number in (signal.SIGTERM, signal.SIGINT):
            stop_signal_handlers(self.own)[number](number, None)
        self.assertEqual(called, [self.own.stop] * 2)


class _Accepting:
    """A socket that listens; ``outcomes`` are those of its next calls of accept(2)."""

    def __init__(self, *outcomes: Any) -> None:
        self.outcomes = [*outcomes, OSError(errno.EAGAIN, "nobody")]

    def accept(self) -> Any:
        outcome = self.outcomes.pop(0)
        if isinstance(outcome, OSError):
            raise outcome
        return outcome


class AcceptingTests(SynchronousTestCase):
    """A port that cannot accept."""

    def test_reported(self) -> None:
        """Connections would vanish without a word when no file is left, or the system refuses them."""
        port: Any = tcp.Port(0, Factory(), interface="127.0.0.1", reactor=reactor)
        port.startListening()
        port.stopReading()
        own = port.socket
        self.addCleanup(own.close)
        noted: list[str] = []
        watch_accepting(port, noted.append, noted.append)
        for outcomes in (
            (OSError(errno.EMFILE, "x"), (socket.socket(), ("192.0.2.1", 5))),
            (OSError(errno.EMFILE, "x"), (socket.socket(socket.AF_UNIX), "")),
            (OSError(errno.ENFILE, "x"),),
        ):
            port.socket = _Accepting(*outcomes)
            port.doRead()
        self.assertEqual(noted, ["192.0.2.1", "", "ENFILE"])


class LogFileTests(SynchronousTestCase):
    """A file of the log."""

    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.file = AppendingLogFile.fromFullPath(str(self.path), rotateLength=100)
        self.addCleanup(lambda: self.file.close())

    def test_cut_off(self) -> None:
        """After ``copytruncate`` there would be a hole of NULs, or the file be rotated although it is short."""
        self.file.write("x" * 99)
        os.truncate(self.path, 0)
        self.file.write("one\n")
        self.file.write("two\n")
        self.assertEqual(self.path.read_text(), "one\ntwo\n")

    def test_rotation(self) -> None:
        """The file would grow for ever, or go on in the one that was put away."""
        self.file.write("x" * 100)
        self.file.write("next\n")
        self.assertEqual(self.path.read_text(), "next\n")
        os.truncate(self.path, 0)
        self.file.reopen()
        self.file.write("later\n")
        self.assertEqual(self.path.read_text(), "later\n")
