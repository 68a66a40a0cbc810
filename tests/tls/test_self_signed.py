"""The certificate that a server makes for itself, as clients see it."""

from __future__ import annotations

import ssl
from datetime import UTC, datetime, timedelta

from cryptography import x509
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import connectedServerAndClient

from chatsvc.tls.certificates import facts, fingerprint
from chatsvc.tls.context import ServerContext
from tests.tls.folders import FolderTestCase, read
from tests.tls.handshakes import shake_hands


class MadeCertificateTests(FolderTestCase):
    """The certificate of our own, as clients see it."""

    def setUp(self) -> None:
        super().setUp()
        self.folder.ensure(["chat.example"])
        self.path = self.folder.certificate_path
        self.context = ServerContext(self.folder.key_path, self.path)

    def test_its_own_trust_anchor(self) -> None:
        """A client that was given server.crt could not connect."""
        for host in ("localhost", "chat.example", "127.0.0.1", "::1"):
            shake_hands(self.context, self.path, host)

    def test_strict(self) -> None:
        """Clients on Python 3.13, which is strict by default, could not connect."""

        def strict(client: ssl.SSLContext) -> None:
            client.verify_flags |= ssl.VERIFY_X509_STRICT

        shake_hands(self.context, self.path, adjust=strict)

    def test_another_name(self) -> None:
        """The tests before would prove nothing, as any name was accepted."""
        with self.assertRaises(ssl.SSLCertVerificationError):
            shake_hands(self.context, self.path, "other.example")

    def test_lifetime(self) -> None:
        """The certificate would end unexpectedly, or not be valid yet on a clock that is behind."""
        content = read(self.path)
        now = datetime.now(UTC)
        self.assertTrue(3640 < facts(content)[0].days_left(now.timestamp()) < 3660)
        start = x509.load_pem_x509_certificate(content).not_valid_before_utc
        self.assertLess(start, now - timedelta(minutes=50))

    def test_fingerprint(self) -> None:
        """People could not compare what their client shows with what openssl says."""
        digest = fingerprint(read(self.path))
        self.assertRegex(digest, r"\ASHA256:([0-9A-F]{2}:){31}[0-9A-F]{2}\Z")
        self.assertEqual(digest, fingerprint(read(self.path) + read(self.path)))

    def test_twisted_client(self) -> None:
        """Our own client, which is strict in Twisted's way, could not connect."""
        received: list[bytes] = []

        class Greeting(Protocol):
            def connectionMade(self) -> None:
                assert self.transport is not None
                self.transport.write(b"hello")

        class Listening(Protocol):
            def dataReceived(self, data: bytes) -> None:
                received.append(data)

        trust = trustRootFromCertificates([Certificate.loadPEM(read(self.path))])
        options = optionsForClientTLS("localhost", trust)
        clock = Clock()
        greeting, listening = Factory.forProtocol(Greeting), Factory.forProtocol(Listening)
        server = TLSMemoryBIOFactory(self.context, False, greeting, clock)
        client = TLSMemoryBIOFactory(options, True, listening, clock)
        connectedServerAndClient(
            lambda: server.buildProtocol(None), lambda: client.buildProtocol(None), clock=clock
        )[2].flush()
        self.assertEqual(received, [b"hello"])
