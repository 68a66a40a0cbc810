"""What certificates say, and requests for them (PKCS #10)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from chatsvc.tls.host_names import general_name
from chatsvc.tls.key_files import BadKeys

_LONGEST_COMMON_NAME = 64
"""Characters (RFC 5280, appendix A.1)."""

_SECONDS_A_DAY = 86_400


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
        """Whole days until it expires, negative after that; ``now`` is in seconds since the epoch."""
        return math.floor(days_left(self.not_after.timestamp(), now))


def facts(pem: bytes) -> list[CertificateFacts]:
    """
    Read what the certificates in a file say, in their order.

    :raise ValueError: there are none.
    """
    return [facts_of(certificate) for certificate in x509.load_pem_x509_certificates(pem)]


def facts_of(certificate: x509.Certificate) -> CertificateFacts:
    """Read what one certificate says; names that cannot be read are left out."""
    names: list[str] = []
    with suppress(ValueError):
        names += alternative_names(certificate, x509.DNSName)
        names += alternative_names(certificate, x509.IPAddress)
    return CertificateFacts(
        certificate.subject.rfc4514_string(),
        certificate.issuer.rfc4514_string(),
        names,
        fingerprint(certificate.public_bytes(Encoding.PEM)),
        certificate.not_valid_before_utc,
        certificate.not_valid_after_utc,
    )


def alternative_names(
    certificate: x509.Certificate, kind: type[x509.GeneralName] = x509.GeneralName
) -> list[str]:
    """
    Read the subject alternative names (RFC 5280, section 4.2.1.6) of one kind, or of all, in their order.

    :raise ValueError: they cannot be read.
    """
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return [str(name.value) for name in found.value if isinstance(name, kind)]


def fingerprint(pem: bytes) -> str:
    """Compute SHA-256 of the first certificate, as ``SHA256:AB:CD:…`` (what ``openssl x509`` shows)."""
    digest = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256())
    return f"SHA256:{digest.hex(':').upper()}"


def expiry(pem: bytes) -> float:
    """Read when the first certificate expires, in seconds since the epoch."""
    return x509.load_pem_x509_certificate(pem).not_valid_after_utc.timestamp()


def days_left(expiry: float, now: float) -> float:
    """Count the days until ``expiry``, negative after it; both are in seconds since the epoch."""
    return (expiry - now) / _SECONDS_A_DAY


def request(key: PrivateKeyTypes, names: Sequence[str]) -> bytes:
    """
    Make a request for a certificate (RFC 2986) for these hosts or addresses, in PEM.

    :raise BadKeys: a name is neither a host's nor an address, or a key of this kind cannot sign a request.
    """
    alternatives = []
    for name in names:
        one = general_name(name)
        if one is None:
            raise BadKeys(f"{name!r} is no name of a host and no address")
        alternatives.append(one)
    if isinstance(key, ed25519.Ed25519PrivateKey | ed448.Ed448PrivateKey):
        algorithm = None
    elif isinstance(key, ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey):
        algorithm = hashes.SHA256()
    else:
        raise BadKeys("a key of this kind signs no requests: use an EC or RSA key")
    common = [
        name for one in alternatives[:1] if len(name := str(one.value)) <= _LONGEST_COMMON_NAME
    ]
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name) for name in common])
    builder = x509.CertificateSigningRequestBuilder(subject)
    builder = builder.add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
    return builder.sign(key, algorithm).public_bytes(Encoding.PEM)
