"""Whom the client trusts: certificates and names."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from OpenSSL import SSL
from service_identity import VerificationError
from twisted.internet._sslverify import IOpenSSLTrustRoot
from twisted.internet.ssl import (
    Certificate,
    optionsForClientTLS,
    platformTrust,
    trustRootFromCertificates,
)
from twisted.python.failure import Failure
from zope.interface import implementer

OWN_CERTIFICATE = Path("keys/server.crt")
"""Where a server that was started in the same folder keeps its certificate."""

_LOCAL = frozenset({"localhost", "127.0.0.1", "::1"})


class BadCertificate(ValueError):
    """A file of certificates cannot be used; a few words."""


def load(path: str) -> list[Certificate]:
    """
    The certificates in a PEM file.

    :raise BadCertificate: it cannot be read, or has none.
    """
    try:
        found = x509.load_pem_x509_certificates(Path(path).read_bytes())
    except OSError as problem:
        raise BadCertificate(problem.strerror or str(problem)) from None
    except ValueError:
        raise BadCertificate("there is no certificate in it") from None
    return [Certificate.loadPEM(one.public_bytes(Encoding.PEM)) for one in found]


def client_options(host: str, trusted: list[Certificate] | None) -> Any:
    """
    TLS options that check the server's certificate and its name.

    Without a list of certificates the platform's roots are trusted, and for a server on this machine also
    ``keys/server.crt`` in the working directory: so a newcomer's client trusts the server that the newcomer has just
    started beside it.
    """
    if trusted is not None:
        return optionsForClientTLS(host, trustRoot=trustRootFromCertificates(trusted))
    trust = platformTrust()
    if host in _LOCAL and OWN_CERTIFICATE.exists():
        with suppress(BadCertificate):  # then it is not trusted, and that will be said
            trust = _Both(trust, trustRootFromCertificates(load(str(OWN_CERTIFICATE))))
    return optionsForClientTLS(host, trustRoot=trust)


def distrust(reason: Failure) -> str | None:
    """Why the server is not trusted, where a connection ended for that; else None."""
    if reason.check(VerificationError):
        return "the certificate is for another name"
    if reason.check(SSL.Error) and reason.value is not None and reason.value.args:
        errors = reason.value.args[0]
        if isinstance(errors, list):
            texts = [error[-1] for error in errors if error and error[-1]]
            return ", ".join(dict.fromkeys(texts)) or "the TLS handshake failed"
    return None


@implementer(IOpenSSLTrustRoot)
class _Both:
    """Twisted has no public way to trust the platform's roots and one more."""

    def __init__(self, *roots: Any) -> None:
        self._roots = roots

    def _addCACertsToContext(self, context: SSL.Context) -> None:
        for root in self._roots:
            root._addCACertsToContext(context)
