"""A server's life: what comes while it starts, and what is left when it stops."""

from __future__ import annotations

import secrets
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.logger import capturedLogs
from twisted.trial.unittest import TestCase

from chatsvc import server as server_module
from chatsvc.accounts.tokens import Tokens
from chatsvc.config import CannotStart
from chatsvc.server import ChatServer
from chatsvc.storage.database import Database
from chatsvc.supervision.systemd import SystemdNotifier
from chatsvc.tap.server_options import ServerOptions
from chatsvc.tls.context import ServerContext


class LifeTests(TestCase):
    def make(self, *words: str) -> ChatServer:
        """A server in a folder of its own, prepared."""
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        store = f"sqlite:{self.folder}/chat.db"
        options = ServerOptions({})
        options.parseOptions(
            [
                *("--port", "ssl:0:interface=127.0.0.1", "--keys", f"{self.folder}/keys"),
                *("--accounts", store, "--inbox", store, *words),
            ]
        )
        clock: Any = reactor
        self.given_up: list[str] = []
        server = ChatServer(clock, options.config, SystemdNotifier(clock), self.given_up.append)
        server.prepare()
        return server

    def hold_databases(self) -> Deferred[None]:
        """Let databases open only when this has fired."""
        gate: Deferred[None] = Deferred()
        opened = Database.open

        async def wait(database: Database) -> None:
            await gate
            await opened(database)

        self.patch(Database, "open", wait)
        return gate

    async def until_serving(self, server: ChatServer) -> None:
        while not server._serves:
            await deferLater(reactor, 0.01)  # type: ignore[arg-type]

    def test_nothing_is_made_for_nonsense(self) -> None:
        """A server that cannot start as it was told would have made keys that nobody wants."""
        for words in (
            ("--port", "nonsense"),
            ("--legacy-port", "ssl:x"),
            ("--metrics", "nonsense"),
            ("--port", "ssl:0:privateKey=/no/such/file"),
        ):
            with self.assertRaises(CannotStart):
                self.make(*words)
            self.assertEqual(list(self.folder.iterdir()), [], words)

    async def test_reload_while_it_starts(self) -> None:
        """A token secret that was replaced during the start would not be read until somebody reloads again."""
        gate = self.hold_databases()
        server = self.make()
        server.startService()
        await deferLater(reactor, 0.05)  # type: ignore[arg-type]
        secret = self.folder / "keys" / "token.secret"
        secret.write_text(secrets.token_bytes(32).hex())
        server.reload()
        gate.callback(None)
        await self.until_serving(server)
        expected = Tokens(bytes.fromhex(secret.read_text()), 1.0).fingerprint
        self.assertEqual(server._tokens and server._tokens.fingerprint, expected)
        await server.stopService()

    async def test_short_backlog(self) -> None:
        """A device would be forgotten each time that it reads a full inbox, and no admin learn why."""
        for words, said in (((), []), (("--device-backlog", "999"), ["short-backlog"])):
            with capturedLogs() as logs:
                server = self.make(*words)
                server.startService()
                await self.until_serving(server)
            await server.stopService()
            events = [event["event"] for event in logs if event.get("event") == "short-backlog"]
            self.assertEqual(events, said)

    async def test_stop_while_it_starts(self) -> None:
        """A server that is stopped while its stores open would say that it cannot start, or leave something open."""
        self.hold_databases()
        server = self.make()
        server.startService()
        await deferLater(reactor, 0.05)  # type: ignore[arg-type]
        await server.stopService()
        self.assertEqual(self.given_up, [])
        again = self.make()
        self.assertEqual(self.given_up, [])
        await again.stopService()

    async def test_renewal_that_fails(self) -> None:
        """A timer that has ended of an error would leave the server's stop in disorder."""
        self.patch(server_module, "_TICKET_SECRET_LASTS", 0.01)

        def explode(context: ServerContext) -> None:
            raise ValueError("a bug")

        server = self.make()
        server.startService()
        await self.until_serving(server)
        self.patch(ServerContext, "renew", explode)
        with capturedLogs() as logs:
            await deferLater(reactor, 0.1)  # type: ignore[arg-type]
            await server.stopService()
        self.flushLoggedErrors(ValueError)
        events = [event.get("event") for event in logs]
        self.assertIn("stopped", events)
        self.assertNotIn("cannot-stop", events)
