"""Keys and certificates: made when they are missing, checked when they are there, read anew."""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shlex
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from ipaddress import ip_address

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.logger import Logger
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from chatsvc.tls.half_close import half_closable

LIFETIME = timedelta(days=3650)
"""Of a certificate that we make: clients trust that very file, so its end would cut all off."""

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secret and authenticated, as RFC 9325 (section 4.2) recommends."""

SECRET_BYTES = 32

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")


class BadKeys(Exception):
    """A key, a certificate or their folder is of no use: one line for the admin, naming its path."""


class KeyFolder:
    """
    The folder of the server's private key, its certificate and the secret that signs tokens.

    ``now`` says seconds since the epoch.
    """

    def __init__(self, path: str, now: Callable[[], float] = time.time) -> None:
        self.path = path
        self.key_path = os.path.join(path, "server.key")
        self.certificate_path = os.path.join(path, "server.crt")
        self.secret_path = os.path.join(path, "token.secret")
        self._now = now

    def ensure(self, host_names: Sequence[str]) -> list[str]:
        """
        Make what is missing, for ``localhost`` and these names or addresses, and check the rest.

        Servers that start at once do not get in each other's way.

        :return: one line for each thing made.
        :raise BadKeys: something cannot be made or used.
        """
        made = self._ensure_folder()
        with _locked(self.path) as folder:
            made += self._ensure_certificate(host_names) + self._ensure_secret()
            if made:
                os.fsync(folder)  # or a crash may forget the new names
        self.context()
        self.token_secret()
        return made

    def ensure_for_this_host(self, log: Logger) -> None:
        """As ``ensure``, for this machine's name; what was made is said in the log."""
        for line in self.ensure([socket.gethostname()]):
            log.info("{line}", event="keys-made", line=line[0].upper() + line[1:])

    def private_key(self) -> PrivateKeyTypes:
        """
        The private key.

        :raise BadKeys: it cannot be used, or others can read it.
        """
        _check_private(self.key_path)
        return _private_key(self.key_path)

    def context(self) -> ServerContext:
        """
        What to make connections from.

        :raise BadKeys: the key or the certificate cannot be used, or others can read the key.
        """
        return ServerContext(self.key_path, self.certificate_path, private=True)

    def token_secret(self) -> bytes:
        """
        The 32 random bytes, or more, that sign tokens.

        :raise BadKeys: the file cannot be read, is open to others or holds something else.
        """
        _check_private(self.secret_path)
        try:
            secret = bytes.fromhex(_read(self.secret_path).decode("ascii"))
        except ValueError:
            secret = b""
        if len(secret) < SECRET_BYTES:
            raise BadKeys(f"{self.secret_path} does not hold {SECRET_BYTES} bytes in hex")
        return secret

    def _ensure_folder(self) -> list[str]:
        if os.path.isdir(self.path):
            return []
        try:
            os.makedirs(self.path, 0o700, exist_ok=True)
        except OSError as problem:
            raise BadKeys(f"{self.path} cannot be made: {problem.strerror}") from None
        return [f"made the folder {self.path} for keys"]

    def _ensure_certificate(self, host_names: Sequence[str]) -> list[str]:
        paths = (self.key_path, self.certificate_path)
        missing = [path for path in paths if not os.path.lexists(path)]
        if not missing:
            return []
        if len(missing) == 1:
            (other,) = set(paths) - set(missing)
            raise BadKeys(
                f"{missing[0]} is missing: put it back, or remove {other} to have both made anew"
            )
        names = _subject_names(host_names)
        key = _new_key()
        certificate = _self_signed(key, names, datetime.fromtimestamp(self._now(), UTC))
        _write(self.key_path, _key_pem(key), 0o600)
        _write(self.certificate_path, certificate, 0o644)
        shown = ", ".join(str(name.value) for name in names)
        return [
            f"made the private key {self.key_path}",
            f"made the certificate {self.certificate_path} for {shown}: {fingerprint(certificate)}",
        ]

    def _ensure_secret(self) -> list[str]:
        if os.path.lexists(self.secret_path):
            return []
        _write(self.secret_path, secrets.token_hex(SECRET_BYTES).encode() + b"\n", 0o600)
        return [f"made the token secret {self.secret_path}"]


