"""Uids on command lines and in the environment, as admins and scripts mistype them: processes."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.cli.shell import chatsvc
from tests.support.processes import Outcome

RANGE = "a whole number from -9223372036854775808 to 9223372036854775807 is expected"
BAD = [str(2**63), "1" + "0" * 400, "１"]
GOOD = ["0", "-9223372036854775808"]


class UidTests(SynchronousTestCase):
    def setUp(self) -> None:
        folder = Path(os.path.abspath(self.mktemp()))
        folder.mkdir()
        self.file = f"sqlite:{folder / 'chat.db'}"
        self.env = {
            "CHATSVC_ACCOUNTS": self.file,
            "CHATSVC_INBOX": self.file,
            "CHATSVC_STATE": str(folder / "state"),
            "CHATSVC_PASSWORD": "x",
            "CHATSVC_CONNECT": "127.0.0.1:9",
        }
        self.run_command("schema")

    def run_command(self, *words: str, **env: str) -> Outcome:
        """Run ``chatsvc`` to its end."""
        return chatsvc(*words, env={**self.env, **env})

    def test_out_of_range(self) -> None:
        """A uid that no store can hold, or that is none, would be a traceback, or somebody else's."""
        for bad in BAD:
            command = ("inbox", "count", "--", bad)
            refused = self.run_command(*command)
            self.assertEqual(refused.status, 2 if bad == "１" else 1, refused)
            self.assertIn(RANGE, refused.stderr)
            self.assertLess(len(refused.stderr), 300)
        commands: tuple[tuple[str, ...], ...] = (
            ("inbox", "show"),
            ("inbox", "purge", "--yes"),
            ("account", "passwd", "--generate"),
            ("account", "lock"),
            ("account", "unlock"),
        )
        for words in commands:
            refused = self.run_command(*words, str(2**63))
            self.assertEqual((refused.status, refused.stdout), (1, ""), refused)
            self.assertIn(RANGE, refused.stderr)
            self.assertEqual(refused.stderr.count("\n"), 1)

    def test_who_logs_in(self) -> None:
        """Who logs in under a uid that cannot be would be told that the password is wrong."""
        for refused in (
            self.run_command("listen", f"--uid={2**63}"),
            self.run_command("send", "--to", "1", "x", CHATSVC_UID="1" + "0" * 400),
        ):
            self.assertNotEqual(refused.status, 0)
            self.assertIn(RANGE, refused.stderr)

    def test_rooms(self) -> None:
        """Somebody who would write into a room would not learn that this command cannot."""
        for room in ("#x", "＃开发"):
            refused = self.run_command("send", "--to", room, "hi")
            self.assertEqual((refused.status, refused.stdout), (2, ""), refused)
            *_, line = refused.stderr.splitlines()
            self.assertIn("writes to users, not into rooms", line)

    def test_within_range(self) -> None:
        """A uid that could be somebody's would be refused."""
        for good in GOOD:
            counted = self.run_command("inbox", "count", "--", good)
            self.assertEqual((counted.status, counted.stdout), (0, "0\n"), counted)
        absent = self.run_command("account", "lock", "--", "-9223372036854775808")
        self.assertEqual(absent.stderr, "Error: there is no account -9223372036854775808\n")
