"""A server whose periodic tasks all fail."""

from __future__ import annotations

import signal
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.support.processes import ChatServer

_BROKEN = """
import sys
import chatsvc.gauges, chatsvc.inbox.watermark, chatsvc.observability.health, chatsvc.server
from chatsvc.inbox.sqlite.inbox import SQLiteInbox
from chatsvc.tls.context import ServerContext

def broken(*_):
    raise ZeroDivisionError

chatsvc.observability.health._EVERY = 0.3
chatsvc.observability.health._StoreCheck.begin = broken
chatsvc.gauges.Gauges._measure = broken
SQLiteInbox.total = broken
chatsvc.inbox.watermark.Watermark._write_later = broken
chatsvc.server._TICKET_SECRET_LASTS = 0.3
ServerContext.renew = broken

sys.argv[0] = "twistd"
from twisted.scripts.twistd import run
run()
"""

_TASKS = (
    "examining the stores",
    "measuring how late the reactor is",
    "counting the messages that wait",
    "renewing the secrets of TLS tickets",
    "writing the watermark",
)


class _Broken(ChatServer):
    def command(self) -> list[str]:
        _, *words = super().command()
        return [sys.executable, "-c", _BROKEN, *words]


class BrokenTasksTests(SynchronousTestCase):
    def test_all(self) -> None:
        """A task would end without a word, or the server not start, not serve, or stop in disorder for it."""
        server = _Broken("--metrics", "unix:metrics.sock")
        self.addCleanup(server.remove)
        client = server.start().structured()
        self.addCleanup(client.close)
        for task in _TASKS:
            self.assertTrue(server.wait_for(f"{task} failed, and will be tried again"), task)
        uid = client.ask(type="register", n=1, name="Ann", password="secret")["uid"]
        client.log_in(uid, "secret")
        client.close()
        self.assertEqual(server.stop(), -signal.SIGTERM)
        self.assertIn("Stopped, after", server.log())
        self.assertNotIn("disorder", server.log())
        self.assertNotIn("Unhandled", server.log())