@implementer(IOpenSSLServerConnectionCreator)
class ServerContext:
    """
    What TLS servers make their connections from: TLS 1.2 or later, certificates read from files.

    ``certificate_path`` begins with the server's certificate; what follows it there and in
    ``chain_path`` is sent along.

    ``private``: a key that others can read is refused; without it that is the admin's affair.

    :raise BadKeys: the files cannot be read or do not fit each other.
    """

    def __init__(
        self,
        key_path: str,
        certificate_path: str,
        chain_path: str | None = None,
        private: bool = False,
    ) -> None:
        self._key_path = key_path
        self._private = private
        self._certificate_path = certificate_path
        self._chain_path = chain_path
        self.reload()

    def reload(self) -> None:
        """
        Read the files again, for connections from now on.

        :raise BadKeys: they cannot be used; all stays as it was.
        """
        pem = _read(self._certificate_path)
        chain = _certificates(self._certificate_path, pem)
        if self._chain_path is not None:
            chain += _certificates(self._chain_path, _read(self._chain_path))
        if self._private:
            _check_private(self._key_path)
        key = _private_key(self._key_path)
        try:
            if key.public_key() != chain[0].public_key():
                raise BadKeys(f"{self._key_path} is not the key of {self._certificate_path}")
            make = partial(_modern_context, key, chain)
            context = make()
        except (SSL.Error, TypeError, ValueError, UnsupportedAlgorithm):
            raise BadKeys(f"{self._certificate_path} is too weak or unfit for TLS") from None
        self._make, self.context, self._chain, self._pem = make, context, chain, pem

    def renew(self) -> None:
        """
        Go on with a new secret for tickets, from the files as they were last read.

        Who learns the secret can read what was said in sessions of TLS 1.2 under it (RFC 9325, section 3.4).
        """
        self.context = self._make()

    @property
    def certificates(self) -> Sequence[bytes]:
        """The certificate file as it is in use, the only one."""
        return [self._pem]

    @property
    def host_names(self) -> list[str]:
        """The names that the certificate is for, in lower case; ``*.example`` for all of a domain."""
        try:
            found = self._chain[0].extensions.get_extension_for_class(x509.SubjectAlternativeName)
        except (x509.ExtensionNotFound, ValueError):
            return []
        return [name.lower() for name in found.value.get_values_for_type(x509.DNSName)]

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """A new connection for Twisted's TLS, on the files as they were last read."""
        return half_closable(self.context, tlsProtocol)


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the first certificate, as ``SHA256:AB:CD:…`` (what ``openssl x509`` shows)."""
    digest = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
    return f"SHA256:{digest.hex(':').upper()}"


def days_left(pem: bytes, now: float) -> float:
    """Days until the first certificate ends; ``now`` is in seconds since the epoch."""
    return (expiry(pem) - now) / 86400


def expiry(pem: bytes) -> float:
    """When the first certificate ends, in seconds since the epoch."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def _modern_context(key: PrivateKeyTypes, chain: Sequence[x509.Certificate]) -> SSL.Context:
    """
    A context that says its certificate and the rest of its chain.

    :raise SSL.Error, TypeError: OpenSSL does not take the key or a certificate.
    """
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.set_cipher_list(CIPHERS)
    # The published stubs of pyOpenSSL are older than its own annotations.
    context.set_options(SSL.OP_NO_COMPRESSION | SSL.OP_NO_RENEGOTIATION)  # type: ignore[attr-defined]
    # Idle connections give their two buffers of 16 KiB back; sessions live in the clients' tickets.
    context.set_mode(SSL.MODE_RELEASE_BUFFERS)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    context.use_certificate(chain[0])  # type: ignore[arg-type]
    for certificate in chain[1:]:
        context.add_extra_chain_cert(certificate)  # type: ignore[arg-type]
    context.use_privatekey(key)  # type: ignore[arg-type]
    context.check_privatekey()
    return context


def _private_key(path: str) -> PrivateKeyTypes:
    try:
        return load_pem_private_key(_read(path), None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise BadKeys(f"{path} holds no private key in PEM form, without a password") from None


def _certificates(path: str, pem: bytes) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise BadKeys(f"{path} holds no certificate in PEM form") from None


def _subject_names(host_names: Sequence[str]) -> list[x509.GeneralName]:
    """The names of a certificate, each once; a name that no certificate can say is left out."""
    names = map(general_name, ("localhost", *host_names, "127.0.0.1", "::1"))
    return list(dict.fromkeys(name for name in names if name is not None))


def general_name(name: str) -> x509.GeneralName | None:
    """A host's name, or an address, as certificates say it; None: none can."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower()) if _HOST_NAME.fullmatch(name) else None


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())


def _self_signed(
    key: ec.EllipticCurvePrivateKey, names: Sequence[x509.GeneralName], now: datetime
) -> bytes:
    """A certificate that can serve as its own trust anchor (RFC 5280), in PEM."""
    public = key.public_key()
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(subject)
        .public_key(public)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))  # a client's clock may be behind
        .not_valid_after(now + LIFETIME)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(public), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate.public_bytes(Encoding.PEM)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError as problem:
        raise BadKeys(f"{path} cannot be read: {problem.strerror}") from None


def _check_private(path: str) -> None:
    line = open_to_others(path)
    if line:
        raise BadKeys(line)


def open_to_others(path: str) -> str:
    """
    What is wrong with a private file that others can use, and how to mend it; empty: nothing.

    A file of root's may be readable for a group, as Debian's ``ssl-cert`` and PostgreSQL have it.

    :raise BadKeys: it is not there.
    """
    try:
        status = os.stat(path)
    except OSError as problem:
        raise BadKeys(f"{path} cannot be read: {problem.strerror}") from None
    group_may_read = status.st_uid == 0 != os.geteuid()
    if not status.st_mode & (0o037 if group_may_read else 0o077):
        return ""
    mode = 640 if group_may_read else 600
    return f"{path} is open to others than its owner: chmod {mode} {shlex.quote(path)}"


def _write(path: str, content: bytes, mode: int) -> None:
    """Make a file that is there whole or not at all, and never with another mode."""
    folder, name = os.path.split(path)
    new = os.path.join(folder, f".{name}.new")
    try:
        with suppress(FileNotFoundError):
            os.unlink(new)  # left by a crash
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.rename(new, path)
    except OSError as problem:
        raise BadKeys(f"{path} cannot be written: {problem.strerror}") from None


@contextmanager
def _locked(folder: str) -> Iterator[int]:
    """Hold the folder, as this descriptor, for this process alone."""
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield descriptor
        finally:
            os.close(descriptor)
    except OSError as problem:
        raise BadKeys(f"{folder} cannot be used: {problem.strerror}") from None
