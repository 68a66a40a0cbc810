"""One server for all tests of a class, and people on it."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.support.clients import StructuredClient, TextClient
from tests.support.processes import PASSWORD, ChatServer, Stores, new_address


class OnServer(SynchronousTestCase):
    """Its ``setUp`` sets ``stores`` and ``server``. People come from addresses that nobody has had."""

    stores: Stores
    server: ChatServer

    def no_traceback(self) -> None:
        """Fail if the server's log has a traceback."""
        self.assertEqual(self.server.tracebacks(), [])

    def user(self) -> int:
        """Give a new user's uid."""
        return self.stores.add_user("somebody")

    def text(self, uid: int = 0) -> TextClient:
        """Give a text client, logged in if there is a uid."""
        client = self.server.text(source=new_address())
        self.addCleanup(client.close)
        if uid:
            client.log_in(uid, PASSWORD)
        return client

    def structured(self, uid: int = 0, device: str = "", **more: Any) -> StructuredClient:
        """Give a structured client, logged in if there is a uid."""
        device = device or f"{uid:032x}"
        client = self.server.structured(source=new_address(), device=device)
        self.addCleanup(client.close)
        if uid:
            client.log_in(uid, PASSWORD, **more)
        return client
