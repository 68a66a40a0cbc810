"""Certificates and keys as authorities give them out."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

NOW = datetime.now(UTC)

PublicKey = ec.EllipticCurvePublicKey | rsa.RSAPublicKey
PrivateKey = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


def named(name: str) -> x509.Name:
    """The subject whose common name this is."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


LEAF = named("leaf")


class Authority:
    """A certificate authority: a root, or one whose certificate ``issuer`` signed."""

    def __init__(self, name: str, issuer: Authority | None = None) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.name = named(name)
        self.certificate = (issuer or self).sign(self.name, self.key.public_key(), True)

    def sign(
        self, subject: x509.Name, public: PublicKey, ca: bool, *hosts: str
    ) -> x509.Certificate:
        """A certificate for 30 days, for ``localhost`` if there are no ``hosts``."""
        builder = x509.CertificateBuilder(self.name, subject, public, x509.random_serial_number())
        builder = builder.not_valid_before(NOW - timedelta(days=1))
        builder = builder.not_valid_after(NOW + timedelta(days=30))
        names = [x509.DNSName(host) for host in hosts or ("localhost",)]
        issuer = x509.AuthorityKeyIdentifier.from_issuer_public_key(self.key.public_key())
        for critical, extension in (
            (True, x509.BasicConstraints(ca, None)),
            (True, _usage(ca)),
            (False, x509.SubjectKeyIdentifier.from_public_key(public)),
            (False, issuer),
            (False, x509.SubjectAlternativeName(names)),
        ):
            builder = builder.add_extension(extension, critical)
        return builder.sign(self.key, hashes.SHA256())


def pem(*certificates: x509.Certificate) -> bytes:
    """Certificates one after another, as in a file."""
    return b"".join(certificate.public_bytes(Encoding.PEM) for certificate in certificates)


def key_pem(key: PrivateKey, password: bytes = b"") -> bytes:
    """A private key, as in a file."""
    encryption = BestAvailableEncryption(password) if password else NoEncryption()
    return key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)


def _usage(ca: bool) -> x509.KeyUsage:
    """An authority's key signs certificates, any other handshakes."""
    return x509.KeyUsage(
        digital_signature=not ca,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=ca,
        crl_sign=ca,
        encipher_only=False,
        decipher_only=False,
    )
