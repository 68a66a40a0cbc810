"""The client as a service: puts a front end, a conversation and its connection together, and ends them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

from prompt_toolkit.utils import is_dumb_terminal
from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint

from chatsvc.client.connector import Connector
from chatsvc.client.conversation.account import LoginIntent
from chatsvc.client.conversation.commands import CommandRunner
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.plain.pipe import Pipe
from chatsvc.client.plain.plain import PlainTerminal
from chatsvc.client.screen.screen import Screen, ScreenOptions
from chatsvc.client.state.outbox import Outbox
from chatsvc.client.state.saved_login import SavedAccount, SavedLogin
from chatsvc.client.transport.retry import Patience
from chatsvc.client.trust_policy import TrustPolicy

PIPE_PATIENCE = Patience(first=0.0, later=30.0)
"""In a pipe: a script should not hang where a person would wait."""

INTERRUPTED = 130
"""Exit status after Ctrl-C, as a shell has it."""

LOGOUT_PATIENCE = 3.0
"""Seconds that the goodbye may take."""


@dataclass(frozen=True)
class ClientConfig:
    """
    What one client works with.

    :param server: the name of the server that ``endpoint`` leads to, ``HOST:PORT``
    :param open_outbox: opens the state of a uid
    :param lang: ``zh`` or ``en``
    :param saved_login: kept up to date with every log-in
    :param account: logs in by itself at a terminal
    :param asynchronous: the reactor is asyncio's, which the line editor needs
    """

    endpoint: IStreamClientEndpoint
    server: str
    trust_policy: TrustPolicy
    open_outbox: Callable[[int], Outbox]
    lang: str
    saved_login: SavedLogin
    account: SavedAccount | None
    source: TextIO
    output: TextIO
    errors: TextIO
    at_terminal: bool
    asynchronous: bool
    screen: ScreenOptions


class Client(Service):
    """
    A client: its front end, its conversation and its connection.

    :param finish: ends the process: well, if it is given None; else badly, with a line that may be empty and a status
    """

    def __init__(
        self, reactor: Any, config: ClientConfig, finish: Callable[[str | None, int], None]
    ) -> None:
        self._reactor = reactor
        self._server = config.server
        self._at_terminal = config.at_terminal
        self._finish = finish
        self._finishing = False
        self._warned = False
        self._front = self._front_end(config)
        presenter = Presenter(self._front, config.lang)
        self._conversation = Conversation(
            reactor,
            config.open_outbox,
            presenter,
            LoginIntent(devices=True),
            saved_login=config.saved_login,
            server=config.server,
        )
        if config.account is not None and config.at_terminal:  # a pipe's first line logs in
            self._conversation.use_saved_login(config.account)
        self._front.conversation = self._conversation
        self._front.commands = CommandRunner(self._conversation, presenter)
        patience = Patience() if config.at_terminal else PIPE_PATIENCE
        self._connector = Connector(
            reactor,
            config.endpoint,
            config.server,
            config.trust_policy,
            self._conversation,
            self,
            patience,
        )

    def startService(self) -> None:
        super().startService()
        self._front.startService()
        self._connector.startService()

    def stopService(self) -> Deferred[None]:
        super().stopService()
        self._finishing = True
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        await self._connector.stopService()
        await self._conversation.close()
        front = self._front.stopService()
        if front is not None:
            await front

    def _front_end(self, config: ClientConfig) -> Pipe | PlainTerminal | Screen:
        streams = config.source, config.output, config.errors
        if not config.at_terminal:
            return Pipe(self._reactor, *streams, self)
        if is_dumb_terminal() or not config.asynchronous:
            return PlainTerminal(self._reactor, *streams, self)
        return Screen(self._reactor, config.source, config.output, self, config.screen)

    # What becomes of the connection

    def found(self) -> None:
        self._warned = False
        self._front.changed()

    def lost(self, reason: str, delay: float) -> None:
        # Who is not logged in misses nothing; a server does not keep such connections for long.
        if self._conversation.logged_in and not self._conversation.renewing:
            messages = self._conversation.client_messages
            self._warn(messages.lost.format(server=self._server, reason=reason, delay=delay))
        self._front.changed()

    def not_found(self, reason: str) -> None:
        messages = self._conversation.client_messages
        line = messages.trying_on if self._at_terminal else messages.unreachable
        self._warn(line.format(server=self._server, reason=reason))

    def given_up(self, line: str) -> None:
        self.failed(line)

    def ask(self, text: str, choices: str) -> Deferred[str]:
        return self._front.ask(text, choices)

    def _warn(self, line: str) -> None:
        if not self._warned:
            self._warned = True
            self._front.warn(line)

    # The end

    def finished(self, success: bool) -> None:
        if not self._finishing:
            self._finishing = True
            self._warn_of_unconfirmed()
            leaving = Deferred.fromCoroutine(self._conversation.log_out_quietly())
            leaving.addTimeout(LOGOUT_PATIENCE, self._reactor)
            leaving.addBoth(lambda _: self._finish(None if success else "", 1))

    def failed(self, line: str) -> None:
        if not self._finishing:
            self._finishing = True
            self._finish(line, 1)

    def interrupted(self, line: str) -> None:
        if not self._finishing:
            self._finishing = True
            self._warn_of_unconfirmed()
            self._finish(line, INTERRUPTED)

    def _warn_of_unconfirmed(self) -> None:
        if self._conversation.unconfirmed:
            count = self._conversation.unconfirmed
            self._front.warn(self._conversation.client_messages.unconfirmed.format(count=count))
