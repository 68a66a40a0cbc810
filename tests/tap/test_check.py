"""The configuration that ``chatsvc check`` looks at is the server's."""

from __future__ import annotations

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from chatsvc.check.finding import Finding, Severity
from chatsvc.config import Config
from chatsvc.tap.check import configuration
from chatsvc.tap.server import Options


class ConfigurationTests(SynchronousTestCase):
    def read(self, env: dict[str, str], **given: Any) -> tuple[Config | None, list[Finding]]:
        words: dict[str, Any] = {
            f"option_{option.name.replace('-', '_')}": () if option.repeatable else None
            for option in Options.table
        }
        return configuration(words | given, env)

    def test_as_the_server_reads_it(self) -> None:
        """What is looked at would not be what the server uses."""
        env = {"CHATSVC_ACCOUNTS": "sqlite:a.db", "CHATSVC_PORT": "ssl:1 ssl:2", "OTHER": "x"}
        config, findings = self.read(env, option_keys="k", option_legacy_port=("tcp:3", "tcp:4"))
        server = Options(env)
        server.parseOptions(["--keys", "k", "--legacy-port", "tcp:3", "--legacy-port", "tcp:4"])
        self.assertEqual(config, server.config)
        self.assertEqual([finding.verdict for finding in findings], [Severity.OK])

    def test_all_that_is_wrong(self) -> None:
        """An admin would hear of one wrong option at a time, or a password in one would show."""
        env = {"CHATSVC_INBOX": "redos://:secret@x/0", "CHATSVC_RATE": "x"}
        config, findings = self.read(env, option_inbox_limit="0")
        self.assertIsNone(config)
        self.assertEqual([finding.verdict for finding in findings], [Severity.FAIL] * 3)
        text = " ".join(finding.text for finding in findings)
        for name in ("--inbox ", "--inbox-limit '0'", "--rate 'x'"):
            self.assertIn(name, text)
        self.assertNotIn("secret", text)

    def test_mistyped_variable(self) -> None:
        """An option that was given would silently be its default."""
        env = {"CHATSVC_INBOX_LIMTI": "5", "CHATSVC_UID": "7", "CHATSVC_PASSWORD": "x"}
        config, findings = self.read(env)
        self.assertIsNotNone(config)
        (warning,) = [finding for finding in findings if finding.verdict is Severity.WARN]
        self.assertIn("CHATSVC_INBOX_LIMTI", warning.text)
