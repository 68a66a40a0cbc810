"""``twistd chatclient``: the client's options, and the service that they ask for."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import Any, TextIO

from platformdirs import user_state_dir
from twisted.application.service import IService
from twisted.logger import ILogObserver, LogEvent
from zope.interface import provider

from chatsvc.client.ink import wants_colour
from chatsvc.client.outbox import Outbox
from chatsvc.client.screen import Look
from chatsvc.client.service import Client, Setting
from chatsvc.client.trust import client_options, load
from chatsvc.tap.ending import end, end_badly
from chatsvc.tap.options import Option, choice, fail, yes_or_no
from chatsvc.tap.options import Options as TableOptions
from chatsvc.wire.phrases import LANGUAGES

_SERVER = re.compile(r"(?:\[([^\]]+)\]|([^:\[\]]+))(?::([0-9]{1,5}))?", re.ASCII)
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
    """``HOST:PORT``, ``[::1]:PORT``, or either without the port."""
    found = _SERVER.fullmatch(text)
    port = int(found[3] or _DEFAULT_PORT) if found else 0
    if found is None or not 0 < port < 65_536:
        raise ValueError("HOST:PORT is expected, an IPv6 address in brackets")
    return Server(found[1] or found[2], port)


def language(environment: Mapping[str, str]) -> str:
    """The language of a locale: Chinese, or English for all others that are set."""
    locale = next(filter(None, map(environment.get, ("LC_ALL", "LC_MESSAGES", "LANG"))), "C")
    word = re.split(r"[_.@-]", locale)[0]
    return "zh" if word in ("zh", "C", "POSIX") else "en"


class Options(TableOptions):
    """The options of ``twistd chatclient``."""

    tapname = "chatclient"
    synopsis = "[options]"
    longdesc = (
        "A terminal client of the chat service. Every option can also come from the environment, as"
        " named in brackets."
    )
    table = (
        Option("connect", "localhost:10000", parse_server, "The server, HOST:PORT."),
        Option(
            "ca",
            "",
            lambda text: load(text) if text else None,
            "PEM file of the certificates to trust (default: the platform's; for localhost also"
            " keys/server.crt).",
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
        Option("bell", "", yes_or_no, "Ring the bell when a message comes.", flag=True),
    )

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        super().__init__(environment)
        self.lang = language(environment)

    def postOptions(self) -> None:
        super().postOptions()
        self.lang = self.values_by_name["lang"] or self.lang
        parent = getattr(self, "parent", None)
        if parent is not None:
            _keep_to_the_screen(parent)
            if at_terminal():
                _install_asyncio_reactor()


def at_terminal() -> bool:
    """Whether somebody sits at a terminal, rather than a pipe being at an end of us."""
    return all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stdout__))


def _keep_to_the_screen(parent: Any) -> None:
    """No pid file, no log, no daemon: a server may run from the same folder."""
    wanted = {"pidfile": "", "nodaemon": True, "logger": f"{__name__}.no_log", "no_save": True}
    for name, value in wanted.items():
        if name in parent:
            parent[name] = value


@provider(ILogObserver)
def _unseen(event: LogEvent) -> None:
    """The screen is the user's."""


def no_log() -> Any:
    """The observer that twistd is told to log to."""
    return _unseen


def _install_asyncio_reactor() -> None:
    """prompt_toolkit needs asyncio; whoever chose another reactor gets plain lines."""
    if "twisted.internet.reactor" not in sys.modules:
        from twisted.internet import asyncioreactor

        asyncioreactor.install()


def makeService(options: Options) -> IService:
    """The client, ready to start."""
    from twisted.internet import reactor
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor
    from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS

    def finish(line: str | None, status: int) -> None:
        if line is None:
            end(reactor)
        else:
            end_badly(reactor, f"chatclient: {line}" if line else None, status)

    values = options.values_by_name
    server: Server = values["connect"]
    folder = values["state"] or Path(user_state_dir("chatsvc"))
    setting = Setting(
        endpoint=wrapClientTLS(
            client_options(server.host, values["ca"]),
            HostnameEndpoint(reactor, server.host, server.port),
        ),
        server=str(server),
        open_outbox=partial(Outbox, folder, str(server)),
        lang=options.lang,
        source=_stream(sys.__stdin__),
        output=_stream(sys.__stdout__),
        errors=_stream(sys.__stderr__),
        at_terminal=at_terminal(),
        asynchronous=isinstance(reactor, AsyncioSelectorReactor),
        look=Look(str(server), folder / "history", wants_colour(os.environ), values["bell"]),
    )
    return Client(reactor, setting, finish)


def _stream(stream: TextIO | None) -> TextIO:
    """One of ours, past twistd, which takes ``sys.stdout`` and ``sys.stderr`` for its log."""
    if stream is None:
        fail("chatclient: standard input, output and error are needed")
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")
    return stream
