"""Certificates from elsewhere, what TLS is spoken, and reading the files again."""

from __future__ import annotations

import contextlib
import os
import ssl
from collections.abc import Callable

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from zope.interface.verify import verifyObject

from chatsvc.tls.context import ServerContext
from tests.support.authority import LEAF, Authority, key_pem, pem
from tests.tls.folders import FolderTestCase, read, write
from tests.tls.handshakes import join, shake_hands


class ServerContextTests(FolderTestCase):
    """Certificates from elsewhere, what TLS is spoken, and reading the files again."""

    def setUp(self) -> None:
        super().setUp()
        self.root = Authority("root")
        self.between = Authority("between", self.root)
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.leaf = self.between.sign(LEAF, self.key.public_key(), False)
        self.trusted = self.file("root.pem", pem(self.root.certificate))
        self.key_path = self.file("key.pem", key_pem(self.key))
        self.path = self.file("chain.pem", pem(self.leaf, self.between.certificate))
        self.context = ServerContext(self.key_path, self.path)

    def file(self, name: str, content: bytes) -> str:
        return write(os.path.join(self.base, name), content)

    def test_interface(self) -> None:
        """Twisted would refuse to make connections from it."""
        verifyObject(IOpenSSLServerConnectionCreator, self.context)

    def test_whole_chain(self) -> None:
        """Clients that know only the root, as all do, could not connect."""
        shake_hands(self.context, self.trusted)

    def test_chain_file(self) -> None:
        """A chain in a file of its own would not be sent."""
        leaf = self.file("leaf.pem", pem(self.leaf))
        chain = self.file("rest.pem", pem(self.between.certificate))
        shake_hands(ServerContext(self.key_path, leaf, chain), self.trusted)
        with self.assertRaises(ssl.SSLCertVerificationError):
            shake_hands(ServerContext(self.key_path, leaf), self.trusted)

    def test_modern_versions(self) -> None:
        """The server would speak an old TLS, or only the newest."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):

            def only(client: ssl.SSLContext, version: ssl.TLSVersion = version) -> None:
                client.minimum_version = client.maximum_version = version

            _, client = shake_hands(self.context, self.trusted, adjust=only)
            self.assertEqual(client.version(), version.name.replace("_", "."))

    def test_old_version(self) -> None:
        """A client could be talked down to TLS 1.1."""
        old = SSL.Context(SSL.TLS_CLIENT_METHOD)
        old.set_min_proto_version(SSL.TLS1_1_VERSION)
        old.set_max_proto_version(SSL.TLS1_1_VERSION)
        old.set_cipher_list(b"DEFAULT:@SECLEVEL=0")
        client, server = SSL.Connection(old, None), self.context.serverConnectionForTLS(None)  # type: ignore[arg-type]
        client.set_connect_state()
        server.set_accept_state()
        self.assertRaises(SSL.WantReadError, client.do_handshake)
        server.bio_write(client.bio_read(65536))
        problem = self.assertRaises(SSL.Error, server.do_handshake)
        self.assertIn("unsupported protocol", str(problem))

    def test_weak_ciphers(self) -> None:
        """A recorded conversation could be read once the key is stolen."""

        def without_modern(client: ssl.SSLContext) -> None:
            client.maximum_version = ssl.TLSVersion.TLSv1_2
            client.set_ciphers("ECDHE+AES:!AESGCM:!AESCCM:RSA+AESGCM")

        with self.assertRaises((SSL.Error, ssl.SSLError)):
            shake_hands(self.context, self.trusted, adjust=without_modern)

    def test_tickets(self) -> None:
        """Each reconnect would cost the server a whole handshake."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            connect = self.resuming(version)
            self.assertEqual([connect() for _ in range(3)], [False, True, True], version)

    def test_tickets_from_before(self) -> None:
        """Clients that come back after the certificate was renewed would be sent away."""
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            connect = self.resuming(version)
            connect()
            self.context.reload()
            self.assertEqual([connect(), connect()], [False, True], version)

    def test_renew(self) -> None:
        """Who steals the secret of today's tickets could read what was said under all tickets since the start."""
        connect = self.resuming(ssl.TLSVersion.TLSv1_2)
        connect()
        self.context.renew()
        self.assertEqual([connect(), connect()], [False, True])

    def resuming(self, version: ssl.TLSVersion) -> Callable[[], bool]:
        """Connects again and again, as one client; whether it resumed its session."""
        trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        trust.load_verify_locations(self.trusted)
        trust.minimum_version = trust.maximum_version = version
        session = None

        def connect() -> bool:
            nonlocal session
            bios = (ssl.MemoryBIO(), ssl.MemoryBIO())
            client = trust.wrap_bio(*bios, server_hostname="localhost", session=session)
            join(self.context.serverConnectionForTLS(None), client, bios)  # type: ignore[arg-type]
            session = client.session
            return bool(client.session_reused)

        return connect

    def test_curves_of_tls_12(self) -> None:
        """Over TLS 1.2, where scanners do not look, a weak curve would do for a key exchange."""
        # A client that offers one curve could not check an EC certificate of another.
        key = rsa.generate_private_key(65537, 2048)
        leaf = self.root.sign(LEAF, key.public_key(), False)
        path = self.file("rsa.pem", key_pem(key) + pem(leaf))
        context = ServerContext(path, path)

        def offer(curve: str) -> str:
            def only(client: ssl.SSLContext) -> None:
                client.maximum_version = ssl.TLSVersion.TLSv1_2
                client.set_ciphers("ECDHE:@SECLEVEL=0")
                client.set_ecdh_curve(curve)

            return str(shake_hands(context, self.trusted, adjust=only)[0].get_group_name())

        for curve, name in (("secp384r1", "secp384r1"), ("prime256v1", "secp256r1")):
            self.assertEqual(offer(curve), name)
        for curve in ("secp224r1", "prime192v1", "secp256k1", "sect283r1", "brainpoolP256r1"):
            refusal = self.assertRaises(SSL.Error, offer, curve)
            self.assertIn("no shared cipher", str(refusal), curve)

    def test_renegotiation(self) -> None:
        """Over one connection a client could ask the server for handshake after handshake."""
        older = SSL.Context(SSL.TLS_CLIENT_METHOD)
        older.set_max_proto_version(SSL.TLS1_2_VERSION)
        client, server = SSL.Connection(older, None), self.context.serverConnectionForTLS(None)  # type: ignore[arg-type]
        client.set_connect_state()
        server.set_accept_state()

        def trade() -> None:
            for one, other in ((client, server), (server, client)):
                for step in (one.do_handshake, lambda one=one: one.recv(1)):
                    with contextlib.suppress(SSL.WantReadError):
                        step()
                with contextlib.suppress(SSL.WantReadError):
                    other.bio_write(one.bio_read(65536))

        for _ in range(3):
            trade()
        self.assertEqual(client.get_protocol_version_name(), "TLSv1.2")
        self.assertTrue(client.renegotiate())
        trade()
        refusal = self.assertRaises(SSL.Error, trade)
        self.assertIn("no renegotiation", str(refusal))

    def test_reload(self) -> None:
        """A renewed certificate would need a restart, or cut the connections that are there."""
        server, client = shake_hands(self.context, self.trusted)
        other = Authority("other")
        key = ec.generate_private_key(ec.SECP256R1())
        trusted = self.file("other.pem", pem(other.certificate))
        write(self.key_path, key_pem(key))
        write(self.path, pem(other.sign(LEAF, key.public_key(), False)))
        shake_hands(self.context, self.trusted)
        self.context.reload()
        shake_hands(self.context, trusted)
        self.assertEqual(self.context.certificates, [read(self.path)])
        self.assertGreater(server.send(b"still here"), 0)
        self.assertEqual(client.version(), "TLSv1.3")

    def test_bad_reload(self) -> None:
        """A slip while renewing the certificate would stop the service."""
        kept = self.context.certificates
        for content in (b"", b"no certificate", pem(self.root.certificate)):
            write(self.path, content)
            self.refused(self.path, self.context.reload)
            shake_hands(self.context, self.trusted)
            self.assertEqual(self.context.certificates, kept)

    def test_missing_files(self) -> None:
        """A wrong path in the options would end in a traceback."""
        missing = os.path.join(self.base, "missing.pem")
        self.refused(missing, lambda: ServerContext(missing, self.path))
        self.refused(missing, lambda: ServerContext(self.key_path, missing))
        self.refused(missing, lambda: ServerContext(self.key_path, self.path, missing))

    def test_key_with_password(self) -> None:
        """A key with a password would ask at the terminal, or end in a traceback."""
        locked = self.file("locked.pem", key_pem(self.key, b"x"))
        self.refused(locked, lambda: ServerContext(locked, self.path))

    def test_key_of_another_certificate(self) -> None:
        """The mistake would only show at the first connection."""
        other = self.file("other.pem", key_pem(ec.generate_private_key(ec.SECP256R1())))
        self.refused(other, lambda: ServerContext(other, self.path))

    def test_rsa(self) -> None:
        """Certificates from authorities that sign RSA keys could not be used; weak ones could."""
        for bits in (2048, 1024):
            key = rsa.generate_private_key(65537, bits)
            path = self.file("rsa.pem", pem(self.root.sign(LEAF, key.public_key(), False)))
            key_path = self.file("rsa.key", key_pem(key))
            if bits < 2048:
                self.refused(path, lambda: ServerContext(key_path, path))  # noqa: B023
            else:
                shake_hands(ServerContext(key_path, path), self.trusted)

    def test_both_in_one_file(self) -> None:
        """The server.pem of older deployments, key and certificate in one, could not be used."""
        for content in (
            key_pem(self.key) + read(self.path),
            read(self.path) + key_pem(self.key),
        ):
            both = self.file("server.pem", content)
            shake_hands(ServerContext(both, both), self.trusted)
