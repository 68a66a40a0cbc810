"""Certificates by name, from folders of the test's own."""

from __future__ import annotations

import contextlib
import os
import ssl
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from chatsvc.tls.key_files import BadKeys
from chatsvc.tls.sni import SNIContexts
from tests.support.authority import LEAF, Authority, key_pem, named, pem
from tests.tls.handshakes import join, shake_hands


class HostContextsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.root = Authority("root")
        self.between = Authority("between", self.root)
        self.trusted = os.path.abspath(f"{self.mktemp()}.pem")
        Path(self.trusted).write_bytes(pem(self.root.certificate))
        self.write("a", "localhost", "chat.example")
        self.write("b", "*.team.example", "other.example")
        self.hosts = SNIContexts(str(self.folder))

    def write(self, name: str, *hosts: str) -> None:
        """Put a file into the folder: the key, the certificate for these names, the whole chain with its root."""
        key = ec.generate_private_key(ec.SECP256R1())
        leaf = self.between.sign(named(name), key.public_key(), False, *hosts)
        chain = pem(leaf, self.between.certificate, self.root.certificate)
        (self.folder / f"{name}.pem").write_bytes(key_pem(key) + chain)

    def shown(self, host: bytes) -> str:
        """The common name of the certificate that a client is shown which asks for a name and trusts all."""
        client = SSL.Connection(SSL.Context(SSL.TLS_CLIENT_METHOD), None)
        server = self.hosts.serverConnectionForTLS(None)  # type: ignore[arg-type]
        if host:
            client.set_tlsext_host_name(host)
        client.set_connect_state()
        server.set_accept_state()
        for _ in range(2):
            for one, other in ((client, server), (server, client)):
                with contextlib.suppress(SSL.WantReadError):
                    one.do_handshake()
                with contextlib.suppress(SSL.WantReadError):
                    other.bio_write(one.bio_read(65536))
        certificate = client.get_peer_certificate(as_cryptography=True)
        assert certificate is not None
        return certificate.subject.rfc4514_string()

    def test_interface(self) -> None:
        """Twisted would refuse to make connections from it."""
        verifyObject(IOpenSSLServerConnectionCreator, self.hosts)

    def test_names(self) -> None:
        """A client would be shown a certificate for another name than it asked for, and hang up."""
        for host in ("localhost", "chat.example", "other.example", "red.team.example"):
            shake_hands(self.hosts, self.trusted, host)
        shake_hands(self.hosts, self.trusted, "RED.Team.example")

    def test_other_names(self) -> None:
        """A client that goes by an address, or knows the certificate by its fingerprint, could not connect."""
        for host in (b"", b"127.0.0.1", b"nobody.example", b"team.example", b"a.red.team.example"):
            self.assertEqual(self.shown(host), "CN=a", host)

    def test_what_is_no_name(self) -> None:
        """A stranger could put a traceback into the log, or have the folder read again and again."""
        (self.folder / "c.pem").write_bytes(b"nonsense")
        for host in (b"\xff\xfe", b"\xe4.example", b"..", b".", b" ", b"\n", b"a" * 255, b"b.pem"):
            self.assertEqual(self.shown(host), "CN=a", host)
        self.assertEqual(self.flushLoggedErrors(), [])

    def test_tickets(self) -> None:
        """A client of any but the first name would never resume a session."""
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.load_verify_locations(self.trusted)
        session = None
        for reused in (False, True):
            bios = (ssl.MemoryBIO(), ssl.MemoryBIO())
            client = trust.wrap_bio(*bios, server_hostname="other.example", session=session)
            join(self.hosts.serverConnectionForTLS(None), client, bios)  # type: ignore[arg-type]
            self.assertEqual(client.session_reused, reused)
            session = client.session

    def test_reload(self) -> None:
        """A name that is new would need a restart."""
        self.write("c", "new.example")
        self.assertEqual(self.shown(b"new.example"), "CN=a")
        self.hosts.reload()
        self.assertEqual(self.shown(b"new.example"), "CN=c")
        self.assertEqual(len(self.hosts.certificates), 3)

    def test_renew(self) -> None:
        """After the secrets of tickets were changed all names but the first would be forgotten."""
        self.hosts.renew()
        self.assertEqual(self.shown(b"other.example"), "CN=b")

    def test_bad_reload(self) -> None:
        """A slip in one file would stop the service of all names."""
        good = (self.folder / "b.pem").read_bytes()
        for content in (b"", b"nonsense", good[: len(good) // 4]):
            (self.folder / "b.pem").write_bytes(content)
            problem = self.assertRaises(BadKeys, self.hosts.reload)
            self.assertIn("b.pem", str(problem))
            self.assertEqual(self.shown(b"other.example"), "CN=b")

    def test_empty(self) -> None:
        """A server would start without a certificate and end every handshake."""
        for path in self.folder.iterdir():
            path.unlink()
        (self.folder / "folder.pem").mkdir()
        for folder in (self.folder, self.folder / "missing"):
            problem = self.assertRaises(BadKeys, SNIContexts, str(folder))
            self.assertEqual(str(problem), f"there is no file *.pem in {folder}")

    def test_no_new_code(self) -> None:
        """Where systemd denies code that is made at run time, the start would end in a traceback."""

        def denied(*_: object) -> None:
            raise MemoryError

        self.patch(SSL.Context, "set_tlsext_servername_callback", denied)
        problem = self.assertRaises(BadKeys, SNIContexts, str(self.folder))
        self.assertIn("MemoryDenyWriteExecute", str(problem))

    def test_first_of_two(self) -> None:
        """Which of two certificates for one name is used would be left to chance."""
        self.write("c", "other.example")
        self.hosts.reload()
        self.assertEqual(self.shown(b"other.example"), "CN=b")

    def test_weak(self) -> None:
        """A name of its own would bring ciphers of its own: older than all the others'."""
        key = rsa.generate_private_key(65537, 2048)
        leaf = self.root.sign(LEAF, key.public_key(), False, "rsa.example")
        (self.folder / "rsa.pem").write_bytes(key_pem(key) + pem(leaf))
        self.hosts.reload()

        def old(client: ssl.SSLContext) -> None:
            client.maximum_version = ssl.TLSVersion.TLSv1_2
            client.set_ciphers("AES128-SHA:ECDHE-RSA-AES128-SHA")

        with self.assertRaises(Exception) as refused:
            shake_hands(self.hosts, self.trusted, "rsa.example", old)
        self.assertIn("no shared cipher", str(refused.exception))
