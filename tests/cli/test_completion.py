"""Shells complete the command's words."""

from __future__ import annotations

import os
import subprocess

from click.testing import CliRunner
from twisted.trial.unittest import SynchronousTestCase

from chatsvc.cli.main import main


class CompletionTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.addCleanup(os.umask, os.umask(0o022))  # which the command changes

    def run_main(self, *words: str, **env: str) -> str:
        done = CliRunner().invoke(main, words, prog_name="chatsvc", env=env)
        self.assertEqual(done.exit_code, 0, done.output)
        return done.stdout

    def test_scripts(self) -> None:
        """A shell's script would be refused by it, or not be the one that click gives."""
        for shell in ("bash", "zsh", "fish"):
            script = self.run_main("completion", shell)
            self.assertIn("_CHATSVC_COMPLETE", script)
            self.assertIn("chatsvc", script)
            self.assertEqual(self.run_main(_CHATSVC_COMPLETE=f"{shell}_source"), script)
        checked = subprocess.run(
            ["bash", "-n"], input=self.run_main("completion", "bash"), text=True
        )
        self.assertEqual(checked.returncode, 0)

    def test_words(self) -> None:
        """A command would not be completed."""
        line = {"COMP_WORDS": "chatsvc inbox ", "COMP_CWORD": "2"}
        found = self.run_main(_CHATSVC_COMPLETE="bash_complete", **line)
        self.assertEqual(
            found.split(), [f"plain,{word}" for word in ("count", "purge", "restored", "show")]
        )
