"""``twistd chatclient``: the client's options, and its service."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from io import TextIOWrapper
from typing import Any, TextIO

from twisted.application.service import IService
from twisted.logger import ILogObserver, LogEvent
from zope.interface import provider

from chatsvc.client.screen.screen import ScreenOptions
from chatsvc.client.screen.theme import wants_colour
from chatsvc.client.service import Client, ClientConfig
from chatsvc.client.state.saved_login import SavedLogin
from chatsvc.tap.client_location import LOCATION_OPTIONS, ClientLocation, client_location
from chatsvc.tap.exit import PromptEnd
from chatsvc.tap.options import Option, TableOptions, fail, yes_or_no
from chatsvc.transport.awake_clock import use_awake_clock


class ClientOptions(TableOptions):
    """The options of ``twistd chatclient``."""

    tapname = "chatclient"
    synopsis = "[options]"
    longdesc = (
        "A terminal client of the chat service. Every option can also come from the environment, as"
        " named in brackets."
    )
    table = (
        *LOCATION_OPTIONS,
        Option(
            "remember",
            "",
            yes_or_no,
            "Log in by itself the next time: keep the server, the uid and a token that is as good as"
            " the password for some days.",
            flag=True,
        ),
        Option("bell", "", yes_or_no, "Ring the bell when a message comes.", flag=True),
    )
    location: ClientLocation

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        super().__init__(environment)
        self._environment = environment

    def postOptions(self) -> None:
        super().postOptions()
        self.location = client_location(self.values_by_name, self._environment)
        parent = getattr(self, "parent", None)
        if parent is not None:
            _keep_to_the_screen(parent)
            if at_terminal():
                _install_asyncio_reactor()


Options = ClientOptions
"""The name that ``twistd`` looks for."""


def at_terminal() -> bool:
    """Say whether both standard input and output are a terminal."""
    return all(stream is not None and stream.isatty() for stream in (sys.__stdin__, sys.__stdout__))


def _keep_to_the_screen(parent: Any) -> None:
    """Have ``twistd`` write no pid file and no log, and make no daemon: a server may run from the same folder."""
    wanted = {"pidfile": "", "nodaemon": True, "logger": f"{__name__}.no_log", "no_save": True}
    for name, value in wanted.items():
        if name in parent:
            parent[name] = value


@provider(ILogObserver)
def _unseen(event: LogEvent) -> None:
    """Drop an event: the screen is the user's."""


def no_log() -> Any:
    """Give the observer that ``twistd`` is to log to."""
    return _unseen


def _install_asyncio_reactor() -> None:
    """Choose the reactor that prompt_toolkit needs. If there is another one already, the client shows plain lines."""
    if "twisted.internet.reactor" not in sys.modules:
        from twisted.internet import asyncioreactor

        asyncioreactor.install()


def makeService(options: ClientOptions) -> IService:
    """Make the client."""
    from twisted.internet import reactor
    from twisted.internet.asyncioreactor import AsyncioSelectorReactor

    use_awake_clock(reactor)

    prompt_end = PromptEnd(reactor)

    def finish(line: str | None, status: int) -> None:
        if line is None:
            prompt_end.end()
        else:
            prompt_end.end(f"chatclient: {line}" if line else None, status)

    values, location = options.values_by_name, options.location
    server, folder = str(location.server), location.folder
    setting = ClientConfig(
        endpoint=location.endpoint(reactor),
        server=server,
        trust_policy=location.trust_policy(),
        open_outbox=location.open_terminal,
        lang=location.lang,
        saved_login=SavedLogin(folder, values["remember"]),
        account=location.account,
        source=_stream(sys.__stdin__),
        output=_stream(sys.__stdout__),
        errors=_stream(sys.__stderr__),
        at_terminal=at_terminal(),
        asynchronous=isinstance(reactor, AsyncioSelectorReactor),
        screen=ScreenOptions(server, folder / "history", wants_colour(os.environ), values["bell"]),
    )
    return Client(reactor, setting, finish)


def _stream(stream: TextIO | None) -> TextIO:
    """Prepare a standard stream; ``twistd`` takes ``sys.stdout`` and ``sys.stderr`` for its log."""
    if stream is None:
        fail("chatclient: standard input, output and error are needed")
    if isinstance(stream, TextIOWrapper):
        stream.reconfigure(errors="replace")
    return stream
