"""TLS joined in memory, without sockets."""

from __future__ import annotations

import contextlib
import ssl
from collections.abc import Callable

from OpenSSL import SSL
from twisted.internet.interfaces import IOpenSSLServerConnectionCreator


def join(server: SSL.Connection, client: ssl.SSLObject, bios: tuple[ssl.MemoryBIO, ...]) -> None:
    """Carry bytes both ways until both sides have shaken hands and nothing is left to carry."""
    to_client, to_server = bios
    server.set_accept_state()

    def try_to(step: Callable[[], object]) -> None:
        with contextlib.suppress(SSL.WantReadError, ssl.SSLWantReadError):
            step()

    def carry() -> None:
        if to_server.pending:
            server.bio_write(to_server.read())
        try_to(server.do_handshake)
        try_to(lambda: to_client.write(server.bio_read(65536)))

    for _ in range(5):
        try_to(client.do_handshake)
        carry()
    server.send(b"hello")
    carry()
    assert client.read(100) == b"hello"
    client.write(b"thanks")
    carry()
    assert server.recv(100) == b"thanks"


def shake_hands(
    context: IOpenSSLServerConnectionCreator,
    trusted: str,
    host: str = "localhost",
    adjust: Callable[[ssl.SSLContext], object] = lambda client: None,
) -> tuple[SSL.Connection, ssl.SSLObject]:
    """Both ends of a connection whose client trusts what is in one file."""
    trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    trust.load_verify_locations(trusted)
    adjust(trust)
    bios = (ssl.MemoryBIO(), ssl.MemoryBIO())
    client = trust.wrap_bio(*bios, server_hostname=host)
    server = context.serverConnectionForTLS(None)  # type: ignore[arg-type]
    join(server, client, bios)
    return server, client
