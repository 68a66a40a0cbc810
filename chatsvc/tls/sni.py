"""Server Name Indication: a certificate for each name that a server has, from a folder of files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator
from twisted.protocols.tls import TLSMemoryBIOProtocol
from zope.interface import implementer

from chatsvc.tls.context import ServerContext
from chatsvc.tls.key_files import BadKeys


@implementer(IOpenSSLServerConnectionCreator)
class SNIContexts:
    """
    Makes the TLS connections of a server that has many names, from the ``*.pem`` files of a folder.

    Each file holds a key, its certificate and the rest of the chain, and serves the names in the certificate. A client
    that asks for no name, or for one that no certificate has, gets the first file's, in the order of their names.

    :raise BadKeys: there is no file, or one cannot be used.
    """

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self.reload()

    def reload(self) -> None:
        """
        Look into the folder again, for connections from now on.

        :raise BadKeys: there is no file, or one cannot be used; all stays as it was.
        """
        contexts = [ServerContext(path, path) for path in self.key_paths()]
        if not contexts:
            raise BadKeys(f"there is no file *.pem in {self._folder}")
        self._contexts = contexts
        self._by_name = {
            name: context for context in reversed(contexts) for name in context.host_names
        }
        self._answer_names()

    def renew(self) -> None:
        """Go on with new secrets for tickets, as :meth:`ServerContext.renew` does."""
        for context in self._contexts:
            context.renew()
        self._answer_names()

    def key_paths(self) -> list[str]:
        """List the files that are there now; each holds a private key."""
        return sorted(str(path) for path in Path(self._folder).glob("*.pem") if path.is_file())

    @property
    def certificates(self) -> Sequence[bytes]:
        """The certificate files as they are in use."""
        return [pem for context in self._contexts for pem in context.certificates]

    def serverConnectionForTLS(self, tlsProtocol: TLSMemoryBIOProtocol) -> SSL.Connection:
        """Make a connection for Twisted's TLS; its certificate changes when the client has asked for a name."""
        return self._contexts[0].serverConnectionForTLS(tlsProtocol)

    def _answer_names(self) -> None:
        try:
            self._contexts[0].context.set_tlsext_servername_callback(self._choose)
        except MemoryError:  # cffi makes the code for it at run time
            raise BadKeys(
                f"certificates of {self._folder} cannot be chosen by name where memory must not be"
                " both written and executed (systemd: MemoryDenyWriteExecute=yes)"
            ) from None

    def _choose(self, connection: SSL.Connection) -> None:
        # A stranger sends any name: it is looked up in memory, and nothing else.
        name = (connection.get_servername() or b"").decode("ascii", "replace").lower()
        wildcard = f"*.{name.partition('.')[2]}"
        chosen = self._by_name.get(name) or self._by_name.get(wildcard)
        if chosen is not None:
            connection.set_context(chosen.context)
