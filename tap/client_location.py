"""Where a client works: the options that all clients have, and what follows from them."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platformdirs import user_state_dir
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.ssl import Certificate

from chatsvc.client.state.outbox import Outbox, OutboxEntry
from chatsvc.client.state.saved_login import SavedAccount, SavedLogin
from chatsvc.client.transport.certificates import client_options, identity, load
from chatsvc.client.transport.known_servers import KnownServers, parse_fingerprint
from chatsvc.client.trust_policy import TrustPolicy
from chatsvc.tap.options import Option, choice
from chatsvc.transport.host_port import split_host_port
from chatsvc.wire.phrases import LANGUAGES

_DEFAULT_PORT = 10_000


@dataclass(frozen=True)
class Server:
    """Where the server is; as a text, ``HOST:PORT`` with an IPv6 address in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_server(text: str) -> Server:
    """
    Read ``HOST:PORT``, ``[::1]:PORT``, or either without the port.

    :raise ValueError: it is no place of a server; a few words for the user.
    """
    host, port = split_host_port(text, _DEFAULT_PORT)
    if not 0 < port < 65_536:
        raise ValueError("HOST:PORT is expected, an IPv6 address in brackets")
    try:
        identity(host)
    except ValueError:
        raise ValueError("this is no name and no address of a host") from None
    return Server(host, port)


def language(environment: Mapping[str, str]) -> str:
    """The language of a locale: Chinese, or English for all others that are set."""
    locale = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "C")
    word = re.split(r"[_.@-]", locale)[0]
    return "zh" if word in ("zh", "C", "POSIX") else "en"


PLACE = (
    Option(
        "connect",
        "",
        lambda text: parse_server(text) if text else None,
        "The server, HOST:PORT (default: the remembered one, else localhost:10000).",
    ),
    Option(
        "ca",
        "",
        lambda text: load(text) if text else None,
        "PEM file of the certificates to trust (default: the platform's; for localhost also"
        " keys/server.crt).",
    ),
    Option(
        "fingerprint",
        "",
        lambda text: parse_fingerprint(text) if text else "",
        "Trust the one certificate that has this fingerprint, SHA256:AB:CD:..., as the server logs it"
        " when it starts.",
    ),
    Option(
        "lang",
        "",
        lambda text: choice(*LANGUAGES)(text) if text else "",
        "Language: zh or en (default: the locale's).",
    ),
    Option(
        "state",
        "",
        lambda text: Path(text) if text else None,
        "Folder of what is not confirmed yet (default: the user's).",
    ),
)
"""The options."""


@dataclass(frozen=True)
class ClientLocation:
    """
    A server, a state folder, a language. ``account`` is the one that is remembered for this server; ``trusted``: the
    certificates, None for the default; ``fingerprint``: of the only one that will do, empty for any.
    """

    server: Server
    folder: Path
    lang: str
    trusted: list[Certificate] | None
    fingerprint: str
    account: SavedAccount | None

    def endpoint(self, reactor: Any) -> IStreamClientEndpoint:
        """The way to the server, over TLS."""
        from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS

        return wrapClientTLS(
            client_options(self.server.host, self.trusted),
            HostnameEndpoint(reactor, self.server.host, self.server.port),
        )

    def admission(self) -> TrustPolicy:
        """Whether the server is let in."""
        return TrustPolicy(
            str(self.server),
            KnownServers(self.folder / "known_servers"),
            strict=self.trusted is not None,
            pinned=self.fingerprint,
        )

    def open_outbox(
        self, uid: int, suits: Callable[[OutboxEntry], bool] = lambda entry: True
    ) -> Outbox:
        """The state of a uid; ``suits``: see :class:`~chatsvc.client.state.outbox.Outbox`."""
        return Outbox(self.folder, str(self.server), uid, suits)


def place(values: Mapping[str, Any], environment: Mapping[str, str]) -> ClientLocation:
    """What the values of the options mean."""
    folder: Path = values["state"] or Path(user_state_dir("chatsvc"))
    account = SavedLogin(folder).account()
    server: Server | None = values["connect"]
    if server is None and account is not None:
        with suppress(ValueError):
            server = parse_server(account.server)
    server = server or Server("localhost", _DEFAULT_PORT)
    return ClientLocation(
        server,
        folder,
        values["lang"] or language(environment),
        values["ca"],
        values["fingerprint"],
        account if account and account.server == str(server) else None,
    )
