"""TLS connections of servers: protocol versions, ciphers, certificates and tickets."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from functools import partial

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes
from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from chatsvc.tls.certificates import alternative_names
from chatsvc.tls.half_close import half_closable
from chatsvc.tls.key_files import BadKeys, certificates, private_key, read, require_private

CIPHERS = b"ECDHE+AESGCM:ECDHE+CHACHA20"
"""For TLS 1.2: forward secret and authenticated, as RFC 9325 (section 4.2) recommends."""


@implementer(IOpenSSLServerConnectionCreator)
class ServerContext:
    """
    Makes the TLS connections of a server: TLS 1.2 or later, with a certificate read from files.

    ``certificate_path`` begins with the server's certificate; what follows it there and in
    ``chain_path`` is sent along. ``private``: refuse a key that others can read; without it that
    is the admin's affair.

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
        pem = read(self._certificate_path)
        chain = certificates(self._certificate_path, pem)
        if self._chain_path is not None:
            chain += certificates(self._chain_path, read(self._chain_path))
        if self._private:
            require_private(self._key_path)
        key = private_key(self._key_path)
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

        Somebody who learns the secret can read all sessions of TLS 1.2 under it (RFC 9325, section 3.4).
        """
        self.context = self._make()

    @property
    def certificates(self) -> Sequence[bytes]:
        """The certificate file as it is in use, the only one."""
        return [self._pem]

    @property
    def host_names(self) -> list[str]:
        """The names that the certificate is for, in lower case; ``*.example`` for all of a domain."""
        with suppress(ValueError):
            return [name.lower() for name in alternative_names(self._chain[0], x509.DNSName)]
        return []

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Make a connection for Twisted's TLS, from the files as they were last read."""
        return half_closable(self.context, tlsProtocol)


def _modern_context(key: PrivateKeyTypes, chain: Sequence[x509.Certificate]) -> SSL.Context:
    """
    Make a context that sends its certificate and the rest of its chain.

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
