"""The options of all clients: which server, how to trust it, which state folder, which language."""

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
from twisted.python import usage

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
    """The address of a server; as a text, ``HOST:PORT`` with an IPv6 address in brackets."""

    host: str
    port: int

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"


def parse_server(text: str) -> Server:
    """
    Read ``HOST:PORT``, ``[::1]:PORT``, or either without the port.

    :raise ValueError: it is nothing of these; a few words for the user.
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
    """Choose the language of the locale: Chinese, also where none is set; English for all others, ``C`` too."""
    locale = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "zh")
    return "zh" if re.split(r"[_.@-]", locale)[0] == "zh" else "en"


LOCATION_OPTIONS = (
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
        "Language: zh or en (default: zh in a Chinese locale, or where none is set; en in any other).",
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
    A server, a state folder and a language.

    ``account`` is the one that is remembered for this server. ``trusted`` are the certificates to trust, None: the
    default ones. ``fingerprint`` is that of the only certificate that will do, empty: any.
    """

    server: Server
    folder: Path
    lang: str
    trusted: list[Certificate] | None
    fingerprint: str
    account: SavedAccount | None

    def endpoint(self, reactor: Any) -> IStreamClientEndpoint:
        """Make the endpoint of the server, over TLS."""
        from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS

        return wrapClientTLS(
            client_options(self.server.host, self.trusted),
            HostnameEndpoint(reactor, self.server.host, self.server.port),
        )

    def trust_policy(self) -> TrustPolicy:
        """Make the policy that decides whether to trust the server."""
        return TrustPolicy(
            str(self.server),
            KnownServers(self.folder / "known_servers"),
            strict=self.trusted is not None,
            pinned=self.fingerprint,
        )

    def open_outbox(
        self, uid: int, suits: Callable[[OutboxEntry], bool] = lambda entry: True
    ) -> Outbox:
        """Open the outbox of a uid; ``suits``: see :class:`~chatsvc.client.state.outbox.Outbox`."""
        return Outbox(self.folder, str(self.server), uid, suits)

    def open_terminal(self, uid: int) -> Outbox:
        """Open the outbox of a uid for a terminal."""
        return Outbox(self.folder, str(self.server), uid, terminal=True)


def _users_folder() -> Path:
    try:
        return Path(user_state_dir("chatsvc"))
    except RuntimeError:  # no HOME, and no such user on this machine, as in a container
        raise usage.UsageError("there is no home folder: --state must name a folder") from None


def client_location(values: Mapping[str, Any], environment: Mapping[str, str]) -> ClientLocation:
    """
    Make the location that the values of ``LOCATION_OPTIONS`` describe.

    :raise usage.UsageError: there is no state folder.
    """
    folder: Path = values["state"] or _users_folder()
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
