"""``chatsvc client``, short for ``twistd -n chatclient``."""

from __future__ import annotations

import subprocess

from tests.client.programs import COMMAND, PASSWORD
from tests.client.script.script_case import ScriptCase


class Short(ScriptCase):
    def test_client(self) -> None:
        """chatsvc client would not be what twistd -n chatclient is."""
        lines = f"auth {self.uid} {PASSWORD}\nmsg {self.other} x\ndance\n"
        options = self.options()
        short = self.run_to_end("client", *options, stdin=lines)
        long = subprocess.run(
            [*COMMAND, *options],
            cwd=self.folder,
            env=self.environment(),
            input=lines,
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual(short.status, 1)
        self.assertIn("Unknown command", short.output)
        self.assertEqual((short.status, short.errors), (long.returncode, long.stderr))
        self.assertEqual(self.run_to_end("client", "--connect", "::1:1").status, 1)
        self.assertIn("--connect", self.run_to_end("client", "--help").output)

    def test_working_directory(self) -> None:
        """A file that lies about would be taken for a module of ours."""
        for name in ("twisted.py", "chatsvc.py", "click.py"):
            (self.folder / name).write_text("raise SystemExit('taken')")
        outcome = self.run_to_end("client", stdin="")
        self.assertEqual((outcome.status, outcome.output), (0, "Please log in!\n"), outcome)
