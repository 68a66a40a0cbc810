"""Certificates as admins see them: what they say, whether they will do, and how to ask an authority for one."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import ip_address

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from chatsvc.tls.key_files import BadKeys

_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
_LONGEST_COMMON_NAME = 64  # RFC 5280, appendix A.1


@dataclass(frozen=True)
class CertificateFacts:
    """What a certificate says. ``names`` are the hosts and addresses that it is for."""

    subject: str
    issuer: str
    names: Sequence[str]
    fingerprint: str
    not_before: datetime
    not_after: datetime

    def days_left(self, now: float) -> int:
        """Whole days until it ends, negative after that; ``now`` is in seconds since the epoch."""
        return (self.not_after - datetime.fromtimestamp(now, UTC)).days


def facts(pem: bytes) -> list[CertificateFacts]:
    """
    What the certificates in a file say, in their order.

    :raise ValueError: there are none.
    """
    return [facts_of(certificate) for certificate in x509.load_pem_x509_certificates(pem)]


def request(key: PrivateKeyTypes, names: Sequence[str]) -> bytes:
    """
    A request for a certificate (PKCS #10, RFC 2986) for these hosts or addresses, in PEM.

    :raise BadKeys: a name is none, or the key is of a kind that signs no requests.
    """
    said = []
    for name in names:
        one = general_name(name)
        if one is None:
            raise BadKeys(f"{name!r} is no name of a host and no address")
        said.append(one)
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        algorithm = None
    elif isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        algorithm = hashes.SHA256()
    else:
        raise BadKeys("a key of this kind signs no requests: use an EC or RSA key")
    common = [name for name in names[:1] if len(name) <= _LONGEST_COMMON_NAME]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common])
    builder = x509.CertificateSigningRequestBuilder(subject)
    builder = builder.add_extension(x509.SubjectAlternativeName(said), critical=False)
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)


def fingerprint(pem: bytes) -> str:
    """SHA-256 of the first certificate, as ``SHA256:AB:CD:…`` (what ``openssl x509`` shows)."""
    digest = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
    return f"SHA256:{digest.hex(':').upper()}"


def expiry(pem: bytes) -> float:
    """When the first certificate ends, in seconds since the epoch."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def general_name(name: str) -> x509.GeneralName | None:
    """A host's name, or an address, as certificates say it; None: none can."""
    try:
        return x509.IPAddress(ip_address(name))
    except ValueError:
        return x509.DNSName(name.lower()) if _HOST_NAME.fullmatch(name) else None


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    return CertificateFacts(
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        _names(certificate),
        fingerprint(certificate.public_bytes(Encoding.PEM)),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except (x509.ExtensionNotFound, ValueError):
        return []
    addresses = found.value.get_values_for_type(x509.IPAddress)
    return [*found.value.get_values_for_type(x509.DNSName), *map(str, addresses)]
