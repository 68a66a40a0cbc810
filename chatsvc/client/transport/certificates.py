"""The certificate that a server shows in the TLS handshake, and what is wrong with it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from OpenSSL.crypto import X509
from service_identity import CertificateError, VerificationError
from service_identity.cryptography import extract_patterns
from service_identity.hazmat import DNS_ID, IPAddress_ID, verify_service_identity
from twisted.internet.abstract import isIPAddress, isIPv6Address
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator
from twisted.internet.ssl import (
    Certificate,
    CertificateOptions,
    platformTrust,
    trustRootFromCertificates,
)
from zope.interface import implementer

from chatsvc.tls.certificates import alternative_names
from chatsvc.transport.twisted_internals import CombinedTrust
from chatsvc.wire.sanitize import sanitized

OWN_CERTIFICATE = Path("keys/server.crt")
"""Where a server that was started in the same folder keeps its certificate."""

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})

_MOST_SHOWN = 200
"""Characters shown of what a certificate says: a stranger wrote it."""


class BadCertificate(ValueError):
    """A file of certificates cannot be used; a few words."""


class Flaw(Enum):
    """Why a certificate proves nothing."""

    SELF_SIGNED = auto()
    UNKNOWN_ISSUER = auto()
    EXPIRED = auto()
    NOT_YET_VALID = auto()
    OTHER_NAME = auto()
    NOT_FOR_SERVERS = auto()
    WEAK = auto()
    INVALID = auto()


_FLAWS = {
    2: Flaw.UNKNOWN_ISSUER,
    9: Flaw.NOT_YET_VALID,
    10: Flaw.EXPIRED,
    18: Flaw.SELF_SIGNED,
    19: Flaw.UNKNOWN_ISSUER,  # a root that is sent along
    20: Flaw.UNKNOWN_ISSUER,
    21: Flaw.UNKNOWN_ISSUER,
    26: Flaw.NOT_FOR_SERVERS,
    66: Flaw.WEAK,
    67: Flaw.WEAK,
    68: Flaw.WEAK,
}
"""By ``X509_V_ERR_…`` of OpenSSL's ``x509_vfy.h``."""


@dataclass(frozen=True)
class Presented:
    """
    A server's certificate.

    ``fingerprint`` is ``SHA256:AB:CD:…``. ``names``, whom it says it is for, and ``issuer`` are made safe to show.
    Without a flaw, a trusted root vouches for it, and it is for the host that we want.
    """

    fingerprint: str
    names: str
    issuer: str
    flaws: tuple[Flaw, ...]


def load(path: str) -> list[Certificate]:
    """
    Load the certificates in a PEM file.

    :raise BadCertificate: it cannot be read, or has none
    """
    try:
        found = x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as problem:
        raise BadCertificate(problem.strerror or str(problem)) from None
    except ValueError:
        raise BadCertificate("there is no certificate in it") from None
    return [Certificate.loadPEM(one.public_bytes(Encoding.PEM)) for one in found]


def identity(host: str) -> DNS_ID | IPAddress_ID:
    """
    The name or address that the certificate of a host must have.

    :raise ValueError: it is neither a name nor an address
    """
    return IPAddress_ID(host) if isIPAddress(host) or isIPv6Address(host) else DNS_ID(host)


def client_options(host: str, trusted: list[Certificate] | None) -> IOpenSSLClientConnectionCreator:
    """
    Make the options for TLS connections to a host.

    The connections complete their handshake with anybody: :func:`presented` says what is wrong with the server's
    certificate, before anything is sent.

    Without a list of certificates the platform's roots are trusted, and for a server on this machine also
    ``keys/server.crt`` in the working directory: so a newcomer's client trusts the server that the newcomer has just
    started beside it.
    """
    return _Inspecting(identity(host), _roots(host, trusted))


def presented(connection: SSL.Connection) -> Presented:
    """The certificate that a server has shown in the handshake of a connection made with :func:`client_options`."""
    noted = _NOTED[connection]
    certificate = connection.get_peer_certificate()
    if certificate is None or not noted.verified:
        raise SSL.Error([("", "", "the server's certificate was not looked at")])
    flaws = [_FLAWS.get(error, Flaw.INVALID) for error in noted.errors]
    if not _is_for(certificate, noted.identity):
        flaws.append(Flaw.OTHER_NAME)
    fingerprint = f"SHA256:{certificate.digest('sha256').decode()}"
    return Presented(fingerprint, *_described(certificate), tuple(dict.fromkeys(flaws)))


class _Noted:
    """OpenSSL's verdicts on one connection's certificates; ``verified``: it has examined them at all."""

    def __init__(self, identity: DNS_ID | IPAddress_ID) -> None:
        self.identity = identity
        self.errors: list[int] = []
        self.verified = False

    def note(self, _: SSL.Connection, __: X509, error: int, depth: int, ok: int) -> bool:
        """Take a verdict: OpenSSL's callback for each certificate, the server's own last; the handshake goes on."""
        self.verified = self.verified or depth == 0
        if not ok:
            self.errors.append(error)
        return True


_NOTED: WeakKeyDictionary[SSL.Connection, _Noted] = WeakKeyDictionary()
"""The verdicts of each connection; its own ``app_data`` is Twisted's."""


@implementer(IOpenSSLClientConnectionCreator)
class _Inspecting:
    def __init__(self, identity: DNS_ID | IPAddress_ID, roots: Any) -> None:
        self._identity = identity
        self._context = CertificateOptions(trustRoot=roots).getContext()
        # Nor may another certificate be shown later, when it has been decided on this one.
        self._context.set_options(SSL.OP_NO_RENEGOTIATION)  # type: ignore[attr-defined]

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection, noted = SSL.Connection(self._context), _Noted(self._identity)
        _NOTED[connection] = noted
        connection.set_verify(SSL.VERIFY_PEER, noted.note)
        if isinstance(self._identity, DNS_ID):
            connection.set_tlsext_host_name(self._identity.hostname)
        return connection


def _is_for(certificate: X509, wanted: DNS_ID | IPAddress_ID) -> bool:
    """Whether it is for that host: not if it names nobody, or if its names cannot be read."""
    try:
        verify_service_identity(extract_patterns(certificate.to_cryptography()), [wanted], [])
    except (VerificationError, CertificateError, ValueError):
        return False
    return True


def _described(certificate: X509) -> tuple[str, str]:
    """Its names and its issuer, empty where they cannot be read."""
    try:
        known = certificate.to_cryptography()
        subject, issuer = known.subject.rfc4514_string(), known.issuer.rfc4514_string()
        names = [subject, *alternative_names(known)]
    except ValueError:
        return "", ""
    return _shown(names), _shown([issuer])


def _shown(texts: Iterable[str]) -> str:
    text = sanitized(" ".join(", ".join(filter(None, texts)).split()))  # all on one line
    return text if len(text) <= _MOST_SHOWN else f"{text[:_MOST_SHOWN]}…"


def _roots(host: str, trusted: list[Certificate] | None) -> Any:
    if trusted is not None:
        return trustRootFromCertificates(trusted)
    trust = platformTrust()
    if host in _LOCAL and OWN_CERTIFICATE.exists():
        with suppress(BadCertificate):  # then it is not trusted, and that will be said
            return CombinedTrust(trust, trustRootFromCertificates(load(str(OWN_CERTIFICATE))))
    return trust
