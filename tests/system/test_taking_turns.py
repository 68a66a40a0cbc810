"""Two supervised programs on one account, as they are run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.support.processes import ChatServer

_CHATSVC = str(Path(sys.executable).with_name("chatsvc"))
_FOR_EVER = 'while :; do "$@"; sleep 0.1; done'


class SupervisedTests(SynchronousTestCase):
    def test_two_listeners(self) -> None:
        """They would end each other's log-ins without a pause, and the log not say where the other one is."""
        server = ChatServer().start()
        self.addCleanup(server.remove)
        client = server.structured()
        uid = client.ask(type="register", n=1, name="Ann", password="secret")["uid"]
        client.close()
        secret = server.folder / "secret"
        secret.touch(0o600)
        secret.write_text("secret\n")
        where = ("--connect", f"localhost:{server.port}", "--ca", server.ca)
        who = ("--uid", str(uid), "--password-file", str(secret))
        for state in ("one", "two"):
            folder = str(server.folder / state)
            program = [_CHATSVC, "listen", *where, *who, "--state", folder]
            process = subprocess.Popen(
                ["sh", "-c", _FOR_EVER, "sh", *program],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
            self.addCleanup(process.wait)
            self.addCleanup(os.killpg, process.pid, signal.SIGKILL)
        self.assertTrue(server.wait_for("log-ins end one another: the one from 127.0.0.1 waits"))
        before = server.log().count("logged-in-elsewhere, from 127.0.0.1")
        self.assertGreater(before, 0)
        time.sleep(6)
        self.assertLessEqual(server.log().count("logged-in-elsewhere") - before, 3)
