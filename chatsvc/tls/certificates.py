"""Certificates as admins see them: what they say, whether they will do, and how to ask an authority for one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from chatsvc.check.finding import Finding, fail, ok, warn
from chatsvc.tls.key_folder import BadKeys, fingerprint, general_name

DAYS_TO_RENEW = 14
"""Fewer days than these are trouble: authorities that give certificates for 90 days renew them 30 before the end."""

_ABOUT = "certificate"
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
    return [_facts(certificate) for certificate in x509.load_pem_x509_certificates(pem)]


def judge(path: str, pem: bytes, now: float) -> list[Finding]:
    """Whether the certificates in a file will do; ``now`` is in seconds since the epoch."""
    chain = x509.load_pem_x509_certificates(pem)
    troubles = [finding for one in chain for finding in _judge_time(path, _facts(one), now)]
    troubles += _judge_order(path, chain)
    first = _facts(chain[0])
    if not first.names:
        troubles.append(
            fail(_ABOUT, f"{path} names no host: clients look for theirs among its names")
        )
    if troubles:
        return troubles
    names, days = ", ".join(first.names), first.days_left(now)
    return [ok(_ABOUT, f"{path} is for {names}; {days} days left; {first.fingerprint}")]


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


def _facts(certificate: x509.Certificate) -> CertificateFacts:
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


def _judge_time(path: str, found: CertificateFacts, now: float) -> list[Finding]:
    days, end = found.days_left(now), f"{found.not_after:%Y-%m-%d}"
    what = f"{path}: {found.subject or found.fingerprint}"
    if found.not_before.timestamp() > now:
        return [fail(_ABOUT, f"{what} is valid only from {found.not_before:%Y-%m-%d %H:%M} UTC")]
    if found.not_after.timestamp() < now:
        return [fail(_ABOUT, f"{what} has expired on {end}: put a new one here and send SIGHUP")]
    if days < DAYS_TO_RENEW:
        return [fail(_ABOUT, f"{what} ends on {end}, in {days} days: renew it and send SIGHUP")]
    return []


def _judge_order(path: str, chain: Sequence[x509.Certificate]) -> list[Finding]:
    """Each certificate must be followed by that of its issuer (RFC 8446, section 4.4.2)."""
    for one, following in pairwise(chain):
        if _issued(one, following):
            continue
        what = one.subject.rfc4514_string()
        if any(_issued(one, other) for other in chain if other is not one):
            return [
                warn(
                    _ABOUT, f"{path}: let {what} be followed by its issuer, which stands elsewhere"
                )
            ]
        return [fail(_ABOUT, f"{path}: what follows {what} is not its issuer; put that there")]
    return []


def _issued(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except Exception:  # of many kinds, for a name, a key or a signature that does not fit
        return False
    return True
