"""``chatsvc check`` as an admin sees it; what it finds is tested with the inspection."""

from __future__ import annotations

import os

import orjson
from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.cli.main import main
from tests.cli.shell import chatsvc
from tests.support.processes import ServerStores


class CheckTests(SynchronousTestCase):
    def test_servers(self) -> None:
        """The exit status, the objects or the lines would not be what monitoring relies on, or a password show."""
        stores = ServerStores()
        folder = self.mktemp()
        os.mkdir(folder)
        env = {"CHATSVC_ACCOUNTS": stores.accounts, "CHATSVC_INBOX": stores.inbox}
        for words, status in (((), 0), (("--strict",), 1), (("--port", "nonsense"), 1)):
            done = chatsvc("check", "--json", *words, env=env, folder=folder)
            self.assertEqual((done.status, done.stderr), (status, ""), done)
            verdicts = {row["verdict"] for row in orjson.loads(done.stdout)}
            self.assertEqual(
                verdicts, {"ok", "warn"} | ({"FAIL"} if "nonsense" in words else set())
            )
            self.assertNotIn("p%40ss", done.stdout)
        self.assertEqual(os.listdir(folder), [])

    def test_place_of_accounts(self) -> None:
        """`--accounts` before the command would be passed over."""
        folder = self.mktemp()
        os.mkdir(folder)
        done = chatsvc("--accounts", "sqlite:other.db", "check", folder=folder)
        self.assertIn("warn\taccounts\tsqlite:other.db is not there yet", done.stdout)

    def test_options(self) -> None:
        """A wrong option of the server would end in a usage error, or with the status of a success."""
        self.addCleanup(os.umask, os.umask(0o022))
        done = CliRunner().invoke(main, ["check", "--rate", "x"])
        self.assertEqual(done.exit_code, 1)
        self.assertTrue(done.stdout.startswith("FAIL\tconfig\t--rate 'x': "), done.stdout)
