"""A client's connection in a process of its own, as it were: its time is its own, its servers are real."""

from __future__ import annotations

import shutil
import socket
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import HostnameEndpoint, wrapClientTLS
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from chatsvc.client.connector import Connector
from chatsvc.client.conversation.conversation import Conversation
from chatsvc.client.conversation.presenter import Presenter
from chatsvc.client.state.outbox import Outbox
from chatsvc.client.transport.certificates import client_options, load
from chatsvc.client.transport.known_servers import KnownServers
from chatsvc.client.transport.retry import Patience
from chatsvc.client.trust_policy import TrustPolicy
from tests.client.peer import RecordingView
from tests.client.strangers import PATIENCE, Listener, Papers, Stranger, papers


async def until(condition: Callable[[], object]) -> None:
    """Wait, on the real reactor."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise AssertionError("it did not happen")
        await deferLater(reactor, 0.01)


async def settle() -> None:
    """Give what should not happen some time to happen."""
    await deferLater(reactor, 0.3)


class RecordingObserver:
    """Keeps what becomes of the connection, and questions open until :meth:`answer`."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.reasons: list[str] = []
        self.ends: list[str] = []
        self.questions: list[str] = []
        self.withdrawn = 0
        self._open: list[Deferred[str]] = []

    def found(self) -> None:
        self.events.append("found")

    def lost(self, reason: str, delay: float) -> None:
        self.events.append("lost")
        self.reasons.append(reason)

    def not_found(self, reason: str) -> None:
        self.events.append("not found")
        self.reasons.append(reason)

    def given_up(self, line: str) -> None:
        self.ends.append(line)

    def ask(self, text: str, choices: str) -> Deferred[str]:
        self.questions.append(text)
        assert choices == "oan", choices
        asked: Deferred[str] = Deferred(self._withdraw)
        self._open.append(asked)
        return asked

    def answer(self, letter: str) -> None:
        """The user presses a key."""
        self._open.pop().callback(letter)

    def _withdraw(self, asked: Deferred[str]) -> None:
        self.withdrawn += 1
        asked.errback(CancelledError())


class CountedConversation(Conversation):
    """A conversation that counts the connections that it was given."""

    given = 0

    def connection_made(
        self, write: Callable[[bytes], None], close: Callable[[], None] = lambda: None
    ) -> None:
        self.given += 1
        super().connection_made(write, close)


class Process:
    """What one process of a client has: its time is its own, its connections are real."""

    def __init__(
        self,
        port: int,
        known: KnownServers,
        *,
        host: str = "localhost",
        ca: Path | None = None,
        strict: bool = True,
        pinned: str = "",
        patience: Patience | None = None,
        lang: str = "en",
    ) -> None:
        self.observer = RecordingObserver()
        self.view = RecordingView()
        self.clock = Clock()
        self.server = f"{host}:{port}"
        trusted = None if ca is None else load(str(ca))
        self.conversation = CountedConversation(
            self.clock, self._outbox, Presenter(self.view, lang)
        )
        self.connector = Connector(
            self.clock,
            wrapClientTLS(client_options(host, trusted), HostnameEndpoint(reactor, host, port)),
            self.server,
            TrustPolicy(self.server, known, strict=strict and trusted is not None, pinned=pinned),
            self.conversation,
            self.observer,
            patience or Patience(),
        )
        self.connector.startService()

    def _outbox(self, uid: int) -> Outbox:
        raise NotImplementedError

    async def end(self) -> None:
        if self.connector.running:
            await self.connector.stopService()


class ConnectionCase(TestCase):
    def setUp(self) -> None:
        self.folder = Path(tempfile.mkdtemp(prefix="chatsvc-"))
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)
        self.known = KnownServers(self.folder / "state" / "known_servers")
        self.mine = papers(self.folder, "mine")
        self.other = papers(self.folder, "other")

    def stranger(self, shown: Papers | None = None, port: int = 0) -> Stranger:
        stranger = Stranger(shown or self.mine, port)
        self.addCleanup(stranger.close)
        return stranger

    def listener(self, serve: Callable[[socket.socket], object]) -> Listener:
        listener = Listener(serve)
        self.addCleanup(listener.close)
        return listener

    def process(self, port: int, **more: Any) -> Process:
        process = Process(port, self.known, **more)
        self.addCleanup(lambda: Deferred.fromCoroutine(process.end()))
        return process

    async def asked(self, process: Process, times: int = 1) -> None:
        await until(lambda: process.observer.questions[times - 1 :])

    async def found(self, process: Process, times: int = 1) -> None:
        await until(lambda: process.observer.events.count("found") == times)

    async def lost(self, process: Process, times: int = 1) -> None:
        await until(lambda: process.observer.events.count("lost") == times)

    async def in_time(self, process: Process, condition: Callable[[], object]) -> None:
        """Wait while the process's own time passes."""

        def passing() -> object:
            process.clock.advance(1)
            return condition()

        await until(passing)

    async def ended(self, process: Process) -> str:
        """The client gives up: it says why once, and tries no more."""
        await until(lambda: process.observer.ends)
        await settle()
        process.clock.advance(3600)
        await settle()
        (line,) = process.observer.ends
        return line

    def assert_changed(self, line: str, before: Papers, now: Papers) -> None:
        """Loud, and with all that one needs to find out."""
        self.assertIn("CHANGED", line)
        self.assertIn("listening in", line)
        self.assertIn(before.fingerprint, line)
        self.assertIn(now.fingerprint, line)
        self.assertGreater(line.count("\n"), 3)
