"""Keys made and checked in folders of the test's own; TLS joined in memory, without sockets."""

from __future__ import annotations

import contextlib
import os
import ssl
import stat
from collections.abc import Callable
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.ssl import Certificate, optionsForClientTLS, trustRootFromCertificates
from twisted.internet.task import Clock
from twisted.protocols.tls import TLSMemoryBIOFactory
from twisted.test.iosim import connectedServerAndClient
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from chatsvc.tls.key_folder import BadKeys, KeyFolder, ServerContext, days_left, fingerprint
from tests.support.authority import LEAF, NOW, Authority, key_pem, pem
from tests.tls.handshakes import join, shake_hands


def read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read()


def write(path: str, content: bytes) -> str:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(content)
    return path


def mode_of(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


class FolderTestCase(SynchronousTestCase):
    """A key folder that does not exist yet."""

    def setUp(self) -> None:
        self.base = os.path.abspath(self.mktemp())
        os.mkdir(self.base)
        self.folder = KeyFolder(os.path.join(self.base, "keys"))

    def refused(self, path: str, check: Callable[[], object] | None = None) -> str:
        """The one line that a bad folder or file is refused with."""
        problem = str(self.assertRaises(BadKeys, check or (lambda: self.folder.ensure([]))))
        self.assertIn(path, problem)
        self.assertEqual(len(problem.splitlines()), 1)
        return problem


class EnsureTests(FolderTestCase):
    """What is made, and when nothing may be."""

    def test_made_with_safe_modes(self) -> None:
        """Another user of the machine could read the private key or the token secret."""
        self.folder.ensure([])
        self.assertEqual(mode_of(self.folder.path), 0o700)
        for path in (self.folder.key_path, self.folder.secret_path):
            self.assertEqual(mode_of(path), 0o600)
        names = sorted(os.listdir(self.folder.path))
        self.assertEqual(names, ["server.crt", "server.key", "token.secret"])

    def test_private_from_the_start(self) -> None:
        """Under a lax umask a secret would be readable until its mode was mended."""
        modes: list[int] = []
        fsync = os.fsync

        def noted(descriptor: int) -> None:
            modes.append(stat.S_IMODE(os.fstat(descriptor).st_mode))
            fsync(descriptor)

        self.addCleanup(os.umask, os.umask(0))
        self.patch(os, "fsync", noted)
        self.folder.ensure([])
        self.assertEqual(modes, [0o600, 0o644, 0o600, 0o700])

    def test_says_what_it_made(self) -> None:
        """An admin would not know where the key is, or what to compare with a client's screen."""
        made = self.folder.ensure([])
        paths = (self.folder.path, self.folder.key_path, self.folder.certificate_path)
        for path, line in zip((*paths, self.folder.secret_path), made, strict=True):
            self.assertIn(path, line)
        self.assertIn(fingerprint(read(self.folder.certificate_path)), made[2])

    def test_made_once(self) -> None:
        """Each start would have a new certificate and end all tokens."""
        self.folder.ensure([])
        before = read(self.folder.certificate_path), self.folder.token_secret()
        self.assertEqual(self.folder.ensure(["other"]), [])
        self.assertEqual((read(self.folder.certificate_path), self.folder.token_secret()), before)

    def test_only_what_is_missing(self) -> None:
        """A removed token secret would stop the start, or renew the certificate too."""
        self.folder.ensure([])
        os.unlink(self.folder.secret_path)
        (line,) = self.folder.ensure([])
        self.assertIn(self.folder.secret_path, line)

    def test_folder_of_a_checkout(self) -> None:
        """A folder that is there, with a README and the mode of a checkout, would be refused."""
        os.mkdir(self.folder.path, 0o755)
        write(os.path.join(self.folder.path, "README.md"), b"")
        self.assertEqual(len(self.folder.ensure([])), 3)

    def test_names(self) -> None:
        """Clients could not connect by the name or the address of the machine."""
        self.folder.ensure(["Chat.example", "10.0.0.1", "localhost", "", "no name", "主机"])
        certificate = x509.load_pem_x509_certificate(read(self.folder.certificate_path))
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        self.assertEqual(
            [str(name.value) for name in names],
            ["localhost", "chat.example", "10.0.0.1", "127.0.0.1", "::1"],
        )

    def test_half_a_pair(self) -> None:
        """A key that somebody forgot to copy would be replaced, and all clients would refuse it."""
        self.folder.ensure([])
        kept = read(self.folder.certificate_path)
        os.unlink(self.folder.key_path)
        self.refused(self.folder.key_path)
        self.assertFalse(os.path.exists(self.folder.key_path))
        self.assertEqual(read(self.folder.certificate_path), kept)

    def test_crash_leaves_no_half_file(self) -> None:
        """After a crash or on a full disk a cut file would stop every later start."""

        def full(descriptor: int) -> None:
            raise OSError(28, "No space left on device")

        patched = self.patch(os, "fsync", full)
        self.assertIn("No space left", self.refused(self.folder.key_path))
        self.assertFalse(os.path.lexists(self.folder.key_path))
        patched.restore()
        self.assertEqual(len(self.folder.ensure([])), 3)

    def test_readable_by_others(self) -> None:
        """A key that others may have copied would be used without a word."""
        self.folder.ensure([])
        for path in (self.folder.key_path, self.folder.secret_path):
            for mode in (0o640, 0o604):
                os.chmod(path, mode)
                self.assertIn(f"chmod 600 {path}", self.refused(path))
            os.chmod(path, 0o600)
        self.assertEqual(self.folder.ensure([]), [])

    def test_unusable_folder(self) -> None:
        """A wrong --keys would end in a traceback."""
        file = write(os.path.join(self.base, "file"), b"")
        for path in (file, os.path.join(file, "keys")):
            self.folder = KeyFolder(path)
            self.refused(path)

    def test_unwritable_folder(self) -> None:
        """A folder of another user would end in a traceback."""
        os.mkdir(self.folder.path)
        real = os.open

        def denied(path: str, flags: int, mode: int = 0o777) -> int:
            if flags & os.O_CREAT:
                raise PermissionError(13, "Permission denied")
            return real(path, flags, mode)

        self.patch(os, "open", denied)
        self.refused(self.folder.key_path)

    def test_broken_files(self) -> None:
        """A damaged file would end in a traceback, or be replaced without being asked."""
        self.folder.ensure([])
        for path in (
            self.folder.key_path,
            self.folder.certificate_path,
            self.folder.secret_path,
        ):
            good = read(path)
            for bad in (b"", b"\xff\x00", good[:20], good[: len(good) // 2]):
                write(path, bad)
                self.refused(path)
                self.assertEqual(read(path), bad)
            write(path, good)
        self.assertEqual(self.folder.ensure([]), [])

    def test_unreadable_files(self) -> None:
        """A folder in a file's place, or a link to nothing, would end in a traceback."""
        self.folder.ensure([])
        for path in (self.folder.certificate_path, self.folder.key_path, self.folder.secret_path):
            os.rename(path, path + ".kept")
            os.mkdir(path, 0o700)
            self.refused(path)
            os.rmdir(path)
            os.symlink("nowhere", path)
            self.refused(path)
            os.unlink(path)
            os.rename(path + ".kept", path)

    def test_secret(self) -> None:
        """Tokens could be signed with a secret that can be guessed."""
        self.folder.ensure([])
        self.assertEqual(len(self.folder.token_secret()), 32)
        other = KeyFolder(os.path.join(self.base, "other"))
        other.ensure([])
        self.assertNotEqual(other.token_secret(), self.folder.token_secret())
        write(self.folder.secret_path, b"00" * 31)
        self.refused(self.folder.secret_path, self.folder.token_secret)


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
        self.assertTrue(3640 < days_left(content, NOW.timestamp()) < 3660)
        start = x509.load_pem_x509_certificate(content).not_valid_before_utc
        self.assertLess(start, NOW - timedelta(minutes=50))

    def test_days_left(self) -> None:
        """The warning before a certificate ends would come too late."""
        later = NOW.timestamp() + 3600 * 24 * 4000
        self.assertTrue(-360 < days_left(read(self.path), later) < -340)

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
